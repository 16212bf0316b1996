//! Admission policies in a whole apiserver, by what Kubernetes' documentation and
//! `test/integration/apiserver/cel` say of them.

use crate::common::{Lab, MAPS, audit_events, config_map};
use serde_json::{Value, json};
use std::path::Path;

const V1: &str = "/apis/admissionregistration.k8s.io/v1";
const BETA: &str = "/apis/admissionregistration.k8s.io/v1beta1";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn constraints(group: &str, resource: &str) -> Value {
    json!({"resourceRules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": [group],
        "apiVersions": ["v1"], "resources": [resource]}]})
}

/// A validating policy for ConfigMaps and its binding.
async fn validate(lab: &Lab, name: &str, validations: Value, binding: Value) {
    let spec =
        json!({"matchConstraints": constraints("", "configmaps"), "validations": validations});
    let policy = json!({"metadata": {"name": name}, "spec": spec});
    lab.create(&format!("{V1}/validatingadmissionpolicies"), &policy)
        .await;
    bind(lab, V1, "validating", name, binding).await;
}

async fn bind(lab: &Lab, version: &str, kind: &str, name: &str, spec: Value) {
    let mut spec = spec;
    spec["policyName"] = name.into();
    let binding = json!({"metadata": {"name": name}, "spec": spec});
    lab.create(
        &format!("{version}/{kind}admissionpolicybindings"),
        &binding,
    )
    .await;
}

fn deployment(name: &str, replicas: u32) -> Value {
    json!({"metadata": {"name": name}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_refused_warned_of_and_noted() {
    let log = |dir: &Path| dir.join("audit.log");
    let lab = Lab::start_with(|dir| vec![format!("--audit-log-path={}", log(dir).display())]).await;
    let validations = json!([{"expression": "object.data.a != '2'", "messageExpression":
        "'a is ' + object.data.a", "reason": "Forbidden"}]);
    let deny = json!({"validationActions": ["Deny"]});
    validate(&lab, "no-two", validations, deny).await;

    // It holds in the next request, and so it does without it.
    lab.create(MAPS, &config_map("a")).await;
    let two = json!({"data": {"a": "2"}});
    let (code, status) = lab.merge(&format!("{MAPS}/a"), &two).await;
    assert_eq!(code, 403);
    assert_eq!(
        status["message"],
        "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'no-two' with binding 'no-two' denied request: a is 2"
    );
    let binding = format!("{V1}/validatingadmissionpolicybindings/no-two");
    assert_eq!(lab.delete(&binding, &Value::Null).await.0, 200);
    assert_eq!(lab.merge(&format!("{MAPS}/a"), &two).await.0, 200);

    // Warnings, and annotations of the audit event.
    let policy = json!({"metadata": {"name": "notes"}, "spec": {
        "matchConstraints": constraints("", "configmaps"),
        "validations": [{"expression": "has(object.metadata.labels)", "message": "no labels"}],
        "auditAnnotations": [{"key": "who", "valueExpression": "request.userInfo.username"}]}});
    lab.create(&format!("{V1}/validatingadmissionpolicies"), &policy)
        .await;
    bind(
        &lab,
        V1,
        "validating",
        "notes",
        json!({"validationActions": ["Warn", "Audit"]}),
    )
    .await;
    lab.create(MAPS, &config_map("noted")).await;
    let log = log(lab.dir.path());
    let noted = || {
        let mut events = audit_events(&log).into_iter();
        let event = events.find(|event| event["annotations"]["notes/who"] == "admin")?;
        Some(event["annotations"]["validation.policy.admission.k8s.io/validation_failure"].clone())
    };
    lab.until("the audit log tells", async || noted().is_some())
        .await;
    assert_eq!(
        noted().unwrap(),
        r#"[{"message":"no labels","policy":"notes","binding":"notes","expressionIndex":0,"validationActions":["Warn","Audit"]}]"#
    );
}

/// A policy is set, and the next request is judged by it: many times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_holds_in_the_next_request() {
    let lab = Lab::start().await;
    let validations = json!([{"expression": "true"}]);
    let deny = json!({"validationActions": ["Deny"]});
    validate(&lab, "p", validations, deny).await;
    let policy = format!("{V1}/validatingadmissionpolicies/p");
    for round in 0..40 {
        let expression = format!("object.data.round == '{round}'");
        let change = json!({"spec": {"validations": [{"expression": expression}]}});
        assert_eq!(lab.merge(&policy, &change).await.0, 200);
        let map = |of: u32| json!({"metadata": {"generateName": "m-"}, "data": {"round": of.to_string()}});
        assert_eq!(
            lab.post(MAPS, &map(round + 1)).await.0,
            422,
            "round {round}"
        );
        assert_eq!(lab.post(MAPS, &map(round)).await.0, 201, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_are_objects_of_any_kind() {
    let lab = Lab::start().await;
    let policy = json!({"metadata": {"name": "limit"}, "spec": {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": constraints("apps", "deployments"),
        "validations": [{"expression": "object.spec.replicas <= int(params.data.max)"}]}});
    lab.create(&format!("{V1}/validatingadmissionpolicies"), &policy)
        .await;
    let reference = json!({"name": "limits", "parameterNotFoundAction": "Deny"});
    let binding = json!({"validationActions": ["Deny"], "paramRef": reference});
    bind(&lab, V1, "validating", "limit", binding).await;
    let (code, status) = lab.post(DEPLOYMENTS, &deployment("a", 1)).await;
    let message = status["message"].as_str().unwrap();
    assert_eq!(code, 422, "{message}");
    assert!(message.ends_with("failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"), "{message}");
    let limits = json!({"metadata": {"name": "limits"}, "data": {"max": "3"}});
    lab.create(MAPS, &limits).await;
    assert_eq!(lab.post(DEPLOYMENTS, &deployment("a", 3)).await.0, 201);
    assert_eq!(lab.post(DEPLOYMENTS, &deployment("b", 4)).await.0, 422);
    // What is asked for by another name of the same resource is judged as well.
    let scale = format!("{DEPLOYMENTS}/a/scale");
    assert_eq!(
        lab.merge(&scale, &json!({"spec": {"replicas": 4}})).await.0,
        200
    );
}

/// The walk-through of Kubernetes' documentation: a custom resource says what is allowed, and
/// the next request is judged by what it says now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_are_custom_resources() {
    let lab = Lab::start().await;
    let schema = json!({"type": "object", "properties": {"maxReplicas": {"type": "integer"}}});
    let definition = json!({"metadata": {"name": "replicalimits.rules.example.com"}, "spec": {
        "group": "rules.example.com", "scope": "Namespaced",
        "names": {"plural": "replicalimits", "kind": "ReplicaLimit"},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": schema}}]}});
    lab.create(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        &definition,
    )
    .await;
    let limits = "/apis/rules.example.com/v1/namespaces/default/replicalimits";
    lab.until("the definition is served", async || {
        lab.get(limits).await.0 == 200
    })
    .await;
    let limit = json!({"apiVersion": "rules.example.com/v1", "kind": "ReplicaLimit",
        "metadata": {"name": "l", "labels": {"of": "replicas"}}, "maxReplicas": 3});
    lab.create(limits, &limit).await;
    let policy = json!({"metadata": {"name": "limit"}, "spec": {
        "paramKind": {"apiVersion": "rules.example.com/v1", "kind": "ReplicaLimit"},
        "matchConstraints": constraints("apps", "deployments"),
        "validations": [{"expression": "object.spec.replicas <= params.maxReplicas",
            "messageExpression": "'no more than ' + string(params.maxReplicas)"}]}});
    lab.create(&format!("{V1}/validatingadmissionpolicies"), &policy)
        .await;
    let reference = json!({"selector": {"matchLabels": {"of": "replicas"}},
        "parameterNotFoundAction": "Deny"});
    let binding = json!({"validationActions": ["Deny"], "paramRef": reference});
    bind(&lab, V1, "validating", "limit", binding).await;
    for most in 3..6_u32 {
        let change = json!({"maxReplicas": most});
        assert_eq!(lab.merge(&format!("{limits}/l"), &change).await.0, 200);
        let (code, status) = lab.post(DEPLOYMENTS, &deployment("no", most + 1)).await;
        let message = status["message"].as_str().unwrap();
        assert_eq!(code, 422, "{message}");
        assert!(
            message.ends_with(&format!("denied request: no more than {most}")),
            "{message}"
        );
        let fits = deployment(&format!("fits-{most}"), most);
        assert_eq!(lab.post(DEPLOYMENTS, &fits).await.0, 201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_changed_by_configurations_and_patches() {
    let lab = Lab::start().await;
    let apply = |expression: &str| json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
    let patch = |expression: &str| json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}});
    let spec = json!({"reinvocationPolicy": "IfNeeded",
    "matchConstraints": constraints("apps", "deployments"),
    "matchConditions": [{"name": "once", "expression":
        "!object.spec.template.spec.containers.exists(c, c.name == 'sidecar')"}],
    "mutations": [
        apply("Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{
            containers: [Object.spec.template.spec.containers{name: 'sidecar', image: 's'}]}}}}"),
        patch("[JSONPatch{op: 'add', path: '/metadata/annotations', value: {}},
            JSONPatch{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey('a.b/c'), value: 'd'}]"),
    ]});
    let policy = json!({"metadata": {"name": "sidecar"}, "spec": spec});
    lab.create(&format!("{BETA}/mutatingadmissionpolicies"), &policy)
        .await;
    bind(&lab, BETA, "mutating", "sidecar", json!({})).await;
    let made = lab.create(DEPLOYMENTS, &deployment("a", 1)).await;
    let containers = made["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    let names: Vec<&str> = containers
        .iter()
        .filter_map(|c| c["name"].as_str())
        .collect();
    assert_eq!(names, ["c", "sidecar"]);
    // What was added has its defaults.
    assert_eq!(
        containers[1]["terminationMessagePath"],
        "/dev/termination-log"
    );
    assert_eq!(made["metadata"]["annotations"]["a.b/c"], "d");

    // Lists that are replaced as a whole can't be added to.
    let spec = json!({"reinvocationPolicy": "Never", "matchConstraints": constraints("apps", "deployments"),
        "mutations": [apply("Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {'x': 'y'}}}}")]});
    let policy = json!({"metadata": {"name": "atomic"}, "spec": spec});
    lab.create(&format!("{BETA}/mutatingadmissionpolicies"), &policy)
        .await;
    bind(&lab, BETA, "mutating", "atomic", json!({})).await;
    let (code, status) = lab.post(DEPLOYMENTS, &deployment("b", 1)).await;
    assert_eq!((code, status["reason"].as_str()), (403, Some("Invalid")));
    assert_eq!(
        status["message"],
        "policy 'atomic' with binding 'atomic' denied request: error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expressions_are_checked_against_what_they_concern() {
    let lab = Lab::start().await;
    let policies = format!("{V1}/validatingadmissionpolicies");
    let policy = |name: &str, expression: &str| {
        json!({"metadata": {"name": name}, "spec": {
            "matchConstraints": constraints("apps", "deployments"),
            "validations": [{"expression": expression}]}})
    };
    // What can't be compiled isn't stored.
    let (code, status) = lab
        .post(&policies, &policy("odd", "object.spec.replicas <"))
        .await;
    assert_eq!(code, 422);
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("spec.validations[0].expression: Invalid value: \"object.spec.replicas <\": compilation failed: ERROR: <input>:1:23: Syntax error"), "{message}");
    // What doesn't fit is, and is told.
    lab.create(&policies, &policy("unfit", "object.replicas > 1"))
        .await;
    let unfit = format!("{policies}/unfit");
    lab.until("the status is written", async || {
        lab.get(&unfit).await.1["status"]["observedGeneration"] == 1
    })
    .await;
    let (_, told) = lab.get(&unfit).await;
    assert_eq!(
        told["status"]["typeChecking"]["expressionWarnings"],
        json!([{"fieldRef": "spec.validations[0].expression", "warning":
            "apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'replicas'\n | object.replicas > 1\n | ......^\n"}])
    );
}
