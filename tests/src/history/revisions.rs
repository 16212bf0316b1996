//! Revisions go forward: who asks after a revision was told is told no older one.

use std::time::Duration;

use super::check::{Rule, Violation};
use super::{Freshness, History, Outcome};

/// The newest revision that anybody had been told at any moment.
struct Newest(Vec<(Duration, u64)>);

impl Newest {
    fn of(history: &History) -> Self {
        let operations = history.operations.iter().filter_map(|it| match it.outcome {
            Outcome::Done {
                revision: Some(revision),
            }
            | Outcome::Found { revision, .. } => Some((it.completed, revision)),
            _ => None,
        });
        let lists = history.lists.iter().map(|it| (it.completed, it.revision));
        let events = history.watches.iter().flat_map(|watch| &watch.events);
        let events = events.map(|it| (it.at, it.revision));
        let mut told: Vec<(Duration, u64)> = operations.chain(lists).chain(events).collect();
        told.sort_unstable();
        let mut newest = 0;
        for (_, revision) in &mut told {
            newest = newest.max(*revision);
            *revision = newest;
        }
        Self(told)
    }

    /// The newest one that was told before a moment.
    fn before(&self, moment: Duration) -> u64 {
        let count = self.0.partition_point(|(at, _)| *at < moment);
        count.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}

/// Looks at writes, and at lists that must not be older than asked for.
pub(super) fn check(history: &History) -> Vec<Violation> {
    let newest = Newest::of(history);
    let mut violations = Vec::new();
    for operation in &history.operations {
        let before = newest.before(operation.invoked);
        if let Outcome::Done {
            revision: Some(revision),
        } = operation.outcome
            && revision <= before
        {
            violations.push(Violation::new(
                Rule::Backwards,
                format!("revision {before} had been told before: {operation}"),
            ));
        }
    }
    for list in &history.lists {
        let complaint = match list.freshness {
            Freshness::Any => continue,
            Freshness::Newest => match newest.before(list.invoked) {
                before if list.revision < before => format!("{before} had been told before"),
                _ => continue,
            },
            Freshness::NotOlderThan(least) if list.revision < least => {
                format!("it was to be no older than {least}")
            }
            Freshness::Exact(revision) if list.revision != revision => {
                format!("it was to be of {revision}")
            }
            Freshness::NotOlderThan(_) | Freshness::Exact(_) => continue,
        };
        violations.push(Violation::new(
            Rule::Backwards,
            format!(
                "client {} is given a list of revision {} at {:.3}: {complaint}",
                list.client,
                list.revision,
                list.completed.as_secs_f64()
            ),
        ));
    }
    violations
}
