//! The node itself: its labels and taints say what may run there, so they aren't all its
//! own to set.

use super::Attempt;
use crate::objects::{fields, items};
use serde_json::Value;
use std::collections::BTreeSet;

impl Attempt<'_> {
    pub(super) fn node(&self, new: Option<&Value>, old: Option<&Value>) -> Result<(), String> {
        let node = self.node;
        let name = self.name(new);
        if name != node {
            return Err(format!(
                "node {node:?} is not allowed to modify node {name:?}"
            ));
        }
        let Some(new) = new else {
            return Ok(());
        };
        let source = |node: &Value| node.pointer("/spec/configSource").cloned();
        let Some(old) = old else {
            if source(new).is_some_and(|source| !source.is_null()) {
                return Err(format!(
                    "node {node:?} is not allowed to create pods with a non-nil configSource"
                ));
            }
            return match forbidden_labels(&changed_labels(new, &Value::Null)) {
                none if none.is_empty() => Ok(()),
                labels => Err(format!(
                    "node {node:?} is not allowed to set the following labels: {labels}"
                )),
            };
        };
        if source(new).is_some_and(|source| !source.is_null()) && source(new) != source(old) {
            return Err(format!(
                "node {node:?} is not allowed to update configSource to a new non-nil configSource"
            ));
        }
        if items(new, "/spec/taints") != items(old, "/spec/taints") {
            return Err(format!("node {node:?} is not allowed to modify taints"));
        }
        if items(new, "/metadata/ownerReferences") != items(old, "/metadata/ownerReferences") {
            return Err(format!(
                "node {node:?} is not allowed to modify ownerReferences"
            ));
        }
        match forbidden_labels(&changed_labels(new, old)) {
            none if none.is_empty() => Ok(()),
            labels => Err(format!("is not allowed to modify labels: {labels}")),
        }
    }
}

/// Labels added, changed or removed.
fn changed_labels<'a>(new: &'a Value, old: &'a Value) -> BTreeSet<&'a str> {
    let get =
        |object: &'a Value, key: &str| object.pointer("/metadata/labels").and_then(|l| l.get(key));
    [new, old]
        .into_iter()
        .flat_map(|object| fields(object, "/metadata/labels"))
        .map(|(key, _)| key)
        .filter(|key| get(new, key) != get(old, key))
        .collect()
}

const KUBELET_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];

/// Those of the labels that a kubelet may not set on itself.
fn forbidden_labels(labels: &BTreeSet<&str>) -> String {
    let of = |domain: &str, parent: &str| {
        domain == parent
            || domain.ends_with(parent) && domain[..domain.len() - parent.len()].ends_with('.')
    };
    let is_forbidden = |label: &&&str| {
        let domain = label
            .split_once('/')
            .map(|(domain, _)| domain)
            .unwrap_or_default();
        let is_kubernetes = of(domain, "kubernetes.io") || of(domain, "k8s.io");
        let is_allowed = KUBELET_LABELS.contains(*label)
            || of(domain, "kubelet.kubernetes.io")
            || of(domain, "node.kubernetes.io");
        of(domain, "node-restriction.kubernetes.io") || is_kubernetes && !is_allowed
    };
    let forbidden: Vec<&str> = labels.iter().filter(is_forbidden).copied().collect();
    forbidden.join(", ")
}
