//! How long writes stood still, from a history. Pure.

use std::time::Duration;

use crate::history::{Action, History, Outcome};

/// How writes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gaps {
    /// How many were acknowledged.
    pub acknowledged: usize,
    /// How many were turned away.
    pub refused: usize,
    /// Of how many nobody knows what came of them.
    pub unknown: usize,
    /// The longest time in which no client's write was acknowledged.
    pub longest: Duration,
    /// The same of the client for which it was longest.
    pub longest_of_one: Duration,
}

impl Gaps {
    /// Of the writes that were answered between two moments.
    pub fn between(history: &History, from: Duration, to: Duration) -> Self {
        let writes = history.operations.iter().filter(|operation| {
            !matches!(operation.action, Action::Get { .. })
                && (from..=to).contains(&operation.completed)
        });
        let writes: Vec<_> = writes.collect();
        // Whoever is told that its write came too late was answered by a store that works.
        let is_done = |outcome: &Outcome| !matches!(outcome, Outcome::Refused | Outcome::Unknown);
        let mut done: Vec<(Duration, usize)> = writes
            .iter()
            .filter(|operation| is_done(&operation.outcome))
            .map(|operation| (operation.completed, operation.client))
            .collect();
        done.sort_unstable();
        let moments = |of: &dyn Fn(usize) -> bool| -> Vec<Duration> {
            let of = done.iter().filter(|(_, client)| of(*client));
            of.map(|(moment, _)| *moment).collect()
        };
        let mut clients: Vec<usize> = writes.iter().map(|operation| operation.client).collect();
        clients.sort_unstable();
        clients.dedup();
        let of_one = clients
            .iter()
            .map(|client| longest(from, to, &moments(&|other| other == *client)));
        let count = |outcome: &Outcome| {
            let same = writes
                .iter()
                .filter(|operation| operation.outcome == *outcome);
            same.count()
        };
        Self {
            acknowledged: done.len(),
            refused: count(&Outcome::Refused),
            unknown: count(&Outcome::Unknown),
            longest: longest(from, to, &moments(&|_| true)),
            longest_of_one: of_one.max().unwrap_or(to.saturating_sub(from)),
        }
    }
}

/// The longest time between two of the moments, or from and to the ends.
fn longest(from: Duration, to: Duration, moments: &[Duration]) -> Duration {
    let begins = std::iter::once(&from).chain(moments);
    let ends = moments.iter().chain(std::iter::once(&to));
    let gaps = begins
        .zip(ends)
        .map(|(begin, end)| end.saturating_sub(*begin));
    gaps.max().unwrap_or_default()
}

/// The gap that all but one of a hundred are shorter than or equal to.
pub fn p99(mut gaps: Vec<Duration>) -> Duration {
    gaps.sort_unstable();
    let last = gaps.len().saturating_sub(1);
    let place = (gaps.len() * 99).div_ceil(100).saturating_sub(1);
    gaps.get(place.min(last)).copied().unwrap_or_default()
}

impl std::fmt::Display for Gaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            acknowledged,
            refused,
            unknown,
            longest,
            longest_of_one,
        } = self;
        write!(
            f,
            "{acknowledged} writes answered, {refused} refused, {unknown} unknown; \
             no write for {longest:.1?}, for {longest_of_one:.1?} by the client that waited longest"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Operation;

    fn write(client: usize, at: u64, outcome: Outcome) -> Operation {
        Operation {
            client,
            key: "x".to_owned(),
            action: Action::Delete { expected: None },
            invoked: Duration::from_secs(at),
            completed: Duration::from_secs(at),
            outcome,
        }
    }

    #[test]
    fn a_gap_is_of_all_clients_or_of_one() {
        let done = || Outcome::Done { revision: None };
        let operations = vec![
            write(0, 1, done()),
            write(1, 2, done()),
            write(0, 3, Outcome::Unknown),
            write(1, 5, Outcome::Conflict),
            write(0, 8, done()),
            write(1, 9, Outcome::Refused),
        ];
        let history = History {
            operations,
            ..History::default()
        };
        let seconds = Duration::from_secs;
        let expected = Gaps {
            acknowledged: 4,
            refused: 1,
            unknown: 1,
            longest: seconds(3),
            longest_of_one: seconds(7),
        };
        assert_eq!(Gaps::between(&history, seconds(0), seconds(10)), expected);
        let late = Gaps::between(&history, seconds(10), seconds(14));
        assert_eq!((late.acknowledged, late.longest), (0, seconds(4)));
    }

    #[test]
    fn one_of_a_hundred_may_be_longer() {
        let gaps: Vec<Duration> = (1..=100).map(Duration::from_secs).collect();
        assert_eq!(p99(gaps), Duration::from_secs(99));
        assert_eq!(p99(vec![Duration::from_secs(4)]), Duration::from_secs(4));
        assert_eq!(p99(Vec::new()), Duration::ZERO);
    }
}
