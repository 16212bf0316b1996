//! Changes, pushed.

use crate::api_server::ApiServer;
use crate::browser::{Running, Socket, until};
use futures_util::SinkExt;
use nix::unistd::geteuid;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio_tungstenite::tungstenite::Message;

async fn own() -> (ApiServer, Running) {
    let api_server = ApiServer::start().await;
    let dashboard = Running::local(&api_server, geteuid().as_raw()).await;
    (api_server, dashboard)
}

/// What a page shows of the subscription `p`.
#[derive(Default)]
struct Shown {
    phases: BTreeMap<String, String>,
    ready: bool,
    resets: usize,
    error: Value,
}

impl Shown {
    fn take(&mut self, batch: &Value) {
        assert_eq!(batch["id"], "p");
        if batch["reset"] == true {
            self.phases.clear();
            self.resets += 1;
        }
        for pod in batch["set"].as_array().unwrap() {
            assert_eq!(pod["kind"], "Pod");
            assert!(pod["metadata"]["managedFields"].is_null(), "{pod}");
            let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
            let phase = pod["status"]["phase"].as_str().unwrap().to_owned();
            self.phases.insert(uid, phase);
        }
        for uid in batch["gone"].as_array().unwrap() {
            self.phases.remove(uid.as_str().unwrap());
        }
        self.ready = batch["ready"] == true;
        self.error = batch["error"].clone();
    }

    async fn until(&mut self, socket: &mut Socket, so: impl Fn(&Self) -> bool) {
        while !so(self) {
            let batch = socket.batch().await;
            self.take(&batch);
        }
    }

    fn is(&self, pods: &[(&str, &str)]) -> bool {
        let pods = pods
            .iter()
            .map(|(name, phase)| (format!("uid-{name}"), (*phase).to_owned()));
        self.ready && self.phases == pods.collect()
    }
}

async fn subscribe(dashboard: &Running) -> (Socket, Shown) {
    let mut socket = dashboard.open("/live", &[]).await.unwrap();
    socket
        .say(json!({"subscribe": {"id": "p", "path": "/api/v1/pods"}}))
        .await;
    (socket, Shown::default())
}

#[tokio::test]
async fn a_page_sees_what_there_is_and_what_changes() {
    let (api_server, dashboard) = own().await;
    for name in ["a", "b", "c", "d", "e"] {
        api_server.cluster.put(name, "Running");
    }
    let (mut socket, mut shown) = subscribe(&dashboard).await;
    let all = ["a", "b", "c", "d", "e"].map(|name| (name, "Running"));
    shown.until(&mut socket, |shown| shown.is(&all)).await;
    assert_eq!(shown.resets, 1);
    until("it is watched", || api_server.cluster.watching() == 1).await;
    api_server.cluster.put("a", "Failed");
    api_server.cluster.delete("b");
    api_server.cluster.put("f", "Pending");
    let now = [
        ("a", "Failed"),
        ("c", "Running"),
        ("d", "Running"),
        ("e", "Running"),
        ("f", "Pending"),
    ];
    shown.until(&mut socket, |shown| shown.is(&now)).await;
    assert_eq!(shown.resets, 1);
}

#[tokio::test]
async fn pages_share_a_watch_and_it_ends_with_the_last() {
    let (api_server, dashboard) = own().await;
    api_server.cluster.put("a", "Running");
    let (mut one, mut shown) = subscribe(&dashboard).await;
    shown
        .until(&mut one, |shown| shown.is(&[("a", "Running")]))
        .await;
    let (mut two, mut shown) = subscribe(&dashboard).await;
    shown
        .until(&mut two, |shown| shown.is(&[("a", "Running")]))
        .await;
    until("it is watched", || api_server.cluster.watching() == 1).await;
    assert_eq!(api_server.cluster.times_asked("watch=true"), 1);
    assert_eq!(api_server.cluster.times_asked("limit="), 1);
    one.say(json!({"unsubscribe": "p"})).await;
    api_server.cluster.put("a", "Failed");
    shown
        .until(&mut two, |shown| shown.is(&[("a", "Failed")]))
        .await;
    drop(two);
    until("nothing is watched", || api_server.cluster.watching() == 0).await;
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_was() {
    let (api_server, dashboard) = own().await;
    api_server.cluster.put("a", "Running");
    let (mut socket, mut shown) = subscribe(&dashboard).await;
    shown
        .until(&mut socket, |shown| shown.is(&[("a", "Running")]))
        .await;
    until("it is watched", || api_server.cluster.watching() == 1).await;
    api_server.cluster.put("b", "Running");
    shown
        .until(&mut socket, |shown| shown.phases.len() == 2)
        .await;
    api_server.cluster.cut_watches(false);
    api_server.cluster.put("c", "Running");
    shown
        .until(&mut socket, |shown| shown.phases.len() == 3)
        .await;
    assert_eq!(api_server.cluster.times_asked("limit="), 1);
    assert!(api_server.cluster.times_asked("resourceVersion=2") >= 1);
    assert_eq!(shown.resets, 1);
}

#[tokio::test]
async fn what_was_missed_is_read_anew() {
    let (api_server, dashboard) = own().await;
    api_server.cluster.put("a", "Running");
    api_server.cluster.put("b", "Running");
    let (mut socket, mut shown) = subscribe(&dashboard).await;
    shown
        .until(&mut socket, |shown| shown.phases.len() == 2)
        .await;
    until("it is watched", || api_server.cluster.watching() == 1).await;
    // Deleted while nobody watched, and not remembered: 410.
    api_server.cluster.cut_watches(true);
    api_server.cluster.delete("a");
    api_server.cluster.cut_watches(true);
    shown
        .until(&mut socket, |shown| shown.is(&[("b", "Running")]))
        .await;
    assert!(api_server.cluster.times_asked("limit=") >= 2);
    // Only the difference was sent.
    assert_eq!((shown.resets, shown.error), (1, Value::Null));
}

/// While a page does not read, the server keeps nothing for it; what it gets then is the last state.
#[tokio::test]
async fn a_slow_page_gets_the_last_state() {
    let (api_server, dashboard) = own().await;
    let (mut socket, mut shown) = subscribe(&dashboard).await;
    shown.until(&mut socket, |shown| shown.ready).await;
    until("it is watched", || api_server.cluster.watching() == 1).await;
    for round in 0..20 {
        for pod in 0..300 {
            api_server
                .cluster
                .put(&format!("p{pod}"), &format!("round {round}"));
        }
        tokio::task::yield_now().await;
    }
    for pod in 1..300 {
        api_server.cluster.delete(&format!("p{pod}"));
    }
    shown
        .until(&mut socket, |shown| shown.is(&[("p0", "round 19")]))
        .await;
}

#[tokio::test]
async fn what_can_not_be_had_is_an_error_of_its_subscription() {
    let (api_server, dashboard) = own().await;
    api_server.cluster.put("a", "Running");
    let mut socket = dashboard.open("/live", &[]).await.unwrap();
    socket
        .say(json!({"subscribe": {"id": "n", "path": "/api/v1/nothing"}}))
        .await;
    let code = loop {
        let batch = socket.batch().await;
        assert_eq!(batch["id"], "n");
        if !batch["error"].is_null() {
            break batch["error"]["code"].clone();
        }
    };
    assert_eq!(code, 404);
    socket.say(json!({"unsubscribe": "n"})).await;
    socket
        .say(json!({"subscribe": {"id": "p", "path": "/api/v1/pods"}}))
        .await;
    let mut shown = Shown::default();
    shown
        .until(&mut socket, |shown| shown.is(&[("a", "Running")]))
        .await;
}

#[tokio::test]
async fn nonsense_and_oversized_messages_end_the_connection() {
    let (_api_server, dashboard) = own().await;
    let mut socket = dashboard.open("/live", &[]).await.unwrap();
    socket.0.send(Message::text("nonsense")).await.unwrap();
    let Some(Message::Close(Some(frame))) = socket.hear().await else {
        panic!("a close with its reason");
    };
    assert_eq!(u16::from(frame.code), 1008);
    assert!(
        frame.reason.starts_with("that message makes no sense"),
        "{}",
        frame.reason
    );

    let mut socket = dashboard.open("/live", &[]).await.unwrap();
    let long = json!({"unsubscribe": "x".repeat(70 << 10)}).to_string();
    let _ = socket.0.send(Message::text(long)).await;
    assert!(socket.hear().await.is_none());

    let mut socket = dashboard.open("/live", &[]).await.unwrap();
    for number in 0..=64 {
        let subscribe = json!({"subscribe": {"id": number.to_string(), "path": "/api/v1/pods"}});
        let _ = socket.0.send(Message::text(subscribe.to_string())).await;
    }
    let closed = loop {
        match socket.hear().await {
            Some(Message::Close(frame)) => break frame,
            Some(_) => {}
            None => break None,
        }
    };
    assert_eq!(closed.map(|frame| u16::from(frame.code)), Some(1008));
}
