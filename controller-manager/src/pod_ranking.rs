//! Facts about pods that several controllers judge by, and which of several
//! replicas goes first (`ActivePodsWithRanks` in Kubernetes' controller utils).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The pod's phase, or `""`.
pub fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status.and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

/// Whether all its containers have ended for good.
pub fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether it counts as a replica: neither finished nor leaving.
pub fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// One of its conditions.
pub fn condition<'a>(pod: &'a Pod, r#type: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == r#type)
}

/// Whether its Ready condition is true.
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|c| c.status == "True")
}

/// Since when it has been ready.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition(pod, "Ready").filter(|c| c.status == "True")?;
    ready.last_transition_time.as_ref().map(|t| t.0)
}

/// Whether it has been ready for `min_ready_seconds`.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    if min_ready_seconds == 0 {
        return is_ready(pod);
    }
    ready_since(pod)
        .is_some_and(|since| now.duration_since(since).as_secs() >= i64::from(min_ready_seconds))
}

/// In how long a ready pod will count as available, if it doesn't yet.
pub fn available_in(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> Option<Duration> {
    if is_available(pod, min_ready_seconds, now) {
        return None;
    }
    let since = ready_since(pod)?;
    let at = since.checked_add(SignedDuration::from_secs(min_ready_seconds.into()));
    now.duration_until(at.ok()?).try_into().ok()
}

fn node(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref();
    spec.and_then(|s| s.node_name.as_deref())
        .unwrap_or_default()
}

fn deletion_cost(pod: &Pod) -> i32 {
    let annotations = pod.metadata.annotations.as_ref();
    annotations
        .and_then(|a| a.get("controller.kubernetes.io/pod-deletion-cost"))
        .and_then(|cost| cost.parse().ok())
        .unwrap_or(0)
}

/// The most restarts of a container, and of one that runs beside the others.
fn restarts(pod: &Pod) -> (i32, i32) {
    let status = pod.status.as_ref();
    let spec = pod.spec.as_ref();
    let beside = spec.and_then(|spec| spec.init_containers.as_deref());
    let is_beside = |name: &str| {
        let mut beside = beside.unwrap_or_default().iter();
        beside.any(|c| c.name == name && c.restart_policy.as_deref() == Some("Always"))
    };
    let most = |statuses: Option<&Vec<ContainerStatus>>, counts: &dyn Fn(&str) -> bool| {
        let statuses = statuses.into_iter().flatten().filter(|c| counts(&c.name));
        statuses.map(|c| c.restart_count).max().unwrap_or(0)
    };
    let regular = status.and_then(|s| s.container_statuses.as_ref());
    let init = status.and_then(|s| s.init_container_statuses.as_ref());
    (most(regular, &|_| true), most(init, &is_beside))
}

/// Orders times, the latest first, and those that aren't known before all. With `now` only the
/// order of magnitude of their age counts, in powers of two.
fn age(time: Option<Timestamp>, now: Option<Timestamp>) -> i128 {
    match (time, now) {
        (None, _) => i128::MIN,
        (Some(time), None) => -time.as_nanosecond(),
        (Some(time), Some(now)) => {
            let age = now.as_nanosecond() - time.as_nanosecond();
            age.checked_ilog2().map_or(-1, i128::from)
        }
    }
}

/// The `count` pods to delete: unassigned before assigned, pending before
/// running, unready before ready, cheap before dear, crowded nodes first,
/// younger before older. How crowded a node is, the `related` pods tell. With `now`, ages of
/// the same order of magnitude count as one, and the UIDs decide, so that it isn't always the
/// youngest pods that go (`LogarithmicScaleDown` in Kubernetes).
pub fn first_to_go(
    mut pods: Vec<Arc<Pod>>,
    related: &[Arc<Pod>],
    count: usize,
    now: Option<Timestamp>,
) -> Vec<Arc<Pod>> {
    let mut on_node: HashMap<String, usize> = HashMap::new();
    for pod in related.iter().filter(|p| is_active(p)) {
        *on_node.entry(node(pod).to_owned()).or_default() += 1;
    }
    pods.sort_by_cached_key(|pod| {
        let phase_rank = match phase(pod) {
            "Pending" => 0,
            "Running" => 2,
            _ => 1,
        };
        let crowd = on_node.get(node(pod)).copied().unwrap_or(0);
        let created = pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
        (
            !node(pod).is_empty(),
            phase_rank,
            is_ready(pod),
            deletion_cost(pod),
            Reverse(crowd),
            age(ready_since(pod), now),
            Reverse(restarts(pod)),
            age(created, now),
            now.and(pod.metadata.uid.clone()),
        )
    });
    pods.truncate(count);
    pods
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, rest: Value) -> Arc<Pod> {
        let mut object = json!({"metadata": {"name": name}, "spec": {"containers": []}});
        for (key, value) in rest.as_object().unwrap() {
            for (field, inner) in value.as_object().unwrap() {
                object[key][field] = inner.clone();
            }
        }
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn order(pods: Vec<Arc<Pod>>) -> Vec<String> {
        let count = pods.len();
        let names = first_to_go(pods.clone(), &pods, count, None).into_iter();
        names.map(|p| p.metadata.name.clone().unwrap()).collect()
    }

    #[test]
    fn the_least_useful_go_first() {
        let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2024-01-01T00:00:00Z"}]);
        let pods = vec![
            pod(
                "ready",
                json!({"spec": {"nodeName": "a"}, "status": {"phase": "Running", "conditions": ready}}),
            ),
            pod(
                "unready",
                json!({"spec": {"nodeName": "a"}, "status": {"phase": "Running"}}),
            ),
            pod(
                "pending",
                json!({"spec": {"nodeName": "a"}, "status": {"phase": "Pending"}}),
            ),
            pod("unassigned", json!({"status": {"phase": "Pending"}})),
        ];
        assert_eq!(order(pods), ["unassigned", "pending", "unready", "ready"]);
    }

    #[test]
    fn cost_then_crowding_then_age() {
        let running = |name, node, rest: Value| {
            let mut all = json!({"spec": {"nodeName": node}, "status": {"phase": "Running"}});
            all["metadata"] = rest;
            pod(name, all)
        };
        let cheap = json!({"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"}});
        let pods = vec![
            running(
                "old",
                "b",
                json!({"creationTimestamp": "2024-01-01T00:00:00Z"}),
            ),
            running(
                "crowded-old",
                "a",
                json!({"creationTimestamp": "2024-01-01T00:00:00Z"}),
            ),
            running(
                "crowded-new",
                "a",
                json!({"creationTimestamp": "2024-01-02T00:00:00Z"}),
            ),
            running("cheap", "b", cheap),
            running(
                "a3",
                "a",
                json!({"creationTimestamp": "2023-01-01T00:00:00Z"}),
            ),
        ];
        assert_eq!(
            order(pods),
            ["cheap", "crowded-new", "crowded-old", "a3", "old"]
        );
    }

    #[test]
    fn uids_decide_between_ages_of_the_same_magnitude() {
        let ready = |uid: &str, second: u32| {
            let since = format!("2024-01-01T00:00:{second:02}Z");
            let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]);
            pod(
                uid,
                json!({"metadata": {"uid": uid}, "spec": {"nodeName": "a"},
                    "status": {"phase": "Running", "conditions": ready}}),
            )
        };
        // 40, 38 and 36 s old, and 4 s.
        let pods = vec![
            ready("c", 20),
            ready("a", 22),
            ready("b", 24),
            ready("d", 56),
        ];
        let order = |now| -> Vec<String> {
            let first = first_to_go(pods.clone(), &pods, 4, now).into_iter();
            first.map(|p| p.metadata.name.clone().unwrap()).collect()
        };
        let now = "2024-01-01T00:01:00Z".parse().unwrap();
        assert_eq!(order(Some(now)), ["d", "a", "b", "c"]);
        assert_eq!(order(None), ["d", "b", "a", "c"]);
    }

    #[test]
    fn who_restarts_most_goes_first() {
        let pod = |name: &str, regular: i32, beside: i32| {
            pod(
                name,
                json!({
                    "spec": {"nodeName": "a",
                        "initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}]},
                    "status": {"phase": "Running",
                        "containerStatuses": [{"name": "c", "restartCount": regular,
                            "ready": true, "image": "", "imageID": ""}],
                        "initContainerStatuses": [
                            {"name": "s", "restartCount": beside,
                                "ready": true, "image": "", "imageID": ""},
                            {"name": "i", "restartCount": 9,
                                "ready": true, "image": "", "imageID": ""}]},
                }),
            )
        };
        let pods = vec![pod("a", 1, 0), pod("b", 1, 2), pod("c", 2, 0)];
        assert_eq!(order(pods), ["c", "b", "a"]);
    }

    #[test]
    fn siblings_crowd_a_node() {
        let on = |name: &str, node: &str| {
            pod(
                name,
                json!({"spec": {"nodeName": node}, "status": {"phase": "Running"}}),
            )
        };
        let own = vec![on("a", "1"), on("b", "2")];
        let related = [own.clone(), vec![on("sibling", "2")]].concat();
        let first = first_to_go(own, &related, 1, None);
        assert_eq!(first[0].metadata.name.as_deref(), Some("b"));
    }

    #[test]
    fn availability_takes_its_time() {
        let since = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2024-01-01T00:00:00Z"}]);
        let ready = pod(
            "a",
            json!({"status": {"phase": "Running", "conditions": since}}),
        );
        let at = |second: &str| format!("2024-01-01T00:00:{second}Z").parse().unwrap();
        assert!(!is_available(&ready, 10, at("09.5")));
        let left = available_in(&ready, 10, at("09.5"));
        assert_eq!(left, Some(Duration::from_millis(500)));
        assert!(is_available(&ready, 10, at("10")));
        assert_eq!(available_in(&ready, 10, at("10")), None);
        assert_eq!(
            available_in(&pod("b", json!({"status": {}})), 10, at("10")),
            None
        );
    }
}
