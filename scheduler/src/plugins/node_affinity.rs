//! Node selectors and node affinity.

use crate::framework::{
    ClusterEvent, Nodes, Plugin, Prepared, Rejection, default_normalize, prepared,
};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use hardway_proto::placement::{allows_node, term_matches};
use k8s_openapi::api::core::v1::{
    NodeAffinity as Affinity, NodeSelectorTerm, PreferredSchedulingTerm,
};
use std::collections::BTreeSet;

/// The plugin.
pub struct NodeAffinity;

fn affinity(pod: &PodInfo) -> Option<&Affinity> {
    pod.spec()?.affinity.as_ref()?.node_affinity.as_ref()
}

fn required(pod: &PodInfo) -> Option<&[NodeSelectorTerm]> {
    let required = affinity(pod)?
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    Some(&required.node_selector_terms)
}

/// The nodes that a pod's required terms name, as those of a DaemonSet's pod do. `None` if it
/// may run on others: the terms are alternatives, and one that names none is enough.
struct Named(Option<BTreeSet<String>>);
impl Prepared for Named {}

impl Named {
    fn by(pod: &PodInfo) -> Self {
        let terms = required(pod).filter(|terms| !terms.is_empty());
        let names = terms.and_then(|terms| terms.iter().map(named).collect::<Option<Vec<_>>>());
        Self(names.map(|names| names.into_iter().flatten().collect()))
    }
}

/// The nodes that a term names: each of its requirements has to hold.
fn named(term: &NodeSelectorTerm) -> Option<BTreeSet<String>> {
    let fields = term.match_fields.iter().flatten();
    let names = fields.filter(|field| field.key == "metadata.name" && field.operator == "In");
    let names = names.map(|field| field.values.iter().flatten().cloned().collect());
    names.reduce(|all: BTreeSet<String>, more| &all & &more)
}

/// Whether there may be nodes that the pod's selector and required affinity don't allow.
pub fn is_restricted(pod: &PodInfo) -> bool {
    let selector = pod.spec().and_then(|spec| spec.node_selector.as_ref());
    selector.is_some_and(|selector| !selector.is_empty()) || required(pod).is_some()
}

/// Whether a node is one the pod's selector and required affinity allow.
pub fn allows(pod: &PodInfo, node: &NodeInfo) -> bool {
    pod.spec()
        .is_none_or(|spec| allows_node(spec, &node.name, node.labels()))
}

fn preferred(pod: &PodInfo) -> impl Iterator<Item = &PreferredSchedulingTerm> {
    let preferred = affinity(pod).and_then(|a| {
        a.preferred_during_scheduling_ignored_during_execution
            .as_ref()
    });
    preferred.into_iter().flatten()
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn prepare(&self, pod: &PodInfo, _: Nodes<'_>) -> Box<dyn Prepared> {
        Box::new(Named::by(pod))
    }

    fn pre_filter(&self, named: &dyn Prepared, _: &PodInfo) -> Result<(), Rejection> {
        match &prepared::<Named>(named).0 {
            Some(names) if names.is_empty() => self.reject("pod affinity terms conflict", false),
            _ => Ok(()),
        }
    }

    fn only<'p>(&self, named: &'p dyn Prepared) -> Option<&'p BTreeSet<String>> {
        prepared::<Named>(named).0.as_ref()
    }

    fn filters(&self, _: &dyn Prepared, pod: &PodInfo) -> bool {
        is_restricted(pod)
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

    fn scores(&self, _: &dyn Prepared, pod: &PodInfo) -> bool {
        preferred(pod).next().is_some()
    }

    /// The weights of the preferred terms the node matches.
    fn score(&self, _: &dyn Prepared, pod: &PodInfo, node: &NodeInfo) -> i64 {
        preferred(pod)
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

    /// The cases of Kubernetes' `TestNodeAffinity` whose PreFilter names nodes.
    #[test]
    fn nodes_that_a_pod_names_are_the_only_ones() {
        let field =
            |values: &[&str]| json!({"key": "metadata.name", "operator": "In", "values": values});
        let term = |fields: &[serde_json::Value]| json!({"matchFields": fields});
        let names = |terms: Vec<serde_json::Value>| -> Option<Vec<String>> {
            let pod = pod(json!({"affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}));
            Named::by(&pod).0.map(|names| names.into_iter().collect())
        };
        let some = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let one = term(&[field(&["node1"])]);
        assert_eq!(names(vec![one.clone()]), some(&["node1"]));
        assert_eq!(
            names(vec![term(&[field(&["node1"]), field(&["node1", "node2"])])]),
            some(&["node1"])
        );
        assert_eq!(
            names(vec![one.clone(), term(&[field(&["node2"])])]),
            some(&["node1", "node2"])
        );
        assert_eq!(names(vec![one.clone(), json!({})]), None);
        assert_eq!(names(vec![]), None);
        let conflict = term(&[field(&["node1"]), field(&["node2"])]);
        assert_eq!(names(vec![conflict.clone()]), some(&[]));
        let pod = pod(json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [conflict]}}}}));
        assert_eq!(
            filter(NodeAffinity, &pod, nodes()),
            [["pod affinity terms conflict"]; 2]
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
