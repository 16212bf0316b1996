//! What a plugin can say about a pod and a node.

use crate::node_info::NodeInfo;
pub use crate::nodes::Nodes;
use crate::pod_info::PodInfo;
use std::borrow::Cow;
use std::collections::BTreeSet;

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

    /// The names of the only nodes that may do, where the pod itself names some: no others are
    /// looked at (Kubernetes' `PreFilterResult`).
    fn only<'p>(&self, _prepared: &'p dyn Prepared) -> Option<&'p BTreeSet<String>> {
        None
    }

    /// Whether the filter may reject any node for this pod; if not, it is asked about none.
    fn filters(&self, _prepared: &dyn Prepared, _pod: &PodInfo) -> bool {
        true
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

    /// Whether any node may suit this pod better than others; if not, none is given a score.
    fn scores(&self, _prepared: &dyn Prepared, _pod: &PodInfo) -> bool {
        true
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
pub struct Cycle {
    prepared: Vec<Box<dyn Prepared>>,
    /// Positions of the plugins that may reject a node for this pod, and of those that may like
    /// one better than another. For most pods they are few, and there are thousands of nodes.
    filters: Vec<usize>,
    scores: Vec<usize>,
}

impl Cycle {
    /// Whether any plugin's filter goes by the pods of all nodes: see
    /// [`Prepared::follows_pods`].
    pub fn follows_pods(&self) -> bool {
        self.prepared.iter().any(|prepared| prepared.follows_pods())
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
        let plugins = self.plugins.iter();
        let prepared: Vec<_> = plugins.map(|p| p.prepare(pod, nodes)).collect();
        let those = |asked: &dyn Fn(&dyn Plugin, &dyn Prepared) -> bool| -> Vec<usize> {
            let all = self.plugins.iter().zip(&prepared).enumerate();
            let asked = all.filter(|(_, (plugin, own))| asked(plugin.as_ref(), own.as_ref()));
            asked.map(|(at, _)| at).collect()
        };
        Cycle {
            filters: those(&|plugin, own| plugin.filters(own, pod)),
            scores: those(&|plugin, own| plugin.weight() != 0 && plugin.scores(own, pod)),
            prepared,
        }
    }

    /// Asks whether the pod may run anywhere; the first rejection counts.
    ///
    /// # Errors
    /// Why it may not.
    pub fn pre_filter(&self, cycle: &Cycle, pod: &PodInfo) -> Result<(), Rejection> {
        for (plugin, prepared) in self.plugins.iter().zip(&cycle.prepared) {
            plugin.pre_filter(prepared.as_ref(), pod)?;
        }
        Ok(())
    }

    /// The names of the only nodes that may do for all plugins, with the plugins that name some;
    /// `None` if none does.
    pub fn only(&self, cycle: &Cycle) -> Option<(BTreeSet<String>, Vec<&'static str>)> {
        let mut only: Option<(BTreeSet<String>, Vec<&'static str>)> = None;
        for (plugin, prepared) in self.plugins.iter().zip(&cycle.prepared) {
            let Some(names) = plugin.only(prepared.as_ref()) else {
                continue;
            };
            let (all, by) = only.get_or_insert_with(|| (names.clone(), Vec::new()));
            all.retain(|name| names.contains(name));
            by.push(plugin.name());
        }
        only
    }

    /// Asks the filters in turn; the first rejection counts.
    pub fn filter(&self, cycle: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        for &at in &cycle.filters {
            self.plugins[at].filter(cycle.prepared[at].as_ref(), pod, node)?;
        }
        Ok(())
    }

    /// The weighted sums of all scores, one for each node.
    pub fn score(&self, cycle: &Cycle, pod: &PodInfo, nodes: &[&NodeInfo]) -> Vec<i64> {
        let mut totals = vec![0; nodes.len()];
        let mut scores = Vec::with_capacity(nodes.len());
        for &at in &cycle.scores {
            let plugin = &self.plugins[at];
            let weight = plugin.weight();
            let prepared = cycle.prepared[at].as_ref();
            scores.clear();
            let of_node = |node: &&NodeInfo| plugin.score(prepared, pod, node);
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
