//! A node with the pods on it.

use crate::images;
use crate::pod_info::PodInfo;
use crate::resources::Resources;
use hardway_proto::meta::ObjectKey;
use hardway_proto::quantity::Quantity as Amount;
use k8s_openapi::api::core::v1::{ContainerImage, Node, Taint};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A node, what it has, and what its pods take.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// The node's name.
    pub name: String,
    /// The object; `None` while only its pods are known.
    pub node: Option<Arc<Node>>,
    /// What pods may use.
    pub allocatable: Resources,
    /// How many pods it takes.
    pub max_pods: i64,
    /// What its pods ask for.
    pub requested: Resources,
    /// The same with defaults, for scoring.
    pub scored_requested: Resources,
    /// The pods on it, assumed ones included.
    pub pods: HashMap<ObjectKey, Arc<PodInfo>>,
    /// Those of them that have wishes about other pods: mostly none.
    pub with_affinity: Vec<Arc<PodInfo>>,
    /// Another one after each change; no two nodes have the same unless they are alike.
    generation: u64,
    /// How many of them there are of each priority.
    priorities: BTreeMap<i32, usize>,
}

impl NodeInfo {
    /// A node known by name only.
    pub fn named(name: &str) -> Self {
        let mut info = Self {
            name: name.into(),
            ..Self::default()
        };
        info.renew();
        info
    }

    /// What says whether anything has changed since a look before.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    fn renew(&mut self) {
        static LAST: AtomicU64 = AtomicU64::new(0);
        self.generation = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    }

    /// Its object is gone; its pods go by themselves.
    pub fn forget_node(&mut self) {
        self.renew();
        self.node = None;
    }

    /// Takes over a node object.
    pub fn set_node(&mut self, node: Arc<Node>) {
        self.renew();
        let status = node.status.as_ref();
        let list = status.and_then(|s| s.allocatable.as_ref());
        self.allocatable = list.map(Resources::from_list).unwrap_or_default();
        self.max_pods = list
            .and_then(|l| l.get("pods"))
            .and_then(|q| q.0.parse::<Amount>().ok())
            .map_or(0, |a| a.value());
        self.node = Some(images::sorted(node));
    }

    /// Puts a pod on it, in place of what was there under its key.
    pub fn add_pod(&mut self, pod: Arc<PodInfo>) {
        self.remove_pod(&pod.key);
        self.renew();
        self.requested.add(&pod.requests, 1);
        self.scored_requested.add(&pod.scored_requests, 1);
        if pod.affinity.is_some() {
            self.with_affinity.push(pod.clone());
        }
        *self.priorities.entry(pod.priority).or_default() += 1;
        self.pods.insert(pod.key.clone(), pod);
    }

    /// Takes a pod off it.
    pub fn remove_pod(&mut self, key: &ObjectKey) -> Option<Arc<PodInfo>> {
        let pod = self.pods.remove(key)?;
        self.renew();
        self.requested.add(&pod.requests, -1);
        self.scored_requested.add(&pod.scored_requests, -1);
        if pod.affinity.is_some() {
            self.with_affinity.retain(|other| other.key != *key);
        }
        if let Some(count) = self.priorities.get_mut(&pod.priority) {
            *count -= 1;
            if *count == 0 {
                self.priorities.remove(&pod.priority);
            }
        }
        Some(pod)
    }

    /// The priority of its least important pod, if it has any.
    pub fn least_priority(&self) -> Option<i32> {
        self.priorities.first_key_value().map(|(least, _)| *least)
    }

    /// The images it has, sorted by their names.
    pub fn images(&self) -> &[ContainerImage] {
        self.node.as_deref().map_or(&[], images::of)
    }

    /// The node's labels.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        let labels = self.node.as_ref().and_then(|n| n.metadata.labels.as_ref());
        labels.unwrap_or(&NONE)
    }

    /// The node's taints.
    pub fn taints(&self) -> &[Taint] {
        let spec = self.node.as_ref().and_then(|n| n.spec.as_ref());
        spec.and_then(|s| s.taints.as_deref()).unwrap_or_default()
    }

    /// Whether it is cordoned.
    pub fn is_unschedulable(&self) -> bool {
        let spec = self.node.as_ref().and_then(|n| n.spec.as_ref());
        spec.and_then(|s| s.unschedulable).unwrap_or(false)
    }
}
