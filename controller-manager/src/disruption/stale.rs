//! Pods that were to be disrupted and were not: their condition is taken back, so that nobody
//! takes a later end for a disruption.

use crate::pod_ranking::{condition, is_finished};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use std::time::Duration;

const CONDITION: &str = "DisruptionTarget";
/// After this long a pod that isn't being deleted won't be.
const STALE_AFTER: SignedDuration = SignedDuration::from_secs(120);

/// How long a pod's condition may still come true; `None` if there is nothing to take back.
/// What the kubelet announces may take as long as it likes.
pub fn stale_in(pod: &Pod, now: Timestamp) -> Option<Duration> {
    let condition = condition(pod, CONDITION).filter(|c| c.status == "True")?;
    let by_kubelet = condition.reason.as_deref() == Some("TerminationByKubelet");
    if by_kubelet || is_finished(pod) || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let since = condition.last_transition_time.as_ref().map(|time| time.0);
    let waited = now.duration_since(since.unwrap_or(Timestamp::MIN));
    Some(Duration::try_from(STALE_AFTER - waited.min(STALE_AFTER)).unwrap_or_default())
}

/// The patch of a pod's status that takes it back.
pub fn taken_back(now: Timestamp) -> Value {
    json!({"status": {"conditions": [{
        "type": CONDITION, "status": "False", "reason": null, "message": null,
        "lastTransitionTime": Time(now),
    }]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_done_is_taken_back() {
        let now = Timestamp::from_second(1000).unwrap();
        let stale = |status: &str, reason: &str, since: i64, phase: &str, deleted: bool| {
            let since = Timestamp::from_second(since).unwrap();
            let pod: Pod = serde_json::from_value(json!({
                "metadata": {"deletionTimestamp": deleted.then_some("1970-01-01T00:00:00Z")},
                "status": {"phase": phase, "conditions": [{"type": CONDITION, "status": status,
                    "reason": reason, "lastTransitionTime": since}]}}))
            .unwrap();
            stale_in(&pod, now).map(|left| left.as_secs())
        };
        let eviction = "EvictionByEvictionAPI";
        assert_eq!(stale("True", eviction, 940, "Running", false), Some(60));
        assert_eq!(stale("True", eviction, 800, "Running", false), Some(0));
        assert_eq!(stale("False", eviction, 800, "Running", false), None);
        assert_eq!(stale("True", eviction, 800, "Running", true), None);
        assert_eq!(stale("True", eviction, 800, "Failed", false), None);
        assert_eq!(
            stale("True", "TerminationByKubelet", 800, "Running", false),
            None
        );
        assert_eq!(stale_in(&Pod::default(), now), None);
    }
}
