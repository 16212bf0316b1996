//! What the tests of several controllers need.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use std::sync::Arc;

/// The same pod, ready since the epoch.
pub fn ready(pod: &Pod) -> Arc<Pod> {
    let mut pod = pod.clone();
    let condition = json!([
        {"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:00Z"}]);
    let status = pod.status.get_or_insert_default();
    status.conditions = serde_json::from_value(condition).unwrap();
    Arc::new(pod)
}

/// The same pod, about to go.
pub fn leaving(pod: &Pod) -> Arc<Pod> {
    let mut pod = pod.clone();
    pod.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    Arc::new(pod)
}
