//! Pods and nodes for the plugins' tests.

use crate::framework::{Framework, Plugin, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use serde_json::{Value, json};
use std::sync::Arc;

pub fn pod(spec: Value) -> PodInfo {
    labelled_pod("p", json!({}), spec)
}

pub fn labelled_pod(name: &str, labels: Value, spec: Value) -> PodInfo {
    pod_in("default", name, labels, spec)
}

pub fn pod_in(namespace: &str, name: &str, labels: Value, mut spec: Value) -> PodInfo {
    if spec.get("containers").is_none() {
        spec["containers"] = json!([]);
    }
    let object = json!({
        "metadata": {"namespace": namespace, "name": name, "uid": name, "labels": labels},
        "spec": spec,
    });
    PodInfo::new(Arc::new(serde_json::from_value(object).expect("a pod")))
}

pub fn node(name: &str, labels: Value, rest: Value) -> NodeInfo {
    let mut object = json!({
        "metadata": {"name": name, "labels": labels},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}},
    });
    if let (Some(object), Some(rest)) = (object.as_object_mut(), rest.as_object()) {
        object.extend(rest.clone());
    }
    let mut info = NodeInfo::named(name);
    info.set_node(Arc::new(serde_json::from_value(object).expect("a node")));
    info
}

/// The reasons one plugin gives for each node; empty where the pod fits.
pub fn filter(
    plugin: impl Plugin + 'static,
    pod: &PodInfo,
    nodes: Vec<NodeInfo>,
) -> Vec<Vec<String>> {
    let nodes: Vec<_> = nodes.into_iter().map(Arc::new).collect();
    let framework = Framework::new(vec![Box::new(plugin)]);
    let cycle = framework.prepare(pod, &nodes);
    let texts = |rejection: Rejection| -> Vec<String> {
        let reasons = rejection.reasons.into_iter();
        reasons.map(|reason| reason.into_owned()).collect()
    };
    if let Err(rejection) = framework.pre_filter(&cycle, pod) {
        return vec![texts(rejection); nodes.len()];
    }
    nodes
        .iter()
        .map(|node| match framework.filter(&cycle, pod, node) {
            Ok(()) => Vec::new(),
            Err(rejection) => texts(rejection),
        })
        .collect()
}

/// The weighted scores one plugin gives.
pub fn score(plugin: impl Plugin + 'static, pod: &PodInfo, nodes: Vec<NodeInfo>) -> Vec<i64> {
    let nodes: Vec<_> = nodes.into_iter().map(Arc::new).collect();
    let framework = Framework::new(vec![Box::new(plugin)]);
    let cycle = framework.prepare(pod, &nodes);
    framework.score(
        &cycle,
        pod,
        &nodes.iter().map(Arc::as_ref).collect::<Vec<_>>(),
    )
}
