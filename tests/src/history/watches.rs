//! A watch tells all, once, in order.

use std::collections::BTreeSet;

use super::check::{Rule, Violation};
use super::written::Written;
use super::{Event, History, Kind, Watch};

impl Watch {
    /// The last revision that it has come to.
    pub fn until(&self) -> u64 {
        let revisions = self.events.iter().map(|event| event.revision);
        revisions.max().unwrap_or(self.after).max(self.after)
    }
}

/// The revisions of which some watch has told all: from the first, without it, to the last.
#[derive(Debug)]
pub(super) struct Covered(Vec<(u64, u64)>);

impl Covered {
    pub fn of(history: &History) -> Self {
        let ranges = history.watches.iter().map(|it| (it.after, it.until()));
        let mut ranges: Vec<(u64, u64)> = ranges.collect();
        ranges.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (from, to) in ranges {
            match joined.last_mut() {
                Some((_, end)) if from <= *end => *end = to.max(*end),
                _ => joined.push((from, to)),
            }
        }
        Self(joined)
    }

    /// Whether all that happened after one revision, and up to another, was told.
    pub fn has(&self, after: u64, until: u64) -> bool {
        self.0
            .iter()
            .any(|(from, to)| *from <= after && until <= *to)
    }
}

/// Looks at each watch.
pub(super) fn check(history: &History, written: &Written<'_>, covered: &Covered) -> Vec<Violation> {
    let mut violations = Vec::new();
    for watch in &history.watches {
        let mut complain = |complaint: String| {
            let watch = format!("client {}'s watch after {}", watch.client, watch.after);
            violations.push(Violation::new(Rule::Watch, format!("{watch}: {complaint}")));
        };
        let mut last = watch.after;
        for event in &watch.events {
            // A bookmark may repeat where the watch is.
            let is_next = match event.kind {
                Kind::Bookmark => event.revision >= last,
                _ => event.revision > last,
            };
            if !is_next {
                complain(format!("{event} comes after revision {last}"));
            }
            last = last.max(event.revision);
            if let Some(complaint) = wrong_kind(event, written, covered) {
                complain(complaint);
            }
        }
        let changes = watch.events.iter().filter(|it| it.kind != Kind::Bookmark);
        let told: BTreeSet<u64> = changes.map(|event| event.revision).collect();
        let is_due =
            |(revision, _): &(&u64, _)| (watch.after + 1..=watch.until()).contains(*revision);
        let due = written.at.iter().filter(is_due);
        for (revision, (key, value)) in due.filter(|(revision, _)| !told.contains(revision)) {
            complain(format!(
                "revision {revision}, in which {key} became {value:?}, is left out"
            ));
        }
    }
    violations
}

/// What is wrong with what an event calls its change.
fn wrong_kind(event: &Event, written: &Written<'_>, covered: &Covered) -> Option<String> {
    let before = written.last(&event.key, event.revision.checked_sub(1)?)?;
    if !covered.has(before.0, event.revision) {
        return None;
    }
    let is_right = match (event.kind, before.1) {
        (Kind::Bookmark, _) | (Kind::Added, None) | (Kind::Modified, Some(_)) => true,
        (Kind::Deleted, Some(value)) => value == event.value,
        _ => false,
    };
    let (revision, value) = before;
    (!is_right).then(|| format!("{event}, but before it was {value:?}, at revision {revision}"))
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            kind,
            key,
            revision,
            value,
            ..
        } = self;
        write!(f, "{kind:?} {key} {value} of revision {revision}")
    }
}
