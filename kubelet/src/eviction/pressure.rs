//! Which resources are short, for how long they have been, and which condition the node has
//! for it. Pure: it is told what there is and what time it is
//! (`synchronize` in Kubernetes' `pkg/kubelet/eviction/eviction_manager.go`).

use super::threshold::{Condition, Signal, Threshold};
use hardway_proto::quantity::Quantity;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What is left of a resource, and how much there is of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Left.
    pub available: i64,
    /// In all.
    pub capacity: i64,
}

/// What was seen. What can't be seen isn't there.
pub type Observations = BTreeMap<Signal, Observation>;

/// What follows from one look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Conditions that the node has.
    pub conditions: BTreeSet<Condition>,
    /// Thresholds for which something must be given back, the first one first.
    pub starved: Vec<Threshold>,
}

/// Remembers what was seen before.
#[derive(Debug, Default)]
pub struct Pressure {
    /// Since when thresholds are crossed.
    since: Vec<(Threshold, Instant)>,
    /// Those that were crossed for their whole grace period.
    met: Vec<Threshold>,
    /// When a condition was last seen to hold.
    last: BTreeMap<Condition, Instant>,
}

/// Thresholds that are crossed. `reclaiming` asks for the minimum to be given back on top.
pub fn crossed(thresholds: &[Threshold], seen: &Observations, reclaiming: bool) -> Vec<Threshold> {
    let is_crossed = |threshold: &&Threshold| {
        let Some(seen) = seen.get(&threshold.signal) else {
            return false;
        };
        let mut least = threshold.value.of(seen.capacity);
        if let Some(more) = threshold.min_reclaim.filter(|_| reclaiming) {
            least += more.of(seen.capacity);
        }
        least > Quantity::from_value(seen.available, threshold.signal.format())
    };
    thresholds.iter().filter(is_crossed).copied().collect()
}

impl Pressure {
    /// Takes note of what was seen. A condition holds for `transition` after it was last
    /// seen to.
    pub fn observe(
        &mut self,
        thresholds: &[Threshold],
        seen: &Observations,
        transition: Duration,
        now: Instant,
    ) -> Verdict {
        let mut active = crossed(thresholds, seen, false);
        for threshold in crossed(&self.met, seen, true) {
            if !active.contains(&threshold) {
                active.push(threshold);
            }
        }
        let since = active.iter().map(|threshold| {
            let before = self.since.iter().find(|(known, _)| known == threshold);
            (*threshold, before.map_or(now, |(_, at)| *at))
        });
        self.since = since.collect();
        for threshold in &active {
            self.last.insert(threshold.signal.condition(), now);
        }
        let recent = |at: &Instant| now.saturating_duration_since(*at) < transition;
        let conditions = self.last.iter().filter(|(_, at)| recent(at));
        let is_due = |(threshold, at): &&(Threshold, Instant)| {
            now.saturating_duration_since(*at) >= threshold.grace
        };
        self.met = self.since.iter().filter(is_due).map(|(t, _)| *t).collect();
        let mut starved = self.met.clone();
        // What kills or blocks at once comes before what can wait for a look at the disk.
        starved.sort_by_key(|threshold| {
            let signal = threshold.signal;
            (!signal.is_memory(), signal.is_disk())
        });
        Verdict {
            conditions: conditions.map(|(condition, _)| *condition).collect(),
            starved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::threshold::{Texts, parse};
    use super::*;

    const MINUTES: u64 = 60;

    fn memory(available: &str) -> Observations {
        let bytes = |text: &str| text.parse::<Quantity>().unwrap().value();
        let seen = Observation {
            available: bytes(available),
            capacity: bytes("3Gi"),
        };
        [(Signal::MemoryAvailable, seen)].into()
    }

    /// The node of a test: thresholds, and a clock that is set.
    struct Node {
        thresholds: Vec<Threshold>,
        pressure: Pressure,
        start: Instant,
    }

    impl Node {
        fn new(texts: Texts<'_>) -> Self {
            Self {
                thresholds: parse(texts).unwrap(),
                pressure: Pressure::default(),
                start: Instant::now(),
            }
        }

        /// Conditions, and whether pods must go, after so many seconds.
        fn look(&mut self, seconds: u64, seen: &Observations) -> (bool, bool) {
            let now = self.start + Duration::from_secs(seconds);
            let transition = Duration::from_secs(5 * MINUTES);
            let verdict = self
                .pressure
                .observe(&self.thresholds, seen, transition, now);
            (!verdict.conditions.is_empty(), !verdict.starved.is_empty())
        }
    }

    /// `TestMemoryPressure` of `pkg/kubelet/eviction/eviction_manager_test.go`.
    #[test]
    fn memory_is_short_at_once_or_for_a_while() {
        let mut node = Node::new(Texts {
            hard: "memory.available<1Gi",
            soft: "memory.available<2Gi",
            soft_grace_period: "memory.available=2m",
            ..Default::default()
        });
        assert_eq!(node.look(0, &memory("3Gi")), (false, false));
        assert_eq!(
            node.look(60, &memory("1500Mi")),
            (true, false),
            "its grace runs"
        );
        assert_eq!(node.look(4 * MINUTES, &memory("1500Mi")), (true, true));
        assert_eq!(node.look(24 * MINUTES, &memory("3Gi")), (false, false));
        assert_eq!(
            node.look(25 * MINUTES, &memory("500Mi")),
            (true, true),
            "hard"
        );
        assert_eq!(
            node.look(26 * MINUTES, &memory("2Gi")),
            (true, false),
            "the condition stays"
        );
        assert_eq!(node.look(31 * MINUTES, &memory("2Gi")), (false, false));
    }

    /// `TestMinReclaim` there.
    #[test]
    fn more_is_given_back_than_was_missing() {
        let mut node = Node::new(Texts {
            hard: "memory.available<1Gi",
            minimum_reclaim: "memory.available=500Mi",
            ..Default::default()
        });
        assert_eq!(
            node.look(0, &memory("1200Mi")),
            (false, false),
            "it was never crossed"
        );
        assert_eq!(node.look(60, &memory("500Mi")), (true, true));
        assert_eq!(
            node.look(2 * MINUTES, &memory("1200Mi")),
            (true, true),
            "not enough yet"
        );
        assert_eq!(node.look(3 * MINUTES, &memory("2Gi")), (true, false));
        assert_eq!(node.look(9 * MINUTES, &memory("2Gi")), (false, false));
    }

    #[test]
    fn memory_comes_before_processes_and_both_before_disks() {
        let thresholds = parse(Texts {
            hard: "nodefs.available<10%,pid.available<100,memory.available<1Gi",
            ..Default::default()
        });
        let none = Observation {
            available: 0,
            capacity: 1 << 40,
        };
        let seen = [
            Signal::PidAvailable,
            Signal::NodeFsAvailable,
            Signal::MemoryAvailable,
        ];
        let seen = seen.map(|signal| (signal, none)).into();
        let verdict = Pressure::default().observe(
            &thresholds.unwrap(),
            &seen,
            Duration::from_secs(1),
            Instant::now(),
        );
        let starved = verdict.starved.iter().map(|threshold| threshold.signal);
        let starved: Vec<Signal> = starved.filter(|s| !s.is_memory()).collect();
        assert_eq!(verdict.starved[0].signal, Signal::MemoryAvailable);
        assert_eq!(starved, [Signal::PidAvailable, Signal::NodeFsAvailable]);
        assert_eq!(verdict.conditions.len(), 3);
    }

    #[test]
    fn what_cannot_be_seen_is_not_short() {
        let mut node = Node::new(Texts {
            hard: "memory.available<1Gi",
            ..Default::default()
        });
        assert_eq!(node.look(0, &Observations::new()), (false, false));
    }
}
