//! DaemonSets, nodes and pods for the tests of this folder.

use super::placement;
use crate::testing;
pub use crate::testing::leaving;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use std::sync::Arc;

/// The DaemonSet `agent`, with more fields in its spec.
pub fn set(more: Value) -> DaemonSet {
    let mut spec = json!({
        "selector": {"matchLabels": {"app": "agent"}},
        "updateStrategy": {
            "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
        "revisionHistoryLimit": 10,
        "template": {
            "metadata": {"labels": {"app": "agent"}},
            "spec": {"containers": [{"name": "agent", "image": "agent:1"}]},
        },
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    serde_json::from_value(json!({
        "metadata": {"name": "agent", "namespace": "d", "uid": "set", "generation": 1},
        "spec": spec,
    }))
    .unwrap()
}

/// One that surges by so many pods.
pub fn surging(pods: i32) -> DaemonSet {
    let amounts = json!({"maxUnavailable": 0, "maxSurge": pods});
    set(json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": amounts}}))
}

/// A node.
pub fn node(name: &str, more: Value) -> Arc<Node> {
    let mut node = more;
    node["metadata"]["name"] = json!(name);
    Arc::new(serde_json::from_value(node).unwrap())
}

/// A pod on a node: its name, what it was made of, its phase.
pub fn pod(name: &str, node: &str, hash: &str, phase: &str) -> Arc<Pod> {
    let mut pod = placement::pod(&set(json!({})), node, hash).unwrap();
    pod.metadata.name = Some(name.into());
    pod.metadata.uid = Some(name.into());
    pod.spec.as_mut().unwrap().node_name = Some(node.into());
    pod.status = serde_json::from_value(json!({"phase": phase})).unwrap();
    Arc::new(pod)
}

/// A pod that is ready since the epoch.
pub fn ready(name: &str, node: &str, hash: &str) -> Arc<Pod> {
    testing::ready(&pod(name, node, hash, "Running"))
}
