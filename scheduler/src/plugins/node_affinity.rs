//! Node selectors and node affinity.

use crate::framework::{ClusterEvent, Plugin, Prepared, Rejection, default_normalize};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use hardway_proto::placement::{allows_node, term_matches};
use k8s_openapi::api::core::v1::NodeAffinity as Affinity;

/// The plugin.
pub struct NodeAffinity;

fn affinity(pod: &PodInfo) -> Option<&Affinity> {
    pod.spec()?.affinity.as_ref()?.node_affinity.as_ref()
}

/// Whether there may be nodes that the pod's selector and required affinity don't allow.
pub fn is_restricted(pod: &PodInfo) -> bool {
    let selector = pod.spec().and_then(|spec| spec.node_selector.as_ref());
    let required = affinity(pod).and_then(|a| {
        a.required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    selector.is_some_and(|selector| !selector.is_empty()) || required.is_some()
}

/// Whether a node is one the pod's selector and required affinity allow.
pub fn allows(pod: &PodInfo, node: &NodeInfo) -> bool {
    pod.spec()
        .is_none_or(|spec| allows_node(spec, &node.name, node.labels()))
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn filter(&self, _: &dyn Prepared, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if allows(pod, node) {
            return Ok(());
        }
        self.reject("node(s) didn't match Pod's node affinity/selector", false)
    }

    fn weight(&self) -> i64 {
        2
    }

    /// The weights of the preferred terms the node matches.
    fn score(&self, _: &dyn Prepared, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let preferred = affinity(pod).and_then(|a| {
            a.preferred_during_scheduling_ignored_during_execution
                .as_ref()
        });
        preferred
            .into_iter()
            .flatten()
            .filter(|term| term_matches(&term.preference, &node.name, node.labels()))
            .map(|term| i64::from(term.weight))
            .sum()
    }

    fn normalize(&self, _: &dyn Prepared, scores: &mut [i64]) {
        default_normalize(scores, false);
    }

    fn may_help(&self, event: ClusterEvent) -> bool {
        matches!(event, ClusterEvent::NodeAdded | ClusterEvent::NodeChanged)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, node, pod, score};
    use super::*;
    use serde_json::json;

    fn nodes() -> Vec<NodeInfo> {
        vec![
            node("a", json!({"disk": "ssd", "size": "8"}), json!({})),
            node("b", json!({"disk": "hdd"}), json!({})),
        ]
    }

    #[test]
    fn the_selector_wants_all_labels() {
        let verdicts = filter(
            NodeAffinity,
            &pod(json!({"nodeSelector": {"disk": "ssd"}})),
            nodes(),
        );
        assert!(verdicts[0].is_empty());
        assert_eq!(
            verdicts[1],
            ["node(s) didn't match Pod's node affinity/selector"]
        );
    }

    #[test]
    fn required_terms_are_alternatives_of_requirements() {
        let fits = |requirement: serde_json::Value| -> Vec<bool> {
            let pod = pod(json!({"affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [requirement]}, {}]}}}}));
            let verdicts = filter(NodeAffinity, &pod, nodes());
            verdicts.iter().map(Vec::is_empty).collect()
        };
        assert_eq!(
            fits(json!({"key": "disk", "operator": "In", "values": ["ssd"]})),
            [true, false]
        );
        assert_eq!(
            fits(json!({"key": "disk", "operator": "NotIn", "values": ["ssd"]})),
            [false, true]
        );
        assert_eq!(
            fits(json!({"key": "size", "operator": "Gt", "values": ["7"]})),
            [true, false]
        );
        assert_eq!(
            fits(json!({"key": "size", "operator": "DoesNotExist"})),
            [false, true]
        );
    }

    #[test]
    fn preferences_score_by_weight() {
        let pod = pod(json!({"affinity": {"nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 7, "preference":
                {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["hdd"]}]}}]}}}));
        assert_eq!(score(NodeAffinity, &pod, nodes()), [0, 200]);
    }
}
