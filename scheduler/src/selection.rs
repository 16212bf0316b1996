//! Which node a pod gets: filters, then scores.

use crate::fit_error::FitError;
use crate::framework::{Framework, Nodes};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::rejections::Rejections;
use hardway_proto::meta::ObjectKey;
use std::collections::HashMap;
use std::sync::Arc;

/// With more nodes than this, not all are looked at (Kubernetes'
/// `percentageOfNodesToScore`, adaptive by default).
const MIN_FEASIBLE: usize = 100;

/// So many of the best nodes are told of.
const BEST: usize = 3;

/// The node that was found for a pod, and what it was compared with.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// The node.
    pub node: String,
    /// How many nodes there are.
    pub nodes: usize,
    /// How many would have done, of those that were looked at.
    pub feasible: usize,
    /// The best nodes with their scores, best first; none if one alone would do.
    pub scores: Vec<(String, i64)>,
    /// What was said of those that would not.
    pub rejections: Rejections,
}

impl Placement {
    /// `worker-1 312, worker-2 287`.
    pub fn best(&self) -> String {
        let best = self.scores.iter();
        let best: Vec<String> = best
            .map(|(node, score)| format!("{node} {score}"))
            .collect();
        best.join(", ")
    }
}

/// The best of these nodes with their scores, best first; of equals the first.
fn best(nodes: &[&Arc<NodeInfo>], scores: &[i64]) -> Vec<(String, i64)> {
    let mut best: Vec<usize> = Vec::with_capacity(BEST + 1);
    for (at, score) in scores.iter().enumerate() {
        let place = best.partition_point(|other| scores[*other] >= *score);
        if place < BEST {
            best.insert(place, at);
            best.truncate(BEST);
        }
    }
    best.into_iter()
        .map(|at| (nodes[at].name.clone(), scores[at]))
        .collect()
}

/// What one choice leaves behind for the next.
#[derive(Default)]
pub struct Selection {
    /// Where pods wait for their victims to go.
    nominated: HashMap<ObjectKey, String>,
    /// The same pods by these nodes: each node is asked about, for each pod.
    by_node: HashMap<String, Vec<Arc<PodInfo>>>,
    /// Where to start looking, so that nodes take turns.
    start: usize,
}

impl Selection {
    /// Keeps room on a node for a pod whose victims are leaving.
    pub fn nominate(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.denominate(&pod.key);
        self.nominated.insert(pod.key.clone(), node.to_owned());
        self.by_node.entry(node.to_owned()).or_default().push(pod);
    }

    /// Keeps no room for a pod any more.
    pub fn denominate(&mut self, key: &ObjectKey) {
        let Some(node) = self.nominated.remove(key) else {
            return;
        };
        if let Some(there) = self.by_node.get_mut(&node) {
            there.retain(|pod| pod.key != *key);
            if there.is_empty() {
                self.by_node.remove(&node);
            }
        }
    }

    /// The best node for a pod, or why none will do.
    pub fn find_node<'a>(
        &mut self,
        framework: &Framework,
        nodes: impl Into<Nodes<'a>>,
        pod: &PodInfo,
    ) -> Result<Placement, FitError> {
        let nodes = nodes.into();
        let total = nodes.known();
        let wanted = feasible_to_find(total);
        let cycle = framework.prepare(pod, nodes);
        framework
            .pre_filter(&cycle, pod)
            .map_err(|rejection| FitError {
                nodes: total,
                everywhere: Some(rejection),
                ..FitError::default()
            })?;
        let mut feasible = Vec::new();
        let mut rejections = Rejections::default();
        let mut seen = 0;
        while seen < nodes.len() && feasible.len() < wanted {
            let at = (self.start + seen) % nodes.len();
            seen += 1;
            let node = &nodes[at];
            if node.node.is_none() {
                continue;
            }
            let verdict = match self.with_nominated(pod, node) {
                None => framework.filter(&cycle, pod, node),
                Some(crowded) => framework
                    .filter(&cycle, pod, &crowded)
                    .and_then(|()| framework.filter(&cycle, pod, node)),
            };
            match verdict {
                Ok(()) => feasible.push(node),
                Err(rejection) => rejections.add(at, rejection),
            }
        }
        // Next time the nodes not seen now come first; where all were seen,
        // another one does, so that equally good nodes take turns.
        let step = if seen == nodes.len() { 1 } else { seen };
        self.start = (self.start + step) % nodes.len().max(1);
        let (node, scores) = match feasible.as_slice() {
            [] => {
                return Err(FitError {
                    nodes: total,
                    rejections,
                    ..FitError::default()
                });
            }
            [only] => (only.name.clone(), Vec::new()),
            many => {
                let best = best(many, &framework.score(&cycle, pod, many));
                (best[0].0.clone(), best)
            }
        };
        Ok(Placement {
            node,
            nodes: total,
            feasible: feasible.len(),
            scores,
            rejections,
        })
    }

    /// The node with the pods that are nominated to it and at least as
    /// important, if there are any.
    fn with_nominated(&self, pod: &PodInfo, node: &NodeInfo) -> Option<NodeInfo> {
        if self.by_node.is_empty() {
            return None;
        }
        let mut crowded: Option<NodeInfo> = None;
        for other in self.by_node.get(&node.name)? {
            if other.key != pod.key && other.priority >= pod.priority {
                crowded
                    .get_or_insert_with(|| node.clone())
                    .add_pod(other.clone());
            }
        }
        crowded
    }
}

/// How many feasible nodes are enough: all of up to 100, then a share that
/// shrinks from 50% to 5% as the cluster grows.
fn feasible_to_find(nodes: usize) -> usize {
    if nodes < MIN_FEASIBLE {
        return nodes.max(1);
    }
    let percentage = 50usize.saturating_sub(nodes / 125).max(5);
    (nodes * percentage / 100).max(MIN_FEASIBLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespaces::Namespaces;
    use crate::plugins::default_profile;
    use crate::storage::Storage;
    use serde_json::json;

    #[test]
    fn large_clusters_are_sampled() {
        assert_eq!(feasible_to_find(3), 3);
        assert_eq!(feasible_to_find(150), 100);
        assert_eq!(feasible_to_find(1000), 420);
        assert_eq!(feasible_to_find(5000), 500);
    }

    fn pod(name: &str, priority: i32) -> PodInfo {
        let requests = json!({"cpu": "3"});
        let object = json!({
            "metadata": {"namespace": "d", "name": name, "uid": name},
            "spec": {"priority": priority, "containers": [{"name": "c", "resources": {"requests": requests}}]},
        });
        PodInfo::new(Arc::new(serde_json::from_value(object).unwrap()))
    }

    fn nodes(count: usize) -> Vec<Arc<NodeInfo>> {
        let node = |number: usize| {
            let name = format!("n{number}");
            let object = json!({"metadata": {"name": name},
                "status": {"allocatable": {"cpu": "4", "memory": "1Gi", "pods": "10"}}});
            let mut info = NodeInfo::named(&name);
            info.set_node(Arc::new(serde_json::from_value(object).unwrap()));
            Arc::new(info)
        };
        (0..count).map(node).collect()
    }

    #[test]
    fn equally_good_nodes_take_turns() {
        let (framework, nodes) = (
            default_profile(Storage::default(), Namespaces::default()),
            nodes(2),
        );
        let mut selection = Selection::default();
        let first = selection
            .find_node(&framework, &nodes, &pod("a", 0))
            .unwrap();
        let second = selection
            .find_node(&framework, &nodes, &pod("b", 0))
            .unwrap();
        assert_ne!(first.node, second.node);
        assert_eq!((second.feasible, second.nodes), (2, 2));
        let (best, score) = &second.scores[0];
        assert_eq!((best, second.scores.len()), (&second.node, 2));
        assert!(second.best().starts_with(&format!("{best} {score}, ")));
    }

    #[test]
    fn room_is_kept_for_a_nominated_pod() {
        let (framework, nodes) = (
            default_profile(Storage::default(), Namespaces::default()),
            nodes(1),
        );
        let mut selection = Selection::default();
        selection.nominate(Arc::new(pod("vip", 100)), "n0");
        assert!(
            selection
                .find_node(&framework, &nodes, &pod("a", 0))
                .is_err()
        );
        assert!(
            selection
                .find_node(&framework, &nodes, &pod("b", 200))
                .is_ok()
        );
        selection.denominate(&ObjectKey::new("d", "vip"));
        assert!(
            selection
                .find_node(&framework, &nodes, &pod("a", 0))
                .is_ok()
        );
    }
}
