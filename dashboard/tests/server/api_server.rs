//! An API server as far as these tests need one: over TLS, with tokens, a collection that can be
//! listed and watched, a log that goes on, and an exec that gives back what it is sent.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::{HeaderMap, StatusCode, header};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Tokens that are known, and whose they are.
pub const TOKENS: [(&str, &str); 2] = [("anna-token", "anna"), ("berta-token", "berta")];

/// What it has and what it was asked.
#[derive(Default)]
pub struct Cluster {
    pods: Mutex<Pods>,
    news: Notify,
    /// URIs of lists and watches, in the order in which they came.
    pub asked: Mutex<Vec<String>>,
    /// How many watches are open.
    watching: Mutex<usize>,
    /// Bytes for whoever follows the log.
    log: Mutex<Option<broadcast::Sender<Bytes>>>,
}

#[derive(Default)]
struct Pods {
    version: u64,
    objects: BTreeMap<String, Value>,
    events: Vec<(u64, Value)>,
    /// Watches from before this are too old.
    oldest: u64,
    /// Counts the times watches were cut off.
    cuts: u64,
}

/// One that is running.
pub struct ApiServer {
    /// What it has.
    pub cluster: Arc<Cluster>,
    /// Where it is.
    pub url: String,
    /// Its certificate, in PEM.
    pub ca: String,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

impl Cluster {
    /// Creates or changes a pod.
    pub fn put(&self, name: &str, phase: &str) {
        let mut pods = self.pods.lock();
        pods.version += 1;
        let version = pods.version;
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"),
                "resourceVersion": version.to_string(), "managedFields": [{"manager": "x"}]},
            "status": {"phase": phase}});
        pods.objects.insert(name.to_owned(), pod.clone());
        pods.events
            .push((version, json!({"type": "MODIFIED", "object": pod})));
        drop(pods);
        self.news.notify_waiters();
    }

    /// Deletes a pod.
    pub fn delete(&self, name: &str) {
        let mut pods = self.pods.lock();
        pods.version += 1;
        let version = pods.version;
        let mut pod = pods.objects.remove(name).unwrap();
        pod["metadata"]["resourceVersion"] = json!(version.to_string());
        pods.events
            .push((version, json!({"type": "DELETED", "object": pod})));
        drop(pods);
        self.news.notify_waiters();
    }

    /// Ends all watches; forgets what happened, if it is asked to.
    pub fn cut_watches(&self, forget: bool) {
        let mut pods = self.pods.lock();
        pods.cuts += 1;
        if forget {
            // As if more had happened than is remembered.
            pods.version += 10;
            pods.oldest = pods.version;
            pods.events.clear();
        }
        drop(pods);
        self.news.notify_waiters();
    }

    /// How many watches are open.
    pub fn watching(&self) -> usize {
        *self.watching.lock()
    }

    /// How many times something was asked that has this in its URI.
    pub fn times_asked(&self, part: &str) -> usize {
        self.asked
            .lock()
            .iter()
            .filter(|uri| uri.contains(part))
            .count()
    }

    /// Writes to the log of whoever follows it; whether anybody does.
    pub fn log(&self, text: &'static str) -> bool {
        let log = self.log.lock();
        log.as_ref()
            .is_some_and(|log| log.send(Bytes::from(text)).is_ok())
    }

    fn events_after(&self, version: u64) -> (u64, Vec<Value>) {
        let pods = self.pods.lock();
        let events = pods.events.iter().filter(|(at, _)| *at > version);
        (
            pods.version,
            events.map(|(_, event)| event.clone()).collect(),
        )
    }
}

impl ApiServer {
    /// Starts one.
    pub async fn start() -> Self {
        hardway_client::tls::install_provider();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let cluster = Arc::<Cluster>::default();
        let router = Router::new()
            .route("/version", get(|| async { r#"{"gitVersion":"v1.33.0"}"# }))
            .route(
                "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                post(who),
            )
            .route("/api/v1/pods", get(pods))
            .route("/api/v1/namespaces/default/pods/web/log", get(log))
            .route("/api/v1/namespaces/default/pods/web/exec", get(exec))
            .route("/api/v1/namespaces/default/configmaps/echo", any(echo))
            .with_state(cluster.clone());
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else {
                        return;
                    };
                    let service = service_fn(move |request: hyper::Request<_>| {
                        router.clone().oneshot(request.map(Body::new))
                    });
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades();
                    let _ = connection.await;
                });
            }
        });
        Self {
            cluster,
            url: format!("https://{address}"),
            ca: certificate.pem(),
            _task: tokio_util::task::AbortOnDropHandle::new(task),
        }
    }
}

fn status(code: StatusCode, message: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": message, "code": code.as_u16()});
    (code, body.to_string()).into_response()
}

fn user(headers: &HeaderMap) -> Option<&'static str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let token = value.strip_prefix("Bearer ")?;
    let known = TOKENS.iter().find(|(known, _)| *known == token)?;
    Some(known.1)
}

async fn who(headers: HeaderMap) -> Response {
    match user(&headers) {
        Some(user) => json!({"status": {"userInfo": {"username": user, "groups": ["g"]}}})
            .to_string()
            .into_response(),
        None => status(StatusCode::UNAUTHORIZED, "Unauthorized"),
    }
}

/// Says what it was sent.
async fn echo(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 8 << 20).await.unwrap();
    let headers: BTreeMap<String, String> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let said = json!({"method": head.method.as_str(), "uri": head.uri.to_string(),
        "headers": headers, "length": body.len()});
    let out = [
        ("content-type", "application/json"),
        ("set-cookie", "stolen=1"),
        ("content-security-policy", "default-src *"),
        ("warning", "299 - \"old\""),
    ];
    (out, said.to_string()).into_response()
}

async fn pods(
    State(cluster): State<Arc<Cluster>>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Response {
    if user(request.headers()).is_none() {
        return status(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    cluster.asked.lock().push(request.uri().to_string());
    if !query.contains_key("watch") {
        return list(&cluster, &query);
    }
    let from: u64 = query["resourceVersion"].parse().unwrap();
    let cuts = {
        let pods = cluster.pods.lock();
        if from < pods.oldest {
            return status(StatusCode::GONE, "too old resource version");
        }
        pods.cuts
    };
    *cluster.watching.lock() += 1;
    let watch = Watch { cluster };
    let events = futures_util::stream::unfold((watch, from), move |(watch, from)| async move {
        let cluster = watch.cluster.clone();
        loop {
            let news = cluster.news.notified();
            let mut news = std::pin::pin!(news);
            news.as_mut().enable();
            if cluster.pods.lock().cuts > cuts {
                return None;
            }
            let (version, events) = cluster.events_after(from);
            if !events.is_empty() {
                let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
                return Some((Ok::<_, std::io::Error>(lines), (watch, version)));
            }
            news.await;
        }
    });
    Body::from_stream(events).into_response()
}

struct Watch {
    cluster: Arc<Cluster>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.cluster.watching.lock() -= 1;
    }
}

/// Two at a time, so that there are pages.
fn list(cluster: &Cluster, query: &HashMap<String, String>) -> Response {
    let pods = cluster.pods.lock();
    let from = query.get("continue").map_or("", String::as_str);
    let mut left = pods.objects.iter().filter(|(name, _)| name.as_str() > from);
    let page: Vec<_> = left.by_ref().take(2).collect();
    let next = match left.next() {
        Some(_) => page.last().map_or("", |(name, _)| name.as_str()),
        None => "",
    };
    let items: Vec<&Value> = page.iter().map(|(_, pod)| *pod).collect();
    json!({"apiVersion": "v1", "kind": "PodList", "items": items,
        "metadata": {"resourceVersion": pods.version.to_string(), "continue": next}})
    .to_string()
    .into_response()
}

async fn log(State(cluster): State<Arc<Cluster>>) -> Response {
    let (sender, receiver) = broadcast::channel(16);
    *cluster.log.lock() = Some(sender);
    let lines = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let line = receiver.recv().await.ok()?;
        Some((Ok::<_, std::io::Error>(line), receiver))
    });
    ([("content-type", "text/plain")], Body::from_stream(lines)).into_response()
}

/// Becomes a stream that gives back what it is sent.
async fn exec(mut request: Request) -> Response {
    if user(request.headers()).is_none() {
        return status(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return status(StatusCode::BAD_REQUEST, "Upgrade request required");
    };
    let protocol = request.headers()[header::SEC_WEBSOCKET_PROTOCOL].clone();
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let (mut read, mut write) = tokio::io::split(&mut stream);
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let mut answer = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, "Upgrade".parse().unwrap());
    headers.insert(header::UPGRADE, "websocket".parse().unwrap());
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    answer
}
