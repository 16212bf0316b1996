//! The node itself: its labels and taints say what may run there, so they aren't all its
//! own to set.

use super::Attempt;
use crate::objects::{fields, items};
use crate::text;
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
        if let Some((address, owner)) = self.claimed(new, old.unwrap_or(&Value::Null)) {
            return Err(format!(
                "node {node:?} is not allowed to claim the address {address}, which the Node {owner:?} has"
            ));
        }
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

    /// An address or name that the node begins to say is its own while a Node that is
    /// Ready has it, and that one. A Node that isn't may be this one's former self, under
    /// another name. Kubernetes lets a node claim anything.
    fn claimed(&self, new: &Value, old: &Value) -> Option<(String, String)> {
        let former: BTreeSet<&str> = addresses(old).collect();
        let added: BTreeSet<&str> = addresses(new)
            .filter(|address| !former.contains(address))
            .collect();
        if added.is_empty() {
            return None;
        }
        let nodes = self.objects().parse_all("", "nodes", None);
        let mut others = nodes.filter(|other| text(other, "/metadata/name") != self.node);
        others.find_map(|other| {
            let name = text(&other, "/metadata/name");
            let mut own = addresses(&other).chain([name]);
            let address = own.find(|address| added.contains(address))?.to_owned();
            is_ready(&other).then(|| (address, name.to_owned()))
        })
    }
}

/// The addresses and names in a Node's status.
fn addresses(node: &Value) -> impl Iterator<Item = &str> {
    items(node, "/status/addresses")
        .iter()
        .map(|address| text(address, "/address"))
}

fn is_ready(node: &Value) -> bool {
    let conditions = items(node, "/status/conditions").iter();
    let mut ready = conditions.filter(|it| text(it, "/type") == "Ready");
    ready.any(|it| text(it, "/status") == "True")
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
