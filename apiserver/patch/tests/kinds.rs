//! Patches on the kinds as they are served, rather than on schemas made for a
//! test.

use hardway_patch::{Writer, apply, managed_fields, strategic_merge};
use hardway_resources::schema::Schema;
use hardway_resources::schema::builtin;
use jiff::Timestamp;
use serde_json::{Value, json};

fn schema(group: &str, kind: &str) -> Schema {
    builtin::kind(group, "v1", kind).expect("a served kind")
}

fn writer<'a>(manager: &'a str, version: &'a str) -> Writer<'a> {
    Writer::main(manager, version, Timestamp::UNIX_EPOCH)
}

fn pod(containers: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": containers}})
}

#[test]
fn ports_of_a_container_are_told_by_number_and_protocol() {
    let schema = schema("", "Pod");
    let one = pod(
        json!([{"name": "a", "ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}]}]),
    );
    let live = apply(None, &one, &schema, &writer("m", "v1"), false).unwrap();
    let two = pod(json!([{"name": "a", "ports": [{"containerPort": 53, "name": "dns-tcp"}]}]));
    let live = apply(Some(&live), &two, &schema, &writer("m", "v1"), false).unwrap();
    assert_eq!(
        live["spec"]["containers"][0]["ports"],
        json!([{"containerPort": 53, "name": "dns-tcp"}])
    );
    let fields = &live["metadata"]["managedFields"][0]["fieldsV1"];
    let ports = &fields["f:spec"]["f:containers"]["k:{\"name\":\"a\"}"]["f:ports"];
    assert!(
        ports
            .get("k:{\"containerPort\":53,\"protocol\":\"TCP\"}")
            .is_some(),
        "{fields}"
    );
}

#[test]
fn quantities_may_be_numbers() {
    let schema = schema("", "Pod");
    let applied = pod(json!([{"name": "a", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}]));
    apply(None, &applied, &schema, &writer("m", "v1"), false).unwrap();
}

#[test]
fn a_created_deployment_is_owned_as_in_kubernetes() {
    let mut new = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "strategy": {},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                {"name": "web", "image": "nginx", "resources": {}}]}}}, "status": {}});
    managed_fields::update(
        None,
        &mut new,
        &schema("apps", "Deployment"),
        &writer("kubectl-create", "apps/v1"),
    );
    assert_eq!(
        new["metadata"]["managedFields"][0]["fieldsV1"],
        json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {
                    ".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}}}}}
        })
    );
}

#[test]
fn strategic_merge_knows_the_keys() {
    let live = pod(
        json!([{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]),
    );
    let patch = json!({"spec": {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}],
        "tolerations": [{"key": "k"}]}});
    let new = strategic_merge(&live, &patch, &schema("", "Pod")).unwrap();
    assert_eq!(
        new["spec"],
        json!({"containers": [{"name": "a", "image": "1", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]}, {"name": "b"}],
            "tolerations": [{"key": "k"}]})
    );
    let service = json!({"spec": {"ports": [{"port": 80, "nodePort": 30080}, {"port": 443}]}});
    let patch = json!({"spec": {"ports": [{"port": 443, "name": "tls"}], "$setElementOrder/ports": [{"port": 80}, {"port": 443}]}});
    let new = strategic_merge(&service, &patch, &schema("", "Service")).unwrap();
    assert_eq!(
        new["spec"]["ports"],
        json!([{"port": 80, "nodePort": 30080}, {"port": 443, "name": "tls"}])
    );
    let conditions = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]}});
    let patch = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
    let new = strategic_merge(&conditions, &patch, &schema("", "Node")).unwrap();
    assert_eq!(new["status"]["conditions"].as_array().unwrap().len(), 2);
    let deployment =
        json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let new = strategic_merge(&deployment, &patch, &schema("apps", "Deployment")).unwrap();
    assert_eq!(new["spec"]["strategy"], json!({"type": "Recreate"}));
}
