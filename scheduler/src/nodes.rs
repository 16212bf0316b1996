//! All nodes, with what is known of them together, so that nobody needs to go through
//! thousands of them for each pod.

use crate::node_info::NodeInfo;
use std::collections::HashMap;
use std::ops::Deref;
use std::slice::Iter;
use std::sync::Arc;

/// All nodes, as plugins that look beyond one node see them.
#[derive(Clone, Copy)]
pub struct Nodes<'a> {
    all: &'a [Arc<NodeInfo>],
    count: Count,
    kept: Option<&'a Totals>,
}

/// How many nodes are of some kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    /// Those whose object is known.
    known: usize,
    /// Those with pods that have wishes about other pods.
    with_affinity: usize,
}

impl<'a> Nodes<'a> {
    /// Them themselves.
    pub fn all(&self) -> &'a [Arc<NodeInfo>] {
        self.all
    }

    /// How many there are, without those that only pods name.
    pub fn known(&self) -> usize {
        self.count.known
    }

    /// Whether a pod on any of them has wishes about other pods.
    pub fn have_affinity(&self) -> bool {
        self.count.with_affinity > 0
    }

    /// The generation of the node at a position.
    pub fn generation(&self, at: usize) -> u64 {
        match self.kept {
            Some(kept) => kept.generations[at],
            None => self.all[at].generation(),
        }
    }

    /// How many of them have an image.
    pub fn holders(&self, image: &str) -> usize {
        match self.kept {
            Some(kept) => kept.images.get(image).copied().unwrap_or(0),
            None => {
                let all = self.all.iter();
                all.filter(|node| node.images.contains_key(image)).count()
            }
        }
    }
}

impl Deref for Nodes<'_> {
    type Target = [Arc<NodeInfo>];

    fn deref(&self) -> &Self::Target {
        self.all
    }
}

impl<'a> IntoIterator for Nodes<'a> {
    type Item = &'a Arc<NodeInfo>;
    type IntoIter = Iter<'a, Arc<NodeInfo>>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

impl<'a> From<&'a [Arc<NodeInfo>]> for Nodes<'a> {
    fn from(all: &'a [Arc<NodeInfo>]) -> Self {
        let mut count = Count::default();
        all.iter().for_each(|node| count.add(node));
        Self {
            all,
            count,
            kept: None,
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

impl Count {
    fn add(&mut self, node: &NodeInfo) {
        self.known += usize::from(node.node.is_some());
        self.with_affinity += usize::from(node.pods_with_affinity > 0);
    }

    fn remove(&mut self, node: &NodeInfo) {
        self.known -= usize::from(node.node.is_some());
        self.with_affinity -= usize::from(node.pods_with_affinity > 0);
    }
}

/// What is known of many nodes together, kept up to date as they change one by one.
#[derive(Debug, Default)]
pub struct Totals {
    count: Count,
    /// How many nodes have each image.
    images: HashMap<String, usize>,
    /// Those of the nodes, beside each other, so that thousands are compared at a glance.
    generations: Vec<u64>,
}

impl Totals {
    /// Takes in a new node, of which nothing is known but its name.
    pub fn add(&mut self) {
        self.generations.push(0);
    }

    /// The nodes that this is of.
    pub fn of<'a>(&'a self, all: &'a [Arc<NodeInfo>]) -> Nodes<'a> {
        Nodes {
            all,
            count: self.count,
            kept: Some(self),
        }
    }

    /// Has the node at a position changed.
    pub fn change<R>(
        &mut self,
        at: usize,
        node: &mut NodeInfo,
        change: impl FnOnce(&mut NodeInfo) -> R,
    ) -> R {
        let before = node.images.clone();
        self.count.remove(node);
        let outcome = change(node);
        self.count.add(node);
        self.generations[at] = node.generation();
        if !Arc::ptr_eq(&before, &node.images) {
            self.add_images(&node.images);
            self.remove_images(&before);
        }
        outcome
    }

    /// Takes out the node that was at a position; the last one takes its place.
    pub fn remove(&mut self, at: usize, node: &NodeInfo) {
        self.generations.swap_remove(at);
        self.count.remove(node);
        self.remove_images(&node.images);
    }

    fn add_images(&mut self, images: &HashMap<String, i64>) {
        for image in images.keys() {
            match self.images.get_mut(image) {
                Some(count) => *count += 1,
                None => {
                    self.images.insert(image.clone(), 1);
                }
            }
        }
    }

    fn remove_images(&mut self, images: &HashMap<String, i64>) {
        for image in images.keys() {
            if let Some(count) = self.images.get_mut(image) {
                *count -= 1;
                if *count == 0 {
                    self.images.remove(image);
                }
            }
        }
    }
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
        let object = json!({"metadata": {"namespace": "d", "name": name, "uid": name},
            "spec": {"nodeName": node, "containers": [], "affinity": affinity}});
        Arc::new(serde_json::from_value(object).unwrap())
    }

    /// What was counted as changes came, against what there is.
    fn assert_counted(cache: &Cache) {
        let (kept, all) = (cache.nodes(), Nodes::from(cache.nodes().all()));
        assert_eq!(kept.count, all.count);
        for at in 0..all.len() {
            assert_eq!(kept.generation(at), all.generation(at));
        }
        for image in ["a", "b", "c"] {
            assert_eq!(kept.holders(image), all.holders(image), "{image}");
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
        assert!(cache.nodes().have_affinity());
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
            cache.remove_pod(&hardway_proto::meta::ObjectKey::new("d", name));
            assert_counted(&cache);
        }
        assert!(cache.nodes().is_empty() && !cache.nodes().have_affinity());
        assert_eq!(cache.nodes().holders("c"), 0);
    }
}
