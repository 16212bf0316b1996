//! What a cluster of so many nodes costs its API server, by a few numbers that are measured
//! with small ones: CPU for each write and for each event delivered, beside what an idle
//! server takes, and memory for each node. Pure.

/// What was asked of an API server, and what it took, in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Writes a second.
    pub writes: f64,
    /// Events delivered to watches a second.
    pub events: f64,
}

/// A measurement at one size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// How many nodes there were.
    pub nodes: f64,
    /// What they asked.
    pub load: Load,
    /// CPU seconds a second.
    pub cpu: f64,
    /// Bytes resident.
    pub memory: f64,
}

/// The costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Model {
    /// CPU seconds a second with nobody there.
    pub idle: f64,
    /// CPU seconds of a write, reading what it needs and telling etcd included.
    pub write: f64,
    /// CPU seconds of an event delivered to one watch.
    pub event: f64,
    /// Bytes of a server without nodes.
    pub base: f64,
    /// Bytes of a node: its objects, connections and watches.
    pub node: f64,
}

impl Model {
    /// The costs that explain two sizes, the smaller one first; none if they don't tell
    /// writes from events.
    pub fn fit(idle: f64, small: &Point, large: &Point) -> Option<Self> {
        // Two equations: write × writes + event × events = cpu − idle.
        let (a, b) = (&small.load, &large.load);
        let determinant = a.writes * b.events - b.writes * a.events;
        let is_distinct = determinant.abs() > 1e-6 * (a.writes * b.events).abs();
        let (first, second) = (small.cpu - idle, large.cpu - idle);
        let (write, event) = match is_distinct {
            true => (
                (first * b.events - second * a.events) / determinant,
                (a.writes * second - b.writes * first) / determinant,
            ),
            // No events at all: all is the writes'.
            false if a.events == 0.0 && b.events == 0.0 && b.writes > 0.0 => {
                (second / b.writes, 0.0)
            }
            false => return None,
        };
        let more = large.nodes - small.nodes;
        let node = (large.memory - small.memory) / more;
        (more > 0.0).then_some(Self {
            idle,
            write,
            event,
            base: small.memory - node * small.nodes,
            node,
        })
    }

    /// CPU seconds a second under a load.
    pub fn cpu(&self, load: &Load) -> f64 {
        self.idle + self.write * load.writes + self.event * load.events
    }

    /// Bytes resident with so many nodes.
    pub fn memory(&self, nodes: f64) -> f64 {
        self.base + self.node * nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(nodes: f64) -> Point {
        let load = Load {
            writes: nodes / 10.0,
            events: nodes * nodes / 1000.0,
        };
        Point {
            nodes,
            load,
            cpu: 0.01 + load.writes * 2e-4 + load.events * 5e-6,
            memory: 3e7 + nodes * 1e5,
        }
    }

    #[test]
    fn costs_are_found_and_foretell_other_sizes() {
        let model = Model::fit(0.01, &point(500.0), &point(1000.0)).unwrap();
        assert!((model.write - 2e-4).abs() < 1e-9, "{model:?}");
        assert!((model.event - 5e-6).abs() < 1e-10, "{model:?}");
        let large = point(5000.0);
        assert!((model.cpu(&large.load) - large.cpu).abs() < 1e-9);
        assert!((model.memory(5000.0) - large.memory).abs() < 1.0);
    }

    #[test]
    fn where_writes_and_events_grow_alike_nothing_is_told() {
        let with = |nodes: f64| Point {
            load: Load {
                writes: nodes,
                events: nodes,
            },
            ..point(nodes)
        };
        assert_eq!(Model::fit(0.0, &with(500.0), &with(1000.0)), None);
        let without_events = |nodes: f64| Point {
            load: Load {
                writes: nodes,
                events: 0.0,
            },
            cpu: nodes * 2e-4,
            ..point(nodes)
        };
        let model = Model::fit(0.0, &without_events(500.0), &without_events(1000.0)).unwrap();
        assert!((model.write - 2e-4).abs() < 1e-9 && model.event == 0.0);
    }
}
