//! Which node a pod gets: filters, then scores.

use crate::fit_error::{FitError, histogram};
use crate::framework::{Framework, Nodes, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
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
    /// Which nodes would not, by their position.
    pub rejections: Vec<(usize, Rejection)>,
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

    /// How many nodes each plugin has rejected: `2 NodeResourcesFit, 1 TaintToleration`.
    pub fn rejected(&self) -> String {
        histogram(
            self.rejections
                .iter()
                .map(|(_, rejection)| rejection.plugin),
        )
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
    /// Pods that wait for their victims to go, and where.
    nominated: HashMap<ObjectKey, (String, Arc<PodInfo>)>,
    /// Where to start looking, so that nodes take turns.
    start: usize,
}

impl Selection {
    /// Keeps room on a node for a pod whose victims are leaving.
    pub fn nominate(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.nominated
            .insert(pod.key.clone(), (node.to_owned(), pod));
    }

    /// Keeps no room for a pod any more.
    pub fn denominate(&mut self, key: &ObjectKey) {
        self.nominated.remove(key);
    }

    /// The best node for a pod, or why none will do.
    pub fn find_node(
        &mut self,
        framework: &Framework,
        nodes: Nodes<'_>,
        pod: &PodInfo,
    ) -> Result<Placement, FitError> {
        let total = nodes.iter().filter(|n| n.node.is_some()).count();
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
        let mut rejections = Vec::new();
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
                Err(rejection) => rejections.push((at, rejection)),
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
        let mut crowded: Option<NodeInfo> = None;
        for (key, (name, other)) in &self.nominated {
            if *name == node.name && *key != pod.key && other.priority >= pod.priority {
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
