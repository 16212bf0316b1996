//! What a budget's status says of its pods.

use crate::amounts;
use crate::pod_ranking::is_ready;
use hardway_proto::Kind;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An eviction that was granted counts as a disruption until its pod is seen
/// to go, but no longer than this.
pub const GRANTED_FOR: SignedDuration = SignedDuration::from_secs(120);

const ALLOWED: &str = "DisruptionAllowed";

/// Whether a budget is about the replicas that its pods' owners want; a plain number of pods
/// needs no owners.
pub fn needs_scale(budget: &PodDisruptionBudget) -> bool {
    let spec = budget.spec.as_ref();
    let min_available = spec.and_then(|s| s.min_available.as_ref());
    spec.is_some_and(|s| s.max_unavailable.is_some())
        || matches!(min_available, Some(IntOrString::String(_)))
}

/// A number, or a share of `total`, rounded up as Kubernetes does here.
fn share(value: &IntOrString, total: i32) -> i32 {
    amounts::resolve(value, total, true)
}

/// How many pods should be there, and how many of them healthy.
fn targets(budget: &PodDisruptionBudget, scale: i32, pods: i32) -> (i32, i32) {
    let spec = budget.spec.as_ref();
    let max_unavailable = spec.and_then(|s| s.max_unavailable.as_ref());
    let min_available = spec.and_then(|s| s.min_available.as_ref());
    match (max_unavailable, min_available) {
        (Some(max), _) => (scale, scale.saturating_sub(share(max, scale)).max(0)),
        (None, Some(IntOrString::Int(number))) => (pods, *number),
        (None, Some(min)) => (scale, share(min, scale)),
        // One that asks for nothing allows nothing.
        (None, None) => (0, 0),
    }
}

/// The status a budget should have.
pub fn status(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    scale: i32,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let (expected, desired) = targets(budget, scale, count(pods.len()));
    let granted = budget.status.as_ref();
    let granted = granted.and_then(|s| s.disrupted_pods.clone());
    let still_going: BTreeMap<String, Time> = granted
        .unwrap_or_default()
        .into_iter()
        .filter(|(name, since)| {
            let pod = pods.iter().find(|p| p.name() == name);
            pod.is_some_and(|p| p.metadata.deletion_timestamp.is_none())
                && now.duration_since(since.0) < GRANTED_FOR
        })
        .collect();
    let healthy = pods.iter().filter(|pod| {
        pod.metadata.deletion_timestamp.is_none()
            && !still_going.contains_key(pod.name())
            && is_ready(pod)
    });
    let healthy = count(healthy.count());
    let allowed = if expected > 0 {
        (healthy - desired).max(0)
    } else {
        0
    };
    let reason = match allowed > 0 {
        true => "SufficientPods",
        false => "InsufficientPods",
    };
    PodDisruptionBudgetStatus {
        expected_pods: expected,
        desired_healthy: desired,
        current_healthy: healthy,
        disruptions_allowed: allowed,
        disrupted_pods: (!still_going.is_empty()).then_some(still_going),
        observed_generation: budget.metadata.generation,
        conditions: Some(vec![condition(budget, allowed > 0, reason, "", now)]),
    }
}

/// The status of a budget of which it isn't known how many pods there should be: no pod may
/// go.
pub fn unknown(
    budget: &PodDisruptionBudget,
    error: &str,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    PodDisruptionBudgetStatus {
        disruptions_allowed: 0,
        conditions: Some(vec![condition(budget, false, "SyncFailed", error, now)]),
        ..budget.status.clone().unwrap_or_default()
    }
}

fn condition(
    budget: &PodDisruptionBudget,
    is_true: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Condition {
    let status = if is_true { "True" } else { "False" };
    let old = budget.status.as_ref().and_then(|s| s.conditions.as_ref());
    let known = old.into_iter().flatten().find(|c| c.type_ == ALLOWED);
    let since = known.filter(|c| c.status == status);
    Condition {
        type_: ALLOWED.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: budget.metadata.generation,
        last_transition_time: since.map_or(Time(now), |c| c.last_transition_time.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn budget(spec: Value) -> PodDisruptionBudget {
        serde_json::from_value(
            json!({"metadata": {"name": "b", "namespace": "d", "generation": 1}, "spec": spec}),
        )
        .unwrap()
    }

    fn pods(ready: usize, unready: usize) -> Vec<Arc<Pod>> {
        let pod = |number: usize| {
            let status = if number < ready { "True" } else { "False" };
            let object = json!({"metadata": {"name": format!("p{number}"), "namespace": "d"},
                "status": {"conditions": [{"type": "Ready", "status": status}]}});
            Arc::new(serde_json::from_value(object).unwrap())
        };
        (0..ready + unready).map(pod).collect()
    }

    fn allowed(spec: Value, ready: usize, unready: usize, scale: i32) -> i32 {
        status(
            &budget(spec),
            &pods(ready, unready),
            scale,
            Timestamp::now(),
        )
        .disruptions_allowed
    }

    #[test]
    fn budgets_count_what_is_healthy() {
        assert_eq!(allowed(json!({"minAvailable": 2}), 3, 0, 3), 1);
        assert_eq!(allowed(json!({"minAvailable": 2}), 2, 1, 3), 0);
        assert_eq!(allowed(json!({"maxUnavailable": 1}), 3, 0, 3), 1);
        assert_eq!(allowed(json!({"maxUnavailable": 1}), 2, 1, 3), 0);
        assert_eq!(allowed(json!({"minAvailable": "50%"}), 3, 0, 3), 1);
        assert_eq!(allowed(json!({"maxUnavailable": "50%"}), 3, 0, 3), 2);
        assert_eq!(allowed(json!({"minAvailable": 0}), 0, 0, 0), 0);
        assert_eq!(allowed(json!({}), 3, 0, 0), 0);
    }

    #[test]
    fn a_granted_eviction_counts_until_its_pod_goes() {
        let mut granted = budget(json!({"minAvailable": 1}));
        let now = Timestamp::now();
        granted.status = Some(PodDisruptionBudgetStatus {
            disrupted_pods: Some(BTreeMap::from([("p0".to_owned(), Time(now))])),
            ..Default::default()
        });
        assert_eq!(status(&granted, &pods(2, 0), 2, now).disruptions_allowed, 0);
        let later = now.saturating_add(GRANTED_FOR).unwrap();
        assert_eq!(
            status(&granted, &pods(2, 0), 2, later).disruptions_allowed,
            1
        );
    }

    #[test]
    fn what_is_not_known_allows_nothing() {
        let mut known = budget(json!({"maxUnavailable": 1}));
        let now = Timestamp::now();
        known.status = Some(status(&known, &pods(3, 0), 3, now));
        let words = "jobs.batch does not implement the scale subresource";
        let unknown = unknown(&known, words, now);
        assert_eq!(
            (unknown.disruptions_allowed, unknown.current_healthy),
            (0, 3)
        );
        let condition = &unknown.conditions.unwrap()[0];
        let said = (condition.status.as_str(), condition.reason.as_str());
        assert_eq!(
            (said, condition.message.as_str()),
            (("False", "SyncFailed"), words)
        );
    }

    #[test]
    fn numbers_of_pods_need_no_owners() {
        for (spec, needs) in [
            (json!({"minAvailable": 1}), false),
            (json!({"minAvailable": "50%"}), true),
            (json!({"maxUnavailable": 1}), true),
            (json!({"maxUnavailable": "50%"}), true),
            (json!({}), false),
        ] {
            assert_eq!(needs_scale(&budget(spec.clone())), needs, "{spec}");
        }
    }
}
