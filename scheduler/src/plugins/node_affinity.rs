//! Node selectors and node affinity.

use crate::framework::{ClusterEvent, Plugin, Prepared, Rejection, default_normalize};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use k8s_openapi::api::core::v1::{
    NodeAffinity as Affinity, NodeSelectorRequirement, NodeSelectorTerm,
};

/// The plugin.
pub struct NodeAffinity;

fn requirement_holds(requirement: &NodeSelectorRequirement, actual: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = || actual.is_some_and(|a| values.iter().any(|v| v == a));
    let compare = || -> Option<std::cmp::Ordering> {
        let actual: i64 = actual?.parse().ok()?;
        let wanted: i64 = values.first()?.parse().ok()?;
        Some(actual.cmp(&wanted))
    };
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compare().is_some_and(|o| o.is_gt()),
        "Lt" => compare().is_some_and(|o| o.is_lt()),
        _ => false,
    }
}

/// Whether a node matches a term; a term without requirements matches none.
fn term_matches(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let labels = node.labels();
    expressions
        .iter()
        .all(|r| requirement_holds(r, labels.get(&r.key).map(String::as_str)))
        && fields.iter().all(|r| {
            let value = (r.key == "metadata.name").then_some(node.name.as_str());
            requirement_holds(r, value)
        })
}

fn affinity(pod: &PodInfo) -> Option<&Affinity> {
    pod.spec()?.affinity.as_ref()?.node_affinity.as_ref()
}

/// Whether a node is one the pod's selector and required affinity allow.
pub fn allows(pod: &PodInfo, node: &NodeInfo) -> bool {
    let selector = pod.spec().and_then(|s| s.node_selector.as_ref());
    let selected = selector
        .into_iter()
        .flatten()
        .all(|(key, value)| node.labels().get(key) == Some(value));
    let required = affinity(pod).and_then(|a| {
        a.required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    selected && required.is_none_or(|r| r.node_selector_terms.iter().any(|t| term_matches(t, node)))
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
            .filter(|term| term_matches(&term.preference, node))
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
