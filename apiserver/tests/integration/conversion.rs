//! Custom resources that a webhook converts between their versions.

use crate::common::Lab;
use hardway_webhook_server::Server;
use http::Method;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const V1: &str = "/apis/conv.example.com/v1/namespaces/default/hosts";
const V2: &str = "/apis/conv.example.com/v2/namespaces/default/hosts";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FAILED: &str = "conversion for conv.example.com/v1, Kind=Host failed: conversion webhook for conv.example.com/v1, Kind=Host failed: ";

/// Hosts: with `spec.hostPort` in `v1`, which is stored; with `host` and `port` in `v2`.
fn definition(server: &Server, path: &str) -> Value {
    let version = |name: &str, storage: bool, fields: Value| {
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}}})
    };
    let text = json!({"type": "string"});
    let mut v2 = version(
        "v2",
        false,
        json!({"host": {"type": "string", "pattern": "^[a-z]*$"}, "port": text}),
    );
    v2["selectableFields"] = json!([{"jsonPath": ".spec.host"}]);
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "hosts.conv.example.com"},
        "spec": {
            "group": "conv.example.com", "scope": "Namespaced",
            "names": {"plural": "hosts", "singular": "host", "kind": "Host"},
            "versions": [version("v1", true, json!({"hostPort": text})), v2],
            "conversion": {"strategy": "Webhook", "webhook": {
                "clientConfig": {"url": server.url(path), "caBundle": server.ca_bundle()},
                "conversionReviewVersions": ["v1"]}}}})
}

async fn define(lab: &Lab, server: &Server, path: &str) {
    lab.create(DEFINITIONS, &definition(server, path)).await;
    lab.until("hosts are served", async || lab.get(V2).await.0 == 200)
        .await;
}

/// Has another path of the server asked from now on.
async fn ask_at(lab: &Lab, server: &Server, path: &str) {
    let conversion = &definition(server, path)["spec"]["conversion"];
    let patch = json!({"spec": {"conversion": conversion}});
    let one = format!("{DEFINITIONS}/hosts.conv.example.com");
    let mut watch = lab.watch(&format!("{V1}?watch=true")).await;
    let (code, _) = lab.merge(&one, &patch).await;
    assert_eq!(code, 200);
    // Who watches begins anew with the definition as it is now.
    while watch.next().await.is_some() {}
}

fn host(version: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("conv.example.com/{version}"), "kind": "Host",
        "metadata": {"name": name}, "spec": spec})
}

async fn stored(lab: &Lab, name: &str) -> Value {
    let key = format!("/registry/conv.example.com/hosts/default/{name}");
    let found = lab.etcd_client().await.get(key, None).await.unwrap();
    serde_json::from_slice(found.kvs()[0].value()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_shows_and_takes_its_own_form() {
    let lab = Lab::start().await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    define(&lab, &server, "convert").await;
    let mut watch = lab
        .watch(&format!("{V2}?watch=true&resourceVersion=0"))
        .await;

    let made = lab
        .create(V2, &host("v2", "a", json!({"host": "x", "port": "1"})))
        .await;
    assert_eq!(made["apiVersion"], "conv.example.com/v2");
    assert_eq!(made["spec"], json!({"host": "x", "port": "1"}));
    let kept = stored(&lab, "a").await;
    assert_eq!(kept["apiVersion"], "conv.example.com/v1");
    assert_eq!(kept["spec"], json!({"hostPort": "x:1"}));
    let (_, old) = lab.get(&format!("{V1}/a")).await;
    assert_eq!(old["spec"], json!({"hostPort": "x:1"}));
    assert_eq!(old["metadata"], made["metadata"]);
    lab.create(V1, &host("v1", "b", json!({"hostPort": "y:2"})))
        .await;

    let (_, list) = lab.get(V2).await;
    let specs: Vec<&Value> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["spec"])
        .collect();
    assert_eq!(
        specs,
        [
            &json!({"host": "x", "port": "1"}),
            &json!({"host": "y", "port": "2"})
        ]
    );
    // Objects are selected by what they are in the version asked for.
    let (_, list) = lab.get(&format!("{V2}?fieldSelector=spec.host=y")).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["metadata"]["name"], "b");

    // The rules are those of the version written in, the form stored that of the other.
    let (code, status) = lab
        .merge(&format!("{V2}/a"), &json!({"spec": {"host": "X"}}))
        .await;
    assert_eq!(code, 422, "{status}");
    let (code, changed) = lab
        .merge(&format!("{V2}/a"), &json!({"spec": {"host": "z"}}))
        .await;
    assert_eq!(
        (code, &changed["spec"]),
        (200, &json!({"host": "z", "port": "1"}))
    );
    assert_eq!(stored(&lab, "a").await["spec"]["hostPort"], "z:1");
    assert_eq!(changed["metadata"]["generation"], 2);

    for (kind, name, host) in [
        ("ADDED", "a", "x"),
        ("ADDED", "b", "y"),
        ("MODIFIED", "a", "z"),
    ] {
        let event = watch.next().await.unwrap();
        let object = &event["object"];
        assert_eq!(
            (
                &event["type"],
                &object["metadata"]["name"],
                &object["spec"]["host"]
            ),
            (&json!(kind), &json!(name), &json!(host))
        );
        assert_eq!(object["apiVersion"], "conv.example.com/v2");
    }

    // What nobody has changed is known already.
    let before = server.count("convert");
    assert_eq!(lab.get(V2).await.0, 200);
    assert_eq!(lab.get(&format!("{V2}/b")).await.0, 200);
    assert_eq!(server.count("convert"), before);

    // Applied in one version, owned there, and seen by who applies in the other.
    let apply = async |version: &str, manager: &str, spec: Value| {
        let path = format!(
            "/apis/conv.example.com/{version}/namespaces/default/hosts/a?fieldManager={manager}"
        );
        let body = host(version, "a", spec).to_string();
        lab.send(Method::PATCH, &path, "application/apply-patch+yaml", body)
            .await
    };
    let (code, _) = apply("v2", "two", json!({"host": "z"})).await;
    assert_eq!(code, 200);
    let (code, status) = apply("v1", "one", json!({"hostPort": "z:1"})).await;
    assert_eq!(code, 200, "{status}");
    let (code, conflict) = apply("v2", "three", json!({"host": "q"})).await;
    assert_eq!(
        (code, conflict["reason"].as_str()),
        (409, Some("Conflict")),
        "{conflict}"
    );

    let (code, gone) = lab.delete(&format!("{V2}/b"), &Value::Null).await;
    assert_eq!(code, 200, "{gone}");
    while watch.next().await.unwrap()["type"] != "DELETED" {}
    let (_, metrics) = lab.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    for name in [
        "apiserver_conversion_webhook_request_total{failure_type=\"\",result=\"success\"}",
        "apiserver_crd_conversion_webhook_duration_seconds_count{crd_name=\"hosts.conv.example.com\",from_version=\"v1\",succeeded=\"true\",to_version=\"v2\"}",
    ] {
        assert!(metrics.contains(name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_fails_fails_only_who_needs_it() {
    let lab = Lab::start().await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    define(&lab, &server, "convert").await;
    lab.create(V1, &host("v1", "a", json!({"hostPort": "x:1"})))
        .await;
    let whole = |answer: (u16, Value)| {
        let message = answer.1["message"].as_str().unwrap_or_default().to_owned();
        (answer.0, message)
    };
    for (path, message) in [
        ("convert/deny/no%20more", format!("{FAILED}no more")),
        (
            "convert/none",
            "conversion for conv.example.com/v1, Kind=Host returned 0 objects, expected 1".into(),
        ),
        (
            "convert/rename",
            "conversion for conv.example.com/v1, Kind=Host returned invalid converted object at index 0: must have the same name: a != another".into(),
        ),
    ] {
        ask_at(&lab, &server, path).await;
        assert_eq!(whole(lab.get(&format!("{V2}/a")).await), (500, message.clone()));
        assert_eq!(whole(lab.get(V2).await), (500, message));
        assert_eq!(lab.get(&format!("{V1}/a")).await.0, 200);
    }
    // Nothing is written that could not be read again.
    let (code, _) = lab
        .post(V2, &host("v2", "b", json!({"host": "y", "port": "2"})))
        .await;
    assert_eq!(code, 500);
    assert_eq!(lab.get(&format!("{V1}/b")).await.0, 404);

    // Labels are the webhook's to change.
    ask_at(&lab, &server, "convert/label/by/webhook").await;
    let (_, object) = lab.get(&format!("{V2}/a")).await;
    assert_eq!(object["metadata"]["labels"], json!({"by": "webhook"}));
    let (_, list) = lab.get(&format!("{V2}?labelSelector=by=webhook")).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);

    // One that hangs keeps nobody who doesn't ask for it.
    ask_at(&lab, &server, "convert/hang").await;
    let began = Instant::now();
    let asks = lab.get(V2);
    let other = async {
        assert_eq!(lab.get(V1).await.0, 200);
        lab.create(V1, &host("v1", "c", json!({"hostPort": "y:2"})))
            .await;
        assert!(began.elapsed() < Duration::from_secs(5));
    };
    tokio::select! {
        _ = asks => panic!("nobody answers it"),
        () = other => {}
    }

    // A watch hears of the failure, and ends.
    ask_at(&lab, &server, "convert").await;
    let mut watch = lab.watch(&format!("{V2}?watch=true")).await;
    assert_eq!(watch.told().await.1, "a");
    assert_eq!(watch.told().await.1, "c");
    drop(server);
    lab.create(V1, &host("v1", "d", json!({"hostPort": "y:2"})))
        .await;
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "ERROR");
    let message = event["object"]["message"].as_str().unwrap();
    assert!(
        message.starts_with(FAILED) && message.contains("Post \"https://127.0.0.1:"),
        "{message}"
    );
    assert!(watch.next().await.is_none());
    let message = lab.get(&format!("{V2}/d")).await.1["message"].to_string();
    assert!(message.contains("/convert?timeout=30s"), "{message}");
    assert_eq!(lab.delete(&format!("{V1}/d"), &Value::Null).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_move_to_a_new_storage_version_as_they_are_written() {
    let lab = Lab::start().await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    define(&lab, &server, "convert").await;
    lab.create(V1, &host("v1", "a", json!({"hostPort": "x:1"})))
        .await;
    let one = format!("{DEFINITIONS}/hosts.conv.example.com");
    let (_, mut crd) = lab.get(&one).await;
    crd["spec"]["versions"][0]["storage"] = false.into();
    crd["spec"]["versions"][1]["storage"] = true.into();
    let (code, crd) = lab.put(&one, &crd).await;
    assert_eq!(code, 200, "{crd}");
    assert_eq!(crd["status"]["storedVersions"], json!(["v1", "v2"]));
    // A write that changes nothing is one, since it is stored otherwise from now on.
    lab.until("it is stored in the new version", async || {
        let (_, object) = lab.get(&format!("{V1}/a")).await;
        assert_eq!(lab.put(&format!("{V1}/a"), &object).await.0, 200);
        stored(&lab, "a").await["apiVersion"] == "conv.example.com/v2"
    })
    .await;
    assert_eq!(
        stored(&lab, "a").await["spec"],
        json!({"host": "x", "port": "1"})
    );
    let (_, object) = lab.get(&format!("{V1}/a")).await;
    assert_eq!(object["spec"], json!({"hostPort": "x:1"}));
}

/// A policy gets its parameters in the version that it names, whichever they are stored in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_of_policies_are_converted() {
    const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    let lab = Lab::start().await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    define(&lab, &server, "convert").await;
    lab.create(V1, &host("v1", "limit", json!({"hostPort": "x:1"})))
        .await;
    let policy = json!({"metadata": {"name": "hosts"}, "spec": {
        "paramKind": {"apiVersion": "conv.example.com/v2", "kind": "Host"},
        "matchConstraints": {"resourceRules": [{"operations": ["CREATE"], "apiGroups": [""],
            "apiVersions": ["v1"], "resources": ["configmaps"]}]},
        "validations": [{"expression": "object.data.host == params.spec.host"}]}});
    lab.create(&format!("{ADMISSION}/validatingadmissionpolicies"), &policy)
        .await;
    let binding = json!({"metadata": {"name": "hosts"}, "spec": {"policyName": "hosts",
        "validationActions": ["Deny"],
        "paramRef": {"name": "limit", "parameterNotFoundAction": "Deny"}}});
    let bindings = format!("{ADMISSION}/validatingadmissionpolicybindings");
    lab.create(&bindings, &binding).await;
    let map = |host: &str| json!({"metadata": {"generateName": "m-"}, "data": {"host": host}});
    assert_eq!(lab.post(MAPS, &map("x")).await.0, 201);
    let (code, status) = lab.post(MAPS, &map("y")).await;
    let message = status["message"].as_str().unwrap();
    assert_eq!(code, 422, "{message}");
    assert!(
        message.ends_with("failed expression: object.data.host == params.spec.host"),
        "{message}"
    );
    // What can't be converted can't be compared with: who must be asked is away.
    drop(server);
    let hosts = json!({"metadata": {"labels": {"changed": "yes"}}});
    assert_eq!(lab.merge(&format!("{V1}/limit"), &hosts).await.0, 200);
    let (code, status) = lab.post(MAPS, &map("x")).await;
    let message = status["message"].as_str().unwrap();
    assert_eq!(code, 422, "{message}");
    assert!(
        message.contains("conversion webhook for conv.example.com/v1, Kind=Host failed"),
        "{message}"
    );
}
