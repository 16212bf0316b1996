//! A node speaks of its own pods alone.

use hardway_access::Objects;
use hardway_proto::api::Step;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

/// What counts of a pod that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pod {
    uid: String,
    node: String,
}

#[derive(Deserialize)]
struct Stored {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
}

impl Pod {
    /// The one of that name, if there is one.
    pub(super) fn read(objects: &dyn Objects, namespace: &str, name: &str) -> Option<Self> {
        let bytes = objects.get("", "pods", namespace, name)?;
        let stored: Stored = serde_json::from_slice(&bytes).ok()?;
        Some(Self {
            uid: stored.metadata.uid,
            node: stored.spec.node_name.unwrap_or_default(),
        })
    }

    fn is(&self, uid: &str) -> bool {
        uid.is_empty() || uid == self.uid
    }
}

/// Of a node's steps those about its own pods, and about all that is no pod. A pod that is
/// there is read once; one that is gone, or has got a successor of its name, was the node's
/// if `gone` says so of its UID. A UID that isn't known to be its pod's is left out: kubelets
/// know static pods by another one than the API does.
pub(super) fn of_node(
    node: &str,
    mut steps: Vec<Step>,
    read: impl Fn(&str, &str) -> Option<Pod>,
    gone: impl FnOnce(&HashSet<&str>) -> HashSet<String>,
) -> Vec<Step> {
    let mut pods: HashMap<(&str, &str), Option<Pod>> = HashMap::new();
    let mut others = HashSet::new();
    let mut named = Vec::new();
    for step in &steps {
        if step.resource != "pods" {
            continue;
        }
        let (namespace, name) = (step.namespace.as_str(), step.name.as_str());
        let pod = pods
            .entry((namespace, name))
            .or_insert_with(|| read(namespace, name));
        let is_it = pod.as_ref().is_some_and(|pod| pod.is(&step.uid));
        let is_here = pod.as_ref().is_some_and(|pod| pod.node == node);
        if !is_it && !step.uid.is_empty() {
            others.insert(step.uid.as_str());
        }
        named.push((is_it, is_here));
    }
    let were_here = match others.is_empty() {
        true => HashSet::new(),
        false => gone(&others),
    };
    let mut named = named.into_iter();
    steps.retain_mut(|step| {
        if step.resource != "pods" {
            return true;
        }
        let (is_it, is_here) = named.next().unwrap_or_default();
        if is_it || were_here.contains(&step.uid) {
            return is_here || !is_it;
        }
        step.uid.clear();
        is_here
    });
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn step(resource: &str, name: &str, uid: &str) -> Step {
        Step {
            resource: resource.into(),
            namespace: "default".into(),
            name: name.into(),
            uid: uid.into(),
            ..Step::default()
        }
    }

    #[test]
    fn a_node_speaks_of_its_own_pods_alone() {
        let reads = Cell::new(0);
        let read = |_: &str, name: &str| {
            reads.set(reads.get() + 1);
            let node = match name {
                "own" => "w1",
                "other" => "w2",
                _ => return None,
            };
            Some(Pod {
                uid: format!("uid-{name}"),
                node: node.to_owned(),
            })
        };
        let gone = |uids: &HashSet<&str>| {
            assert!(uids.contains("uid-gone"), "{uids:?}");
            HashSet::from(["uid-gone".to_owned()])
        };
        let expected = [
            step("pods", "own", "uid-own"),
            step("pods", "own", ""),
            // Not known to be its own.
            step("pods", "own", ""),
            step("pods", "gone", "uid-gone"),
            // One that had a successor, of the same name, elsewhere.
            step("pods", "other", "uid-gone"),
            step("services", "other", "u"),
        ];
        let refused = [
            step("pods", "other", "uid-other"),
            step("pods", "other", ""),
            step("pods", "other", "hash"),
            // Names and UIDs that don't go together.
            step("pods", "nobody", "uid-other"),
            step("pods", "nobody", ""),
        ];
        let mut all = expected.clone().to_vec();
        all[2].uid = "uid-other".into();
        all.extend(refused);
        assert_eq!(of_node("w1", all, read, gone), expected);
        assert_eq!(reads.get(), 4, "each pod is read once");
    }
}
