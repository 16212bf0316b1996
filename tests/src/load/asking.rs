//! A client that makes, changes, reads and deletes objects that others change as well.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Load, answers};
use crate::dice::Dice;
use crate::history::{Action, Freshness, List, Operation, Outcome};
use crate::tls::Failure;

/// Between two questions of a client: the machine has more to do.
pub(super) const PAUSE: Duration = Duration::from_millis(10);
/// How many objects are written to at the same time.
const OBJECTS: u64 = 4;
/// How often each is asked for, about, before others take its place: the search for an order takes
/// longer the longer an object lives.
const LIFE: u64 = 40;
/// One of so many questions is for a list.
const LISTS: usize = 15;

/// Asks until the load is over.
pub(super) fn ask(load: &Load, client: usize, mut dice: Dice) {
    // All clients count together, so that they come to the next objects at the same time.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut server = client;
    let mut known: BTreeMap<String, u64> = BTreeMap::new();
    while !load.is_over() {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let is_answered = if dice.below(LISTS) == 0 {
            let stale = dice.below(3) == 0;
            list(load, client, server, stale).is_some()
        } else {
            let generation = number / (OBJECTS * LIFE);
            let slot = number % OBJECTS;
            let key = format!("{}{generation}-{slot}", answers::PREFIX);
            let action = choose(
                &mut dice,
                known.get(&key).copied(),
                format!("{client}-{number}"),
            );
            let outcome = act(load, client, server, &key, action);
            match outcome {
                Outcome::Found { revision, .. }
                | Outcome::Done {
                    revision: Some(revision),
                } => drop(known.insert(key, revision)),
                Outcome::NotFound | Outcome::Done { revision: None } => drop(known.remove(&key)),
                _ => {}
            }
            !matches!(outcome, Outcome::Refused | Outcome::Unknown)
        };
        if !is_answered {
            server += 1;
        }
        std::thread::sleep(PAUSE);
    }
}

/// What to do with an object of which this revision was the last that the client knows.
fn choose(dice: &mut Dice, known: Option<u64>, value: String) -> Action {
    match (dice.below(10), known) {
        (0..=5, Some(expected)) => Action::Update { expected, value },
        (0..=2, None) => Action::Create { value },
        (6, expected) => Action::Delete { expected },
        (7, _) => Action::Get { stale: true },
        _ => Action::Get { stale: false },
    }
}

fn act(load: &Load, client: usize, server: usize, key: &str, action: Action) -> Outcome {
    let object = |value: &String, revision: Option<u64>| {
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": key},
            "data": {"value": value},
        });
        if let Some(revision) = revision {
            object["metadata"]["resourceVersion"] = json!(revision.to_string());
        }
        object
    };
    let path = format!("{}/{key}", load.path());
    let (method, path, body) = match &action {
        Action::Create { value } => ("POST", load.path(), object(value, None)),
        Action::Update { expected, value } => ("PUT", path, object(value, Some(*expected))),
        Action::Delete { expected: None } => ("DELETE", path, Value::Null),
        Action::Delete {
            expected: Some(expected),
        } => {
            let preconditions = json!({"resourceVersion": expected.to_string()});
            let kind = json!({
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "preconditions": preconditions,
            });
            ("DELETE", path, kind)
        }
        Action::Get { stale } => {
            let query = if *stale { "?resourceVersion=0" } else { "" };
            ("GET", format!("{path}{query}"), Value::Null)
        }
    };
    let invoked = load.now();
    let outcome = match load.send(server, method, &path, &body) {
        Ok(answer) => {
            let outcome = answers::outcome(&action, &answer);
            if matches!(outcome, Outcome::Refused | Outcome::Unknown) {
                load.complain(&answer);
            }
            outcome
        }
        Err(Failure::Unsent(_)) => Outcome::Refused,
        Err(Failure::Unanswered(_)) => Outcome::Unknown,
    };
    load.recorder.operation(Operation {
        client,
        key: key.to_owned(),
        action,
        invoked,
        completed: load.now(),
        outcome: outcome.clone(),
    });
    outcome
}

/// Lists all objects, at one of the servers; none if it does not say.
pub(super) fn list(load: &Load, client: usize, server: usize, stale: bool) -> Option<List> {
    let query = if stale { "?resourceVersion=0" } else { "" };
    let invoked = load.now();
    let path = format!("{}{query}", load.path());
    let answer = load.send(server, "GET", &path, &Value::Null).ok()?;
    if answer.status != 200 {
        load.complain(&answer);
        return None;
    }
    let (revision, items) = answers::list(&answer.body)?;
    let list = List {
        client,
        freshness: match stale {
            true => Freshness::Any,
            false => Freshness::Newest,
        },
        selected: None,
        invoked,
        completed: load.now(),
        revision,
        items,
    };
    load.recorder.list(list.clone());
    Some(list)
}
