//! A store with clients that asks for a history, right or with a fault: what the checker must
//! find. Nothing runs; chance says who comes next.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Action, Event, Freshness, History, Kind, List, Operation, Outcome, Selected, Watch};
use crate::dice::Dice;

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Reads are of an earlier state.
    OldRead,
    /// Lists are of an earlier revision.
    OldList,
    /// A part of a list is of an earlier revision.
    TornList,
    /// What is selected is found by the values of an earlier revision.
    OldIndex,
    /// Who asks for a list of one revision is given one of another.
    NotExact,
    /// Updates don't look at the revision they expect.
    BlindUpdate,
    /// Updates look at an earlier state.
    FalseConflict,
    /// A write is acknowledged and forgotten.
    LostWrite,
    /// A write is turned away and done.
    DoneAlthoughRefused,
    /// A write is done, and done again.
    DoneTwice,
    /// A watch leaves a change out.
    WatchLeavesOut,
    /// A watch tells a change twice.
    WatchTwice,
    /// A watch tells two changes in the wrong order.
    WatchOrder,
}

const CLIENTS: usize = 5;
const STEPS: u64 = 600;
/// How many objects there are at a time, and how long in steps.
const OBJECTS: usize = 3;
const LIFE: u64 = 120;
/// What values begin with.
const COLORS: [&str; 2] = ["red", "blue"];

/// A write to an object, and when it was done.
struct Write {
    at: Duration,
    key: String,
    value: Option<String>,
}

type State = BTreeMap<String, (u64, String)>;

struct Store {
    fault: Fault,
    dice: Dice,
    now: Duration,
    /// By revision, from 1 on.
    log: BTreeMap<u64, Write>,
    revision: u64,
}

/// What a client waits for.
struct Pending {
    operation: Operation,
    is_done: bool,
}

pub(super) fn history(fault: Fault, seed: u64) -> History {
    let mut store = Store {
        fault,
        dice: Dice::new(seed),
        now: Duration::ZERO,
        log: BTreeMap::new(),
        revision: 0,
    };
    let mut history = History::default();
    let mut pending: Vec<Option<Pending>> = (0..CLIENTS).map(|_| None).collect();
    let mut known: Vec<BTreeMap<String, u64>> = vec![BTreeMap::new(); CLIENTS];
    let mut late: Vec<Operation> = Vec::new();
    for step in 0..STEPS {
        store.now = Duration::from_millis(step);
        if !late.is_empty() && store.chance(8) {
            let operation = late.swap_remove(0);
            store.act(&operation);
        }
        let client = store.dice.below(CLIENTS);
        match pending[client].take() {
            None if store.chance(8) => history.lists.push(store.list(client)),
            None => {
                let mut operation = store.ask(client, step, &known[client]);
                if operation.outcome == Outcome::Unknown {
                    late.push(operation.clone());
                    history.operations.push(operation);
                } else if store.chance(12) {
                    if fault == Fault::DoneAlthoughRefused {
                        store.act(&operation);
                    }
                    operation.outcome = Outcome::Refused;
                    history.operations.push(operation);
                } else {
                    pending[client] = Some(Pending {
                        operation,
                        is_done: false,
                    });
                }
            }
            Some(mut waiting) if !waiting.is_done => {
                waiting.operation.outcome = store.act(&waiting.operation);
                waiting.is_done = true;
                pending[client] = Some(waiting);
            }
            Some(Pending { mut operation, .. }) => {
                operation.completed = store.now;
                if let Outcome::Found { revision, .. }
                | Outcome::Done {
                    revision: Some(revision),
                } = operation.outcome
                {
                    known[client].insert(operation.key.clone(), revision);
                }
                history.operations.push(operation);
            }
        }
    }
    // Who still waits at the end never knows.
    for Pending { mut operation, .. } in pending.into_iter().flatten() {
        operation.outcome = Outcome::Unknown;
        history.operations.push(operation);
    }
    history.watches = (0..2).flat_map(|client| store.watches(client)).collect();
    history
}

impl Store {
    fn chance(&mut self, of: usize) -> bool {
        self.dice.below(of) == 0
    }

    /// A client's next operation; Unknown if it gives up at once.
    fn ask(&mut self, client: usize, step: u64, known: &BTreeMap<String, u64>) -> Operation {
        let key = format!("k{}-{}", step / LIFE, self.dice.below(OBJECTS));
        let value = format!("{}/v{step}", COLORS[self.dice.below(COLORS.len())]);
        let expected = known.get(&key).copied();
        let action = match (self.dice.below(8), expected) {
            (0 | 1, _) => Action::Create { value },
            (2..=4, Some(expected)) => Action::Update { expected, value },
            (5, expected) => Action::Delete { expected },
            (6, _) => Action::Get { stale: true },
            _ => Action::Get { stale: false },
        };
        let gives_up = self.chance(20);
        Operation {
            client,
            key,
            action,
            invoked: self.now,
            completed: self.now,
            outcome: match gives_up {
                true => Outcome::Unknown,
                false => Outcome::Refused,
            },
        }
    }

    fn state(&self, revision: u64) -> State {
        let mut state = State::new();
        for (at, write) in self.log.range(..=revision) {
            match &write.value {
                Some(value) => drop(state.insert(write.key.clone(), (*at, value.clone()))),
                None => drop(state.remove(&write.key)),
            }
        }
        state
    }

    fn write(&mut self, key: &str, value: Option<&str>) -> u64 {
        self.revision += 1;
        if !(self.fault == Fault::LostWrite && self.chance(8)) {
            let write = Write {
                at: self.now,
                key: key.to_owned(),
                value: value.map(str::to_owned),
            };
            self.log.insert(self.revision, write);
        }
        self.revision
    }

    fn act(&mut self, operation: &Operation) -> Outcome {
        let is_old = match self.fault {
            Fault::OldRead => matches!(operation.action, Action::Get { .. }),
            Fault::FalseConflict => matches!(operation.action, Action::Update { .. }),
            _ => false,
        } || operation.action == Action::Get { stale: true };
        let age = if is_old { 4 } else { 0 };
        let state = self.state(self.revision.saturating_sub(age));
        let (key, found) = (&operation.key, state.get(&operation.key));
        let revision = found.map(|(revision, _)| *revision);
        match (&operation.action, found) {
            (Action::Create { .. }, Some(_)) => Outcome::Exists,
            (Action::Get { .. }, Some((revision, value))) => Outcome::Found {
                revision: *revision,
                value: value.clone(),
            },
            (Action::Create { value }, None) => self.put(key, value),
            (_, None) => Outcome::NotFound,
            (Action::Update { expected, .. }, Some(_))
                if Some(*expected) != revision && self.fault != Fault::BlindUpdate =>
            {
                Outcome::Conflict
            }
            (Action::Update { value, .. }, Some(_)) => self.put(key, value),
            (Action::Delete { expected }, Some(_))
                if expected.is_some() && *expected != revision =>
            {
                Outcome::Conflict
            }
            (Action::Delete { .. }, Some(_)) => {
                self.write(key, None);
                Outcome::Done { revision: None }
            }
        }
    }

    fn put(&mut self, key: &str, value: &str) -> Outcome {
        let revision = Some(self.write(key, Some(value)));
        if self.fault == Fault::DoneTwice && self.chance(8) {
            self.write(key, Some(value));
        }
        Outcome::Done { revision }
    }

    fn list(&mut self, client: usize) -> List {
        let old = self.revision.saturating_sub(4);
        let freshness = match self.dice.below(6) {
            0 => Freshness::Any,
            1 => Freshness::Exact(old),
            2 => Freshness::NotOlderThan(old),
            _ => Freshness::Newest,
        };
        let revision = match freshness {
            Freshness::Exact(_) if self.fault == Fault::NotExact => self.revision,
            Freshness::Newest if self.fault != Fault::OldList => self.revision,
            _ => old,
        };
        let mut items = self.state(revision);
        let selected = self.chance(2).then(|| Selected {
            part: 0,
            is: COLORS[0].to_owned(),
        });
        if let Some(selected) = &selected {
            let index = match self.fault {
                Fault::OldIndex => self.state(revision.saturating_sub(4)),
                _ => items.clone(),
            };
            let is_in = |key: &String| index.get(key).is_some_and(|(_, it)| selected.has(it));
            items.retain(|key, _| is_in(key));
        }
        if self.fault == Fault::TornList {
            let before = self.state(old);
            items.retain(|key, _| key.ends_with('0'));
            let other = |(key, (_, value)): &(String, (u64, String))| {
                !key.ends_with('0') && selected.as_ref().is_none_or(|it| it.has(value))
            };
            items.extend(before.into_iter().filter(other));
        }
        List {
            client,
            freshness,
            selected,
            invoked: self.now,
            completed: self.now,
            revision,
            items,
        }
    }

    /// What a client watches that begins anew twice.
    fn watches(&mut self, client: usize) -> Vec<Watch> {
        let third = self.revision / 3;
        let ends = [third, 2 * third, self.revision];
        let mut after = 0;
        let watches = ends.map(|end| {
            let range = self.log.range(after + 1..=end.max(after + 1));
            let range = range.filter(|(revision, _)| **revision <= end);
            let mut events: Vec<Event> = range
                .map(|(revision, write)| {
                    let before = self.state(revision - 1);
                    let before = before.get(&write.key).map(|(_, value)| value.clone());
                    let (kind, value) = match (&write.value, before) {
                        (Some(value), None) => (Kind::Added, value.clone()),
                        (Some(value), Some(_)) => (Kind::Modified, value.clone()),
                        (None, before) => (Kind::Deleted, before.unwrap_or_default()),
                    };
                    Event {
                        at: write.at,
                        kind,
                        key: write.key.clone(),
                        revision: *revision,
                        value,
                    }
                })
                .collect();
            let middle = events.len() / 2;
            match self.fault {
                Fault::WatchLeavesOut if client == 1 => drop(events.remove(middle)),
                Fault::WatchTwice => events.insert(middle, events[middle].clone()),
                Fault::WatchOrder => events.swap(middle, middle + 1),
                _ => {}
            }
            let watch = Watch {
                client,
                after,
                events,
            };
            after = end;
            watch
        });
        watches.into()
    }
}
