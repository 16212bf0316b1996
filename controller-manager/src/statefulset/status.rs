//! What a StatefulSet shows of its pods.

use super::actions::Rollout;
use super::identity;
use crate::pod_ranking::{is_available, is_ready, phase};
use k8s_openapi::api::apps::v1::StatefulSetStatus;

/// The status; `collisions` counts the names of revisions that were taken.
pub fn of(rollout: &Rollout, collisions: i32) -> StatefulSetStatus {
    let (set, spec) = (rollout.set, rollout.spec);
    let min_ready_seconds = spec.min_ready_seconds.unwrap_or(0);
    let (mut replicas, mut ready, mut available, mut current, mut updated) = (0, 0, 0, 0, 0);
    for pod in rollout.pods {
        replicas += 1;
        if phase(pod) == "Running" && is_ready(pod) {
            ready += 1;
            available += i32::from(is_available(pod, min_ready_seconds, rollout.now));
        }
        if pod.metadata.deletion_timestamp.is_none() {
            let revision = identity::revision(pod);
            current += i32::from(revision == rollout.current.revision);
            updated += i32::from(revision == rollout.update.revision);
        }
    }
    let mut current_revision = &rollout.current.revision;
    let desired = identity::replicas(spec);
    let strategy = spec.update_strategy.as_ref();
    let rolls = strategy.and_then(|s| s.type_.as_deref()) != Some("OnDelete");
    if rolls && [updated, ready, replicas] == [desired; 3] {
        // The update is complete.
        current_revision = &rollout.update.revision;
        current = updated;
    }
    let some = |count: i32| (count > 0).then_some(count);
    StatefulSetStatus {
        available_replicas: Some(available),
        collision_count: Some(collisions),
        conditions: set.status.as_ref().and_then(|s| s.conditions.clone()),
        current_replicas: some(current),
        current_revision: Some(current_revision.clone()),
        observed_generation: set.metadata.generation,
        ready_replicas: some(ready),
        replicas,
        update_revision: Some(rollout.update.revision.clone()),
        updated_replicas: some(updated),
    }
}

#[cfg(test)]
mod tests {
    use super::super::actions::Version;
    use super::super::testing::{leaving, pod, ready, set, template};
    use super::*;
    use jiff::Timestamp;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn status(more: Value, pods: &[Arc<Pod>]) -> StatefulSetStatus {
        let set = set(more);
        let version = |revision: &str| Version {
            revision: revision.into(),
            template: template("db:1"),
        };
        let rollout = Rollout {
            set: &set,
            spec: set.spec.as_ref().unwrap(),
            pods,
            current: version("old"),
            update: version("new"),
            claim: &|_| None,
            now: Timestamp::from_second(100).unwrap(),
        };
        of(&rollout, 2)
    }

    #[test]
    fn pods_are_counted_by_what_they_are() {
        let set = set(json!({}));
        let pods = [
            ready(&set, 0, "old"),
            pod(&set, 1, "old", "Pending"),
            leaving(&ready(&set, 2, "new")),
            ready(&set, 3, "new"),
        ];
        let status = status(json!({}), &pods);
        assert_eq!(
            serde_json::to_value(status).unwrap(),
            json!({
                "replicas": 4, "readyReplicas": 3, "availableReplicas": 3,
                "currentReplicas": 2, "updatedReplicas": 1,
                "currentRevision": "old", "updateRevision": "new",
                "collisionCount": 2, "observedGeneration": 1,
            })
        );
    }

    #[test]
    fn what_is_ready_may_not_be_available_yet() {
        let set = set(json!({}));
        let pods = [ready(&set, 0, "old")];
        let status = status(json!({"minReadySeconds": 101}), &pods);
        assert_eq!(
            (status.ready_replicas, status.available_replicas),
            (Some(1), Some(0))
        );
    }

    #[test]
    fn an_update_is_complete_when_all_pods_are_updated_and_ready() {
        let revisions = |more: Value, last: &str| {
            let set = set(json!({}));
            let pods = [(0, "new"), (1, "new"), (2, last)].map(|(n, r)| ready(&set, n, r));
            let status = status(more, &pods);
            (
                status.current_revision.unwrap(),
                status.current_replicas.unwrap_or(0),
            )
        };
        assert_eq!(revisions(json!({}), "old"), ("old".to_owned(), 1));
        assert_eq!(revisions(json!({}), "new"), ("new".to_owned(), 3));
        let on_delete = json!({"updateStrategy": {"type": "OnDelete"}});
        assert_eq!(revisions(on_delete, "new"), ("old".to_owned(), 0));
    }
}
