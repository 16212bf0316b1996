//! Who owns whom: every object as a node, by UID.

use hardway_proto::Kind;
use hardway_proto::api::ResourceInfo;
use hardway_proto::kind::PartialObject;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The finalizer of a foreground deletion.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of a deletion that leaves dependents behind.
pub const ORPHAN: &str = "orphan";

/// One object.
#[derive(Clone, Debug)]
pub struct Node {
    /// What kind of object it is.
    pub resource: Arc<ResourceInfo>,
    /// Where it is.
    pub key: ObjectKey,
    /// Its owners, as its metadata names them.
    pub owners: Vec<OwnerReference>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its finalizers.
    pub finalizers: Vec<String>,
}

impl Node {
    /// Whether it waits for its dependents to go first.
    pub fn waits_for_dependents(&self) -> bool {
        self.deleting && self.finalizers.iter().any(|f| f == FOREGROUND)
    }

    /// Whether it waits for its dependents to be set free.
    pub fn orphans_dependents(&self) -> bool {
        self.deleting && self.finalizers.iter().any(|f| f == ORPHAN)
    }
}

/// All objects and who depends on them.
#[derive(Default)]
pub struct Graph {
    nodes: HashMap<String, Node>,
    /// UIDs of dependents by the owner's UID, whether the owner is known or not.
    dependents: HashMap<String, HashSet<String>>,
}

impl Graph {
    /// An object by UID.
    pub fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// UIDs of what names this UID as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<String> {
        let dependents = self.dependents.get(uid);
        dependents.into_iter().flatten().cloned().collect()
    }

    /// The dependents that hold up this owner's foreground deletion.
    pub fn blocking_dependents(&self, uid: &str) -> Vec<String> {
        let blocks = |dependent: &String| {
            self.nodes.get(dependent).is_some_and(|node| {
                node.owners
                    .iter()
                    .any(|o| o.uid == uid && o.block_owner_deletion == Some(true))
            })
        };
        self.dependents(uid).into_iter().filter(blocks).collect()
    }

    /// Takes an object in; returns the UIDs to look at.
    pub fn apply(&mut self, resource: &Arc<ResourceInfo>, object: &PartialObject) -> Vec<String> {
        let uid = object.uid().to_owned();
        let node = Node {
            resource: resource.clone(),
            key: ObjectKey::of(object),
            owners: object.metadata.owner_references.clone().unwrap_or_default(),
            deleting: object.metadata.deletion_timestamp.is_some(),
            finalizers: object.metadata.finalizers.clone().unwrap_or_default(),
        };
        let mut look = Vec::new();
        let former = self.unlink(&uid);
        for owner in &node.owners {
            let dependents = self.dependents.entry(owner.uid.clone()).or_default();
            dependents.insert(uid.clone());
        }
        // An owner may have waited for just this change.
        let waiting = |owner: &String| {
            self.nodes
                .get(owner)
                .is_some_and(Node::waits_for_dependents)
        };
        look.extend(former.into_iter().filter(waiting));
        if !node.owners.is_empty() || node.waits_for_dependents() || node.orphans_dependents() {
            look.push(uid.clone());
        }
        self.nodes.insert(uid, node);
        look
    }

    /// Takes an object out; returns the UIDs to look at.
    pub fn remove(&mut self, uid: &str) -> Vec<String> {
        let owners = self.unlink(uid);
        self.nodes.remove(uid);
        let waiting = |owner: &String| {
            self.nodes
                .get(owner)
                .is_some_and(Node::waits_for_dependents)
        };
        let mut look: Vec<String> = owners.into_iter().filter(waiting).collect();
        look.extend(self.dependents(uid));
        look
    }

    /// Drops the edges to an object's owners; returns these.
    fn unlink(&mut self, uid: &str) -> Vec<String> {
        let Some(node) = self.nodes.get(uid) else {
            return Vec::new();
        };
        let owners: Vec<String> = node.owners.iter().map(|o| o.uid.clone()).collect();
        for owner in &owners {
            if let Some(dependents) = self.dependents.get_mut(owner) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn apply(graph: &mut Graph, metadata: Value) -> Vec<String> {
        let resource = Arc::new(ResourceInfo::default());
        let object: PartialObject = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        graph.apply(&resource, &object)
    }

    fn owned(uid: &str, owner: &str) -> Value {
        json!({"name": uid, "uid": uid, "ownerReferences": [
            {"apiVersion": "v1", "kind": "X", "name": owner, "uid": owner, "blockOwnerDeletion": true}]})
    }

    #[test]
    fn dependents_are_looked_at_when_their_owner_goes() {
        let mut graph = Graph::default();
        apply(&mut graph, json!({"name": "rc", "uid": "rc"}));
        assert_eq!(apply(&mut graph, owned("pod", "rc")), ["pod"]);
        assert_eq!(graph.dependents("rc"), ["pod"]);
        assert_eq!(graph.remove("rc"), ["pod"]);
    }

    #[test]
    fn a_waiting_owner_is_looked_at_when_a_dependent_goes() {
        let mut graph = Graph::default();
        apply(&mut graph, owned("pod", "rc"));
        let leaving = json!({"name": "rc", "uid": "rc", "deletionTimestamp": "2024-01-01T00:00:00Z",
            "finalizers": ["foregroundDeletion"]});
        assert_eq!(apply(&mut graph, leaving), ["rc"]);
        assert_eq!(graph.blocking_dependents("rc"), ["pod"]);
        assert_eq!(graph.remove("pod"), ["rc"]);
        assert!(graph.blocking_dependents("rc").is_empty());
    }
}
