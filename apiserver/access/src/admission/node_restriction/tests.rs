use super::super::testing::{Bench, review};
use super::*;
use crate::User;
use serde_json::json;

fn attempt(
    operation: Operation,
    resource: &str,
    name: &str,
    new: Value,
    old: Value,
) -> Result<(), String> {
    attempt_beside(&[], operation, resource, name, new, old)
}

/// The same beside other Nodes.
fn attempt_beside(
    others: &[Value],
    operation: Operation,
    resource: &str,
    name: &str,
    new: Value,
    old: Value,
) -> Result<(), String> {
    let bench = Bench::new();
    for other in others {
        bench.fake.put("", "nodes", other.clone());
    }
    let node = json!({"metadata": {"name": "n1", "uid": "u1"}});
    bench.fake.put("", "nodes", node);
    let user = User::new("system:node:n1", ["system:nodes"]);
    let namespace = text(&new, "/metadata/namespace").to_owned();
    let review = review(&user, operation, "", resource, &namespace, name);
    let some = |v: Value| (!v.is_null()).then_some(v);
    let (new, old) = (some(new), some(old));
    let chain = NodeRestriction;
    chain
        .validate(
            &bench.admission.context,
            &review,
            new.as_ref(),
            old.as_ref(),
        )
        .map_err(|status| status.message)
}

#[test]
fn nodes_modify_themselves_only() {
    let node = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
    let own = node(
        "n1",
        json!({"kubernetes.io/hostname": "n1", "acme.com/x": "y"}),
    );
    assert_eq!(
        attempt(Operation::Create, "nodes", "", own.clone(), Value::Null),
        Ok(())
    );
    assert_eq!(
        attempt(
            Operation::Create,
            "nodes",
            "",
            node("n2", json!({})),
            Value::Null
        )
        .unwrap_err(),
        r#"nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2""#
    );
    let restricted = node(
        "n1",
        json!({"node-restriction.kubernetes.io/secure": "yes"}),
    );
    assert!(
        attempt(
            Operation::Create,
            "nodes",
            "",
            restricted.clone(),
            Value::Null
        )
        .unwrap_err()
        .ends_with(
            "not allowed to set the following labels: node-restriction.kubernetes.io/secure"
        )
    );
    assert!(
        attempt(Operation::Update, "nodes", "n1", restricted, own.clone())
            .unwrap_err()
            .contains("is not allowed to modify labels: ")
    );
    let mut untainted = own.clone();
    untainted["spec"] = json!({"taints": [{"key": "a"}]});
    assert!(
        attempt(Operation::Update, "nodes/status", "n1", own, untainted)
            .unwrap_err()
            .ends_with(r#"node "n1" is not allowed to modify taints"#)
    );
}

#[test]
fn nodes_claim_no_address_of_a_node_that_is_ready() {
    let node = |name: &str, addresses: &[&str], ready: &str| {
        let addresses: Vec<Value> = addresses
            .iter()
            .map(|address| json!({"type": "InternalIP", "address": address}))
            .collect();
        json!({"metadata": {"name": name}, "status": {"addresses": addresses,
            "conditions": [{"type": "Ready", "status": ready}]}})
    };
    let others = [
        node("n2", &["10.0.0.2"], "True"),
        node("n3", &["10.0.0.3"], "Unknown"),
    ];
    let claim = |new: &[&str], old: Option<&[&str]>| {
        let (operation, resource, name) = match old {
            Some(_) => (Operation::Update, "nodes/status", "n1"),
            None => (Operation::Create, "nodes", ""),
        };
        let old = old.map_or(Value::Null, |old| node("n1", old, "True"));
        let new = node("n1", new, "True");
        attempt_beside(&others, operation, resource, name, new, old)
    };
    assert_eq!(claim(&["10.0.0.1"], None), Ok(()));
    assert_eq!(
        claim(&["10.0.0.1", "10.0.0.2"], None).unwrap_err(),
        r#"nodes "n1" is forbidden: node "n1" is not allowed to claim the address 10.0.0.2, which the Node "n2" has"#
    );
    assert!(claim(&["10.0.0.2"], Some(&["10.0.0.1"])).is_err());
    assert!(claim(&["n2"], Some(&[])).is_err(), "nor its name");
    // The address of a node that is gone, under another name; and what it says already.
    assert_eq!(claim(&["10.0.0.3"], Some(&["10.0.0.1"])), Ok(()));
    assert_eq!(claim(&["10.0.0.2"], Some(&["10.0.0.2"])), Ok(()));
}

#[test]
fn nodes_touch_their_own_pods_only() {
    let pod = |node: &str| json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": {"nodeName": node}});
    let status = |node| attempt(Operation::Update, "pods/status", "p", pod(node), pod(node));
    assert_eq!(status("n1"), Ok(()));
    assert!(status("n2").is_err());
    assert_eq!(
        attempt(Operation::Delete, "pods", "p", Value::Null, pod("n1")),
        Ok(())
    );
    assert!(attempt(Operation::Delete, "pods", "p", Value::Null, pod("n2")).is_err());
    assert!(
        attempt(Operation::Create, "pods", "", pod("n1"), Value::Null)
            .unwrap_err()
            .contains("can only create mirror pods")
    );
    assert!(attempt(Operation::Update, "pods", "p", pod("n1"), pod("n1")).is_err());
    let with = |pointer: &str, value: Value| {
        let mut changed = pod("n1");
        match pointer {
            "labels" => changed["metadata"]["labels"] = value,
            _ => changed["status"] = json!({pointer: value}),
        }
        attempt(Operation::Update, "pods/status", "p", changed, pod("n1"))
    };
    assert_eq!(with("phase", json!("Running")), Ok(()));
    assert!(with("labels", json!({"app": "x"})).is_err());
    let claims = json!([{"name": "gpu", "resourceClaimName": "of-another"}]);
    assert!(with("resourceClaimStatuses", claims).is_err());
}

fn mirror() -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "shop",
            "annotations": {"kubernetes.io/config.mirror": "x"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1",
                "uid": "u1", "controller": true}]},
        "spec": {"nodeName": "n1", "containers": [{"name": "c"}]}})
}

#[test]
fn a_mirror_pod_belongs_to_its_node() {
    let create = |pod: Value| attempt(Operation::Create, "pods", "", pod, Value::Null);
    assert_eq!(create(mirror()), Ok(()));
    let owned = |field: &str, value: Value| {
        let mut pod = mirror();
        pod["metadata"]["ownerReferences"][0][field] = value;
        create(pod).unwrap_err()
    };
    for (field, value) in [
        ("apiVersion", json!("v2")),
        ("kind", json!("Pod")),
        ("name", json!("n2")),
    ] {
        assert!(owned(field, value).ends_with("with an owner reference set to itself"));
    }
    assert!(owned("controller", json!(false)).contains("a controller owner reference"));
    assert!(owned("blockOwnerDeletion", json!(true)).contains("must not set"));
    assert!(owned("uid", json!("u2")).ends_with("UID mismatch: expected u2 got u1"));
    let mut unowned = mirror();
    unowned["metadata"]["ownerReferences"] = json!([]);
    assert!(
        create(unowned)
            .unwrap_err()
            .ends_with("with an owner reference set to itself")
    );
}

#[test]
fn a_mirror_pod_refers_to_nothing() {
    for (field, value, what) in [
        ("serviceAccountName", json!("admin"), "a service account"),
        ("imagePullSecrets", json!([{"name": "x"}]), "secrets"),
        (
            "containers",
            json!([{"envFrom": [{"secretRef": {"name": "x"}}]}]),
            "secrets",
        ),
        (
            "initContainers",
            json!([{"env": [{"valueFrom": {"configMapKeyRef": {"name": "x"}}}]}]),
            "configmaps",
        ),
        (
            "resourceClaims",
            json!([{"name": "g", "resourceClaimTemplateName": "t"}]),
            "resourceclaims",
        ),
    ] {
        let mut pod = mirror();
        pod["spec"][field] = value;
        let refused = attempt(Operation::Create, "pods", "", pod, Value::Null).unwrap_err();
        assert!(refused.ends_with(&format!("reference {what}")), "{refused}");
    }
    for (volume, what) in [
        (json!({"secret": {"secretName": "x"}}), "secrets"),
        (
            json!({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "x"}}}),
            "secrets",
        ),
        (json!({"azureFile": {"secretName": "x"}}), "secrets"),
        (json!({"configMap": {"name": "x"}}), "configmaps"),
        (
            json!({"projected": {"sources": [{"clusterTrustBundle": {"name": "x"}}]}}),
            "clustertrustbundles",
        ),
        (
            json!({"persistentVolumeClaim": {"claimName": "x"}}),
            "persistentvolumeclaims",
        ),
        (
            json!({"ephemeral": {"volumeClaimTemplate": {}}}),
            "persistentvolumeclaims",
        ),
    ] {
        let mut pod = mirror();
        pod["spec"]["volumes"] = json!([volume]);
        let refused = attempt(Operation::Create, "pods", "", pod, Value::Null).unwrap_err();
        assert!(refused.ends_with(&format!("reference {what}")), "{refused}");
    }
}

#[test]
fn a_claims_status_tells_of_resizing_only() {
    let claim = |status: Value, labels: Value| {
        json!({
        "metadata": {"name": "data", "namespace": "shop", "labels": labels},
        "status": status})
    };
    let old = claim(json!({"phase": "Bound"}), json!({}));
    let update = |new| {
        attempt(
            Operation::Update,
            "persistentvolumeclaims/status",
            "data",
            new,
            old.clone(),
        )
    };
    let resized = json!({"phase": "Bound", "capacity": {"storage": "2Gi"}});
    assert_eq!(update(claim(resized.clone(), json!({}))), Ok(()));
    assert!(update(claim(resized, json!({"a": "b"}))).is_err());
    assert!(update(claim(json!({"phase": "Lost"}), json!({}))).is_err());
}
