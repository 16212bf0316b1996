//! An object as a register with compare-and-swap: what each question and its answer say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::check::{Rule, Violation};
use super::search::{self, Call, Decision};
use super::written::Written;
use super::{Action, History, Operation, Outcome};

/// How many states of one object are looked at. A history of forty operations at a time by ten
/// clients needs some thousands.
const BUDGET: usize = 200_000;

/// How many of the operations before a wrong answer a complaint shows.
const SHOWN: usize = 6;

/// The value that the object has, as a number. None: it isn't there.
type Object = Option<usize>;

/// An operation, with its values as numbers.
struct Numbered<'a> {
    operation: &'a Operation,
    value: Object,
    /// The value that had the revision it expects. None: nobody was ever told that revision.
    expected: Object,
}

/// Looks at each object; what is wrong, and the objects of which that can't be said in time.
pub(super) fn check(history: &History, written: &Written<'_>) -> (Vec<Violation>, Vec<String>) {
    let keys: BTreeSet<&str> = history
        .operations
        .iter()
        .map(|it| it.key.as_str())
        .collect();
    let (mut violations, mut undecided) = (Vec::new(), Vec::new());
    for key in keys {
        let calls = calls_on(key, history, written);
        match search::search(None, &calls, BUDGET) {
            Decision::Linearizable => {}
            Decision::Undecided => undecided.push(key.to_owned()),
            Decision::NotLinearizable { order, .. } => {
                violations.push(Violation::new(
                    Rule::Linearizable,
                    explain(key, &calls, &order),
                ));
            }
        }
    }
    (violations, undecided)
}

/// The operations that say something of an object at a moment, in the order they were asked.
fn calls_on<'a>(key: &str, history: &'a History, written: &Written<'a>) -> Vec<Numbered<'a>> {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut number = |value: &'a str| {
        let next = numbers.len();
        Some(*numbers.entry(value).or_insert(next))
    };
    let mut calls: Vec<Numbered<'_>> = history
        .operations
        .iter()
        .filter(|it| it.key == key && counts(it))
        .map(|operation| {
            let value = match (&operation.action, &operation.outcome) {
                (Action::Create { value } | Action::Update { value, .. }, _)
                | (Action::Get { .. }, Outcome::Found { value, .. }) => number(value),
                _ => None,
            };
            let expected = match operation.action {
                Action::Update { expected, .. } => Some(expected),
                Action::Delete { expected } => expected,
                _ => None,
            };
            let expected = expected.and_then(|revision| written.value_at(key, revision));
            Numbered {
                operation,
                value,
                expected: expected.and_then(&mut number),
            }
        })
        .collect();
    calls.sort_by_key(|call| call.operation.invoked);
    calls
}

/// Whether it has to have a place in the order, or may have one.
fn counts(operation: &Operation) -> bool {
    let is_read = matches!(operation.action, Action::Get { .. });
    match operation.outcome {
        Outcome::Refused => false,
        Outcome::Unknown => !is_read,
        _ => operation.action != (Action::Get { stale: true }),
    }
}

impl Call<Object> for Numbered<'_> {
    fn invoked(&self) -> Duration {
        self.operation.invoked
    }

    fn completed(&self) -> Option<Duration> {
        (self.operation.outcome != Outcome::Unknown).then_some(self.operation.completed)
    }

    fn apply(&self, object: &Object) -> Option<Object> {
        let is_there = object.is_some();
        let is_expected = is_there && *object == self.expected;
        let operation = self.operation;
        match (&operation.action, &operation.outcome) {
            (Action::Create { .. }, Outcome::Done { .. } | Outcome::Unknown) => {
                (!is_there).then_some(self.value)
            }
            (Action::Create { .. }, Outcome::Exists) => is_there.then_some(*object),
            (Action::Update { .. }, Outcome::Done { .. } | Outcome::Unknown) => {
                is_expected.then_some(self.value)
            }
            (
                Action::Update { .. }
                | Action::Delete {
                    expected: Some(_), ..
                },
                Outcome::Conflict,
            ) => (is_there && !is_expected).then_some(*object),
            (Action::Delete { expected: None }, Outcome::Done { .. } | Outcome::Unknown) => {
                is_there.then_some(None)
            }
            (Action::Delete { expected: Some(_) }, Outcome::Done { .. } | Outcome::Unknown) => {
                is_expected.then_some(None)
            }
            (Action::Get { .. }, Outcome::Found { .. }) => {
                (*object == self.value).then_some(*object)
            }
            (
                Action::Update { .. } | Action::Delete { .. } | Action::Get { .. },
                Outcome::NotFound,
            ) => (!is_there).then_some(None),
            // An answer that this question can't have.
            _ => None,
        }
    }
}

/// Why there is no order: the last operations of the longest one, and what can't come next.
fn explain(key: &str, calls: &[Numbered<'_>], order: &[usize]) -> String {
    let mut lines = vec![format!(
        "no order of the operations on {key} makes every answer right; {} of {} can be in one:",
        order.len(),
        calls.len()
    )];
    let last = order.len().saturating_sub(SHOWN);
    lines.extend(
        order[last..]
            .iter()
            .map(|at| calls[*at].operation.to_string()),
    );
    let left = (0..calls.len()).filter(|at| !order.contains(at));
    let mut left: Vec<&Operation> = left.map(|at| calls[at].operation).collect();
    left.retain(|operation| operation.outcome != Outcome::Unknown);
    left.sort_by_key(|operation| operation.completed);
    lines.push("and then not:".to_owned());
    lines.extend(left.iter().take(SHOWN).map(ToString::to_string));
    lines.join("\n    ")
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            client,
            key,
            action,
            invoked,
            completed,
            outcome,
        } = self;
        write!(
            f,
            "{:.3}-{:.3} client {client}: {key} {action:?} → {outcome:?}",
            invoked.as_secs_f64(),
            completed.as_secs_f64()
        )
    }
}
