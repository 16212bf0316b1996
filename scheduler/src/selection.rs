//! Which node a pod gets: filters, then scores.

use crate::fit_error::FitError;
use crate::framework::{Cycle, Framework, Nodes, Rejection};
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
fn best(nodes: &[&NodeInfo], scores: &[i64]) -> Vec<(String, i64)> {
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

    /// The node where room is kept for a pod.
    pub fn nominated(&self, key: &ObjectKey) -> Option<&str> {
        self.nominated.get(key).map(String::as_str)
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
        let cycle = framework.prepare(pod, nodes);
        framework
            .pre_filter(&cycle, pod)
            .map_err(|rejection| FitError {
                nodes: total,
                everywhere: Some(rejection),
                ..FitError::default()
            })?;
        // Where room was made for it, it goes as soon as it can.
        let nominated = self.nominated.get(&pod.key);
        let nominated = nominated.and_then(|name| nodes.position(name));
        if let Some(node) = nominated.map(|at| nodes.at(at))
            && node.node.is_some()
            && self.fits(framework, &cycle, pod, node).is_ok()
        {
            return Ok(Placement {
                node: node.name.clone(),
                nodes: total,
                feasible: 1,
                ..Placement::default()
            });
        }
        let (feasible, rejections) = self.search(framework, &cycle, pod, nodes);
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

    /// Nodes that will do, if not all then enough of them, and what is said of the others.
    fn search<'a>(
        &mut self,
        framework: &Framework,
        cycle: &Cycle,
        pod: &PodInfo,
        nodes: Nodes<'a>,
    ) -> (Vec<&'a NodeInfo>, Rejections) {
        let is_known = |at: &usize| nodes[*at].node.is_some();
        let only = framework.only(cycle);
        let named = only.as_ref().map(|(names, _)| -> Vec<usize> {
            let named = names.iter().filter_map(|name| nodes.position(name));
            named.filter(is_known).collect()
        });
        let (count, known) = match &named {
            Some(named) => (0, named.len()),
            None => (nodes.len(), nodes.known()),
        };
        let start = self.start;
        let in_turn = (0..count).map(|seen| (start + seen) % count);
        let enough = feasible_to_find(known);
        let mut feasible = Vec::new();
        let mut rejections = Rejections::default();
        let mut seen = 0;
        for at in named.iter().flatten().copied().chain(in_turn) {
            if feasible.len() >= enough {
                break;
            }
            seen += 1;
            if !is_known(&at) {
                continue;
            }
            match self.fits(framework, cycle, pod, &nodes[at]) {
                Ok(()) => feasible.push(nodes.at(at)),
                Err(rejection) => rejections.add(at, rejection),
            }
        }
        match only {
            Some((_, by)) => rejections.add_unnamed(nodes.known() - known, &by),
            // Next time the nodes not seen now come first; where all were seen,
            // another one does, so that equally good nodes take turns.
            None => {
                let step = if seen == count { 1 } else { seen };
                self.start = (start + step) % count.max(1);
            }
        }
        (feasible, rejections)
    }

    /// Whether a pod fits on a node, beside those for which room is kept there as well.
    pub fn fits(
        &self,
        framework: &Framework,
        cycle: &Cycle,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Rejection> {
        if let Some(crowded) = self.with_nominated(pod, node) {
            framework.filter(cycle, pod, &crowded)?;
        }
        framework.filter(cycle, pod, node)
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

    /// `PreFilterResult` and the text of `FitError` of Kubernetes 1.33.
    #[test]
    fn only_the_nodes_that_a_pod_names_are_looked_at() {
        let (framework, nodes) = (
            default_profile(Storage::default(), Namespaces::default()),
            nodes(4),
        );
        let of_daemon = |names: &[&str], cpu: &str| {
            let field = json!({"key": "metadata.name", "operator": "In", "values": names});
            let terms = json!({"nodeSelectorTerms": [{"matchFields": [field]}]});
            let object = json!({"metadata": {"namespace": "d", "name": "p", "uid": "p"}, "spec": {
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
                "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
            PodInfo::new(Arc::new(serde_json::from_value(object).unwrap()))
        };
        let mut selection = Selection::default();
        let mut find = |pod: PodInfo| selection.find_node(&framework, &nodes, &pod);
        let found = find(of_daemon(&["n2"], "1")).unwrap();
        assert_eq!((found.node.as_str(), found.feasible), ("n2", 1));
        let fit = find(of_daemon(&["n2", "gone"], "9")).unwrap_err();
        assert_eq!(
            fit.message(),
            "0/4 nodes are available: 1 Insufficient cpu, 3 node(s) didn't satisfy plugin(s) [NodeAffinity]."
        );
        assert_eq!(fit.plugins(), ["NodeAffinity", "NodeResourcesFit"]);
        assert_eq!(fit.rejections.unresolvable(), 4);
        let fit = find(of_daemon(&["gone"], "1")).unwrap_err();
        assert_eq!(
            fit.message(),
            "0/4 nodes are available: 4 node(s) didn't satisfy plugin(s) [NodeAffinity]."
        );
    }

    #[test]
    fn a_pod_goes_where_room_was_made_for_it() {
        let (framework, nodes) = (
            default_profile(Storage::default(), Namespaces::default()),
            nodes(3),
        );
        let mut selection = Selection::default();
        let vip = Arc::new(pod("vip", 100));
        for name in ["n2", "n0", "n1"] {
            selection.nominate(vip.clone(), name);
            let found = selection.find_node(&framework, &nodes, &vip).unwrap();
            assert_eq!((found.node.as_str(), found.feasible), (name, 1));
        }
        // One that is gone meanwhile is as good as none.
        selection.nominate(vip.clone(), "gone");
        let found = selection.find_node(&framework, &nodes, &vip).unwrap();
        assert_eq!(found.feasible, 3);
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
