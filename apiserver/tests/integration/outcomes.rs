//! Answers about writes are true, whenever the connection to etcd breaks.

use crate::common::{Lab, MAPS, config_map};
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// More than anything but a test's object takes.
const LARGE: usize = 8 << 10;

/// A map that is recognised by its size on the wire.
fn large_map(name: &str) -> Value {
    let mut map = config_map(name);
    map["data"]["large"] = "x".repeat(LARGE).into();
    map
}

/// Between apiserver and etcd: swallows what goes one way, and cuts.
#[derive(Clone)]
struct Wire {
    port: u16,
    /// What is sent to etcd is swallowed.
    deaf: Arc<AtomicBool>,
    /// What etcd answers is swallowed.
    mute: Arc<AtomicBool>,
    /// Bytes that were swallowed.
    swallowed: Arc<AtomicUsize>,
    cut: watch::Sender<u32>,
}

impl Wire {
    async fn to(url: &str) -> Self {
        let etcd = url.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self {
            port: listener.local_addr().unwrap().port(),
            deaf: Arc::default(),
            mute: Arc::default(),
            swallowed: Arc::default(),
            cut: watch::channel(0).0,
        };
        let this = wire.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&etcd).await else {
                    continue;
                };
                let ((from_near, to_near), (from_far, to_far)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(this.clone().pass(from_near, to_far, this.deaf.clone()));
                tokio::spawn(this.clone().pass(from_far, to_near, this.mute.clone()));
            }
        });
        wire
    }

    async fn pass(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, held: Arc<AtomicBool>) {
        let mut cut = self.cut.subscribe();
        let mut bytes = vec![0; 1 << 16];
        loop {
            let read = tokio::select! {
                read = from.read(&mut bytes) => read,
                _ = cut.changed() => return,
            };
            let Ok(count @ 1..) = read else { return };
            if held.load(Ordering::SeqCst) {
                self.swallowed.fetch_add(count, Ordering::SeqCst);
            } else if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }

    /// Breaks all connections; new ones are whole.
    fn cut(&self) {
        self.deaf.store(false, Ordering::SeqCst);
        self.mute.store(false, Ordering::SeqCst);
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    fn swallow(&self, what: &AtomicBool) {
        self.swallowed.store(0, Ordering::SeqCst);
        what.store(true, Ordering::SeqCst);
    }
}

async fn lab() -> (Lab, Wire) {
    let mut lab = Lab::start().await;
    let wire = Wire::to(&lab.etcd.url()).await;
    lab.etcd_url = Some(format!("https://127.0.0.1:{}", wire.port));
    lab.serve().await;
    (lab, wire)
}

/// The value of a map in etcd, and its revision.
async fn in_etcd(etcd: &mut etcd_client::Client, name: &str) -> Option<(i64, Value)> {
    let key = format!("/registry/configmaps/default/{name}");
    let found = etcd.get(key, None).await.unwrap();
    let pair = found.kvs().first()?;
    Some((
        pair.mod_revision(),
        serde_json::from_slice(pair.value()).unwrap(),
    ))
}

/// Sends a request whose transaction reaches etcd, while the answer to it
/// gets lost.
async fn with_lost_answer(
    (lab, wire): (&Lab, &Wire),
    request: impl Future<Output = (u16, Value)>,
    done: impl AsyncFn() -> bool,
) -> (u16, Value) {
    wire.swallow(&wire.mute);
    let cutter = async {
        lab.until("etcd has done it", done).await;
        wire.cut();
    };
    tokio::join!(request, cutter).0
}

/// Sends a request whose transaction never reaches etcd.
async fn with_lost_request(
    (lab, wire): (&Lab, &Wire),
    request: impl Future<Output = (u16, Value)>,
) -> (u16, Value) {
    wire.swallow(&wire.deaf);
    let cutter = async {
        // More than a sign of life.
        let sent = async || wire.swallowed.load(Ordering::SeqCst) > LARGE;
        lab.until("the transaction is sent", sent).await;
        wire.cut();
    };
    tokio::join!(request, cutter).0
}

fn revision(object: &Value) -> i64 {
    let text = object["metadata"]["resourceVersion"].as_str().unwrap();
    text.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_etcd_has_done_is_answered_as_done() {
    let (lab, wire) = lab().await;
    let both = (&lab, &wire);
    let one = format!("{MAPS}/a");

    let mut etcd = lab.etcd_client().await;
    let watching = etcd.clone();
    let exists = async || in_etcd(&mut watching.clone(), "a").await.is_some();
    let (code, created) = with_lost_answer(both, lab.post(MAPS, &config_map("a")), exists).await;
    assert_eq!(code, 201, "{created}");
    let (at, stored) = in_etcd(&mut etcd, "a").await.unwrap();
    assert_eq!(revision(&created), at);
    assert_eq!(stored["metadata"]["uid"], created["metadata"]["uid"]);

    // The cache must know it again, else the next request asks etcd first.
    assert_eq!(lab.get(&one).await.0, 200);
    let patch = json!({"data": {"b": "2"}});
    let changed = async || in_etcd(&mut watching.clone(), "a").await.unwrap().0 > at;
    let (code, patched) = with_lost_answer(both, lab.merge(&one, &patch), changed).await;
    assert_eq!(code, 200, "{patched}");
    let (at, stored) = in_etcd(&mut etcd, "a").await.unwrap();
    assert_eq!(
        (revision(&patched), &stored["data"]["b"]),
        (at, &json!("2"))
    );

    assert_eq!(lab.get(&one).await.0, 200);
    let gone = async || in_etcd(&mut watching.clone(), "a").await.is_none();
    let (code, answer) = with_lost_answer(both, lab.delete(&one, &Value::Null), gone).await;
    assert_eq!(code, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_reached_etcd_is_sent_again_or_not_claimed() {
    let (lab, wire) = lab().await;
    let both = (&lab, &wire);
    let one = format!("{MAPS}/a");
    let mut etcd = lab.etcd_client().await;
    lab.create(MAPS, &large_map("a")).await;
    let before = in_etcd(&mut etcd, "a").await.unwrap().0;

    // A patch that would show if it were done twice.
    let (_, current) = lab
        .merge(&one, &json!({"metadata": {"finalizers": ["x/y"]}}))
        .await;
    assert!(revision(&current) > before);
    let patch = r#"[{"op": "add", "path": "/metadata/finalizers/-", "value": "x/z"}]"#;
    let kind = "application/json-patch+json";
    let request = lab.send(Method::PATCH, &one, kind, patch);
    let (code, patched) = with_lost_request(both, request).await;
    assert_eq!(code, 200, "{patched}");
    assert_eq!(patched["metadata"]["finalizers"], json!(["x/y", "x/z"]));

    // A creation may still come: nobody says that it did or didn't.
    let (code, answer) = with_lost_request(both, lab.post(MAPS, &large_map("b"))).await;
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(
        code == 500 && message.contains("may or may not have been done"),
        "{code} {answer}"
    );
    assert_eq!(answer.get("reason"), None, "{answer}");
    lab.until("etcd is reached again", async || {
        lab.get(&format!("{MAPS}/b")).await.0 == 404
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_have_written_over_was_done_nevertheless() {
    let (lab, wire) = lab().await;
    let mut etcd = lab.etcd_client().await;
    let watching = etcd.clone();
    wire.swallow(&wire.mute);
    let overwriting = async {
        let exists = async || in_etcd(&mut watching.clone(), "a").await.is_some();
        lab.until("etcd has done it", exists).await;
        let key = "/registry/configmaps/default/a";
        let (_, mut stored) = in_etcd(&mut etcd, "a").await.unwrap();
        stored["data"]["a"] = json!("other");
        etcd.put(key, stored.to_string(), None).await.unwrap();
        wire.cut();
    };
    let map = config_map("a");
    let (answer, ()) = tokio::join!(lab.post(MAPS, &map), overwriting);
    assert_eq!(answer.0, 201, "{}", answer.1);
    assert_eq!(answer.1["data"]["a"], "1");
    let key = "/registry/configmaps/default/a";
    let found = lab.etcd_client().await.get(key, None).await.unwrap();
    let pair = &found.kvs()[0];
    assert_eq!(revision(&answer.1), pair.create_revision());
    assert!(pair.mod_revision() > pair.create_revision());
}

/// A definition that comes while etcd can't be asked for its objects is served once it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_is_loaded_when_etcd_answers_again() {
    let (lab, wire) = lab().await;
    let mut etcd = lab.etcd_client().await;
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "knobs.example.com", "uid": "u-1",
                     "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1},
        "spec": {"group": "example.com", "scope": "Cluster", "conversion": {"strategy": "None"},
            "names": {"plural": "knobs", "singular": "knob", "kind": "Knob",
                      "listKind": "KnobList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    // Somebody else writes it, so that nothing but its objects is asked of etcd.
    wire.swallow(&wire.deaf);
    let key = "/registry/apiextensions.k8s.io/customresourcedefinitions/knobs.example.com";
    etcd.put(key, definition.to_string(), None).await.unwrap();
    let asked = async || wire.swallowed.load(Ordering::SeqCst) > 0;
    lab.until("its objects are asked for", asked).await;
    let (code, _) = lab.get("/apis/example.com/v1/knobs").await;
    assert_eq!(code, 404);
    wire.cut();
    let served = async || lab.get("/apis/example.com/v1/knobs").await.0 == 200;
    lab.until("it is served", served).await;
}
