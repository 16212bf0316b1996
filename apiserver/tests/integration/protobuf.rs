//! Answers in protobuf, as Kubernetes' own components ask for them. What is read here is
//! what their types say, message by message.

use crate::common::{Lab, MAPS, PATIENCE, PODS, config_map, pod, service_account};
use hardway_apiserver::protobuf::to_json;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use prost::{Message, bytes::Bytes};
use serde_json::{Value, json};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PARTIAL: &str = "as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const PARTIAL_LIST: &str = "as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

#[derive(Clone, PartialEq, Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

/// `runtime.Unknown`.
#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "bytes", tag = "2")]
    raw: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct ObjectMeta {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "6")]
    resource_version: String,
}

/// Any object, by its metadata.
#[derive(Clone, PartialEq, Message)]
struct Object {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
}

#[derive(Clone, PartialEq, Message)]
struct ListMeta {
    #[prost(string, tag = "2")]
    resource_version: String,
    #[prost(string, tag = "3")]
    next: String,
    #[prost(int64, optional, tag = "4")]
    remaining: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct List {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ListMeta>,
    #[prost(message, repeated, tag = "2")]
    items: Vec<Object>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "4")]
    reason: String,
    #[prost(int32, tag = "6")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct RawExtension {
    #[prost(bytes = "bytes", tag = "1")]
    raw: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct WatchEvent {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(message, optional, tag = "2")]
    object: Option<RawExtension>,
}

async fn ask(lab: &Lab, method: Method, path: &str, accept: &str) -> Response<Incoming> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::ACCEPT, accept)
        .body(Full::new(Bytes::new()))
        .unwrap();
    let mut sender = lab.connect(&lab.acting("admin")).await.unwrap();
    sender.send_request(request).await.unwrap()
}

/// Code, content type and body of an answer.
async fn get(lab: &Lab, path: &str, accept: &str) -> (u16, String, Bytes) {
    let answer = ask(lab, Method::GET, path, accept).await;
    let code = answer.status().as_u16();
    let content_type = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
    let content_type = content_type.to_owned();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (code, content_type, body)
}

/// An envelope's kind and its message.
fn opened<M: Message + Default>(body: &[u8]) -> (String, M) {
    let envelope = body.strip_prefix(b"k8s\0").expect("it begins with k8s");
    let unknown = Unknown::decode(envelope).unwrap();
    let of = unknown.type_meta.unwrap_or_default();
    let message = M::decode(unknown.raw).unwrap();
    (format!("{} {}", of.api_version, of.kind), message)
}

/// The same in JSON, without what Go's types write although it is zero.
fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(&to_json(body).unwrap()).unwrap()
}

fn names(list: &List) -> Vec<&str> {
    let metadata = list.items.iter().flat_map(|item| &item.metadata);
    metadata.map(|metadata| metadata.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_lists_and_failures() {
    let lab = Lab::start().await;
    let made = lab.create(MAPS, &config_map("a")).await;
    lab.create(MAPS, &config_map("b")).await;

    let (code, content_type, body) = get(&lab, &format!("{MAPS}/a"), PROTOBUF).await;
    assert_eq!((code, content_type.as_str()), (200, PROTOBUF));
    assert_eq!(json_of(&body), made);
    let components = format!("{PROTOBUF},application/json");
    let (_, content_type, _) = get(&lab, &format!("{MAPS}/a"), &components).await;
    assert_eq!(content_type, PROTOBUF);

    let (_, content_type, body) = get(&lab, &format!("{MAPS}?limit=1"), PROTOBUF).await;
    assert_eq!(content_type, PROTOBUF);
    let (kind, list) = opened::<List>(&body);
    assert_eq!(
        (kind.as_str(), names(&list)),
        ("v1 ConfigMapList", vec!["a"])
    );
    let metadata = list.metadata.unwrap();
    assert!(!metadata.next.is_empty() && !metadata.resource_version.is_empty());
    assert_eq!(metadata.remaining, Some(1));

    // An old version is written as it has it.
    let old = "/apis/apps/v1beta1/namespaces/default/deployments";
    let labels = json!({"a": "b"});
    let template = json!({"metadata": {"labels": labels}, "spec": pod("x")["spec"]});
    let deployment = json!({"metadata": {"name": "d"}, "spec": {"replicas": 0,
        "selector": {"matchLabels": labels}, "template": template}});
    lab.create("/apis/apps/v1/namespaces/default/deployments", &deployment)
        .await;
    let (_, _, body) = get(&lab, &format!("{old}/d"), PROTOBUF).await;
    assert_eq!(json_of(&body)["spec"]["replicas"], 0);
    let (kind, list) = opened::<List>(&get(&lab, old, PROTOBUF).await.2);
    assert_eq!(
        (kind.as_str(), names(&list)),
        ("apps/v1beta1 DeploymentList", vec!["d"])
    );

    // Metadata alone, of one and of all.
    let accept = format!("{PROTOBUF};{PARTIAL}");
    let (kind, object) = opened::<Object>(&get(&lab, &format!("{MAPS}/a"), &accept).await.2);
    assert_eq!(kind, "meta.k8s.io/v1 PartialObjectMetadata");
    assert_eq!(object.metadata.unwrap().name, "a");
    let accept = format!("{PROTOBUF};{PARTIAL_LIST},application/json");
    let (kind, list) = opened::<List>(&get(&lab, MAPS, &accept).await.2);
    assert_eq!(kind, "meta.k8s.io/v1 PartialObjectMetadataList");
    assert_eq!(names(&list), ["a", "b"]);

    let (code, content_type, body) = get(&lab, &format!("{MAPS}/c"), PROTOBUF).await;
    assert_eq!((code, content_type.as_str()), (404, PROTOBUF));
    let (kind, status) = opened::<Status>(&body);
    let reason = status.reason.as_str();
    assert_eq!(
        (kind.as_str(), reason, status.code),
        ("v1 Status", "NotFound", 404)
    );
    let gone = ask(&lab, Method::DELETE, &format!("{MAPS}/b"), PROTOBUF).await;
    let body = gone.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(opened::<Status>(&body).0, "v1 Status");

    // What has no such form.
    let table = format!("{PROTOBUF};as=Table;g=meta.k8s.io;v=v1");
    assert_eq!(get(&lab, MAPS, &table).await.0, 406);
    assert_eq!(get(&lab, "/openapi/v3", PROTOBUF).await.0, 406);
    for (path, accept) in [("/openapi/v3", components.as_str()), ("/version", PROTOBUF)] {
        let (code, content_type, _) = get(&lab, path, accept).await;
        assert_eq!((code, content_type.as_str()), (200, "application/json"));
    }
    assert_eq!(get(&lab, "/healthz", "text/plain").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_custom_resources_the_metadata_alone() {
    let lab = Lab::start().await;
    let definition = json!({"metadata": {"name": "widgets.pub.example.com"}, "spec": {
        "group": "pub.example.com", "scope": "Cluster",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object",
                "x-kubernetes-preserve-unknown-fields": true}}}]}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let made = lab.create(definitions, &definition).await;
    let path = format!("{definitions}/widgets.pub.example.com");
    let (_, _, body) = get(&lab, &path, PROTOBUF).await;
    assert_eq!(json_of(&body)["spec"], made["spec"]);

    let widgets = "/apis/pub.example.com/v1/widgets";
    let widget =
        json!({"apiVersion": "pub.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    lab.until("the definition is established", async || {
        lab.post(widgets, &widget).await.0 == 201
    })
    .await;
    // They are not read in protobuf, but the options of their deletion are.
    let body = [b"k8s\0".as_slice(), &Unknown::default().encode_to_vec()].concat();
    let (code, status) = lab.send(Method::POST, widgets, PROTOBUF, body).await;
    assert_eq!(
        (code, &status["reason"]),
        (415, &json!("UnsupportedMediaType"))
    );
    assert_eq!(
        status["message"],
        "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml"
    );
    let options = Unknown {
        type_meta: Some(TypeMeta {
            api_version: "pub.example.com/v1".into(),
            kind: "DeleteOptions".into(),
        }),
        raw: Bytes::new(),
    };
    let options = [b"k8s\0".as_slice(), &options.encode_to_vec()].concat();
    let dry = format!("{widgets}/w?dryRun=All");
    let (code, status) = lab.send(Method::DELETE, &dry, PROTOBUF, options).await;
    assert_eq!(code, 200, "{status}");
    let widget = format!("{widgets}/w");
    let (code, content_type, body) = get(&lab, &widget, PROTOBUF).await;
    assert_eq!((code, content_type.as_str()), (406, PROTOBUF));
    assert_eq!(opened::<Status>(&body).1.reason, "NotAcceptable");
    let either = format!("{PROTOBUF},application/json");
    let (code, content_type, _) = get(&lab, &widget, &either).await;
    assert_eq!((code, content_type.as_str()), (200, "application/json"));
    let partial = format!("{PROTOBUF};{PARTIAL}");
    let (kind, object) = opened::<Object>(&get(&lab, &widget, &partial).await.2);
    assert_eq!(kind, "meta.k8s.io/v1 PartialObjectMetadata");
    assert_eq!(object.metadata.unwrap().name, "w");
}

/// The events of a watch: each comes after its length.
struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Events {
    async fn begin(lab: &Lab, path: &str, accept: &str) -> Self {
        let answer = ask(lab, Method::GET, path, accept).await;
        let content_type = &answer.headers()[header::CONTENT_TYPE];
        assert_eq!(content_type, &format!("{PROTOBUF};stream=watch"));
        Self {
            body: answer.into_body(),
            buffer: Vec::new(),
        }
    }

    /// Type and object, still in its envelope, of the next event.
    async fn next(&mut self) -> (String, Bytes) {
        loop {
            if let Some((length, rest)) = self.buffer.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if let Some(event) = rest.get(..length) {
                    let event = WatchEvent::decode(event).unwrap();
                    self.buffer.drain(..4 + length);
                    return (event.kind, event.object.unwrap().raw);
                }
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame());
            let frame = frame.await.expect("an event in time");
            let data = frame.expect("the watch goes on").unwrap().into_data();
            self.buffer.extend_from_slice(&data.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches() {
    let mut lab = Lab::start().await;
    service_account(&lab).await;
    let first = lab.create(PODS, &pod("a")).await;
    let query =
        "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = Events::begin(&lab, &format!("{PODS}?{query}"), PROTOBUF).await;
    let (kind, object) = events.next().await;
    assert_eq!((kind.as_str(), json_of(&object)), ("ADDED", first));
    let (kind, object) = events.next().await;
    let (of, bookmark) = opened::<Object>(&object);
    assert_eq!((kind.as_str(), of.as_str()), ("BOOKMARK", "v1 Pod"));
    assert_ne!(bookmark.metadata.unwrap().resource_version, "");

    let path = format!("{PODS}/a");
    let (_, changed) = lab
        .merge(&path, &json!({"metadata": {"labels": {"x": "y"}}}))
        .await;
    let (kind, object) = events.next().await;
    assert_eq!(kind, "MODIFIED");
    assert_eq!(json_of(&object)["metadata"], changed["metadata"]);
    let partial = format!("{PROTOBUF};{PARTIAL}");
    let now = format!("{PODS}?watch=1&resourceVersion=0");
    let mut metadata = Events::begin(&lab, &now, &partial).await;
    let (of, object) = opened::<Object>(&metadata.next().await.1);
    assert_eq!(of, "meta.k8s.io/v1 PartialObjectMetadata");
    assert_eq!(object.metadata.unwrap().name, "a");

    lab.delete(&path, &json!({"gracePeriodSeconds": 0})).await;
    let (kind, object) = events.next().await;
    assert_eq!(kind, "DELETED");
    let gone = opened::<Object>(&object).1.metadata.unwrap();
    let version = |version: &str| version.parse::<u64>().unwrap();
    let before = changed["metadata"]["resourceVersion"].as_str().unwrap();
    assert!(version(&gone.resource_version) > version(before));

    // A new server knows nothing of what was before it, and says so in a Status.
    lab.serve().await;
    let old = format!("{PODS}?watch=1&resourceVersion=1");
    let (kind, object) = Events::begin(&lab, &old, PROTOBUF).await.next().await;
    assert_eq!(kind, "ERROR");
    assert_eq!(opened::<Status>(&object).1.code, 410);
}

#[derive(Clone, PartialEq, Message)]
struct Verbs {
    #[prost(string, repeated, tag = "1")]
    items: Vec<String>,
}

/// `meta.v1.APIResource`.
#[derive(Clone, PartialEq, Message)]
struct ApiResource {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bool, tag = "2")]
    namespaced: bool,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(message, optional, tag = "4")]
    verbs: Option<Verbs>,
    #[prost(string, repeated, tag = "5")]
    short_names: Vec<String>,
    #[prost(string, tag = "10")]
    storage_version_hash: String,
}

#[derive(Clone, PartialEq, Message)]
struct ApiResourceList {
    #[prost(string, tag = "1")]
    group_version: String,
    #[prost(message, repeated, tag = "2")]
    resources: Vec<ApiResource>,
}

/// `meta.v1.APIGroup`.
#[derive(Clone, PartialEq, Message)]
struct ApiGroup {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ApiGroupList {
    #[prost(message, repeated, tag = "1")]
    groups: Vec<ApiGroup>,
}

/// `apidiscovery.v2.APIVersionDiscovery`.
#[derive(Clone, PartialEq, Message)]
struct VersionDiscovery {
    #[prost(string, tag = "1")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct GroupDiscovery {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(message, repeated, tag = "2")]
    versions: Vec<VersionDiscovery>,
}

#[derive(Clone, PartialEq, Message)]
struct GroupDiscoveryList {
    #[prost(message, repeated, tag = "2")]
    items: Vec<GroupDiscovery>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discovery() {
    let lab = Lab::start().await;
    // As `client-go` asks whose content type is protobuf.
    let accept = format!("{PROTOBUF},application/json");
    let (code, content_type, body) = get(&lab, "/api/v1", &accept).await;
    assert_eq!((code, content_type.as_str()), (200, PROTOBUF));
    let (kind, list) = opened::<ApiResourceList>(&body);
    assert_eq!(
        (kind.as_str(), list.group_version.as_str()),
        ("v1 APIResourceList", "v1")
    );
    let pods = list.resources.iter().find(|of| of.name == "pods").unwrap();
    assert_eq!((pods.kind.as_str(), pods.namespaced), ("Pod", true));
    assert_eq!(pods.short_names, ["po"]);
    assert_eq!(pods.storage_version_hash, "xPOwRZ+Yhw8=");
    let verbs = &pods.verbs.as_ref().unwrap().items;
    assert!(verbs.iter().any(|verb| verb == "deletecollection"));

    let (_, _, body) = get(&lab, "/apis", PROTOBUF).await;
    let (kind, list) = opened::<ApiGroupList>(&body);
    assert_eq!(kind, "v1 APIGroupList");
    assert_eq!(list.groups[1].name, "apps");
    let (_, _, body) = get(&lab, "/apis/apps", PROTOBUF).await;
    assert_eq!(opened::<ApiGroup>(&body).1.name, "apps");
    let (_, _, body) = get(&lab, "/api", PROTOBUF).await;
    assert_eq!(opened::<Verbs>(&body).1.items, ["v1"], "its versions");

    let aggregated = "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    for (accept, version) in [
        (format!("{PROTOBUF};{aggregated}"), "v2"),
        (
            format!("{PROTOBUF};{aggregated},{PROTOBUF}").replace("=v2;", "=v2beta1;"),
            "v2beta1",
        ),
    ] {
        let (code, content_type, body) = get(&lab, "/apis", &accept).await;
        let told = format!("{PROTOBUF};{aggregated}").replace("=v2;", &format!("={version};"));
        assert_eq!((code, content_type), (200, told));
        let (kind, list) = opened::<GroupDiscoveryList>(&body);
        assert_eq!(
            kind,
            format!("apidiscovery.k8s.io/{version} APIGroupDiscoveryList")
        );
        assert_eq!(list.items[1].metadata.as_ref().unwrap().name, "apps");
        assert_eq!(list.items[1].versions[0].version, "v1");
    }
    let (_, content_type, _) = get(&lab, "/apis", &format!("application/json;{aggregated}")).await;
    assert_eq!(content_type, format!("application/json;{aggregated}"));
}
