//! StatefulSets and their pods for the tests of this folder.

use super::identity;
use crate::testing;
pub use crate::testing::leaving;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use serde_json::{Value, json};
use std::sync::Arc;

/// A template.
pub fn template(image: &str) -> PodTemplateSpec {
    serde_json::from_value(json!({
        "metadata": {"labels": {"app": "db"}},
        "spec": {"containers": [{"name": "db", "image": image}]},
    }))
    .unwrap()
}

/// The StatefulSet `db` with UID `set`, with more fields in its spec.
pub fn set(more: Value) -> StatefulSet {
    let mut spec = json!({
        "replicas": 3,
        "serviceName": "peers",
        "selector": {"matchLabels": {"app": "db"}},
        "podManagementPolicy": "OrderedReady",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "revisionHistoryLimit": 10,
        "template": template("db:1"),
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    serde_json::from_value(json!({
        "metadata": {"name": "db", "namespace": "d", "uid": "set", "generation": 1},
        "spec": spec,
    }))
    .unwrap()
}

/// A pod in a phase, made of a revision.
pub fn pod(set: &StatefulSet, ordinal: i32, revision: &str, phase: &str) -> Arc<Pod> {
    let mut pod = identity::pod(set, &template("db:1"), revision, ordinal);
    pod.metadata.uid = Some(format!("pod-{ordinal}"));
    pod.status = serde_json::from_value(json!({"phase": phase})).unwrap();
    Arc::new(pod)
}

/// A pod that is ready since the epoch.
pub fn ready(set: &StatefulSet, ordinal: i32, revision: &str) -> Arc<Pod> {
    testing::ready(&pod(set, ordinal, revision, "Running"))
}
