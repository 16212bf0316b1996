//! A node with the pods on it.

use crate::pod_info::PodInfo;
use crate::resources::Resources;
use hardway_proto::meta::ObjectKey;
use hardway_proto::quantity::Quantity as Amount;
use k8s_openapi::api::core::v1::{Node, Taint};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

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
    /// How many of them have wishes about other pods: mostly none, and then
    /// nobody needs to look through them.
    pub pods_with_affinity: usize,
    /// Sizes of the images it has, by every name they go by.
    pub images: HashMap<String, i64>,
}

impl NodeInfo {
    /// A node known by name only.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Takes over a node object.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let status = node.status.as_ref();
        let list = status.and_then(|s| s.allocatable.as_ref());
        self.allocatable = list.map(Resources::from_list).unwrap_or_default();
        self.max_pods = list
            .and_then(|l| l.get("pods"))
            .and_then(|q| q.0.parse::<Amount>().ok())
            .map_or(0, |a| a.value());
        self.images = status
            .and_then(|s| s.images.as_ref())
            .into_iter()
            .flatten()
            .flat_map(|image| {
                let size = image.size_bytes.unwrap_or(0);
                let names = image.names.iter().flatten();
                names.map(move |name| (name.clone(), size))
            })
            .collect();
        self.node = Some(node);
    }

    /// Puts a pod on it, in place of what was there under its key.
    pub fn add_pod(&mut self, pod: Arc<PodInfo>) {
        self.remove_pod(&pod.key);
        self.requested.add(&pod.requests, 1);
        self.scored_requested.add(&pod.scored_requests, 1);
        self.pods_with_affinity += usize::from(pod.has_pod_affinity());
        self.pods.insert(pod.key.clone(), pod);
    }

    /// Takes a pod off it.
    pub fn remove_pod(&mut self, key: &ObjectKey) -> Option<Arc<PodInfo>> {
        let pod = self.pods.remove(key)?;
        self.requested.add(&pod.requests, -1);
        self.scored_requested.add(&pod.scored_requests, -1);
        self.pods_with_affinity -= usize::from(pod.has_pod_affinity());
        Some(pod)
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
