//! What a plugin can say about a pod and a node.

use crate::node_info::NodeInfo;
pub use crate::nodes::Nodes;
use crate::pod_info::PodInfo;
use std::borrow::Cow;
use std::sync::Arc;

/// Scores go from zero to this.
pub const MAX_SCORE: i64 = 100;

/// What users of `kubectl describe` read about a node that won't do. Nearly always it is the
/// same text for thousands of nodes, which then need no copies of it.
pub type Reason = Cow<'static, str>;

/// Why a node won't do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The plugin that says so.
    pub plugin: &'static str,
    /// In the words `kubectl describe` users know.
    pub reasons: Vec<Reason>,
    /// Whether evicting other pods could change it.
    pub resolvable: bool,
}

/// What happened in the cluster, for queueing hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterEvent {
    /// A node appeared.
    NodeAdded,
    /// A node's labels, taints, allocatable or schedulability changed.
    NodeChanged,
    /// A pod on a node ended, shrank or went away.
    PodFreed,
    /// A pod was bound or changed its labels.
    PodBound,
    /// A claim, a volume or a class came, changed or went.
    StorageChanged,
    /// A namespace came, or has other labels.
    NamespaceChanged,
}

/// One consideration. A plugin implements what it has a say in.
pub trait Plugin: Send + Sync {
    /// Kubernetes' name for it.
    fn name(&self) -> &'static str;

    /// Facts about the pod and all nodes that the other calls share.
    fn prepare(&self, _pod: &PodInfo, _nodes: Nodes<'_>) -> Box<dyn Prepared> {
        Box::new(Nothing)
    }

    /// Whether the pod may run anywhere: what keeps it from all nodes alike is told once.
    fn pre_filter(&self, _prepared: &dyn Prepared, _pod: &PodInfo) -> Result<(), Rejection> {
        Ok(())
    }

    /// Whether the pod may run on the node.
    fn filter(
        &self,
        _prepared: &dyn Prepared,
        _pod: &PodInfo,
        _node: &NodeInfo,
    ) -> Result<(), Rejection> {
        Ok(())
    }

    /// The weight of its scores; zero if it gives none.
    fn weight(&self) -> i64 {
        0
    }

    /// How well the node suits; higher is better. Any range if `normalize`
    /// brings it to 0..=[`MAX_SCORE`].
    fn score(&self, _prepared: &dyn Prepared, _pod: &PodInfo, _node: &NodeInfo) -> i64 {
        0
    }

    /// Brings the raw scores of all feasible nodes to 0..=[`MAX_SCORE`].
    fn normalize(&self, _prepared: &dyn Prepared, _scores: &mut [i64]) {}

    /// Whether an event may help a pod that this plugin rejected.
    fn may_help(&self, event: ClusterEvent) -> bool;

    /// A rejection by this plugin.
    fn reject(&self, reason: impl Into<Reason>, resolvable: bool) -> Result<(), Rejection>
    where
        Self: Sized,
    {
        Err(Rejection {
            plugin: self.name(),
            reasons: vec![reason.into()],
            resolvable,
        })
    }
}

/// What [`Plugin::prepare`] worked out; a plugin gets its own back.
pub trait Prepared: std::any::Any + Send + Sync {
    /// Whether the filter goes by what pods there are on all nodes. Then it has to be prepared
    /// anew to say what would be if some of them went.
    fn follows_pods(&self) -> bool {
        false
    }
}

struct Nothing;
impl Prepared for Nothing {}

/// The plugin's own type of preparation.
///
/// # Panics
/// If it is another plugin's, which the framework never hands out.
pub fn prepared<T: Prepared>(prepared: &dyn Prepared) -> &T {
    let any: &dyn std::any::Any = prepared;
    any.downcast_ref()
        .expect("the framework hands each plugin its own preparation")
}

/// Stretches scores so that the largest becomes [`MAX_SCORE`]; `reverse`
/// turns "less is better" around.
pub fn default_normalize(scores: &mut [i64], reverse: bool) {
    let max = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let share = if max == 0 {
            0
        } else {
            MAX_SCORE * *score / max
        };
        *score = if reverse { MAX_SCORE - share } else { share };
    }
}

/// The plugins of a profile, in the order in which they are asked.
pub struct Framework {
    plugins: Vec<Box<dyn Plugin>>,
}

/// The plugins' preparations for one pod.
pub struct Cycle(Vec<Box<dyn Prepared>>);

impl Cycle {
    /// Whether any plugin's filter goes by the pods of all nodes: see
    /// [`Prepared::follows_pods`].
    pub fn follows_pods(&self) -> bool {
        self.0.iter().any(|prepared| prepared.follows_pods())
    }
}

impl Framework {
    /// A profile of these plugins.
    pub fn new(plugins: Vec<Box<dyn Plugin>>) -> Self {
        Self { plugins }
    }

    /// Prepares all plugins for a pod.
    pub fn prepare<'a>(&self, pod: &PodInfo, nodes: impl Into<Nodes<'a>>) -> Cycle {
        let nodes = nodes.into();
        Cycle(self.plugins.iter().map(|p| p.prepare(pod, nodes)).collect())
    }

    /// Asks whether the pod may run anywhere; the first rejection counts.
    ///
    /// # Errors
    /// Why it may not.
    pub fn pre_filter(&self, cycle: &Cycle, pod: &PodInfo) -> Result<(), Rejection> {
        for (plugin, prepared) in self.plugins.iter().zip(&cycle.0) {
            plugin.pre_filter(prepared.as_ref(), pod)?;
        }
        Ok(())
    }

    /// Asks the filters in turn; the first rejection counts.
    pub fn filter(&self, cycle: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        for (plugin, prepared) in self.plugins.iter().zip(&cycle.0) {
            plugin.filter(prepared.as_ref(), pod, node)?;
        }
        Ok(())
    }

    /// The weighted sums of all scores, one for each node.
    pub fn score(&self, cycle: &Cycle, pod: &PodInfo, nodes: &[&Arc<NodeInfo>]) -> Vec<i64> {
        let mut totals = vec![0; nodes.len()];
        let mut scores = Vec::with_capacity(nodes.len());
        for (plugin, prepared) in self.plugins.iter().zip(&cycle.0) {
            let weight = plugin.weight();
            if weight == 0 {
                continue;
            }
            let prepared = prepared.as_ref();
            scores.clear();
            let of_node = |node: &&Arc<NodeInfo>| plugin.score(prepared, pod, node);
            scores.extend(nodes.iter().map(of_node));
            plugin.normalize(prepared, &mut scores);
            for (total, score) in totals.iter_mut().zip(&scores) {
                *total += weight * score;
            }
        }
        totals
    }

    /// Whether an event may help a pod that the named plugins rejected.
    pub fn may_help(&self, event: ClusterEvent, rejected_by: &[&'static str]) -> bool {
        rejected_by.is_empty()
            || self
                .plugins
                .iter()
                .any(|p| rejected_by.contains(&p.name()) && p.may_help(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizing_stretches_and_reverses() {
        let mut scores = [1, 2, 4];
        default_normalize(&mut scores, false);
        assert_eq!(scores, [25, 50, 100]);
        let mut taints = [0, 1];
        default_normalize(&mut taints, true);
        assert_eq!(taints, [100, 0]);
        let mut zeros = [0, 0];
        default_normalize(&mut zeros, true);
        assert_eq!(zeros, [100, 100]);
    }
}
