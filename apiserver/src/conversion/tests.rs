//! How often a webhook is asked, and what becomes of its failures.

use super::*;
use crate::store::Stored;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hardway_access::admission::webhooks::Observation;
use hardway_resources::crd;
use parking_lot::Mutex;
use serde_json::json;

/// Changes the version alone; answers when it is let, and fails if it shall.
#[derive(Default)]
struct Webhook {
    /// How many objects each review had.
    asked: Mutex<Vec<usize>>,
    fails: Mutex<Option<String>>,
    waits: Option<tokio::sync::Semaphore>,
}

impl WebhookCaller for Webhook {
    fn call<'a>(
        &'a self,
        _: &'a ClientConfig,
        review: Bytes,
        _: Duration,
    ) -> BoxFuture<'a, Result<Value, CallError>> {
        let review: Value = serde_json::from_slice(&review).unwrap();
        let mut objects = review["request"]["objects"].as_array().unwrap().clone();
        self.asked.lock().push(objects.len());
        for object in &mut objects {
            object["apiVersion"] = review["request"]["desiredAPIVersion"].clone();
        }
        let answer = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
            "response": {"uid": review["request"]["uid"], "result": {"status": "Success"},
                "convertedObjects": objects}});
        async move {
            if let Some(waits) = &self.waits {
                waits.acquire().await.unwrap().forget();
            }
            match self.fails.lock().clone() {
                Some(message) => Err(CallError::Failed { message, code: 503 }),
                None => Ok(answer),
            }
        }
        .boxed()
    }

    fn observe(&self, _: &Observation<'_>) {}
}

fn knobs() -> Resource {
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    };
    crd::row(&json!({"metadata": {"name": "knobs.example.com", "uid": "u", "generation": 1},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "knobs", "singular": "knob", "kind": "Knob", "listKind": "KnobList"},
            "versions": [version("v1", true), version("v2", false)],
            "conversion": {"strategy": "Webhook", "webhook": {
                "clientConfig": {"url": "https://127.0.0.1/"},
                "conversionReviewVersions": ["v1"]}}}}))
    .unwrap()
}

fn entries(of: &Resource, count: usize) -> Vec<Arc<Entry>> {
    let entry = |n: usize| {
        let object = json!({"apiVersion": "example.com/v1", "kind": "Knob",
            "metadata": {"name": format!("k{n}"), "namespace": "d", "uid": n.to_string()}});
        let stored = Stored {
            key: format!("example.com/knobs/d/k{n}"),
            value: object.to_string().into(),
            revision: 7,
            stale: false,
        };
        Arc::new(Entry::read(of, &format!("d/k{n}"), &stored, |_| {}).unwrap())
    };
    (0..count).map(entry).collect()
}

#[test]
fn batches_are_bounded_in_number_and_bytes() {
    assert_eq!(batch([10; 700].into_iter()), BATCH);
    assert_eq!(batch([BATCH_BYTES / 2; 5].into_iter()), 2);
    assert_eq!(batch([BATCH_BYTES * 2, 1].into_iter()), 1);
}

#[tokio::test]
async fn each_object_is_converted_once_and_in_batches() {
    let (webhook, of) = (Arc::new(Webhook::default()), knobs());
    let conversion = Conversion::new(webhook.clone());
    let stored = entries(&of, 1_200);
    let same = conversion.entries(&of, stored.clone(), "v1").await.unwrap();
    assert!(webhook.asked.lock().is_empty() && Arc::ptr_eq(&same[0], &stored[0]));
    let first = conversion.entries(&of, stored.clone(), "v2").await.unwrap();
    assert_eq!(*webhook.asked.lock(), [500, 500, 200]);
    let value = first[3].value();
    assert_eq!(value["apiVersion"], "example.com/v2");
    assert_eq!(value["metadata"]["resourceVersion"], "7");
    let again = conversion.entries(&of, stored, "v2").await.unwrap();
    assert!(Arc::ptr_eq(&first[3], &again[3]));
    assert_eq!(webhook.asked.lock().len(), 3);
    // Another definition of the same name is another webhook.
    let mut other = knobs();
    other.webhook.as_mut().unwrap().revision = "u/2".into();
    let stored = entries(&of, 1);
    conversion.entries(&other, stored, "v2").await.unwrap();
    assert_eq!(webhook.asked.lock().len(), 4);
}

#[tokio::test]
async fn who_comes_meanwhile_waits_and_hears_of_failures() {
    let webhook = Arc::new(Webhook {
        waits: Some(tokio::sync::Semaphore::new(0)),
        ..Webhook::default()
    });
    let (conversion, of) = (
        Arc::new(Conversion::new(webhook.clone())),
        Arc::new(knobs()),
    );
    let ask = || {
        let (conversion, of) = (conversion.clone(), of.clone());
        tokio::spawn(async move { conversion.entries(&of, entries(&of, 3), "v2").await })
    };
    let (one, other) = (ask(), ask());
    // Both are on their way before either is answered.
    while Arc::strong_count(&conversion) < 3 || webhook.asked.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    let waits = webhook.waits.as_ref().unwrap();
    waits.add_permits(1);
    assert!(one.await.unwrap().is_ok() && other.await.unwrap().is_ok());
    assert_eq!(*webhook.asked.lock(), [3]);

    *webhook.fails.lock() = Some("connection refused".into());
    let of = knobs();
    waits.add_permits(1);
    let mut two = entries(&of, 5);
    let failed = conversion.entries(&of, two.split_off(3), "v2").await;
    let status = failed.map(drop).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (500, ""));
    let kind = "example.com/v1, Kind=Knob";
    assert_eq!(
        status.message,
        format!(
            "conversion for {kind} failed: conversion webhook for {kind} failed: connection refused"
        )
    );
    // What was converted before is there, whatever becomes of the webhook.
    assert!(conversion.entries(&of, two, "v2").await.is_ok());
}

#[tokio::test]
async fn one_who_gives_up_keeps_nobody_waiting() {
    let webhook = Arc::new(Webhook {
        waits: Some(tokio::sync::Semaphore::new(0)),
        ..Webhook::default()
    });
    let (conversion, of) = (Conversion::new(webhook.clone()), knobs());
    let asking = conversion.entries(&of, entries(&of, 1), "v2");
    let gave_up = tokio::time::timeout(Duration::from_millis(10), asking).await;
    assert!(gave_up.is_err());
    webhook.waits.as_ref().unwrap().add_permits(1);
    assert!(conversion.entries(&of, entries(&of, 1), "v2").await.is_ok());
    assert_eq!(webhook.asked.lock().len(), 2);
}
