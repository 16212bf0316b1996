//! What all nodes hold, kept up to date change by change.

use crate::node_info::NodeInfo;
use crate::nodes::{Nodes, Totals};
use crate::pod_info::{PodInfo, is_finished};
use hardway_client::shrink::Shrink;
use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Nodes with their pods. Pods being bound are assumed to be on their node
/// until the binding is seen or has failed.
#[derive(Default)]
pub struct Cache {
    nodes: Vec<Arc<NodeInfo>>,
    /// Pods by key: the node they were put on, and whether that is an assumption.
    placed: HashMap<ObjectKey, Placed>,
    totals: Totals,
}

struct Placed {
    node: String,
    uid: String,
    assumed: bool,
}

impl Cache {
    /// All nodes whose object is known come with it; a node that only pods
    /// name has `node: None`.
    pub fn nodes(&self) -> Nodes<'_> {
        self.totals.of(&self.nodes)
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> Option<&Arc<NodeInfo>> {
        self.totals.position(name).map(|at| &self.nodes[at])
    }

    fn change<R>(&mut self, name: &str, change: impl FnOnce(&mut NodeInfo) -> R) -> R {
        let at = self.totals.position(name).unwrap_or_else(|| {
            self.nodes.push(Arc::new(NodeInfo::named(name)));
            self.totals.add(name)
        });
        let node = Arc::make_mut(&mut self.nodes[at]);
        self.totals.change(at, node, change)
    }

    /// Takes over a node object; returns whether anything that matters to
    /// scheduling changed.
    pub fn apply_node(&mut self, node: Arc<Node>) -> bool {
        let name = node.name().to_owned();
        self.change(&name, |info| {
            let relevant = info.node.as_ref().is_none_or(|old| differs(old, &node));
            info.set_node(node);
            relevant
        })
    }

    /// Forgets a node; its pods stay known until they go themselves.
    pub fn remove_node(&mut self, name: &str) {
        self.change(name, NodeInfo::forget_node);
        self.drop_if_empty(name);
    }

    fn drop_if_empty(&mut self, name: &str) {
        let Some(at) = self.totals.position(name) else {
            return;
        };
        if self.nodes[at].node.is_some() || !self.nodes[at].pods.is_empty() {
            return;
        }
        let gone = self.nodes.swap_remove(at);
        self.totals.remove(at, &gone);
        if let Some(moved) = self.nodes.get(at) {
            self.totals.moved(&moved.name, at);
        }
    }

    /// Takes over a pod as the apiserver has it: on its node, finished, or
    /// not placed yet (which changes nothing: it may be assumed meanwhile).
    pub fn apply_pod(&mut self, pod: &Arc<Pod>) {
        self.apply(Arc::new(PodInfo::new(pod.clone())));
    }

    /// The same of a pod that is worked out already.
    pub fn apply(&mut self, pod: Arc<PodInfo>) {
        if is_finished(&pod.pod) {
            self.remove_pod(&pod.key);
        } else if let Some(node) = pod.node() {
            let node = node.to_owned();
            self.place(pod, &node, false);
        }
    }

    /// Assumes that a pod is going to a node.
    pub fn assume(&mut self, pod: &Arc<PodInfo>, node: &str) {
        self.place(pod.clone(), node, true);
    }

    fn place(&mut self, info: Arc<PodInfo>, node: &str, assumed: bool) {
        let key = info.key.clone();
        self.remove_pod(&key);
        let placed = Placed {
            node: node.to_owned(),
            uid: info.pod.uid().to_owned(),
            assumed,
        };
        self.placed.insert(key, placed);
        self.totals.add_pod(&info);
        self.change(node, |node| node.add_pod(info));
    }

    /// Takes an assumption back, unless the binding has been seen meanwhile.
    pub fn forget(&mut self, key: &ObjectKey, uid: &str) {
        let assumed = self
            .placed
            .get(key)
            .is_some_and(|p| p.assumed && p.uid == uid);
        if assumed {
            self.remove_pod(key);
        }
    }

    /// Whether a pod is assumed or known to be on a node.
    pub fn is_placed(&self, key: &ObjectKey, uid: &str) -> bool {
        self.placed.get(key).is_some_and(|p| p.uid == uid)
    }

    /// Takes a pod off whatever node it is on.
    pub fn remove_pod(&mut self, key: &ObjectKey) {
        if let Some(placed) = self.placed.remove(key) {
            self.placed.shrink_if_sparse();
            if let Some(pod) = self.change(&placed.node, |node| node.remove_pod(key)) {
                self.totals.remove_pod(&pod);
            }
            self.drop_if_empty(&placed.node);
        }
    }
}

/// Heartbeats change a node's conditions all the time; scheduling looks at
/// none of them (taints say what matters).
fn differs(old: &Node, new: &Node) -> bool {
    fn allocatable(node: &Node) -> Option<&BTreeMap<String, Quantity>> {
        node.status.as_ref()?.allocatable.as_ref()
    }
    old.spec != new.spec
        || old.metadata.labels != new.metadata.labels
        || allocatable(old) != allocatable(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, node: &str) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"namespace": "d", "name": name, "uid": name},
                "spec": {"nodeName": node, "containers": [
                    {"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
            }))
            .unwrap(),
        )
    }

    fn node(name: &str) -> Arc<Node> {
        let value = json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": "4", "pods": "10"}}});
        Arc::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn assumed_pods_count_until_they_are_forgotten_or_seen() {
        let mut cache = Cache::default();
        cache.apply_node(node("n1"));
        let waiting = Arc::new(PodInfo::new(pod("a", "")));
        cache.assume(&waiting, "n1");
        assert_eq!(cache.node("n1").unwrap().requested.milli_cpu, 1000);
        cache.forget(&waiting.key, "a");
        assert_eq!(cache.node("n1").unwrap().requested.milli_cpu, 0);
        cache.assume(&waiting, "n1");
        cache.apply_pod(&pod("a", "n1"));
        cache.forget(&waiting.key, "a");
        assert_eq!(cache.node("n1").unwrap().requested.milli_cpu, 1000);
    }

    #[test]
    fn nodes_go_when_their_last_pod_has_gone() {
        let mut cache = Cache::default();
        cache.apply_node(node("n1"));
        cache.apply_node(node("n2"));
        cache.apply_pod(&pod("a", "n1"));
        cache.apply_pod(&pod("b", "gone"));
        cache.remove_node("n1");
        assert_eq!(cache.nodes().len(), 3);
        cache.remove_pod(&ObjectKey::new("d", "a"));
        assert!(cache.node("n1").is_none());
        assert_eq!(cache.node("n2").unwrap().name, "n2");
        assert_eq!(cache.node("gone").unwrap().pods.len(), 1);
        cache.remove_node("n2");
        cache.remove_pod(&ObjectKey::new("d", "b"));
        assert!(cache.nodes().is_empty());
    }
}
