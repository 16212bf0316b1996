//! A client that lists, in all the ways there are.

use super::{COLORS, LEAST, PLACES, Run, client, value_of};
use crate::common::people::Client;
use hardway_tests::dice::Dice;
use hardway_tests::history::{Freshness, Items, List, Selected};
use hardway_tests::load::answers::revision_of;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The forms lists are asked for in. All have metadata, and so the value.
const FORMS: [&str; 3] = [
    "application/json",
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
    "application/json;as=Table;g=meta.k8s.io;v=v1",
];

/// Lists until the run is over; `first` is the revision it began at.
pub async fn ask(run: Arc<Run>, number: usize, first: u64) {
    let mut client = client(&run).await;
    let mut dice = Dice::new(number as u64 + 1);
    // Revisions that were told, which may be asked for.
    let mut known = vec![first];
    while !run.over.load(Ordering::Relaxed) {
        let freshness = freshness(&mut dice, &known);
        let selected = selected(&mut dice);
        let limit = dice.below(4);
        let accept = dice.pick(&FORMS).copied().unwrap_or_default();
        let query = query(&run, freshness, selected.as_ref());
        let invoked = run.recorder.now();
        let Some((revision, items)) = list(&run, &mut client, query, limit, accept).await else {
            continue;
        };
        known.push(revision);
        run.recorder.list(List {
            client: number,
            freshness,
            selected,
            invoked,
            completed: run.recorder.now(),
            revision,
            items,
        });
    }
}

fn freshness(dice: &mut Dice, known: &[u64]) -> Freshness {
    // Mostly something recent.
    let recent = &known[known.len().saturating_sub(5)..];
    let revision = dice.pick(recent).copied().unwrap_or_default();
    match dice.below(5) {
        0 => Freshness::Any,
        1 => Freshness::NotOlderThan(revision),
        2 => Freshness::Exact(revision),
        _ => Freshness::Newest,
    }
}

fn selected(dice: &mut Dice) -> Option<Selected> {
    let part = dice.below(3);
    let parts = match part {
        0 => COLORS,
        1 => PLACES,
        _ => return None,
    };
    let is = dice.pick(&parts).copied()?.to_owned();
    Some(Selected { part, is })
}

fn query(run: &Run, freshness: Freshness, selected: Option<&Selected>) -> [String; 2] {
    let exact = |revision, how| format!("&resourceVersion={revision}&resourceVersionMatch={how}");
    let freshness = match freshness {
        Freshness::Newest => String::new(),
        Freshness::Any => "&resourceVersion=0".to_owned(),
        Freshness::NotOlderThan(revision) => exact(revision, "NotOlderThan"),
        Freshness::Exact(revision) => exact(revision, "Exact"),
    };
    let selector = match selected {
        None => String::new(),
        Some(Selected { part: 0, is }) => format!("&labelSelector=color%3D{is}"),
        Some(Selected { is, .. }) => {
            format!("&fieldSelector=spec.{}%3D{is}", run.subject.field)
        }
    };
    [selector, freshness]
}

/// A list, page by page if there is a limit; none if its revision was compacted.
async fn list(
    run: &Run,
    client: &mut Client,
    [selector, freshness]: [String; 2],
    limit: usize,
    accept: &'static str,
) -> Option<(u64, Items)> {
    let path = format!("{}?limit={limit}{selector}", run.subject.path);
    let mut next = freshness;
    let mut items = Items::new();
    let mut revisions = Vec::new();
    loop {
        let answer = client.get_as(&format!("{path}{next}"), accept).await;
        if answer.code == 410 {
            return None;
        }
        let page = answer.body;
        assert_eq!(answer.code, 200, "{path}{next}: {page}");
        revisions.push(revision_of(&page)?);
        let rows = page["rows"].as_array().into_iter().flatten();
        let rows = rows.map(|row| &row["object"]);
        let objects = page["items"].as_array().into_iter().flatten().chain(rows);
        for object in objects {
            let name = object["metadata"]["name"].as_str()?;
            let content = (revision_of(object)?, value_of(object));
            let twice = items.insert(name.to_owned(), content);
            assert_eq!(twice, None, "{name} is in a list twice: {path}{next}");
        }
        match page["metadata"]["continue"].as_str() {
            Some(token) => next = format!("&continue={token}"),
            None => break,
        }
    }
    // All pages are of one list.
    assert!(
        revisions.iter().all(|it| *it == revisions[0]),
        "{path}: {revisions:?}"
    );
    Some((revisions[0], items))
}

/// A sort of lists: its name, and whether a list is of it.
type Sort = (&'static str, fn(&List) -> bool);

/// Fails if a sort of lists was not asked for.
pub fn all_sorts_were_asked_for(lists: &[List]) {
    let sorts: [Sort; 7] = [
        ("newest", |list| list.freshness == Freshness::Newest),
        ("any", |list| list.freshness == Freshness::Any),
        ("not older than", |list| {
            matches!(list.freshness, Freshness::NotOlderThan(_))
        }),
        ("exact", |list| {
            matches!(list.freshness, Freshness::Exact(_))
        }),
        ("all", |list| list.selected.is_none()),
        ("by label", |list| {
            list.selected.as_ref().is_some_and(|it| it.part == 0)
        }),
        ("by field", |list| {
            list.selected.as_ref().is_some_and(|it| it.part == 1)
        }),
    ];
    for (sort, is_such) in sorts {
        let some = lists
            .iter()
            .filter(|list| is_such(list) && !list.items.is_empty());
        let count = some.count();
        assert!(count >= LEAST, "{count} lists of the sort {sort}");
    }
}
