//! What the filters said of all nodes, summed up: a pod that fits on none of five thousand
//! nodes costs no more to remember than the few different reasons for it.

use crate::framework::{Reason, Rejection};
use std::collections::BTreeMap;

/// Reasons with their counts, as `1 a, 2 b`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons(BTreeMap<Reason, usize>);

impl Reasons {
    /// Counts a reason this many times.
    pub fn add(&mut self, reason: Reason, times: usize) {
        if times == 0 {
            return;
        }
        match self.0.get_mut(&reason) {
            Some(count) => *count += times,
            None => {
                self.0.insert(reason, times);
            }
        }
    }

    /// Sorted as text, like Kubernetes does: `10 x` comes before `9 x`.
    pub fn text(&self) -> String {
        let parts = self.0.iter();
        let mut parts: Vec<String> = parts
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        parts.sort();
        parts.join(", ")
    }
}

/// The rejections of nodes.
#[derive(Clone, Debug, Default)]
pub struct Rejections {
    reasons: Reasons,
    /// How many nodes each plugin has rejected: there are few plugins.
    plugins: Vec<(&'static str, usize)>,
    /// Positions of the nodes where evicting pods could help, in the order of the filter.
    resolvable: Vec<usize>,
    unresolvable: usize,
}

impl Rejections {
    /// Counts the rejection of the node at a position.
    pub fn add(&mut self, node: usize, rejection: Rejection) {
        match rejection.resolvable {
            true => self.resolvable.push(node),
            false => self.unresolvable += 1,
        }
        for reason in rejection.reasons {
            self.reasons.add(reason, 1);
        }
        self.count(rejection.plugin, 1);
    }

    /// Counts nodes that weren't looked at, as plugins had named the only ones that may do.
    pub fn add_unnamed(&mut self, nodes: usize, by: &[&'static str]) {
        if nodes == 0 {
            return;
        }
        self.unresolvable += nodes;
        let reason = format!("node(s) didn't satisfy plugin(s) [{}]", by.join(" "));
        self.reasons.add(reason.into(), nodes);
        for plugin in by {
            self.count(plugin, nodes);
        }
    }

    fn count(&mut self, by: &'static str, nodes: usize) {
        match self.plugins.iter_mut().find(|(name, _)| *name == by) {
            Some((_, count)) => *count += nodes,
            None => self.plugins.push((by, nodes)),
        }
    }

    /// Why, with how many nodes each reason was given for.
    pub fn reasons(&self) -> &Reasons {
        &self.reasons
    }

    /// The plugins that rejected a node, each once, by name.
    pub fn plugins(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.plugins.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names
    }

    /// How many nodes each plugin has rejected: `2 NodeResourcesFit, 1 TaintToleration`.
    pub fn by_plugin(&self) -> String {
        let mut reasons = Reasons::default();
        for (name, count) in &self.plugins {
            reasons.add(Reason::Borrowed(name), *count);
        }
        reasons.text()
    }

    /// Positions of the nodes where evicting pods could help.
    pub fn resolvable(&self) -> &[usize] {
        &self.resolvable
    }

    /// On how many nodes it couldn't.
    pub fn unresolvable(&self) -> usize {
        self.unresolvable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_thousands_of_nodes_say_is_kept_in_counts() {
        let mut rejections = Rejections::default();
        for node in 0..5_000 {
            rejections.add(
                node,
                Rejection {
                    plugin: match node % 2 {
                        0 => "NodeResourcesFit",
                        _ => "TaintToleration",
                    },
                    reasons: match node % 2 {
                        0 => vec!["Insufficient cpu".into(), "Insufficient memory".into()],
                        _ => vec![
                            format!("node(s) had untolerated taint {{a: {}}}", node % 3).into(),
                        ],
                    },
                    resolvable: node == 4,
                },
            );
        }
        assert_eq!(
            rejections.reasons().text(),
            "2500 Insufficient cpu, 2500 Insufficient memory, 833 node(s) had untolerated taint {a: 0}, 833 node(s) had untolerated taint {a: 2}, 834 node(s) had untolerated taint {a: 1}"
        );
        assert_eq!(
            rejections.by_plugin(),
            "2500 NodeResourcesFit, 2500 TaintToleration"
        );
        let plugins = rejections.plugins();
        assert_eq!(plugins, ["NodeResourcesFit", "TaintToleration"]);
        assert!(plugins.capacity() < 10, "queued pods keep it");
        assert_eq!(rejections.resolvable(), [4]);
        assert_eq!(rejections.unresolvable(), 4_999);
    }

    #[test]
    fn counts_sort_as_text() {
        let mut reasons = Reasons::default();
        reasons.add("b".into(), 10);
        reasons.add("a".into(), 9);
        reasons.add("none".into(), 0);
        assert_eq!(reasons.text(), "10 b, 9 a");
    }
}
