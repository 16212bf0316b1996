//! Deployments and ReplicaSets for the tests of this folder.

use super::sets::{Rollout, Scale};
use super::settings::Settings;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use serde_json::{Value, json};
use std::sync::Arc;

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "app:1"}]},
    })
}

/// A Deployment that rolls within Kubernetes' default bounds.
pub fn deployment(replicas: i32) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "d", "uid": "deployment", "generation": 1},
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": template(),
        },
    }))
    .unwrap()
}

/// A ReplicaSet with a size, and so many available pods.
pub fn set(name: &str, size: i32, available: i32) -> Arc<ReplicaSet> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "d", "uid": name, "generation": 1},
            "spec": {"replicas": size, "selector": {"matchLabels": {"app": "web"}}, "template": template()},
            "status": {
                "replicas": size, "readyReplicas": available, "availableReplicas": available,
                "observedGeneration": 1,
            },
        }))
        .unwrap(),
    )
}

/// The same with an annotation.
pub fn annotated(set: &Arc<ReplicaSet>, key: &str, value: &str) -> Arc<ReplicaSet> {
    let mut set = (**set).clone();
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(key.into(), value.into());
    Arc::new(set)
}

/// What a Deployment with these bounds asks for.
pub fn settings(replicas: i32, max_surge: i32, max_unavailable: i32) -> Settings {
    Settings {
        max_surge,
        max_unavailable,
        ..Settings::of(&deployment(replicas).spec.unwrap())
    }
}

/// A rollout under way.
pub fn rollout(settings: Settings, new: &Arc<ReplicaSet>, old: &[Arc<ReplicaSet>]) -> Rollout {
    Rollout {
        settings,
        new: Some(new.clone()),
        old: old.to_vec(),
    }
}

/// Names and sizes of what shall be scaled.
pub fn sizes(scales: &[Scale]) -> Vec<(&str, i32)> {
    scales
        .iter()
        .map(|scale| (scale.set.metadata.name.as_deref().unwrap(), scale.to))
        .collect()
}

/// So many seconds after the epoch.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}
