//! Clients that are slow, greedy or nobody: they keep no one else from being
//! served.

use crate::common::{self, Lab, MAPS, config_map};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hardway_client::serving::BoxError;
use hardway_proto::api;
use http::{Method, Request};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody as BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rcgen::{CertificateParams, DnType};
use rustls::ClientConfig;
use serde_json::{Value, json};
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Who may write ConfigMaps.
async fn let_jane_write(lab: &Lab) {
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let role = json!({"metadata": {"name": "writer"}, "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]});
    lab.create(roles, &role).await;
    let binding = json!({"metadata": {"name": "writer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "writer"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    lab.create(bindings, &binding).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_hold_no_seats() {
    // So few seats, and nobody's own.
    let flags = [
        "--max-mutating-requests-inflight=2",
        "--enable-priority-and-fairness=false",
    ];
    let lab = Lab::start_with(|_| flags.map(str::to_owned).to_vec()).await;
    let_jane_write(&lab).await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = lab.stream(&lab.acting("admin")).await.unwrap();
        let head = format!(
            "POST {MAPS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: 1000\r\nexpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // It comes when the server waits for the body.
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100");
        slow.push(stream);
    }
    let (code, answer) = lab
        .send_as("jane", Method::POST, MAPS, &config_map("a"))
        .await;
    assert_eq!(code, 201, "{answer}");
}

/// A request on a connection over which more can follow.
fn get(path: &str, agent: &str) -> Request<Full<Bytes>> {
    Request::get(path)
        .header("host", "localhost")
        .header("user-agent", agent)
        .body(Full::default())
        .unwrap()
}

async fn h1(lab: &Lab, tls: &Arc<ClientConfig>) -> Option<http1::SendRequest<Full<Bytes>>> {
    let stream = TokioIo::new(lab.stream(tls).await?);
    let (sender, connection) = http1::handshake(stream).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}

async fn h2<B>(lab: &Lab, tls: &ClientConfig) -> http2::SendRequest<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static,
{
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TokioIo::new(lab.stream(&Arc::new(tls)).await.unwrap());
    let executor = TokioExecutor::new();
    let (sender, connection) = http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Asks on a connection that was asked before.
async fn ask(sender: &mut http1::SendRequest<Full<Bytes>>, agent: &str) -> Option<(u16, Value)> {
    sender.ready().await.ok()?;
    let answer = sender.send_request(get(MAPS, agent)).await.ok()?;
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    Some((code, serde_json::from_slice(&body).unwrap()))
}

fn grpc_get() -> http::request::Builder {
    Request::post("https://localhost/hardway.v1.Api/Get")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reads_what_strangers_say_in_grpc() {
    let lab = Lab::start().await;
    let mut sender = h2(&lab, &lab.stranger()).await;
    // A message that is announced, begun, and never ends.
    let begun = Ok::<_, BoxError>(Frame::data(Bytes::from_static(&[0, 0, 16, 0, 0, 1])));
    let body = StreamBody::new(stream::iter([begun]).chain(stream::pending()));
    let request = grpc_get().body(BoxBody::new(body)).unwrap();
    let answer = tokio::time::timeout(common::PATIENCE, sender.send_request(request));
    let answer = answer.await.expect("an answer to the head").unwrap();
    assert_eq!(answer.headers()["grpc-status"], "16");
    // As with Kubernetes, strangers have to connect anew.
    let empty = http_body_util::Empty::new().map_err(|never| match never {});
    let next = grpc_get().body(BoxBody::new(empty)).unwrap();
    lab.until("the connection is closed", async || sender.is_closed())
        .await;
    assert!(sender.send_request(next).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_an_answer_and_leaves_nothing_behind() {
    let lab = Lab::start_with(|dir| {
        vec![
            "--max-requests-inflight=1".into(),
            format!("--audit-log-path={}", dir.join("audit.log").display()),
        ]
    })
    .await;
    let panic = "hardway-debug-panic/1";
    // Who may not ask would be refused before.
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
        "name": "view"});
    let jane = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "jane"}, "roleRef": role, "subjects": [jane]});
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    lab.create(bindings, &binding).await;
    let mut sender = h1(&lab, &lab.acting("jane")).await.unwrap();
    let deadline = Instant::now() + common::PATIENCE;
    while ask(&mut sender, "test").await.unwrap().0 != 200 {
        assert!(Instant::now() < deadline, "jane may look");
    }
    // Whose turn it was has it no more, and the connection goes on.
    let mut sender = h1(&lab, &lab.acting("jane")).await.unwrap();
    for _ in 0..5 {
        let (code, status) = ask(&mut sender, panic).await.unwrap();
        assert_eq!((code, &status["reason"]), (500, &json!("InternalError")));
        assert_eq!(
            status["message"],
            "This request caused apiserver to panic. Look in the logs for details."
        );
    }
    assert_eq!(ask(&mut sender, "test").await.unwrap().0, 200);

    // A watch on the same connection does not notice.
    let mut sender = h2(&lab, &lab.acting("admin")).await;
    let watch = get(
        &format!("https://localhost{MAPS}?watch=1&resourceVersion=0"),
        "test",
    );
    let mut watch = sender.send_request(watch).await.unwrap().into_body();
    let list = format!("https://localhost{MAPS}");
    let answer = sender.send_request(get(&list, panic)).await.unwrap();
    assert_eq!(answer.status(), 500);
    let message = api::GetRequest {
        target: Some(api::Target {
            version: "v1".into(),
            resource: "configmaps".into(),
            namespace: "default".into(),
            name: "a".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let message = message.encode_to_vec();
    let mut framed = vec![0, 0, 0, 0, message.len() as u8];
    framed.extend(message);
    let call = grpc_get().header("user-agent", panic);
    let call = call.body(Full::from(framed)).unwrap();
    let answer = sender.send_request(call).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "13");
    lab.create(MAPS, &config_map("a")).await;
    let frame = tokio::time::timeout(common::PATIENCE, watch.frame());
    let event = frame.await.unwrap().unwrap().unwrap().into_data().unwrap();
    let event: Value = serde_json::from_slice(&event).unwrap();
    assert_eq!(event["object"]["metadata"]["name"], "a");

    let log = lab.dir.path().join("audit.log");
    lab.until("the audit log tells it", async || {
        let text = std::fs::read_to_string(&log).unwrap();
        let panics = text.matches(r#""stage":"Panic""#).count();
        panics == 7
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_end_for_connections_that_stand() {
    let lab = Lab::start().await;
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "brief");
    let group = "system:masters";
    params
        .distinguished_name
        .push(DnType::OrganizationName, group);
    params.not_after = (SystemTime::now() + Duration::from_secs(6)).into();
    lab.sign("brief", params);
    let tls = lab.acting("brief");
    let mut sender = h1(&lab, &tls).await.unwrap();
    assert_eq!(ask(&mut sender, "test").await.unwrap().0, 200);
    let deadline = Instant::now() + common::PATIENCE;
    let code = loop {
        let (code, _) = ask(&mut sender, "test").await.unwrap();
        if code != 200 {
            break code;
        }
        assert!(Instant::now() < deadline, "still let in");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(code, 401);
    // A session that is taken up again shows no certificate anew.
    if let Some(mut sender) = h1(&lab, &tls).await
        && let Some((code, _)) = ask(&mut sender, "test").await
    {
        assert_eq!(code, 401);
    }
}

/// Says nothing, in one of three ways.
async fn silent(lab: &Lab, tls: &Arc<ClientConfig>, way: usize) -> Box<dyn Any + Send> {
    let mut tls = (**tls).clone();
    if way == 0 {
        return Box::new(TcpStream::connect(lab.address).await);
    }
    if way == 2 {
        tls.alpn_protocols = vec![b"h2".to_vec()];
    }
    let tls = Arc::new(tls);
    let connecting = lab.stream(&tls);
    let connected = tokio::time::timeout(Duration::from_secs(1), connecting).await;
    let mut stream = connected.ok().flatten();
    if let Some(stream) = stream.as_mut().filter(|_| way == 2) {
        let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    }
    Box::new(stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_get_in_past_thousands_of_silent_clients() {
    // Both ends are in this process.
    hardway_client::serving::raise_descriptors();
    let lab = Lab::start().await;
    let stranger = lab.stranger();
    let mut standing = Vec::new();
    for n in 0..3_000 {
        let way = if n % 20 == 0 { 1 + n / 20 % 2 } else { 0 };
        standing.push(silent(&lab, &stranger, way).await);
    }
    let (code, answer) = lab.get(MAPS).await;
    assert_eq!(code, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_with_few_descriptors_goes_on_accepting() {
    hardway_client::serving::raise_descriptors();
    let mut lab = Lab::start().await;
    let _process = lab.serve_in_process(160).await;
    let stranger = lab.stranger();
    let mut standing = Vec::new();
    for n in 0..300 {
        let way = if n % 20 == 0 { 1 + n / 20 % 2 } else { 0 };
        standing.push(silent(&lab, &stranger, way).await);
        if n % 100 == 99 {
            let (code, answer) = lab.get(MAPS).await;
            assert_eq!(code, 200, "after {n}: {answer}");
        }
    }
    let (code, _) = lab.post(MAPS, &config_map("a")).await;
    assert_eq!(code, 201);
}
