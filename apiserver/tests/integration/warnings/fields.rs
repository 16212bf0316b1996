//! Fields that aren't known or come twice, in every way an object is written. Facts of
//! Kubernetes' own integration test (`test/integration/apiserver/field_validation_test.go`):
//! texts and their order.

use super::send;
use crate::common::Lab;
use http::Method;
use serde_json::json;

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const OPERATIONS: &str = "application/json-patch+json";

/// One way to write, and what is wrong with it.
struct Case {
    method: Method,
    path: String,
    kind: &'static str,
    body: String,
    /// Warnings, in order.
    warned: Vec<String>,
    /// Code, and the end of the message of the refusal.
    refused: (u16, String),
}

impl Case {
    /// Of a body whose problems are told one after the other.
    fn new(path: &str, kind: &'static str, body: &str, warned: &[&str]) -> Self {
        let code = if kind == JSON { 400 } else { 422 };
        let text = format!("strict decoding error: {}", warned.join(", "));
        let method = if kind == JSON {
            Method::POST
        } else {
            Method::PATCH
        };
        Self {
            method,
            path: path.to_owned(),
            kind,
            body: body.to_owned(),
            warned: warned.iter().map(ToString::to_string).collect(),
            refused: (code, text),
        }
    }

    /// Of YAML, where keys that come twice are told by their lines.
    fn yaml(path: &str, body: &str, lines: &[&str], fields: &[&str]) -> Self {
        let twice = format!("yaml: unmarshal errors:\n  {}", lines.join("\n  "));
        let mut told = vec![twice.as_str()];
        told.extend(fields);
        Self {
            method: Method::POST,
            kind: YAML,
            warned: lines
                .iter()
                .chain(fields)
                .map(ToString::to_string)
                .collect(),
            refused: (400, format!("strict decoding error: {}", told.join(", "))),
            ..Self::new(path, JSON, body, &[])
        }
    }

    async fn holds(&self, lab: &Lab) {
        let send = async |validation: &str| {
            let path = format!("{}?dryRun=All&fieldManager=m{validation}", self.path);
            send(
                lab,
                self.method.clone(),
                &path,
                self.kind,
                self.body.clone(),
            )
            .await
        };
        for validation in ["", "&fieldValidation=Warn"] {
            let (code, warned, text) = send(validation).await;
            assert!(code < 300, "{} {}: {text}", self.kind, self.body);
            assert_eq!(warned, self.warned, "{} {}", self.kind, self.body);
        }
        let (code, warned, text) = send("&fieldValidation=Ignore").await;
        assert!(code < 300 && warned.is_empty(), "{warned:?} {text}");
        let (code, _, text) = send("&fieldValidation=Strict").await;
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        let message = status["message"].as_str().unwrap();
        assert_eq!(code, self.refused.0, "{message}");
        assert!(
            message.ends_with(&self.refused.1),
            "{message}\nshould end with\n{}",
            self.refused.1
        );
    }
}

fn pod_template(twice: &str) -> String {
    format!(
        r#""selector": {{"matchLabels": {{"app": "nginx"}}}}, "template": {{"metadata": {{"labels": {{"app": "nginx"}}}},
        "spec": {{"containers": [{{"name": "nginx", "image": "nginx:latest"{twice}}}]}}}}"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_built_in_kind() {
    let lab = Lab::start().await;
    let wrong =
        r#", "unknownNested": "val1", "imagePullPolicy": "Always", "imagePullPolicy": "Never""#;
    let unknown = r#""unknown1": "val1", "unknownDupe": "valDupe", "unknownDupe": "valDupe2", "paused": true, "paused": false"#;
    let body = format!(
        r#"{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "dupename", "name": "a",
        "labels": {{"app": "nginx"}}, "unknownMeta": "metaVal"}}, "spec": {{{unknown}, {}}}}}"#,
        pod_template(wrong)
    );
    let created = Case::new(
        DEPLOYMENTS,
        JSON,
        &body,
        &[
            r#"duplicate field "metadata.name""#,
            r#"unknown field "metadata.unknownMeta""#,
            r#"unknown field "spec.unknown1""#,
            r#"unknown field "spec.unknownDupe""#,
            r#"duplicate field "spec.paused""#,
            r#"unknown field "spec.template.spec.containers[0].unknownNested""#,
            r#"duplicate field "spec.template.spec.containers[0].imagePullPolicy""#,
        ],
    );
    created.holds(&lab).await;

    let one = format!("{DEPLOYMENTS}/a");
    let valid = format!(
        r#"{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "a"}}, "spec": {{{}}}}}"#,
        pod_template("")
    );
    let (code, _, text) = send(&lab, Method::POST, DEPLOYMENTS, JSON, valid).await;
    assert_eq!(code, 201, "{text}");
    let put = Case {
        method: Method::PUT,
        path: one.clone(),
        ..created
    };
    put.holds(&lab).await;

    let patch = format!(r#"{{"spec": {{{unknown}, {}}}}}"#, pod_template(wrong));
    let told = [
        r#"duplicate field "spec.unknownDupe""#,
        r#"duplicate field "spec.paused""#,
        r#"duplicate field "spec.template.spec.containers[0].imagePullPolicy""#,
        r#"unknown field "spec.template.spec.containers[0].unknownNested""#,
        r#"unknown field "spec.unknown1""#,
        r#"unknown field "spec.unknownDupe""#,
    ];
    Case::new(&one, MERGE, &patch, &told).holds(&lab).await;
    Case::new(&one, STRATEGIC, &patch, &told).holds(&lab).await;
    let fine = r#"{"spec": {"paused": true, "paused": false}}"#;
    let told = [r#"duplicate field "spec.paused""#];
    Case::new(&one, STRATEGIC, fine, &told).holds(&lab).await;
    let operations = r#"[{"op": "add", "path": "/spec/unknown1", "value": "val1", "foo": "bar"},
        {"op": "add", "path": "/spec/unknown2", "path": "/spec/unknown3", "value": "val1"},
        {"op": "add", "path": "/spec/paused", "value": true},
        {"op": "add", "path": "/spec/template/spec/containers/0/unknownNested", "value": "val1"}]"#;
    let told = [
        r#"json patch unknown field "[0].foo""#,
        r#"json patch duplicate field "[1].path""#,
        r#"unknown field "spec.template.spec.containers[0].unknownNested""#,
        r#"unknown field "spec.unknown1""#,
        r#"unknown field "spec.unknown3""#,
    ];
    Case::new(&one, OPERATIONS, operations, &told)
        .holds(&lab)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_yaml_and_applied() {
    let lab = Lab::start().await;
    let body = "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  name: b\n  unknownMeta: x\nspec:\n  clusterIP: None\n  clusterIP: None\n  unknown1: x\n";
    let path = "/api/v1/namespaces/default/services";
    let lines = [
        r#"line 5: key "name" already set in map"#,
        r#"line 9: key "clusterIP" already set in map"#,
    ];
    let fields = [
        r#"unknown field "metadata.unknownMeta""#,
        r#"unknown field "spec.unknown1""#,
    ];
    Case::yaml(path, body, &lines, &fields).holds(&lab).await;

    let twice = "{\n \"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"a\"},\n \"spec\": {\"clusterIP\": \"None\",\n  \"clusterIP\": \"None\"}}";
    let applied = Case {
        method: Method::PATCH,
        path: format!("{path}/a"),
        kind: APPLY,
        refused: (
            400,
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 4: key \"clusterIP\" already set in map".to_owned(),
        ),
        ..Case::yaml(path, twice, &[r#"line 4: key "clusterIP" already set in map"#], &[])
    };
    applied.holds(&lab).await;

    // What isn't declared is refused whatever is asked for.
    for validation in ["", "&fieldValidation=Ignore", "&fieldValidation=Strict"] {
        let path = format!("{path}/a?fieldManager=m&dryRun=All{validation}");
        for (spec, told) in [
            (
                r#"{"topologyKeys": ["*"]}"#,
                ".spec.topologyKeys: field not declared in schema",
            ),
            (
                r#"{"ports": "none"}"#,
                ".spec.ports: expected list, got &{none}",
            ),
        ] {
            let body = format!(
                r#"{{"apiVersion": "v1", "kind": "Service", "metadata": {{"name": "a", "namespace": "default"}}, "spec": {spec}}}"#
            );
            let (code, _, text) = send(&lab, Method::PATCH, &path, APPLY, body).await;
            let status: serde_json::Value = serde_json::from_str(&text).unwrap();
            let start = "failed to create typed patch object (default/a; /v1, Kind=Service): ";
            assert_eq!(code, 500, "{text}");
            assert_eq!(status["message"], format!("{start}{told}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_custom_resources() {
    let lab = Lab::start().await;
    let string = || json!({"type": "string"});
    let mut spec = json!({"type": "object", "properties": {
        "knownField1": string(),
        "ports": {"type": "array", "items": {"type": "object", "properties": {
            "name": string(), "hostPort": {"type": "integer"}}}},
        "embeddedObj": {"type": "object", "x-kubernetes-embedded-resource": true,
            "properties": {"kind": string(), "metadata": {"type": "object"}}}}});
    let body = r#"{"apiVersion": "GROUP/v1", "kind": "Thing", "metadata": {"name": "dupename", "name": "a", "unknownMeta": "x"},
        "spec": {"unknown1": "val1", "unknownDupe": "valDupe", "unknownDupe": "valDupe2", "knownField1": "val1", "knownField1": "val2",
        "ports": [{"name": "portName", "hostPort": 8081, "hostPort": 8082, "unknownNested": "val"}],
        "embeddedObj": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "my-cm", "unknownEmbeddedMeta": "foo"}}}}"#;
    let own = [
        r#"unknown field "spec.unknown1""#,
        r#"unknown field "spec.unknownDupe""#,
    ];
    for (group, own) in [("closed.example.com", &own[..]), ("open.example.com", &[])] {
        if own.is_empty() {
            spec["x-kubernetes-preserve-unknown-fields"] = true.into();
        }
        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("things.{group}")}, "spec": {"group": group, "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "properties": {"spec": spec}}}}]}});
        lab.create(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            &definition,
        )
        .await;
        let path = format!("/apis/{group}/v1/namespaces/default/things");
        lab.until("the definition is served", async || {
            lab.get(&path).await.0 == 200
        })
        .await;
        let mut told = vec![
            r#"duplicate field "metadata.name""#,
            r#"duplicate field "spec.unknownDupe""#,
            r#"duplicate field "spec.knownField1""#,
            r#"duplicate field "spec.ports[0].hostPort""#,
            r#"unknown field "metadata.unknownMeta""#,
            r#"unknown field "spec.ports[0].unknownNested""#,
        ];
        told.extend(own);
        told.push(r#"unknown field "spec.embeddedObj.metadata.unknownEmbeddedMeta""#);
        let body = body.replace("GROUP", group);
        Case::new(&path, JSON, &body, &told).holds(&lab).await;
    }
    let path = "/apis/closed.example.com/v1/namespaces/default/things";
    let valid = json!({"apiVersion": "closed.example.com/v1", "kind": "Thing", "metadata": {"name": "a"},
        "spec": {"ports": [{"name": "x"}]}});
    lab.create(path, &valid).await;
    let one = format!("{path}/a");
    let merge = r#"{"spec": {"unknown1": "val1", "unknownDupe": "valDupe", "unknownDupe": "valDupe2",
        "ports": [{"name": "portName", "hostPort": 8081, "hostPort": 8082, "unknownNested": "val"}]}}"#;
    let told = [
        r#"duplicate field "spec.unknownDupe""#,
        r#"duplicate field "spec.ports[0].hostPort""#,
        r#"unknown field "spec.ports[0].unknownNested""#,
        r#"unknown field "spec.unknown1""#,
        r#"unknown field "spec.unknownDupe""#,
    ];
    Case::new(&one, MERGE, merge, &told).holds(&lab).await;
    let body = r#"{"apiVersion": "closed.example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"unknown1": 1}}"#;
    let path = format!("{one}?fieldManager=m&fieldValidation=Ignore");
    let (code, _, text) = send(&lab, Method::PATCH, &path, APPLY, body.to_owned()).await;
    assert_eq!(code, 500, "{text}");
    assert!(
        text.contains(".spec.unknown1: field not declared in schema"),
        "{text}"
    );
}
