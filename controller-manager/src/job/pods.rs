//! What a Job's pods say about themselves.

use super::spec;
use crate::pod_ranking::{condition, is_finished, phase};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Keeps a pod until its end has been counted.
pub const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// Annotation and label of a pod of an indexed Job: which completion it is for.
pub const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// How often pods of the same index failed before this one.
pub const FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-failure-count";
/// How often they failed in a way that the Job's policy ignores.
pub const IGNORED_FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// Whether its end is still to be counted.
pub fn is_tracked(pod: &Pod) -> bool {
    let finalizers = pod.metadata.finalizers.as_ref();
    finalizers.is_some_and(|all| all.iter().any(|f| f == FINALIZER))
}

/// Its UID, or `""`.
pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

fn number(pod: &Pod, annotation: &str) -> Option<i32> {
    let text = pod.metadata.annotations.as_ref()?.get(annotation)?;
    text.parse().ok().filter(|number| *number >= 0)
}

/// The completion it is for, if it says one.
pub fn completion_index(pod: &Pod) -> Option<i32> {
    number(pod, COMPLETION_INDEX)
}

/// How often pods of its index failed before it.
pub fn index_failures(pod: &Pod) -> i32 {
    number(pod, FAILURE_COUNT).unwrap_or(0)
}

/// How often they failed in a way that was ignored.
pub fn ignored_index_failures(pod: &Pod) -> i32 {
    number(pod, IGNORED_FAILURE_COUNT).unwrap_or(0)
}

/// Whether all its containers have ended, the last of them well.
pub fn has_succeeded(pod: &Pod) -> bool {
    phase(pod) == "Succeeded"
}

/// Whether it counts as failed. One that is leaving does so at once, as it may
/// never get to say how it ended, unless the Job waits for that.
pub fn has_failed(pod: &Pod, job: &JobSpec) -> bool {
    match phase(pod) {
        "Failed" => true,
        "Succeeded" => false,
        _ => pod.metadata.deletion_timestamp.is_some() && !spec::replaces_ended_only(job),
    }
}

/// Whether it is leaving, and something in it still runs.
pub fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some() && !is_finished(pod)
}

/// The states of its containers.
pub fn containers(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    let states = status.and_then(|s| s.container_statuses.as_deref());
    states.unwrap_or_default()
}

/// The states of its init containers.
pub fn init_containers(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    let states = status.and_then(|s| s.init_container_statuses.as_deref());
    states.unwrap_or_default()
}

/// How often its containers were started again.
pub fn restarts(pod: &Pod) -> i32 {
    let all = init_containers(pod).iter().chain(containers(pod));
    let counts = all.map(|container| container.restart_count);
    counts.fold(0, i32::saturating_add)
}

/// When it ended: its last container, or since when it isn't ready, or when it
/// was deleted; as a last resort, when it was created.
pub fn finished_at(pod: &Pod) -> Timestamp {
    let ends: Option<Vec<Timestamp>> = containers(pod)
        .iter()
        .map(|c| {
            Some(
                c.state
                    .as_ref()?
                    .terminated
                    .as_ref()?
                    .finished_at
                    .as_ref()?
                    .0,
            )
        })
        .collect();
    let last_end = ends.and_then(|ends| ends.into_iter().max());
    let unready = || {
        let ready = condition(pod, "Ready").filter(|c| c.status == "False")?;
        ready.last_transition_time.as_ref().map(|time| time.0)
    };
    let deleted = || {
        let gone_by = pod.metadata.deletion_timestamp.as_ref()?.0;
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        gone_by.checked_sub(SignedDuration::from_secs(grace)).ok()
    };
    let created = || pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    last_end
        .or_else(unready)
        .or_else(deleted)
        .or_else(created)
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(object: Value) -> Pod {
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn annotations_that_are_no_counts_count_for_nothing() {
        let annotated = |text: &str| {
            pod(json!({"metadata": {"annotations": {COMPLETION_INDEX: text, FAILURE_COUNT: text}}}))
        };
        for (text, index) in [
            ("3", Some(3)),
            ("-1", None),
            ("x", None),
            ("9999999999", None),
        ] {
            assert_eq!(completion_index(&annotated(text)), index, "{text}");
            assert_eq!(index_failures(&annotated(text)), index.unwrap_or(0));
        }
        assert_eq!(completion_index(&Pod::default()), None);
    }

    #[test]
    fn a_pod_that_leaves_has_failed_unless_its_end_is_waited_for() {
        let leaving = |phase: &str| {
            pod(
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
                "status": {"phase": phase}}),
            )
        };
        let any = JobSpec::default();
        let ended = JobSpec {
            pod_replacement_policy: Some("Failed".into()),
            ..Default::default()
        };
        for (phase, fails, fails_once_ended) in [
            ("Running", true, false),
            ("Pending", true, false),
            ("Failed", true, true),
            ("Succeeded", false, false),
        ] {
            assert_eq!(has_failed(&leaving(phase), &any), fails, "{phase}");
            assert_eq!(
                has_failed(&leaving(phase), &ended),
                fails_once_ended,
                "{phase}"
            );
        }
        assert!(is_terminating(&leaving("Running")) && !is_terminating(&leaving("Failed")));
    }

    #[test]
    fn when_it_ended_is_found_out_somehow() {
        let ended = |second: u8| {
            json!({"name": "c", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                "state": {"terminated": {"exitCode": 1, "finishedAt": format!("2026-01-01T00:00:{second:02}Z")}}})
        };
        let running = json!({"name": "d", "ready": true, "restartCount": 0, "image": "",
            "imageID": "", "state": {"running": {}}});
        let meta = json!({"creationTimestamp": "2026-01-01T00:00:01Z"});
        let leaving =
            json!({"deletionTimestamp": "2026-01-01T00:00:40Z", "deletionGracePeriodSeconds": 30});
        let unready = json!([{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:20Z"}]);
        for (object, second) in [
            (
                json!({"metadata": meta, "status": {"containerStatuses": [ended(5), ended(7)]}}),
                7,
            ),
            (
                json!({"metadata": meta, "status": {"containerStatuses": [ended(5), running], "conditions": unready}}),
                20,
            ),
            (json!({"metadata": leaving}), 10),
            (json!({"metadata": meta}), 1),
        ] {
            let at: Timestamp = format!("2026-01-01T00:00:{second:02}Z").parse().unwrap();
            assert_eq!(finished_at(&pod(object.clone())), at, "{object}");
        }
    }
}
