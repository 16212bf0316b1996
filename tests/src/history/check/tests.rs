use std::collections::BTreeMap;
use std::time::Duration;

use super::super::faulty::{self, Fault};
use super::super::{Action, Event, Freshness, Kind, List, Operation, Outcome, Selected, Watch};
use super::*;

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

/// An operation on the object `x`.
fn operation(from: u64, to: u64, action: Action, outcome: Outcome) -> Operation {
    Operation {
        client: 0,
        key: "x".to_owned(),
        action,
        invoked: at(from),
        completed: at(to),
        outcome,
    }
}

fn created(from: u64, to: u64, value: &str, revision: u64) -> Operation {
    let value = value.to_owned();
    operation(from, to, Action::Create { value }, done(revision))
}

fn update(expected: u64, value: &str) -> Action {
    let value = value.to_owned();
    Action::Update { expected, value }
}

fn updated(from: u64, to: u64, expected: u64, value: &str, revision: u64) -> Operation {
    operation(from, to, update(expected, value), done(revision))
}

fn done(revision: u64) -> Outcome {
    let revision = Some(revision);
    Outcome::Done { revision }
}

fn read(from: u64, to: u64, value: &str, revision: u64) -> Operation {
    let value = value.to_owned();
    let found = Outcome::Found { revision, value };
    operation(from, to, Action::Get { stale: false }, found)
}

fn deleted(from: u64, to: u64) -> Operation {
    let done = Outcome::Done { revision: None };
    operation(from, to, Action::Delete { expected: None }, done)
}

fn missed(from: u64, to: u64) -> Operation {
    operation(from, to, Action::Get { stale: false }, Outcome::NotFound)
}

/// The rules that operations break, each once.
fn broken(operations: &[Operation]) -> Vec<Rule> {
    let history = History {
        operations: operations.to_vec(),
        ..History::default()
    };
    rules(&history)
}

fn rules(history: &History) -> Vec<Rule> {
    let verdict = check(history);
    assert!(verdict.undecided.is_empty(), "{verdict}");
    let mut rules: Vec<Rule> = verdict.violations.iter().map(|it| it.rule).collect();
    rules.sort();
    rules.dedup();
    rules
}

#[test]
fn what_a_store_can_tell_is_right() {
    let none: &[Rule] = &[];
    let first = created(0, 1, "a", 5);
    for (what, rest) in [
        (
            "one after the other",
            vec![updated(2, 3, 5, "b", 6), read(4, 5, "b", 6)],
        ),
        (
            "a read beside a write sees the old value",
            vec![updated(2, 9, 5, "b", 6), read(3, 4, "a", 5)],
        ),
        (
            "or the new one",
            vec![updated(2, 9, 5, "b", 6), read(3, 4, "b", 6)],
        ),
        (
            "and then only that",
            vec![
                updated(2, 9, 5, "b", 6),
                read(3, 4, "b", 6),
                read(5, 6, "b", 6),
            ],
        ),
        (
            "an unknown write that was done",
            vec![
                operation(2, 3, update(5, "b"), Outcome::Unknown),
                read(8, 9, "b", 6),
            ],
        ),
        (
            "an unknown write that was done late",
            vec![
                operation(2, 3, update(5, "b"), Outcome::Unknown),
                read(4, 5, "a", 5),
                read(8, 9, "b", 6),
            ],
        ),
        (
            "an unknown write that was never done",
            vec![
                operation(2, 3, update(5, "b"), Outcome::Unknown),
                updated(8, 9, 5, "c", 6),
            ],
        ),
        (
            "of two updates one has a conflict",
            vec![
                updated(2, 9, 5, "b", 6),
                operation(2, 9, update(5, "c"), Outcome::Conflict),
            ],
        ),
        (
            "deleted and made again",
            vec![deleted(2, 3), missed(4, 5), created(6, 7, "c", 8)],
        ),
        (
            "refused and never seen",
            vec![
                operation(2, 3, update(5, "b"), Outcome::Refused),
                read(4, 5, "a", 5),
            ],
        ),
        (
            "old only when it is asked for",
            vec![
                updated(2, 3, 5, "b", 6),
                operation(
                    4,
                    5,
                    Action::Get { stale: true },
                    read(0, 0, "a", 5).outcome,
                ),
            ],
        ),
    ] {
        let operations = [vec![first.clone()], rest].concat();
        assert_eq!(broken(&operations), none, "{what}");
    }
}

#[test]
fn what_no_store_can_tell_is_found() {
    use Rule::{Backwards, FromNowhere, Linearizable, Twice};
    let first = created(0, 1, "a", 5);
    for (what, rest, expected) in [
        (
            "a stale read",
            vec![updated(2, 3, 5, "b", 6), read(4, 5, "a", 5)],
            vec![Linearizable],
        ),
        (
            "new, then old",
            vec![
                updated(2, 9, 5, "b", 6),
                read(3, 4, "b", 6),
                read(5, 6, "a", 5),
            ],
            vec![Linearizable],
        ),
        (
            "a lost update",
            vec![updated(2, 9, 5, "b", 6), updated(3, 8, 5, "c", 7)],
            vec![Linearizable],
        ),
        (
            "a lost write",
            vec![deleted(2, 3), read(4, 5, "a", 5)],
            vec![Linearizable],
        ),
        (
            "a conflict with nobody",
            vec![operation(2, 3, update(5, "b"), Outcome::Conflict)],
            vec![Linearizable],
        ),
        (
            "made although it was there",
            vec![created(2, 3, "b", 6)],
            vec![Linearizable],
        ),
        (
            "gone although nobody deleted it",
            vec![missed(2, 3)],
            vec![Linearizable],
        ),
        (
            "a refused write that was seen",
            vec![
                operation(2, 3, update(5, "b"), Outcome::Refused),
                read(4, 5, "b", 6),
            ],
            vec![Linearizable, FromNowhere],
        ),
        (
            "an unknown write that was done twice",
            vec![
                operation(2, 3, update(5, "b"), Outcome::Unknown),
                read(4, 5, "b", 6),
                read(6, 7, "b", 8),
            ],
            vec![Twice],
        ),
        (
            "an unknown write seen before it was asked for",
            vec![
                read(2, 3, "b", 6),
                operation(4, 5, update(5, "b"), Outcome::Unknown),
            ],
            vec![Linearizable],
        ),
        (
            "a value that nobody wrote",
            vec![
                deleted(2, 3),
                operation(
                    4,
                    5,
                    Action::Get { stale: true },
                    read(0, 0, "z", 7).outcome,
                ),
            ],
            vec![FromNowhere],
        ),
        (
            "a revision that goes back",
            vec![updated(2, 3, 5, "b", 4)],
            vec![Backwards],
        ),
    ] {
        let operations = [vec![first.clone()], rest].concat();
        assert_eq!(broken(&operations), expected, "{what}");
    }
}

#[test]
fn a_complaint_tells_what_can_come_and_what_can_t() {
    let history = History {
        operations: vec![
            created(0, 1, "a", 5),
            updated(2, 3, 5, "b", 6),
            read(4, 5, "a", 5),
        ],
        ..History::default()
    };
    let said = check(&history).to_string();
    assert!(said.contains("2 of 3 can be in one"), "{said}");
    assert!(
        said.contains("and then not:\n    4.000-5.000 client 0: x Get"),
        "{said}"
    );
}

fn list(from: u64, revision: u64, items: &[(&str, u64, &str)]) -> List {
    let item = |(key, revision, value): &(&str, u64, &str)| {
        ((*key).to_owned(), (*revision, (*value).to_owned()))
    };
    List {
        client: 1,
        freshness: Freshness::Newest,
        selected: None,
        invoked: at(from),
        completed: at(from + 1),
        revision,
        items: items.iter().map(item).collect::<BTreeMap<_, _>>(),
    }
}

fn event(kind: Kind, revision: u64, value: &str) -> Event {
    Event {
        at: at(50),
        kind,
        key: match kind {
            Kind::Bookmark => String::new(),
            _ => "x".to_owned(),
        },
        revision,
        value: value.to_owned(),
    }
}

/// An object is made (5), changed (6) and deleted (7).
fn life() -> History {
    let events = vec![
        event(Kind::Added, 5, "a"),
        event(Kind::Modified, 6, "b"),
        event(Kind::Deleted, 7, "b"),
        event(Kind::Bookmark, 9, ""),
    ];
    History {
        operations: vec![
            created(0, 1, "a", 5),
            updated(2, 3, 5, "b", 6),
            deleted(4, 5),
        ],
        lists: vec![],
        watches: vec![Watch {
            client: 2,
            after: 4,
            events,
        }],
    }
}

#[test]
fn a_list_is_what_was_there() {
    let with = |list: List| {
        let lists = vec![list];
        rules(&History { lists, ..life() })
    };
    let right: &[Rule] = &[];
    assert_eq!(with(list(6, 7, &[])), right);
    assert_eq!(with(list(1, 6, &[("x", 6, "b")])), right);
    assert_eq!(with(list(0, 4, &[])), right);
    let of = |freshness, list| List { freshness, ..list };
    let stale = |list| of(Freshness::Any, list);
    assert_eq!(with(stale(list(6, 5, &[("x", 5, "a")]))), right);
    assert_eq!(with(list(6, 5, &[("x", 5, "a")])), [Rule::Backwards]);
    for wrong in [
        list(6, 7, &[("x", 6, "b")]),
        list(6, 6, &[("x", 5, "a")]),
        list(6, 6, &[]),
        list(1, 5, &[("x", 6, "b")]),
    ] {
        assert_eq!(with(stale(wrong.clone())), [Rule::List], "{wrong:?}");
    }
    for freshness in [Freshness::NotOlderThan(5), Freshness::Exact(5)] {
        assert_eq!(with(of(freshness, list(6, 5, &[("x", 5, "a")]))), right);
        assert_eq!(with(of(freshness, list(6, 4, &[]))), [Rule::Backwards]);
    }
    let newer = list(6, 6, &[("x", 6, "b")]);
    assert_eq!(with(of(Freshness::NotOlderThan(5), newer.clone())), right);
    assert_eq!(with(of(Freshness::Exact(5), newer)), [Rule::Backwards]);
}

#[test]
fn a_list_has_what_is_selected_and_nothing_else() {
    let history = |value: &str, next: &str, list: List| {
        let mut history = life();
        history.operations = vec![
            created(0, 1, value, 5),
            updated(2, 3, 5, next, 6),
            deleted(4, 5),
        ];
        let events = &mut history.watches[0].events;
        for (event, value) in events.iter_mut().zip([value, next, next]) {
            event.value = value.to_owned();
        }
        history.lists = vec![list];
        rules(&history)
    };
    let with = |list: List| history("red/1/a", "blue/1/b", list);
    let of = |part: usize, is: &str, list: List| List {
        selected: Some(Selected {
            part,
            is: is.to_owned(),
        }),
        freshness: Freshness::Any,
        ..list
    };
    let right: &[Rule] = &[];
    let (before, after) = ([("x", 5, "red/1/a")], [("x", 6, "blue/1/b")]);
    assert_eq!(with(of(0, "red", list(1, 5, &before))), right);
    assert_eq!(with(of(0, "red", list(3, 6, &[]))), right);
    assert_eq!(with(of(1, "1", list(3, 6, &after))), right);
    assert_eq!(
        with(of(5, "1", list(3, 6, &[]))),
        right,
        "there is no such part"
    );
    for wrong in [
        of(0, "red", list(3, 6, &after)),
        of(0, "red", list(3, 6, &before)),
        of(0, "blue", list(3, 6, &[])),
        of(1, "1", list(1, 5, &[])),
    ] {
        assert_eq!(with(wrong.clone()), [Rule::List], "{wrong:?}");
    }
}

#[test]
fn a_watch_tells_all_once_in_order() {
    let right: &[Rule] = &[];
    assert_eq!(rules(&life()), right);
    let with = |change: &dyn Fn(&mut Vec<Event>)| {
        let mut history = life();
        change(&mut history.watches[0].events);
        rules(&history)
    };
    assert_eq!(
        with(&|events| events.truncate(1)),
        right,
        "it may end early"
    );
    assert_eq!(
        with(&|events| drop(events.remove(1))),
        [Rule::Watch],
        "left out"
    );
    assert_eq!(with(&|events| events.swap(0, 1)), [Rule::Watch], "swapped");
    assert_eq!(
        with(&|events| events.insert(1, events[1].clone())),
        [Rule::Watch],
        "twice"
    );
    assert_eq!(
        with(&|events| events[1].kind = Kind::Added),
        [Rule::Watch],
        "made twice"
    );
    assert_eq!(
        with(&|events| events[0].value = "b".to_owned()).first(),
        Some(&Rule::Twice)
    );
    // A bookmark says that nothing was left out.
    let bookmark = |events: &mut Vec<Event>| drop(events.drain(0..3));
    assert_eq!(with(&bookmark), [Rule::Watch]);
}

#[test]
fn a_store_without_fault_is_never_accused() {
    for seed in 0..60 {
        let verdict = check(&faulty::history(Fault::None, seed));
        assert!(verdict.violations.is_empty(), "seed {seed}: {verdict}");
        assert!(verdict.undecided.is_empty(), "seed {seed}: {verdict}");
    }
}

#[test]
fn every_fault_of_a_store_is_found() {
    const SEEDS: u64 = 20;
    for (fault, rule) in [
        (Fault::OldRead, Rule::Linearizable),
        (Fault::OldList, Rule::Backwards),
        (Fault::TornList, Rule::List),
        (Fault::OldIndex, Rule::List),
        (Fault::NotExact, Rule::Backwards),
        (Fault::BlindUpdate, Rule::Linearizable),
        (Fault::FalseConflict, Rule::Linearizable),
        (Fault::LostWrite, Rule::Watch),
        (Fault::LostWrite, Rule::Linearizable),
        (Fault::DoneAlthoughRefused, Rule::FromNowhere),
        (Fault::DoneTwice, Rule::Twice),
        (Fault::WatchLeavesOut, Rule::Watch),
        (Fault::WatchTwice, Rule::Watch),
        (Fault::WatchOrder, Rule::Watch),
    ] {
        let found = (0..SEEDS).filter(|seed| {
            let verdict = check(&faulty::history(fault, *seed));
            verdict.violations.iter().any(|it| it.rule == rule)
        });
        let found = found.count() as u64;
        assert!(
            2 * found > SEEDS,
            "{fault:?} breaks {rule:?} in {found} of {SEEDS} runs"
        );
    }
}
