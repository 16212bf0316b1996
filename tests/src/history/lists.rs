//! A list is what was there at its revision.

use std::collections::BTreeSet;

use super::check::{Rule, Violation};
use super::watches::Covered;
use super::written::Written;
use super::{History, List};

/// Looks at each list.
pub(super) fn check(history: &History, written: &Written<'_>, covered: &Covered) -> Vec<Violation> {
    let keys: BTreeSet<&str> = written.at.values().map(|(key, _)| *key).collect();
    let wrong = |list: &List| {
        let complaints = keys
            .iter()
            .filter_map(|key| complaint(list, key, written, covered));
        let complaints: Vec<String> = complaints.collect();
        (!complaints.is_empty()).then(|| {
            Violation::new(
                Rule::List,
                format!(
                    "client {}'s list of revision {} at {:.3} was never there: {}",
                    list.client,
                    list.revision,
                    list.completed.as_secs_f64(),
                    complaints.join("; ")
                ),
            )
        })
    };
    history.lists.iter().filter_map(wrong).collect()
}

/// What is wrong with an object of a list.
fn complaint(list: &List, key: &str, written: &Written<'_>, covered: &Covered) -> Option<String> {
    let last = written.last(key, list.revision);
    let is_selected = |value: &str| list.selected.as_ref().is_none_or(|it| it.has(value));
    match (list.items.get(key), last) {
        (Some((revision, _)), _) if *revision > list.revision => {
            Some(format!("{key} is of revision {revision}, which came later"))
        }
        (Some((revision, _)), Some((newer, _))) if newer > *revision => Some(format!(
            "{key} is of revision {revision}, but {newer} changed it"
        )),
        (Some((_, value)), _) if !is_selected(value) => Some(format!(
            "{key} has the value {value}, which is not selected"
        )),
        // Who deletes is told no revision: only a watch that saw everything knows of none.
        (None, Some((revision, Some(value))))
            if is_selected(value) && covered.has(revision, list.revision) =>
        {
            Some(format!("{key} of revision {revision} is left out"))
        }
        _ => None,
    }
}
