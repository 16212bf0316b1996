//! API servers behind this one.

use crate::common::{self, Lab, own_address};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

const ROOT: &str = "/apis/behind.example.com/v1";
const SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1.behind.example.com";

/// Path and headers of each request that came.
type Requests = Arc<Mutex<Vec<(String, HeaderMap)>>>;

/// A server of `things`, and what it was asked.
struct Behind {
    port: u16,
    ca_bundle: String,
    requests: Requests,
    /// Watches end when this is changed.
    stop: watch::Sender<bool>,
}

impl Behind {
    async fn start() -> Self {
        use base64::Engine as _;
        let name = "behind.default.svc".to_owned();
        let made = rcgen::generate_simple_self_signed([name]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((own_address(), 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Requests::default();
        let (stop, stopped) = watch::channel(false);
        let seen = requests.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, seen, stopped) = (acceptor.clone(), seen.clone(), stopped.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else {
                        return;
                    };
                    let service = hyper::service::service_fn(move |request| {
                        let answer = answer(request, &seen, stopped.clone());
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let stream = TokioIo::new(stream);
                    let _ = server.serve_connection_with_upgrades(stream, service).await;
                });
            }
        });
        Self {
            port,
            ca_bundle: base64::engine::general_purpose::STANDARD.encode(made.cert.pem()),
            requests,
            stop,
        }
    }

    /// Who asked for a path last, as the headers have it.
    fn user_of(&self, path: &str) -> Option<String> {
        let requests = self.requests.lock();
        let (_, headers) = requests.iter().rev().find(|(asked, _)| asked == path)?;
        assert!(!headers.contains_key("authorization"));
        let text = |name: &str| -> Vec<&str> {
            let values = headers.get_all(name).iter();
            values.map(|value| value.to_str().unwrap()).collect()
        };
        Some(format!(
            "{:?} {:?}",
            text("x-remote-user"),
            text("x-remote-group")
        ))
    }

    fn api_service(&self) -> Value {
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": "v1.behind.example.com"},
            "spec": {
                "group": "behind.example.com", "version": "v1",
                "groupPriorityMinimum": 17_750, "versionPriority": 10,
                "caBundle": self.ca_bundle,
                "service": {"namespace": "default", "name": "behind"},
            },
        })
    }

    fn slice(&self) -> Value {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "behind-1", "labels": {"kubernetes.io/service-name": "behind"}},
            "ports": [{"name": "https", "port": self.port}],
            "endpoints": [{"addresses": [own_address().to_string()], "conditions": {"ready": true}}],
        })
    }
}

type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

fn answer(
    request: Request<Incoming>,
    seen: &Requests,
    mut stopped: watch::Receiver<bool>,
) -> Response<AnswerBody> {
    let path = request.uri().path().to_owned();
    seen.lock().push((path.clone(), request.headers().clone()));
    if request.headers().contains_key("upgrade") {
        return echo(request);
    }
    let whole = |code: StatusCode, value: Value| {
        let body = Full::new(Bytes::from(value.to_string())).boxed_unsync();
        let mut answer = Response::new(body);
        *answer.status_mut() = code;
        answer
    };
    if request.uri().query() == Some("watch=true") {
        let first = Frame::data(Bytes::from_static(b"{\"type\":\"ADDED\"}\n"));
        let first = futures_util::stream::once(async { Ok(first) });
        let last = futures_util::stream::once(async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
            Ok(Frame::data(Bytes::from_static(b"{\"type\":\"DELETED\"}\n")))
        });
        return Response::new(StreamBody::new(first.chain(last)).boxed_unsync());
    }
    match path.as_str() {
        ROOT => whole(
            StatusCode::OK,
            json!({"kind": "APIResourceList", "groupVersion": "behind.example.com/v1", "resources": [
                {"name": "things", "singularName": "thing", "namespaced": true, "kind": "Thing",
                 "verbs": ["get", "list", "watch"]}]}),
        ),
        "/openapi/v3/apis/behind.example.com/v1" => {
            whole(StatusCode::OK, json!({"openapi": "3.0.0"}))
        }
        "/openapi/v2" => {
            let known = request.headers().get("if-none-match");
            let mut answer = match known.is_some_and(|known| known == V2_ETAG) {
                true => {
                    let mut answer = Response::new(Full::new(Bytes::new()).boxed_unsync());
                    *answer.status_mut() = StatusCode::NOT_MODIFIED;
                    answer
                }
                false => whole(StatusCode::OK, openapi_v2()),
            };
            answer
                .headers_mut()
                .insert("etag", HeaderValue::from_static(V2_ETAG));
            answer
        }
        _ if path.starts_with(ROOT) => whole(
            StatusCode::IM_A_TEAPOT,
            json!({"method": request.method().as_str(), "path": path}),
        ),
        _ => whole(StatusCode::NOT_FOUND, Value::Null),
    }
}

/// What the server calls its OpenAPI v2 document.
const V2_ETAG: &str = "\"first\"";

/// It says of things something of its own, of a Status something else than this server, and has
/// a path that is none of its group's.
fn openapi_v2() -> Value {
    let status = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
    let of = |name: &str| json!({"$ref": format!("#/definitions/{name}")});
    let operation = json!({"parameters": [{"$ref": "#/parameters/limit"}], "responses": {
        "200": {"description": "OK", "schema": of("com.example.Thing")},
        "401": {"description": "Unauthorized", "schema": of(status)}}});
    json!({
        "swagger": "2.0",
        "definitions": {
            "com.example.Thing": {"type": "object", "description": "a thing",
                "x-kubernetes-group-version-kind": [
                    {"group": "behind.example.com", "version": "v1", "kind": "Thing"}]},
            status: {"type": "object", "description": "another status"},
            "com.example.Unused": {"type": "object"},
        },
        "parameters": {"limit": {"in": "query", "name": "limit", "type": "integer"}},
        "paths": {
            format!("{ROOT}/things"): {"get": operation},
            "/apis/apps/v1/deployments": {"get": {"responses": {}}},
        },
    })
}

/// A server that takes over connections, as `exec` does, sends back what it gets.
fn echo(mut request: Request<Incoming>) -> Response<AnswerBody> {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else {
            return;
        };
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let protocol = request.headers()["upgrade"].clone();
    let mut answer = Response::new(Full::new(Bytes::new()).boxed_unsync());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert("connection", HeaderValue::from_static("Upgrade"));
    headers.insert("upgrade", protocol);
    answer
}

/// The condition of an APIService.
async fn available(lab: &Lab, path: &str) -> String {
    let (_, service) = lab.get(path).await;
    let condition = &service["status"]["conditions"][0];
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    format!("{} {}", text("status"), text("reason"))
}

async fn wait_available(lab: &Lab, expected: &str) {
    lab.until(expected, async || available(lab, SERVICE).await == expected)
        .await;
}

/// An apiserver, and a server behind it that it has found.
async fn pair() -> (Lab, Behind) {
    let lab = Lab::start().await;
    let behind = Behind::start().await;
    let create = async |path: &str, object: Value| drop(lab.create(path, &object).await);
    create(
        "/apis/apiregistration.k8s.io/v1/apiservices",
        behind.api_service(),
    )
    .await;
    wait_available(&lab, "False ServiceNotFound").await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "behind"},
        "spec": {"ports": [{"name": "https", "port": 443}]}});
    create("/api/v1/namespaces/default/services", service).await;
    wait_available(&lab, "False EndpointsNotFound").await;
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    create(slices, behind.slice()).await;
    wait_available(&lab, "True Passed").await;
    (lab, behind)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_on_with_the_name_of_who_asks() {
    let (lab, behind) = pair().await;
    assert_eq!(
        behind.user_of(ROOT).unwrap(),
        "[\"system:kube-aggregator\"] [\"system:masters\"]"
    );
    let thing = &format!("{ROOT}/namespaces/shop/things/a");
    let (code, answer) = lab.get(thing).await;
    assert_eq!((code, &answer["path"]), (418, &json!(thing)));
    assert_eq!(
        behind.user_of(thing).unwrap(),
        "[\"admin\"] [\"system:masters\", \"system:authenticated\"]"
    );
    // Who may not do this is answered here.
    let asked = behind.requests.lock().len();
    let (code, status) = lab.send_as("jane", Method::GET, thing, &Value::Null).await;
    assert_eq!(code, 403, "{status}");
    let message = status["message"].as_str().unwrap();
    assert!(
        message.contains("things.behind.example.com \"a\" is forbidden: User \"jane\" cannot get resource \"things\" in API group \"behind.example.com\" in the namespace \"shop\""),
        "{message}"
    );
    assert_eq!(behind.requests.lock().len(), asked);
    let (code, answer) = lab.post(&format!("{ROOT}/things"), &json!({"a": 1})).await;
    assert_eq!((code, &answer["method"]), (418, &json!("POST")));
    // Nothing leads out of what was permitted.
    for outside in [format!("{ROOT}/../x"), format!("{ROOT}/%2e%2e/x")] {
        assert_eq!(lab.get(&outside).await.0, 404, "{outside}");
    }
    assert!(
        behind
            .requests
            .lock()
            .iter()
            .all(|(path, _)| !path.contains(".."))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_go_through_as_they_come() {
    let (lab, behind) = pair().await;
    let mut events = lab.watch(&format!("{ROOT}/things?watch=true")).await;
    assert_eq!(events.next().await.unwrap()["type"], "ADDED");
    // The end comes later.
    behind.stop.send_replace(true);
    assert_eq!(events.next().await.unwrap()["type"], "DELETED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_tell_of_what_is_behind() {
    let (lab, behind) = pair().await;
    let names = async |path: &str| -> Vec<String> {
        let (_, list) = lab.get(path).await;
        let groups = list["groups"].as_array().unwrap().iter();
        groups
            .map(|group| group["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let groups = names("/apis").await;
    assert_eq!(
        groups[..5],
        [
            "apiregistration.k8s.io",
            "apps",
            "events.k8s.io",
            "behind.example.com",
            "authentication.k8s.io"
        ]
    );
    let (code, group) = lab.get("/apis/behind.example.com").await;
    assert_eq!(
        (code, &group["preferredVersion"]["version"]),
        (200, &json!("v1"))
    );
    assert_eq!(lab.get(ROOT).await.1["resources"][0]["name"], "things");
    lab.until("its OpenAPI document is there", async || {
        lab.get("/openapi/v3").await.1["paths"]["apis/behind.example.com/v1"].is_object()
    })
    .await;
    let index = lab.get("/openapi/v3").await.1;
    let url = &index["paths"]["apis/behind.example.com/v1"]["serverRelativeURL"];
    let (code, document) = lab.get(url.as_str().unwrap()).await;
    assert_eq!((code, &document["openapi"]), (200, &json!("3.0.0")));

    let aggregated = async || {
        let mut people = common::people::Client::new(&lab, "admin", &["system:masters"]).await;
        let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let document = people.get_as("/apis", accept).await.body;
        let items = document["items"].as_array().unwrap().clone();
        let is_it = |item: &&Value| item["metadata"]["name"] == "behind.example.com";
        items.iter().find(is_it).unwrap()["versions"][0].clone()
    };
    let version = aggregated().await;
    assert_eq!(version["freshness"], "Current");
    assert_eq!(version["resources"][0]["responseKind"]["kind"], "Thing");

    // It goes away: that is told at once, and nothing else is kept waiting.
    let slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/behind-1";
    assert_eq!(lab.delete(slice, &Value::Null).await.0, 200);
    wait_available(&lab, "False EndpointsNotFound").await;
    assert_eq!(aggregated().await["freshness"], "Stale");
    let (code, text) = lab.get(&format!("{ROOT}/things")).await;
    assert_eq!((code, text), (503, json!("service unavailable\n")));
    assert!(
        names("/apis")
            .await
            .contains(&"behind.example.com".to_owned())
    );
    assert_eq!(lab.get("/api/v1/namespaces").await.0, 200);
    // And back.
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    lab.create(slices, &behind.slice()).await;
    wait_available(&lab, "True Passed").await;
    assert_eq!(lab.get(&format!("{ROOT}/things")).await.0, 418);
    assert_eq!(lab.delete(SERVICE, &Value::Null).await.0, 200);
    lab.until("the group is gone", async || {
        !names("/apis")
            .await
            .contains(&"behind.example.com".to_owned())
    })
    .await;
    assert_eq!(lab.get(ROOT).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openapi_v2_has_what_other_servers_say() {
    let (lab, behind) = pair().await;
    let things = format!("{ROOT}/things");
    lab.until("its OpenAPI document is there", async || {
        lab.get("/openapi/v2").await.1["paths"][&things].is_object()
    })
    .await;
    let document = lab.get("/openapi/v2").await.1;
    let operation = &document["paths"][&things]["get"];
    let reference = |code: &str| operation["responses"][code]["schema"]["$ref"].clone();
    assert_eq!(reference("200"), "#/definitions/com.example.Thing");
    // Of one name are two definitions: the second has another one, as Kubernetes does it.
    let status = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
    assert_eq!(reference("401"), format!("#/definitions/{status}_v2"));
    let definitions = &document["definitions"];
    assert_eq!(
        definitions[format!("{status}_v2")]["description"],
        "another status"
    );
    assert!(definitions[status]["properties"]["reason"].is_object());
    assert_eq!(operation["parameters"][0]["$ref"], "#/parameters/limit");
    assert_eq!(document["parameters"]["limit"]["in"], "query");
    // What is not of its group is not for it to say; what nobody needs isn't told.
    assert!(document["paths"]["/apis/apps/v1/deployments"]["get"]["responses"]["200"].is_object());
    assert!(definitions["com.example.Unused"].is_null());

    let mut people = common::people::Client::new(&lab, "admin", &["system:masters"]).await;
    let protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let bytes = people.get_as("/openapi/v2", protobuf).await.bytes;
    let has = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(has("com.example.Thing") && has(&format!("{status}_v2")) && has("#/parameters/limit"));

    // It goes away: what it said stays, and nobody waits for it.
    let slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/behind-1";
    assert_eq!(lab.delete(slice, &Value::Null).await.0, 200);
    wait_available(&lab, "False EndpointsNotFound").await;
    let document = lab.get("/openapi/v2").await.1;
    assert!(document["paths"][&things].is_object());
    // It is back: who calls a document by a name is asked whether it still is that one.
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    lab.create(slices, &behind.slice()).await;
    wait_available(&lab, "True Passed").await;
    lab.until("it was asked by its ETag", async || {
        let requests = behind.requests.lock();
        let asked = |(path, headers): &(String, HeaderMap)| {
            path == "/openapi/v2" && headers.get("if-none-match").is_some_and(|it| it == V2_ETAG)
        };
        requests.iter().any(asked)
    })
    .await;
    assert!(lab.get("/openapi/v2").await.1["paths"][&things].is_object());
    assert_eq!(lab.delete(SERVICE, &Value::Null).await.0, 200);
    lab.until("its paths are gone", async || {
        lab.get("/openapi/v2").await.1["paths"][&things].is_null()
    })
    .await;
}

/// As `kubectl exec` speaks to pods, so that a server behind may have pods, too: by WebSockets
/// or SPDY, with the name of who asks, once it is permitted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_taken_over_go_through() {
    let (lab, behind) = pair().await;
    let path = format!("{ROOT}/namespaces/shop/things/a/exec?command=sh");
    for (user, protocol, code) in [
        ("admin", "websocket", "101"),
        ("admin", "SPDY/3.1", "101"),
        ("jane", "websocket", "403"),
    ] {
        let before = behind.requests.lock().len();
        let mut stream = lab.stream(&lab.acting(user)).await.expect("a connection");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\
             X-Remote-User: root\r\nX-Remote-Uid: 0\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a whole head"));
        }
        let head = String::from_utf8(head).unwrap();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {code} ")),
            "{user}: {head}"
        );
        if code != "101" {
            assert_eq!(behind.requests.lock().len(), before);
            continue;
        }
        stream.write_all(b"ls -l").await.unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"ls -l");
        let requests = behind.requests.lock();
        let (path, headers) = requests.last().unwrap();
        assert_eq!(path, &format!("{ROOT}/namespaces/shop/things/a/exec"));
        assert_eq!(headers["x-remote-user"], user);
        assert!(!headers.contains_key("x-remote-uid"), "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_else_at_the_address_is_not_believed() {
    let (lab, _behind) = pair().await;
    let stranger = Behind::start().await;
    let spec = json!({"spec": {"caBundle": stranger.ca_bundle}});
    assert_eq!(lab.merge(SERVICE, &spec).await.0, 200);
    wait_available(&lab, "False FailedDiscoveryCheck").await;
    let (_, service) = lab.get(SERVICE).await;
    let message = service["status"]["conditions"][0]["message"]
        .as_str()
        .unwrap();
    assert!(message.starts_with("failing or missing response from https://behind.default.svc:443/apis/behind.example.com/v1: "), "{message}");
    let spec = json!({"spec": {"caBundle": null, "insecureSkipTLSVerify": true}});
    assert_eq!(lab.merge(SERVICE, &spec).await.0, 200);
    wait_available(&lab, "True Passed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_has_itself_has_api_services_too() {
    let flags = |dir: &Path| {
        let file = |name: &str| dir.join(name).display().to_string();
        vec![
            format!("--proxy-client-cert-file={}", file("jane.crt")),
            format!("--proxy-client-key-file={}", file("jane.key")),
            format!("--requestheader-client-ca-file={}", file("ca.crt")),
            "--requestheader-allowed-names=jane".to_owned(),
            "--requestheader-uid-headers=X-Remote-Uid".to_owned(),
        ]
    };
    let lab = Lab::start_with(flags).await;
    let apps = "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps";
    let is_there = async || available(&lab, apps).await == "True Local";
    lab.until("v1.apps is there", is_there).await;
    assert_eq!(
        lab.get(apps).await.1["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"],
        "onstart"
    );
    assert_eq!(lab.delete(apps, &Value::Null).await.0, 200);
    lab.until("v1.apps comes back", is_there).await;
    let other = json!({"spec": {"groupPriorityMinimum": 5}});
    assert_eq!(lab.merge(apps, &other).await.0, 200);
    lab.until("v1.apps is mended", async || {
        lab.get(apps).await.1["spec"]["groupPriorityMinimum"] == 17_800
    })
    .await;

    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "toys.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "toys", "kind": "Toy"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    lab.create(definitions, &definition).await;
    let toys = "/apis/apiregistration.k8s.io/v1/apiservices/v1.example.com";
    lab.until("v1.example.com is there", async || {
        available(&lab, toys).await == "True Local"
    })
    .await;
    let gone = format!("{definitions}/toys.example.com");
    assert_eq!(lab.delete(&gone, &Value::Null).await.0, 200);
    lab.until("v1.example.com is gone", async || {
        lab.get(toys).await.0 == 404
    })
    .await;

    // How others know who passes requests on.
    let map = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    lab.until("it is published", async || {
        let (_, map) = lab.get(map).await;
        let data = &map["data"];
        data["requestheader-allowed-names"] == "[\"jane\"]"
            && data["requestheader-username-headers"] == "[\"X-Remote-User\"]"
            && data["requestheader-uid-headers"] == "[\"X-Remote-Uid\"]"
            && data["requestheader-group-headers"] == "[\"X-Remote-Group\"]"
            && data["requestheader-extra-headers-prefix"] == "[\"X-Remote-Extra-\"]"
            && data["requestheader-client-ca-file"] == data["client-ca-file"]
    })
    .await;
}
