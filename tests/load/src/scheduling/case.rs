//! What the scheduler is asked to do, as data. The cases are those of Kubernetes' own
//! benchmark (test/integration/scheduler_perf), whose nodes and pods these are as well; each
//! count is for one node, so that a case grows with the cluster.

/// A case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Zones that the nodes are shared out to.
    pub zones: u64,
    /// Pods, in the order in which they come. The next ones come when all are done with.
    pub groups: &'static [Group],
    /// Whether nodes, Services and pods that fit nowhere come and go meanwhile.
    pub churn: bool,
}

/// Pods that are alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// What they ask for.
    pub shape: Shape,
    /// How many for each node.
    pub per_node: f64,
    /// What becomes of them.
    pub end: End,
    /// Whether this is measured, or only goes before.
    pub measured: bool,
}

/// What becomes of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It gets a node.
    Bound,
    /// It is told that there is none for it.
    Refused,
}

/// What pods ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A tenth of a CPU and half a gigabyte of memory.
    Plain,
    /// The same, in one of two zones.
    NodeAffinity,
    /// The same, on a node that has none of its kind.
    AntiAffinity,
    /// The same, in zones that differ by at most five.
    Spread,
    /// So much that four fill a node.
    Low,
    /// What makes three of those go.
    High,
    /// More than any node has.
    Large,
}

impl Group {
    /// How many there are in a cluster of so many nodes: at least one.
    pub fn count(&self, nodes: u64) -> u64 {
        ((nodes as f64 * self.per_node).round() as u64).max(1)
    }
}

const fn first(shape: Shape, per_node: f64) -> Group {
    Group {
        shape,
        per_node,
        end: End::Bound,
        measured: false,
    }
}

const fn measured(shape: Shape, per_node: f64, end: End) -> Group {
    Group {
        shape,
        per_node,
        end,
        measured: true,
    }
}

/// All cases.
pub const CASES: &[Case] = &[
    Case {
        name: "schedule-plain",
        about: "pods that fit everywhere",
        zones: 1,
        groups: &[
            first(Shape::Plain, 1.0),
            measured(Shape::Plain, 2.0, End::Bound),
        ],
        churn: false,
    },
    Case {
        name: "schedule-affinity",
        about: "pods that want one of two zones",
        zones: 3,
        groups: &[
            first(Shape::NodeAffinity, 1.0),
            measured(Shape::NodeAffinity, 2.0, End::Bound),
        ],
        churn: false,
    },
    Case {
        name: "schedule-apart",
        about: "pods that want a node of their own (anti-affinity)",
        zones: 1,
        groups: &[
            first(Shape::AntiAffinity, 0.2),
            measured(Shape::AntiAffinity, 0.8, End::Bound),
        ],
        churn: false,
    },
    Case {
        name: "schedule-spread",
        about: "pods that want to be spread over zones",
        zones: 3,
        groups: &[
            first(Shape::Plain, 2.0),
            measured(Shape::Spread, 2.0, End::Bound),
        ],
        churn: false,
    },
    Case {
        name: "schedule-preemption",
        about: "pods for which others have to go",
        zones: 1,
        groups: &[
            first(Shape::Low, 4.0),
            measured(Shape::High, 1.0, End::Bound),
        ],
        churn: false,
    },
    Case {
        name: "schedule-backlog",
        about: "pods that fit nowhere, and plain ones behind them",
        zones: 1,
        groups: &[
            measured(Shape::Large, 2.0, End::Refused),
            measured(Shape::Plain, 2.0, End::Bound),
        ],
        churn: false,
    },
    Case {
        name: "schedule-churn",
        about: "plain pods while nodes, Services and pods that fit nowhere come and go",
        zones: 1,
        groups: &[
            first(Shape::Plain, 1.0),
            measured(Shape::Plain, 2.0, End::Bound),
        ],
        churn: true,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_case_grows_with_the_cluster() {
        let group = first(Shape::AntiAffinity, 0.2);
        assert_eq!((group.count(500), group.count(5000)), (100, 1000));
        assert_eq!(group.count(1), 1);
    }

    #[test]
    fn every_case_measures_and_has_a_name_of_its_own() {
        let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        for case in CASES {
            assert!(case.groups.iter().any(|group| group.measured), "{case:?}");
        }
    }

    #[test]
    fn pods_that_must_fit_do() {
        for case in CASES {
            let on_a_node = |shape| {
                let groups = case.groups.iter().filter(|group| group.shape == shape);
                groups.map(|group| group.per_node).sum::<f64>()
            };
            // One of its own for each; the whole of a node, in tenths of a CPU.
            assert!(on_a_node(Shape::AntiAffinity) <= 1.0, "{case:?}");
            let tenths = on_a_node(Shape::Plain) + on_a_node(Shape::Spread);
            let tenths = tenths + on_a_node(Shape::NodeAffinity) * 1.5;
            assert!(tenths + on_a_node(Shape::Low) * 9.0 <= 40.0, "{case:?}");
        }
    }
}
