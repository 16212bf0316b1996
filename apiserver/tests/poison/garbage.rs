//! What nobody could have written through the apiserver, put straight into etcd.

use super::{Followed, Typed, kinds, row_name};
use crate::common::{self, Lab};
use hardway_client::Client;
use hardway_resources::Registry;
use serde_json::{Value, json};

/// How names of most of it begin.
const PREFIX: &str = "garbage-";

/// How much of it each kind gets.
const ALL: usize = 3 + NO_OBJECTS.len() + WRONG;

/// The key of an object in etcd.
fn key(typed: &Typed, name: &str) -> String {
    let row = Registry::new()
        .resource(typed.group, typed.resource)
        .expect("a row");
    let namespace = if typed.namespaced { "default/" } else { "" };
    format!("/registry/{}/{namespace}{name}", row.storage_prefix)
}

/// Metadata that fits the key.
fn metadata(typed: &Typed, name: &str) -> Value {
    match typed.namespaced {
        true => json!({"name": name, "namespace": "default", "uid": "u"}),
        false => json!({"name": name, "uid": "u"}),
    }
}

/// No objects at all: the apiserver serves none of these.
const NO_OBJECTS: [&[u8]; 7] = [
    b"",
    b"\xff\xfe\x00 no JSON",
    b"null",
    b"[{}]",
    b"{\"metadata\":{\"name\":\"a\"",
    b"{\"kind\":\"X\"}",
    b"{\"metadata\":\"text\"}",
];

/// How many [`wrong`] ones there are.
const WRONG: usize = 8;

/// JSON objects that no reader of any kind takes, but the metadata is there.
fn wrong(typed: &Typed, name: &str) -> [Value; WRONG] {
    let with = |field: &str, value: Value| {
        let mut metadata = metadata(typed, name);
        metadata[field] = value;
        json!({"metadata": metadata})
    };
    [
        with("labels", json!({"a": 5})),
        with("labels", json!("text")),
        with("ownerReferences", json!({"a": [1]})),
        with("creationTimestamp", json!("soon")),
        with("generation", json!("x".repeat(1_000_000))),
        with("name", json!("another")),
        with("name", json!(7)),
        json!({"metadata": {}}),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn garbage_in_etcd_is_left_out_alone() {
    let lab = Lab::start().await;
    common::service_account(&lab).await;
    let client = Client::new(&lab.kubeconfig(), "poison").unwrap();
    let mut etcd = lab.etcd_client().await;
    // One name of two resources is enough: they share what is kept.
    let kinds: Vec<Typed> = kinds()
        .into_iter()
        .filter(|t| t.group != "events.k8s.io")
        .collect();
    // Some is there before anybody looks, some comes later.
    for typed in &kinds {
        etcd.put(key(typed, "garbage-before"), NO_OBJECTS[1], None)
            .await
            .unwrap();
        let object = wrong(typed, "garbage-wrong")[0].to_string();
        etcd.put(key(typed, "garbage-wrong"), object, None)
            .await
            .unwrap();
    }
    let followed: Vec<Followed> = kinds.iter().map(|typed| (typed.follow)(&client)).collect();
    for (typed, informer) in kinds.iter().zip(&followed) {
        let what = format!("the list of {}", typed.resource);
        lab.until(&what, async || (informer.synced)()).await;
        for (at, bytes) in NO_OBJECTS.into_iter().enumerate() {
            let name = format!("{PREFIX}none-{at}");
            etcd.put(key(typed, &name), bytes, None).await.unwrap();
        }
        for at in 0..WRONG {
            let name = format!("{PREFIX}wrong-{at}");
            let object = wrong(typed, &name)[at].to_string();
            etcd.put(key(typed, &name), object, None).await.unwrap();
        }
        // What was readable may become garbage, too.
        lab.create(&typed.path(), &typed.base("garbage-later"))
            .await;
        lab.until("it arrives", async || (informer.has)("garbage-later"))
            .await;
        etcd.put(key(typed, "garbage-later"), "{}}", None)
            .await
            .unwrap();
        let what = format!("{} goes on", typed.kind);
        lab.create(&typed.path(), &typed.base("good")).await;
        lab.until(&what, async || (informer.has)("good")).await;
        assert!(!(informer.has)("garbage-later"), "{}", typed.kind);
        reads(&lab, typed).await;
    }
    // It is told.
    for typed in &kinds {
        let mine = || metric().into_iter().find(|(of, _)| *of == row_name(typed));
        let what = format!("{} of {} are left out", ALL, typed.kind);
        lab.until(&what, async || {
            mine().is_some_and(|(_, count)| count == ALL)
        })
        .await;
    }
    let (code, report) = lab.get("/readyz?verbose").await;
    assert_eq!(code, 200, "readiness doesn't suffer");
    let report = report.as_str().unwrap_or_default();
    assert!(report.contains("[!]"), "{report}");
    assert!(
        !report.contains("garbage-"),
        "strangers read this, and learn no names: {report}"
    );
    // What can be read again comes back, and what is gone is forgotten.
    for (typed, informer) in kinds.iter().zip(&followed) {
        for name in ["garbage-before", "garbage-wrong"] {
            let mut object = typed.base(name);
            object["metadata"] = metadata(typed, name);
            etcd.put(key(typed, name), object.to_string(), None)
                .await
                .unwrap();
            lab.until("it heals", async || (informer.has)(name)).await;
        }
        for kind in ["none", "wrong", "later"] {
            let options = etcd_client::DeleteOptions::new().with_prefix();
            let prefix = key(typed, &format!("{PREFIX}{kind}-"));
            etcd.delete(prefix, Some(options)).await.unwrap();
        }
        etcd.delete(key(typed, "garbage-later"), None)
            .await
            .unwrap();
    }
    lab.until("all is forgotten", async || {
        metric().iter().all(|(_, count)| *count == 0)
    })
    .await;
}

/// How the apiserver answers who asks for garbage, and who asks for all.
async fn reads(lab: &Lab, typed: &Typed) {
    let path = typed.path();
    let (code, status) = lab.get(&format!("{path}/garbage-before")).await;
    assert_eq!(
        (code, status["reason"].as_str()),
        (500, Some("InternalError")),
        "{status}"
    );
    let message = status["message"].as_str().unwrap_or_default();
    assert!(message.contains(&format!(
        "unable to decode key \"{}\"",
        key(typed, "garbage-before")
    )));
    let (code, status) = lab
        .delete(&format!("{path}/garbage-before"), &Value::Null)
        .await;
    assert_eq!(code, 500, "{status}");
    let patch = json!({"metadata": {"labels": {"a": "b"}}});
    let (code, status) = lab.merge(&format!("{path}/garbage-before"), &patch).await;
    assert_eq!(code, 500, "{status}");
    let (code, status) = lab.post(&path, &typed.base("garbage-before")).await;
    assert_eq!(code, 409, "{status}");
    let (code, list) = lab.get(&path).await;
    assert_eq!(code, 200, "{list}");
    let names = list["items"].as_array().into_iter().flatten();
    let names: Vec<&Value> = names.map(|item| &item["metadata"]["name"]).collect();
    assert!(names.contains(&&json!("good")), "{names:?}");
    assert!(!names.contains(&&json!("garbage-before")), "{names:?}");
}

/// What the process says it leaves out, by resource.
fn metric() -> Vec<(String, usize)> {
    let text = String::from_utf8(hardway_client::metrics::render()).unwrap();
    let lines = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("hardway_unreadable_objects{resource=\"")?;
        let (resource, count) = rest.split_once("\"} ")?;
        Some((resource.to_owned(), count.parse().ok()?))
    });
    lines.collect()
}
