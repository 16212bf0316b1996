//! StatefulSets and their pods for the tests of this folder.

use super::identity;
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
    let mut pod = (*pod(set, ordinal, revision, "Running")).clone();
    let condition = json!([
        {"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:00Z"}]);
    pod.status.as_mut().unwrap().conditions = serde_json::from_value(condition).unwrap();
    Arc::new(pod)
}

/// The same pod, about to go.
pub fn leaving(pod: &Arc<Pod>) -> Arc<Pod> {
    let mut pod = (**pod).clone();
    let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH);
    pod.metadata.deletion_timestamp = Some(time);
    Arc::new(pod)
}
