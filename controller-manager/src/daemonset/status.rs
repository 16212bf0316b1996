//! What a DaemonSet shows of its pods.

use super::daemons::Daemons;
use super::placement::Fit;
use crate::pod_ranking::is_ready;
use k8s_openapi::api::apps::v1::DaemonSetStatus;

/// The status; `collisions` counts the names of revisions that were taken,
/// `observed` is the generation that was acted upon.
pub fn of(daemons: &Daemons, collisions: i32, observed: Option<i64>) -> DaemonSetStatus {
    let old = daemons.set.status.clone().unwrap_or_default();
    let mut status = DaemonSetStatus {
        collision_count: (collisions > 0).then_some(collisions),
        conditions: old.conditions,
        observed_generation: observed,
        ..Default::default()
    };
    let (mut updated, mut available) = (0, 0);
    for (node, fit) in daemons.nodes() {
        let first = daemons.on(node).first();
        if fit != Fit::Runs {
            status.number_misscheduled += i32::from(first.is_some());
            continue;
        }
        status.desired_number_scheduled += 1;
        let Some(pod) = first else {
            continue;
        };
        status.current_number_scheduled += 1;
        updated += i32::from(daemons.is_updated(pod));
        if is_ready(pod) {
            status.number_ready += 1;
            available += i32::from(daemons.is_available(pod));
        }
    }
    let some = |count: i32| (count > 0).then_some(count);
    status.updated_number_scheduled = some(updated);
    status.number_available = some(available);
    status.number_unavailable = some(status.desired_number_scheduled - available);
    status
}

#[cfg(test)]
mod tests {
    use super::super::testing::{node, pod, ready, set};
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn nodes_are_counted_by_their_pods() {
        let set = set(json!({"minReadySeconds": 101}));
        let taint = json!({"spec": {"taints": [{"key": "own", "effect": "NoSchedule"}]}});
        let mut nodes: Vec<_> = ["a", "b", "c", "d"]
            .map(|name| node(name, json!({})))
            .into();
        nodes.push(node("e", taint));
        let pods = [
            ready("1", "a", "new"),
            ready("2", "b", "old"),
            pod("3", "c", "new", "Pending"),
            ready("4", "e", "new"),
        ];
        let at = |second| Timestamp::from_second(second).unwrap();
        let status = |second| {
            let daemons = Daemons::new(&set, "new", &nodes, &pods, at(second));
            serde_json::to_value(of(&daemons, 0, Some(1))).unwrap()
        };
        let mut expected = json!({
            "desiredNumberScheduled": 4, "currentNumberScheduled": 3, "numberMisscheduled": 1,
            "updatedNumberScheduled": 2, "numberReady": 2, "numberAvailable": 2,
            "numberUnavailable": 2, "observedGeneration": 1,
        });
        assert_eq!(status(101), expected);
        expected["numberUnavailable"] = json!(4);
        expected.as_object_mut().unwrap().remove("numberAvailable");
        assert_eq!(status(100), expected, "ready for 100 seconds only");
    }
}
