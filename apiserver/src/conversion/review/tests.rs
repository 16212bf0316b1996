//! Texts and cases as in Kubernetes' `conversion_test.go` and `webhook_converter_test.go`.

use super::*;
use hardway_resources::crd;

fn definition() -> Value {
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object",
                "properties": {"host": {"type": "string"}}}}}}})
    };
    json!({"metadata": {"name": "knobs.example.com", "uid": "u", "generation": 1}, "spec": {
        "group": "example.com", "scope": "Namespaced",
        "names": {"plural": "knobs", "singular": "knob", "kind": "Knob", "listKind": "KnobList"},
        "versions": [version("v1", true), version("v1beta1", false)],
        "conversion": {"strategy": "Webhook", "webhook": {
            "clientConfig": {"url": "https://127.0.0.1/convert"},
            "conversionReviewVersions": ["v2", "v1", "v1beta1"]}}}})
}

fn webhook(versions: &[&str]) -> ConversionWebhook {
    let row = crd::row(&definition()).unwrap();
    let webhook = row.webhook.unwrap();
    assert_eq!(webhook.revision, "u/1");
    ConversionWebhook {
        review_versions: versions
            .iter()
            .map(|version| (*version).to_owned())
            .collect(),
        ..webhook
    }
}

fn knob(version: &str) -> Value {
    json!({"kind": "Knob", "apiVersion": format!("example.com/{version}"),
        "metadata": {"name": "a", "namespace": "d", "uid": "1", "generation": 3,
            "labels": {"a": "1"}, "finalizers": ["example.com/f"]},
        "spec": {"host": "h"}})
}

#[test]
fn the_first_review_version_that_is_known_is_used() {
    let asked = |versions: &[&str]| {
        let body = request(
            &webhook(versions),
            "7",
            &[knob("v1")],
            "example.com/v1beta1",
        );
        body.map(|body| serde_json::from_slice::<Value>(&body).unwrap())
    };
    let review = asked(&["v2", "v1", "v1beta1"]).unwrap();
    assert_eq!(
        review,
        json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "request": {
            "uid": "7", "desiredAPIVersion": "example.com/v1beta1", "objects": [knob("v1")]}})
    );
    let review = asked(&["v1beta1", "v1"]).unwrap();
    assert_eq!(review["apiVersion"], "apiextensions.k8s.io/v1beta1");
    let none = asked(&["v2"]).unwrap_err();
    assert_eq!(none.to_string(), "no supported conversion review versions");
}

#[test]
fn answers_are_held_against_what_was_asked() {
    let said = |versions: &[&str], answer: Value| {
        let objects = answered(&webhook(versions), "7", answer);
        objects.map_err(|error| error.message(&knob("v1")))
    };
    let failed = |why: &str| {
        let kind = "example.com/v1, Kind=Knob";
        Err(format!(
            "conversion for {kind} failed: conversion webhook for {kind} failed: {why}"
        ))
    };
    let answer = |uid: &str, result: Value| {
        json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1",
            "response": {"uid": uid, "result": result, "convertedObjects": [1]}})
    };
    let success = json!({"status": "Success"});
    assert_eq!(
        said(&["v1"], answer("7", success.clone())),
        Ok(vec![json!(1)])
    );
    assert_eq!(
        said(&["v1"], answer("8", success.clone())),
        failed(r#"expected response.uid="7", got "8""#)
    );
    // Of v1beta1 neither version nor UID is looked at.
    assert_eq!(said(&["v1beta1"], answer("8", success)), Ok(vec![json!(1)]));
    assert_eq!(
        said(
            &["v1"],
            json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1beta1"})
        ),
        failed(
            "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got apiextensions.k8s.io/v1beta1, Kind=ConversionReview"
        )
    );
    assert_eq!(
        said(
            &["v1"],
            json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1"})
        ),
        failed("no response provided")
    );
    assert_eq!(
        said(
            &["v1"],
            answer(
                "7",
                json!({"status": "Failure", "message": "custom webhook conversion error"})
            )
        ),
        failed("custom webhook conversion error")
    );
    assert_eq!(
        said(&["v1"], answer("7", json!({}))),
        failed("response.result.status was '', not 'Success'")
    );
}

#[test]
fn only_labels_and_annotations_are_the_webhooks() {
    let row = crd::row(&definition()).unwrap();
    let taken = |converted: Value| {
        let objects = accepted(&row, "v1beta1", vec![knob("v1")], vec![converted]);
        objects
            .map(|mut objects| objects.remove(0))
            .map_err(|error| error.message(&knob("v1")))
    };
    let mut changed = knob("v1beta1");
    changed["metadata"] = json!({"name": "a", "namespace": "d", "uid": "1", "generation": 9,
        "labels": {"b": "2"}, "annotations": {"c": "3"}, "ownerReferences": [{}]});
    changed["spec"] = json!({"host": "x", "unknown": 1});
    let object = taken(changed.clone()).unwrap();
    assert_eq!(
        object["metadata"],
        json!({"name": "a", "namespace": "d", "uid": "1", "generation": 3,
            "labels": {"b": "2"}, "annotations": {"c": "3"}, "finalizers": ["example.com/f"]})
    );
    assert_eq!(object["spec"], json!({"host": "x"}), "the schema prunes");

    let kind = "example.com/v1, Kind=Knob";
    for (pointer, value, why) in [
        (
            "/apiVersion",
            json!("example.com/v1"),
            "invalid converted object at index 0: invalid groupVersion (expected example.com/v1beta1, received example.com/v1)",
        ),
        (
            "/kind",
            json!("Dial"),
            "invalid converted object at index 0: invalid kind (expected Knob, received Dial)",
        ),
        (
            "/metadata/name",
            json!("b"),
            "invalid converted object at index 0: must have the same name: a != b",
        ),
        (
            "/metadata/namespace",
            json!("e"),
            "invalid converted object at index 0: must have the same namespace: d != e",
        ),
        (
            "/metadata/uid",
            json!("2"),
            "invalid converted object at index 0: must have the same UID: 1 != 2",
        ),
        (
            "/metadata/labels",
            json!([]),
            "invalid metadata in object at index 0: invalid metadata.labels of type []interface {} in converted object",
        ),
        (
            "/metadata/labels/b",
            json!(true),
            "invalid metadata in object at index 0: metadata.labels[b] must be a string, but is bool in converted object",
        ),
    ] {
        let mut odd = changed.clone();
        *odd.pointer_mut(pointer).unwrap() = value;
        assert_eq!(
            taken(odd),
            Err(format!("conversion for {kind} returned {why}"))
        );
    }
    let mut odd = changed.clone();
    odd["metadata"]["labels"] = json!({"b": "_"});
    let why = taken(odd).unwrap_err();
    assert!(
        why.contains(
            "invalid metadata in object at index 0: metadata.labels: Invalid value: \"_\""
        ),
        "{why}"
    );
    let none = accepted(&row, "v1beta1", vec![knob("v1")], Vec::new()).unwrap_err();
    assert_eq!(
        none.message(&knob("v1")),
        format!("conversion for {kind} returned 0 objects, expected 1")
    );
}
