//! What was written at which revision, put together from all that was told.

use std::collections::BTreeMap;

use super::check::{Rule, Violation};
use super::{Action, History, Kind, Operation, Outcome};

/// Something that a client was told: at this revision the object got this value, or was deleted.
struct Told<'a> {
    revision: u64,
    key: &'a str,
    value: Option<&'a str>,
}

/// All writes that anybody was told of.
#[derive(Debug, Default)]
pub(super) struct Written<'a> {
    /// The object and its value from then on, None once it is gone; by revision.
    pub at: BTreeMap<u64, (&'a str, Option<&'a str>)>,
    /// The same of each object.
    of: BTreeMap<&'a str, BTreeMap<u64, Option<&'a str>>>,
}

impl<'a> Written<'a> {
    /// Puts it together, and says what contradicts what.
    pub fn of(history: &'a History) -> (Self, Vec<Violation>) {
        let mut written = Self::default();
        let mut revisions: BTreeMap<&str, u64> = BTreeMap::new();
        let mut violations = Vec::new();
        let writes = writes(history);
        for told in all_told(history) {
            let content = (told.key, told.value);
            let known = *written.at.entry(told.revision).or_insert(content);
            if known != content {
                violations.push(Violation::new(
                    Rule::Contradiction,
                    format!(
                        "revision {} is {known:?} to one client, {content:?} to another",
                        told.revision
                    ),
                ));
            }
            let of_key = written.of.entry(told.key).or_default();
            of_key.entry(told.revision).or_insert(told.value);
            let Some(value) = told.value else { continue };
            let known = *revisions.entry(value).or_insert(told.revision);
            if known != told.revision {
                violations.push(Violation::new(
                    Rule::Twice,
                    format!(
                        "{} has the value {value} at revision {known} and at {}: it was written twice",
                        told.key, told.revision
                    ),
                ));
            }
            if let Some(complaint) = from_nowhere(&told, writes.get(value).copied()) {
                violations.push(Violation::new(Rule::FromNowhere, complaint));
            }
        }
        violations.sort();
        violations.dedup();
        (written, violations)
    }

    /// The value that an object got at a revision.
    pub fn value_at(&self, key: &str, revision: u64) -> Option<&'a str> {
        let (at, value) = self.at.get(&revision)?;
        (*at == key).then_some(*value).flatten()
    }

    /// The last write to an object up to a revision, and its revision.
    pub fn last(&self, key: &str, revision: u64) -> Option<(u64, Option<&'a str>)> {
        let (revision, value) = self.of.get(key)?.range(..=revision).next_back()?;
        Some((*revision, *value))
    }
}

/// Who wrote which value.
fn writes(history: &History) -> BTreeMap<&str, &Operation> {
    history
        .operations
        .iter()
        .filter_map(|operation| match &operation.action {
            Action::Create { value } | Action::Update { value, .. } => {
                Some((value.as_str(), operation))
            }
            _ => None,
        })
        .collect()
}

/// Why nobody can have been told this value.
fn from_nowhere(told: &Told<'_>, write: Option<&Operation>) -> Option<String> {
    let Told {
        revision,
        key,
        value,
    } = told;
    let value = value.unwrap_or_default();
    let Some(write) = write else {
        return Some(format!(
            "{key} has the value {value} at revision {revision}, which nobody wrote"
        ));
    };
    if write.key != *key {
        return Some(format!(
            "{key} has a value that was written elsewhere: {write}"
        ));
    }
    match write.outcome {
        Outcome::Done { .. } | Outcome::Unknown => None,
        _ => Some(format!(
            "revision {revision} has a value whose writer was told that it was not written: {write}"
        )),
    }
}

fn all_told(history: &History) -> impl Iterator<Item = Told<'_>> {
    let operations = history.operations.iter().filter_map(|operation| {
        let (revision, value) = match (&operation.action, &operation.outcome) {
            (
                Action::Create { value } | Action::Update { value, .. },
                Outcome::Done {
                    revision: Some(revision),
                },
            )
            | (Action::Get { .. }, Outcome::Found { revision, value }) => (*revision, value),
            _ => return None,
        };
        Some(Told {
            revision,
            key: &operation.key,
            value: Some(value),
        })
    });
    let lists = history.lists.iter().flat_map(|list| {
        list.items.iter().map(|(key, (revision, value))| Told {
            revision: *revision,
            key,
            value: Some(value),
        })
    });
    let events = history.watches.iter().flat_map(|watch| &watch.events);
    let events = events
        .filter(|event| event.kind != Kind::Bookmark)
        .map(|event| Told {
            revision: event.revision,
            key: &event.key,
            value: (event.kind != Kind::Deleted).then_some(&event.value),
        });
    operations.chain(lists).chain(events)
}
