//! On which nodes a DaemonSet's pods run, and what a node's pod is like. The
//! scheduler binds it: it is pinned to its node by affinity
//! (`pkg/controller/daemon/util`).

use crate::controller_revision::POD_LABEL;
use crate::pod_control::pod_of;
use hardway_proto::Kind;
use hardway_proto::placement::{allows_node, pod_tolerates};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration,
};

/// The annotation that counts how often the template has changed.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";
/// The label of pods with that count.
const GENERATION_LABEL: &str = "pod-template-generation";

/// What a node is to a DaemonSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// A pod shall run there.
    Runs,
    /// A pod that is there may stay, but no new one comes.
    Stays,
    /// No pod may be there.
    Leaves,
}

/// Judges nodes for one DaemonSet.
pub struct Placement(PodSpec);

impl Placement {
    /// Of a DaemonSet's template.
    pub fn of(set: &DaemonSet) -> Self {
        let template = set.spec.as_ref().and_then(|s| s.template.spec.clone());
        let mut spec = template.unwrap_or_default();
        tolerate(&mut spec);
        Self(spec)
    }

    /// What a node is to it.
    pub fn fit(&self, node: &Node) -> Fit {
        let spec = &self.0;
        let named = spec.node_name.as_deref().filter(|name| !name.is_empty());
        let none = Default::default();
        let labels = node.metadata.labels.as_ref().unwrap_or(&none);
        if named.is_some_and(|name| name != node.name()) || !allows_node(spec, node.name(), labels)
        {
            return Fit::Leaves;
        }
        let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref());
        let taints = taints.unwrap_or_default();
        let repels = |effect: &str| {
            let mut taints = taints.iter().filter(|taint| taint.effect == effect);
            taints.any(|taint| !pod_tolerates(spec, taint))
        };
        match (repels("NoExecute"), repels("NoSchedule")) {
            (true, _) => Fit::Leaves,
            (false, true) => Fit::Stays,
            (false, false) => Fit::Runs,
        }
    }
}

/// Adds what all pods of DaemonSets tolerate: they aren't evicted from nodes
/// with problems, and come to nodes that others avoid.
fn tolerate(spec: &mut PodSpec) {
    const TOLERATED: [(&str, &str); 6] = [
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    ];
    let network = spec.host_network.unwrap_or(false);
    let network = network.then_some(("network-unavailable", "NoSchedule"));
    let tolerations = spec.tolerations.get_or_insert_default();
    for (key, effect) in TOLERATED.into_iter().chain(network) {
        let added = Toleration {
            key: Some(format!("node.kubernetes.io/{key}")),
            operator: Some("Exists".into()),
            effect: Some(effect.into()),
            ..Default::default()
        };
        // One that is there for a limited time is so without limit.
        let same = |t: &Toleration| {
            (&t.key, &t.operator, &t.effect) == (&added.key, &added.operator, &added.effect)
                && t.value.as_deref().unwrap_or_default().is_empty()
        };
        match tolerations.iter_mut().find(|t| same(t)) {
            Some(there) => *there = added,
            None => tolerations.push(added),
        }
    }
}

/// A new pod for a node, made of the revision with this hash.
pub fn pod(set: &DaemonSet, node: &str, hash: &str) -> Option<Pod> {
    let mut pod = pod_of(set, &set.spec.as_ref()?.template);
    let labels = pod.metadata.labels.get_or_insert_default();
    let annotations = set.metadata.annotations.as_ref();
    let generation = annotations.and_then(|a| a.get(TEMPLATE_GENERATION));
    if let Some(generation) = generation.and_then(|g| g.parse::<i64>().ok()) {
        labels.insert(GENERATION_LABEL.into(), generation.to_string());
    }
    labels.insert(POD_LABEL.into(), hash.into());
    let spec = pod.spec.get_or_insert_default();
    tolerate(spec);
    let affinity = spec.affinity.get_or_insert_default();
    let affinity = affinity.node_affinity.get_or_insert_default();
    affinity.required_during_scheduling_ignored_during_execution = Some(NodeSelector {
        node_selector_terms: vec![NodeSelectorTerm {
            match_fields: Some(vec![NodeSelectorRequirement {
                key: "metadata.name".into(),
                operator: "In".into(),
                values: Some(vec![node.into()]),
            }]),
            match_expressions: None,
        }],
    });
    Some(pod)
}

/// The node that a pod is on or waits for.
pub fn node_of(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(node) = spec.node_name.as_deref().filter(|name| !name.is_empty()) {
        return Some(node);
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    let terms = required.node_selector_terms.iter();
    let mut fields = terms.flat_map(|term| term.match_fields.iter().flatten());
    let named = fields.find(|r| r.key == "metadata.name" && r.operator == "In")?;
    match named.values.as_deref() {
        Some([node]) => Some(node),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{node, set};
    use super::*;
    use serde_json::{Value, json};

    fn fit(template: Value, node_more: Value) -> Fit {
        let mut set = set(json!({}));
        let spec = &mut set.spec.as_mut().unwrap().template.spec;
        let mut merged = serde_json::to_value(&spec).unwrap();
        for (field, value) in template.as_object().unwrap() {
            merged[field] = value.clone();
        }
        *spec = serde_json::from_value(merged).unwrap();
        Placement::of(&set).fit(&node("a", node_more))
    }

    #[test]
    fn nodes_are_chosen_by_name_labels_and_taints() {
        let taint =
            |key: &str, effect: &str| json!({"spec": {"taints": [{"key": key, "effect": effect}]}});
        let disk = json!({"metadata": {"labels": {"disk": "ssd"}}});
        let selector = json!({"nodeSelector": {"disk": "ssd"}});
        assert_eq!(fit(json!({}), json!({})), Fit::Runs);
        assert_eq!(fit(json!({"nodeName": "b"}), json!({})), Fit::Leaves);
        assert_eq!(fit(selector.clone(), json!({})), Fit::Leaves);
        assert_eq!(fit(selector, disk), Fit::Runs);
        assert_eq!(fit(json!({}), taint("own", "NoSchedule")), Fit::Stays);
        assert_eq!(fit(json!({}), taint("own", "NoExecute")), Fit::Leaves);
        assert_eq!(fit(json!({}), taint("own", "PreferNoSchedule")), Fit::Runs);
        let tolerant = json!({"tolerations": [{"key": "own", "operator": "Exists"}]});
        assert_eq!(fit(tolerant, taint("own", "NoExecute")), Fit::Runs);
    }

    #[test]
    fn problems_of_nodes_are_tolerated() {
        for (key, effect, fits) in [
            ("node.kubernetes.io/not-ready", "NoExecute", Fit::Runs),
            ("node.kubernetes.io/not-ready", "NoSchedule", Fit::Stays),
            ("node.kubernetes.io/unreachable", "NoExecute", Fit::Runs),
            ("node.kubernetes.io/disk-pressure", "NoSchedule", Fit::Runs),
            (
                "node.kubernetes.io/memory-pressure",
                "NoSchedule",
                Fit::Runs,
            ),
            ("node.kubernetes.io/pid-pressure", "NoSchedule", Fit::Runs),
            ("node.kubernetes.io/unschedulable", "NoSchedule", Fit::Runs),
            (
                "node.kubernetes.io/network-unavailable",
                "NoSchedule",
                Fit::Stays,
            ),
        ] {
            let taint = json!({"spec": {"taints": [{"key": key, "effect": effect}]}});
            assert_eq!(fit(json!({}), taint), fits, "{key}:{effect}");
        }
        let key = "node.kubernetes.io/network-unavailable";
        let taint = json!({"spec": {"taints": [{"key": key, "effect": "NoSchedule"}]}});
        assert_eq!(fit(json!({"hostNetwork": true}), taint), Fit::Runs);
    }

    #[test]
    fn a_pod_is_pinned_to_its_node() {
        let mut set = set(json!({}));
        let annotations = set.metadata.annotations.get_or_insert_default();
        annotations.insert(TEMPLATE_GENERATION.into(), "3".into());
        let spec = set.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
        let own = json!({"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]},
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "preference": {"matchExpressions": []}}],
        }});
        spec.affinity = serde_json::from_value(own).unwrap();
        let limited = json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists",
            "effect": "NoExecute", "tolerationSeconds": 5}]);
        spec.tolerations = serde_json::from_value(limited).unwrap();
        let pod = pod(&set, "a", "abc").unwrap();
        assert_eq!(node_of(&pod), Some("a"));
        let labels = pod.metadata.labels.as_ref().unwrap();
        assert_eq!(labels["controller-revision-hash"], "abc");
        assert_eq!(labels["pod-template-generation"], "3");
        let spec = pod.spec.as_ref().unwrap();
        let tolerations = spec.tolerations.as_ref().unwrap();
        assert_eq!(tolerations.len(), 6);
        assert!(tolerations.iter().all(|t| t.toleration_seconds.is_none()));
        let affinity = serde_json::to_value(&spec.affinity).unwrap()["nodeAffinity"].clone();
        let terms =
            &affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
        let field = json!({"key": "metadata.name", "operator": "In", "values": ["a"]});
        assert_eq!(terms, &json!([{"matchFields": [field]}]));
        let preferred = &affinity["preferredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(preferred[0]["weight"], 1, "what doesn't decide stays");
    }
}
