//! All nodes, with what is known of them together, so that nobody needs to go through
//! thousands of them for each pod.

use crate::images;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use hardway_client::shrink::Shrink;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::ContainerImage;
use std::collections::{BTreeSet, HashMap};
use std::ops::Index;
use std::sync::Arc;

/// All nodes, as plugins that look beyond one node see them.
#[derive(Clone, Copy)]
pub struct Nodes<'a> {
    all: &'a [Arc<NodeInfo>],
    /// How many of them have an object.
    known: usize,
    kept: Option<&'a Totals>,
    /// The one at this position is seen as this instead.
    instead: Option<(usize, &'a NodeInfo)>,
}

impl<'a> Nodes<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The node at a position.
    pub fn at(&self, at: usize) -> &'a NodeInfo {
        match self.instead {
            Some((there, other)) if there == at => other,
            _ => &self.all[at],
        }
    }

    /// The same nodes as they would be if one of them had other pods. Its object is the same.
    pub fn with(self, at: usize, node: &'a NodeInfo) -> Self {
        Self {
            instead: Some((at, node)),
            ..self
        }
    }

    /// How many there are, without those that only pods name.
    pub fn known(&self) -> usize {
        self.known
    }

    /// The position of the node of a name, if there is one.
    pub fn position(&self, name: &str) -> Option<usize> {
        match self.kept {
            Some(kept) => kept.positions.get(name).copied(),
            None => self.all.iter().position(|node| node.name == name),
        }
    }

    /// Those with pods that have wishes about other pods, with their positions.
    pub fn with_affinity(&self) -> impl Iterator<Item = (usize, &'a NodeInfo)> + use<'a> {
        let nodes = *self;
        let kept = self.kept.map(|kept| kept.with_affinity.iter().copied());
        let looked_at = match kept {
            Some(_) => 0,
            None => self.len(),
        };
        let positions = kept.into_iter().flatten().chain(0..looked_at);
        let all = positions.map(move |at| (at, nodes.at(at)));
        all.filter(|(_, node)| !node.with_affinity.is_empty())
    }

    /// The generation of the node at a position.
    pub fn generation(&self, at: usize) -> u64 {
        match (self.kept, self.instead) {
            (Some(kept), None) => kept.generations[at],
            (Some(kept), Some((other, _))) if other != at => kept.generations[at],
            _ => self.at(at).generation(),
        }
    }

    /// How many of them have an image.
    pub fn holders(&self, image: &str) -> usize {
        match self.kept {
            Some(kept) => kept.images.get(image).copied().unwrap_or(0),
            None => {
                let all = self.all.iter();
                let holders = all.filter(|node| images::size(node.images(), image).is_some());
                holders.count()
            }
        }
    }

    /// Whether any pod on them uses a claim.
    pub fn is_claim_used(&self, claim: &ObjectKey) -> bool {
        let users = |node: &NodeInfo| {
            let pods = node.pods.values();
            let uses_it = |pod: &&Arc<PodInfo>| claims(pod).any(|used| used == *claim);
            pods.filter(uses_it).count()
        };
        let all = match self.kept {
            Some(kept) => kept.claims.get(claim).copied().unwrap_or(0),
            None => self.all.iter().map(|node| users(node)).sum(),
        };
        match self.instead {
            Some((at, other)) if all > 0 => all - users(&self.all[at]) + users(other) > 0,
            _ => all > 0,
        }
    }
}

impl Index<usize> for Nodes<'_> {
    type Output = NodeInfo;

    /// The node at a position.
    fn index(&self, at: usize) -> &NodeInfo {
        self.at(at)
    }
}

impl<'a> From<&'a [Arc<NodeInfo>]> for Nodes<'a> {
    fn from(all: &'a [Arc<NodeInfo>]) -> Self {
        Self {
            all,
            known: all.iter().filter(|node| node.node.is_some()).count(),
            kept: None,
            instead: None,
        }
    }
}

impl<'a> From<&'a Vec<Arc<NodeInfo>>> for Nodes<'a> {
    fn from(all: &'a Vec<Arc<NodeInfo>>) -> Self {
        all.as_slice().into()
    }
}

impl<'a, const N: usize> From<&'a [Arc<NodeInfo>; N]> for Nodes<'a> {
    fn from(all: &'a [Arc<NodeInfo>; N]) -> Self {
        all.as_slice().into()
    }
}

/// What is known of many nodes together, kept up to date as they change one by one.
#[derive(Debug, Default)]
pub struct Totals {
    /// How many nodes have an object.
    known: usize,
    positions: HashMap<String, usize>,
    /// Positions of those with pods that have wishes about other pods.
    with_affinity: BTreeSet<usize>,
    /// How many nodes have each image.
    images: HashMap<String, usize>,
    /// How many pods on nodes use each claim.
    claims: HashMap<ObjectKey, usize>,
    /// Those of the nodes, beside each other, so that thousands are compared at a glance.
    generations: Vec<u64>,
}

impl Totals {
    /// Takes in a new node, of which nothing is known but its name; returns its position, which
    /// is behind all others.
    pub fn add(&mut self, name: &str) -> usize {
        let at = self.generations.len();
        self.positions.insert(name.to_owned(), at);
        self.generations.push(0);
        at
    }

    /// The position of the node of a name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// The nodes that this is of.
    pub fn of<'a>(&'a self, all: &'a [Arc<NodeInfo>]) -> Nodes<'a> {
        Nodes {
            all,
            known: self.known,
            kept: Some(self),
            instead: None,
        }
    }

    /// Has the node at a position changed.
    pub fn change<R>(
        &mut self,
        at: usize,
        node: &mut NodeInfo,
        change: impl FnOnce(&mut NodeInfo) -> R,
    ) -> R {
        let before = node.node.clone();
        let outcome = change(node);
        self.generations[at] = node.generation();
        match node.with_affinity.is_empty() {
            true => self.with_affinity.remove(&at),
            false => self.with_affinity.insert(at),
        };
        let pointers = (
            before.as_ref().map(Arc::as_ptr),
            node.node.as_ref().map(Arc::as_ptr),
        );
        if pointers.0 != pointers.1 {
            self.known += usize::from(node.node.is_some());
            self.known -= usize::from(before.is_some());
            let images_before = before.as_deref().map_or(&[][..], images::of);
            if images_before != node.images() {
                self.add_images(node.images());
                self.remove_images(images_before);
            }
        }
        outcome
    }

    /// Takes out the node that was at a position; the last one takes its place.
    pub fn remove(&mut self, at: usize, node: &NodeInfo) {
        self.positions.remove(&node.name);
        self.generations.swap_remove(at);
        self.with_affinity.remove(&at);
        let last = self.generations.len();
        if self.with_affinity.remove(&last) {
            self.with_affinity.insert(at);
        }
        self.known -= usize::from(node.node.is_some());
        self.remove_images(node.images());
    }

    /// The node of a name has moved to a position.
    pub fn moved(&mut self, name: &str, at: usize) {
        if let Some(position) = self.positions.get_mut(name) {
            *position = at;
        }
    }

    /// A pod has come to a node.
    pub fn add_pod(&mut self, pod: &PodInfo) {
        for claim in claims(pod) {
            *self.claims.entry(claim).or_default() += 1;
        }
    }

    /// A pod has left its node.
    pub fn remove_pod(&mut self, pod: &PodInfo) {
        for claim in claims(pod) {
            if let Some(count) = self.claims.get_mut(&claim) {
                *count -= 1;
                if *count == 0 {
                    self.claims.remove(&claim);
                    self.claims.shrink_if_sparse();
                }
            }
        }
    }

    fn add_images(&mut self, images: &[ContainerImage]) {
        for image in images::names(images) {
            match self.images.get_mut(image) {
                Some(count) => *count += 1,
                None => {
                    self.images.insert(image.to_owned(), 1);
                }
            }
        }
    }

    fn remove_images(&mut self, images: &[ContainerImage]) {
        for image in images::names(images) {
            if let Some(count) = self.images.get_mut(image) {
                *count -= 1;
                if *count == 0 {
                    self.images.remove(image);
                }
            }
        }
    }
}

/// The claims that a pod uses.
fn claims(pod: &PodInfo) -> impl Iterator<Item = ObjectKey> {
    let names = pod.claims.iter();
    names.map(|name| ObjectKey::new(pod.key.namespace.as_str(), name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;
    use k8s_openapi::api::core::v1::{Node, Pod};
    use serde_json::{Value, json};

    fn node(name: &str, images: Value) -> Arc<Node> {
        let object = json!({"metadata": {"name": name}, "status": {
            "allocatable": {"cpu": "4"}, "images": images}});
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn pod(name: &str, node: &str, affinity: Value) -> Arc<Pod> {
        let claim = json!({"name": "v", "persistentVolumeClaim": {"claimName": "data"}});
        let object = json!({"metadata": {"namespace": "d", "name": name, "uid": name},
            "spec": {"nodeName": node, "containers": [], "affinity": affinity,
                     "volumes": [claim]}});
        Arc::new(serde_json::from_value(object).unwrap())
    }

    /// What was counted as changes came, against what there is.
    fn assert_counted(cache: &Cache) {
        let kept = cache.nodes();
        let all = Nodes::from(kept.all);
        assert_eq!(kept.known(), all.known());
        for at in 0..all.len() {
            assert_eq!(kept.generation(at), all.generation(at));
            assert_eq!(kept.position(&all[at].name), Some(at));
        }
        let with_affinity =
            |nodes: Nodes<'_>| -> Vec<usize> { nodes.with_affinity().map(|(at, _)| at).collect() };
        assert_eq!(with_affinity(kept), with_affinity(all));
        for claim in ["data", "other"] {
            let claim = ObjectKey::new("d", claim);
            assert_eq!(kept.is_claim_used(&claim), all.is_claim_used(&claim));
        }
        for image in ["a", "b", "c"] {
            assert_eq!(kept.holders(image), all.holders(image), "{image}");
        }
    }

    #[test]
    fn one_node_can_be_seen_as_it_would_be() {
        let near = json!({"podAffinity": {}});
        let mut cache = Cache::default();
        for name in ["one", "two"] {
            cache.apply_node(node(name, json!([])));
        }
        cache.apply_pod(&pod("p", "two", near));
        let claim = ObjectKey::new("d", "data");
        for nodes in [cache.nodes(), Nodes::from(cache.nodes().all)] {
            let mut other = nodes[1].clone();
            other.remove_pod(&ObjectKey::new("d", "p"));
            let seen = nodes.with(1, &other);
            assert_eq!((seen[0].name.as_str(), seen[1].pods.len()), ("one", 0));
            assert_eq!(seen.generation(0), nodes.generation(0));
            assert_eq!(seen.generation(1), other.generation());
            assert_eq!(seen.with_affinity().count(), 0);
            assert!(nodes.is_claim_used(&claim) && !seen.is_claim_used(&claim));
            assert_eq!((seen.known(), seen.position("two")), (2, Some(1)));
        }
    }

    #[test]
    fn totals_are_those_of_all_nodes_whatever_changes() {
        let image = |name: &str| json!({"names": [name], "sizeBytes": 1});
        let near = json!({"podAffinity": {}});
        let mut cache = Cache::default();
        cache.apply_node(node("one", json!([image("a"), image("b")])));
        cache.apply_node(node("two", json!([image("b")])));
        assert_eq!(cache.nodes().holders("b"), 2);
        assert_counted(&cache);
        cache.apply_pod(&pod("p", "one", near.clone()));
        cache.apply_pod(&pod("q", "elsewhere", near));
        assert_eq!((cache.nodes().known(), cache.nodes().len()), (2, 3));
        assert_eq!(cache.nodes().with_affinity().count(), 2);
        assert!(cache.nodes().is_claim_used(&ObjectKey::new("d", "data")));
        assert_counted(&cache);
        // The same images again, then others.
        cache.apply_node(node("two", json!([image("b")])));
        assert_counted(&cache);
        cache.apply_node(node("two", json!([image("c")])));
        assert_counted(&cache);
        cache.apply_pod(&pod("p", "two", json!(null)));
        assert_counted(&cache);
        cache.remove_node("one");
        cache.remove_node("two");
        assert_counted(&cache);
        for name in ["p", "q"] {
            cache.remove_pod(&ObjectKey::new("d", name));
            assert_counted(&cache);
        }
        assert!(cache.nodes().is_empty() && cache.nodes().with_affinity().next().is_none());
        assert!(!cache.nodes().is_claim_used(&ObjectKey::new("d", "data")));
        assert_eq!(cache.nodes().position("one"), None);
        assert_eq!(cache.nodes().holders("c"), 0);
    }
}
