//! Lists and watches: pages, resuming, what is too old, and etcd going away.

use crate::common::{Lab, MAPS, PODS, config_map, pod, service_account};
use futures_util::StreamExt;
use hardway_client::Client;
use hardway_proto::Kind;
use http::Method;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

fn version(list: &Value) -> String {
    list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_where_a_list_ended() {
    let mut lab = Lab::start().await;
    lab.create(MAPS, &config_map("before")).await;
    let (_, list) = lab.get(MAPS).await;
    assert_eq!(names(&list), ["before"]);
    lab.create(MAPS, &config_map("a")).await;
    let mut watch = lab
        .watch(&format!(
            "{MAPS}?watch=true&resourceVersion={}",
            version(&list)
        ))
        .await;
    assert_eq!(watch.told().await, ("ADDED".into(), "a".into()));
    lab.merge(&format!("{MAPS}/a"), &json!({"data": {"x": "y"}}))
        .await;
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "MODIFIED");
    let resume = version(&event["object"]);
    lab.delete(&format!("{MAPS}/a"), &Value::Null).await;
    let gone = watch.next().await.unwrap();
    assert_eq!(
        (&gone["type"], &gone["object"]["data"]["x"]),
        (&json!("DELETED"), &json!("y"))
    );
    assert!(version(&gone["object"]).parse::<u64>().unwrap() > resume.parse().unwrap());

    // Resumed elsewhere, the same is told again.
    let mut again = lab
        .watch(&format!("{MAPS}?watch=1&resourceVersion={resume}"))
        .await;
    assert_eq!(again.told().await, ("DELETED".into(), "a".into()));

    // With selectors, leaving and entering is deletion and addition.
    let mut few = lab
        .watch(&format!(
            "{MAPS}?watch=1&labelSelector=in%3Dyes&resourceVersion={resume}"
        ))
        .await;
    lab.create(MAPS, &config_map("b")).await;
    let label = |value: Value| json!({"metadata": {"labels": {"in": value}}});
    lab.merge(&format!("{MAPS}/b"), &label(json!("yes"))).await;
    assert_eq!(few.told().await, ("ADDED".into(), "b".into()));
    lab.merge(&format!("{MAPS}/b"), &label(Value::Null)).await;
    assert_eq!(few.told().await, ("DELETED".into(), "b".into()));

    // The initial events and their end.
    let query =
        "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut initial = lab.watch(&format!("{MAPS}?{query}")).await;
    assert_eq!(initial.told().await, ("ADDED".into(), "b".into()));
    assert_eq!(initial.told().await, ("ADDED".into(), "before".into()));
    let end = initial.next().await.unwrap();
    assert_eq!(end["type"], "BOOKMARK");
    assert_eq!(
        end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );

    // A watch ends when its time is up.
    let (_, list) = lab.get(MAPS).await;
    let mut short = lab
        .watch(&format!(
            "{MAPS}?watch=1&timeoutSeconds=1&resourceVersion={}",
            version(&list)
        ))
        .await;
    assert!(short.next().await.is_none());

    // A new server knows nothing of what was before it: too old, told as the
    // first and last event.
    lab.serve().await;
    let mut old = lab
        .watch(&format!("{MAPS}?watch=1&resourceVersion=1"))
        .await;
    let error = old.next().await.unwrap();
    assert_eq!(
        (&error["type"], &error["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    assert_eq!(error["object"]["reason"], "Expired");
    assert!(old.next().await.is_none());
}

/// A GET with the opening handshake of a WebSocket, and what comes back: the first line
/// of the answer, and the messages.
async fn over_websocket(
    lab: &Lab,
    path: &str,
    protocol: &str,
) -> (String, WebSocketStream<TlsStream<TcpStream>>) {
    let mut stream = lab
        .stream(&lab.acting("admin"))
        .await
        .expect("it takes connections");
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    let line = answer.lines().next().unwrap_or_default().to_owned();
    let socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    (line, socket)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_watch_and_read_logs_over_websockets() {
    let lab = Lab::start().await;
    lab.create(MAPS, &config_map("a")).await;
    let path = format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Da");
    let (line, mut socket) = over_websocket(&lab, &path, "base64.binary.k8s.io").await;
    assert_eq!(line, "HTTP/1.1 101 Switching Protocols");
    let mut told = async || {
        let message = socket.next().await.unwrap().unwrap();
        let event: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        event["type"].as_str().unwrap().to_owned()
    };
    assert_eq!(told().await, "ADDED");
    lab.merge(&format!("{MAPS}/a"), &json!({"data": {"k": "v"}}))
        .await;
    assert_eq!(told().await, "MODIFIED");

    service_account(&lab).await;
    lab.create(PODS, &pod("p")).await;
    let log = format!("{PODS}/p/log");
    let (line, mut socket) = over_websocket(&lab, &log, "base64.binary.k8s.io").await;
    assert_eq!(line, "HTTP/1.1 101 Switching Protocols");
    // A pod without a node has said nothing: an empty message tells that it is open.
    let first = socket.next().await.unwrap().unwrap();
    assert_eq!(first.to_text().unwrap(), "");
    assert!(socket.next().await.unwrap().unwrap().is_close());
    let (line, _) = over_websocket(&lab, &log, "v9.nosuch").await;
    assert_eq!(line, "HTTP/1.1 400 Bad Request");
    let gone = format!("{PODS}/gone/log");
    let (line, _) = over_websocket(&lab, &gone, "binary.k8s.io").await;
    assert_eq!(line, "HTTP/1.1 404 Not Found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_show_one_revision() {
    let lab = Lab::start().await;
    for i in 0..7 {
        lab.create(MAPS, &config_map(&format!("m{i}"))).await;
    }
    let (_, first) = lab.get(&format!("{MAPS}?limit=3")).await;
    assert_eq!(names(&first), ["m0", "m1", "m2"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 4);
    let next = |list: &Value| list["metadata"]["continue"].as_str().unwrap().to_owned();
    // What happens between the pages isn't seen.
    lab.delete(&format!("{MAPS}/m5"), &Value::Null).await;
    lab.create(MAPS, &config_map("m9")).await;
    let (_, second) = lab
        .get(&format!("{MAPS}?limit=3&continue={}", next(&first)))
        .await;
    assert_eq!(names(&second), ["m3", "m4", "m5"]);
    assert_eq!(version(&second), version(&first));
    let (_, third) = lab
        .get(&format!("{MAPS}?limit=3&continue={}", next(&second)))
        .await;
    assert_eq!(names(&third), ["m6"]);
    assert_eq!(third["metadata"].get("continue"), None);

    let exact = format!(
        "{MAPS}?resourceVersionMatch=Exact&resourceVersion={}",
        version(&first)
    );
    assert_eq!(names(&lab.get(&exact).await.1).len(), 7);
    lab.compact().await;
    assert_eq!(lab.get(&exact).await.0, 410);
    let (code, expired) = lab
        .get(&format!("{MAPS}?limit=3&continue={}", next(&first)))
        .await;
    assert_eq!((code, &expired["reason"]), (410, &json!("Expired")));
    let (code, rest) = lab
        .get(&format!("{MAPS}?continue={}", next(&expired)))
        .await;
    assert_eq!((code, names(&rest)), (200, vec!["m3", "m4", "m6", "m9"]));

    let future = format!("{MAPS}?resourceVersion=99999999");
    assert_eq!(lab.get(&future).await.0, 504);
    let field = format!("{MAPS}?fieldSelector=metadata.name%3Dm3");
    assert_eq!(names(&lab.get(&field).await.1), ["m3"]);
    assert_eq!(
        lab.get(&format!("{MAPS}?fieldSelector=spec.nope%3D1"))
            .await
            .0,
        400
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_and_metadata_alone() {
    let lab = Lab::start().await;
    lab.create(MAPS, &config_map("a")).await;
    let (code, _) = lab.get("/openapi/v3").await;
    assert_eq!(code, 200);
    let (_, version) = lab.get("/version").await;
    assert_eq!(
        (&version["major"], &version["minor"]),
        (&json!("1"), &json!("33"))
    );
    let (code, resources) = lab.get("/api/v1").await;
    assert_eq!((code, &resources["kind"]), (200, &json!("APIResourceList")));
    let (code, metrics) = lab.get("/metrics").await;
    assert_eq!(code, 200);
    assert!(
        metrics
            .as_str()
            .unwrap()
            .contains("apiserver_request_total")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_away_is_told_and_nothing_is_lost() {
    let mut lab = Lab::start().await;
    lab.create(MAPS, &config_map("before")).await;
    let (_, list) = lab.get(MAPS).await;
    let mut watch = lab
        .watch(&format!(
            "{MAPS}?watch=1&resourceVersion={}",
            version(&list)
        ))
        .await;
    lab.etcd.kill();
    let (code, status) = lab.post(MAPS, &config_map("lost")).await;
    let message = status["message"].as_str().unwrap();
    // etcd was not asked, or it isn't known what it did.
    let told = match code {
        503 => "etcd is not available: ",
        _ => "may or may not have been done",
    };
    assert!(
        matches!(code, 500 | 503) && message.contains(told),
        "{status}"
    );
    assert_eq!(status["kind"], "Status");
    let begun = Instant::now();
    let (code, _) = lab.get(&format!("{MAPS}/before")).await;
    assert!(matches!(code, 503 | 504));
    let waited = begun.elapsed();
    assert!(
        waited >= Duration::from_secs(2),
        "it may come back: {waited:?}"
    );
    // What the cache has can be read by those who don't mind.
    let (code, cached) = lab.get(&format!("{MAPS}?resourceVersion=0")).await;
    assert_eq!((code, names(&cached)), (200, vec!["before"]));
    let begun = Instant::now();
    assert_eq!(lab.get("/readyz").await.0, 500);
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(2), "at once: {waited:?}");
    assert_eq!(lab.get("/livez").await.0, 200);
    lab.etcd.start();
    lab.until("writes work again", async || {
        matches!(lab.post(MAPS, &config_map("after")).await.0, 201 | 409)
    })
    .await;
    assert_eq!(watch.told().await, ("ADDED".into(), "after".into()));
    assert_eq!(names(&lab.get(MAPS).await.1), ["after", "before"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_loses_nothing() {
    let mut lab = Lab::start().await;
    lab.create(MAPS, &config_map("a")).await;
    let (_, before) = lab.get(MAPS).await;
    let watching = format!("{MAPS}?watch=true&resourceVersion={}", version(&before));
    let mut watch = lab.watch(&watching).await;
    lab.serve().await;
    assert_eq!(lab.get(MAPS).await.1["items"], before["items"]);
    let end = watch.next().await;
    assert_eq!(end, None, "a server that stops ends its watches at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_door_shows_the_same() {
    let lab = Lab::start().await;
    let client = Client::new(&lab.kubeconfig(), "test").unwrap();
    let maps = client.namespaced::<ConfigMap>("default");
    let map = ConfigMap::parse(config_map("a").to_string().as_bytes()).unwrap();
    let made = maps.create(&map).await.unwrap();
    let (_, seen) = lab.get(&format!("{MAPS}/a")).await;
    assert_eq!(seen["metadata"]["uid"], made.uid());
    assert!(maps.create(&map).await.unwrap_err().is_already_exists());
    assert_eq!(maps.dynamic().list("", "").await.unwrap().items.len(), 1);
    let infos = client.discover().await.unwrap();
    assert!(
        infos
            .iter()
            .any(|info| info.resource == "pods" && info.namespaced)
    );
    let (code, _) = lab.send(Method::DELETE, &format!("{MAPS}/a"), "", "").await;
    assert_eq!(code, 200);
    assert!(maps.get("a").await.unwrap_err().is_not_found());
}

/// Kubernetes keeps events for an hour. etcd counts the time; here the lease is ended
/// instead of being waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_after_an_hour() {
    let lab = Lab::start().await;
    let events = "/api/v1/namespaces/default/events";
    let about = json!({"kind": "Pod", "namespace": "default", "name": "p"});
    let event = json!({"metadata": {"name": "p.1"}, "involvedObject": about, "reason": "Seen"});
    let created = lab.create(events, &event).await;
    let mut etcd = lab.etcd_client().await;
    let stored = etcd.get("/registry/events/default/p.1", None).await;
    let lease = stored.unwrap().kvs()[0].lease();
    let left = etcd.lease_time_to_live(lease, None).await.unwrap();
    assert!((3600..=3700).contains(&left.granted_ttl()), "{left:?}");

    let version = created["metadata"]["resourceVersion"].as_str().unwrap();
    let watching = format!("{events}?watch=1&resourceVersion={version}");
    let mut watch = lab.watch(&watching).await;
    etcd.lease_revoke(lease).await.unwrap();
    assert_eq!(watch.told().await, ("DELETED".into(), "p.1".into()));
    assert_eq!(lab.get(&format!("{events}/p.1")).await.0, 404);
}
