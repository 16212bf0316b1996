use super::*;
use crate::cache::indexes::Indexes;
use crate::cache::resource::Update;
use crate::store::{StoreError, Stored};
use futures_util::FutureExt;
use hardway_resources::Registry;
use std::time::{Duration, Instant};

/// A cache of pods.
fn pods() -> Arc<ResourceCache> {
    let pods = Registry::new().resource("", "pods").unwrap();
    Arc::new(ResourceCache::new(pods))
}

/// A pod of a namespace comes, or comes to a node; with none it goes.
fn change(of: &ResourceCache, key: &str, node: Option<&str>, revision: i64) {
    let news = match node {
        None => Update::Gone,
        Some(node) => {
            let (namespace, name) = key.split_once('/').unwrap();
            let object = format!(
                r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"u"}},"spec":{{"nodeName":"{node}"}}}}"#
            );
            let stored = Ok(Stored {
                key: format!("pods/{key}"),
                value: object.into(),
                revision,
                stale: false,
            });
            Update::of(&of.resource, key, &stored, &Indexes::default())
        }
    };
    of.apply(key, news, revision);
    of.notify(revision);
}

fn on(of: &ResourceCache, node: &str) -> Interest {
    let names = of.resource.rules.selectable_names();
    let place = names.iter().position(|name| name == "spec.nodeName");
    Interest::Field(place.unwrap(), node.to_owned())
}

fn watcher(of: &Arc<ResourceCache>, interest: Interest, revision: i64) -> Watcher {
    Watcher::new(of.clone(), interest, revision)
}

/// Reads all there is after a revision; gives the revisions.
fn read(watcher: &Watcher, mut revision: i64) -> Option<Vec<i64>> {
    let mut all = Vec::new();
    loop {
        let events = watcher.events_after(revision, 2).ok()?;
        let Some(last) = events.last() else {
            return Some(all);
        };
        revision = last.revision;
        all.extend(events.iter().map(|event| event.revision));
    }
}

fn is_woken(watcher: &Watcher) -> bool {
    watcher.changed().now_or_never().is_some()
}

#[test]
fn a_change_wakes_those_whom_it_concerns() {
    let of = pods();
    let one = watcher(&of, on(&of, "one"), 0);
    let two = watcher(&of, on(&of, "two"), 0);
    let nowhere = watcher(&of, on(&of, ""), 0);
    let named = watcher(&of, Interest::Object("d/a".into()), 0);
    let space = watcher(&of, Interest::Namespace("d".into()), 0);
    let other_space = watcher(&of, Interest::Namespace("e".into()), 0);
    let all = watcher(&of, Interest::All, 0);
    let everybody = [&one, &two, &nowhere, &named, &space, &other_space, &all];
    let woken = |of: &ResourceCache, change: &dyn Fn(&ResourceCache)| {
        for watcher in everybody {
            read(watcher, 0).unwrap();
            is_woken(watcher);
        }
        change(of);
        everybody.map(is_woken)
    };
    // It waits for a node, gets one, goes to another one, and is gone.
    let steps = [
        (Some(""), [false, false, true, true, true, false, true]),
        (Some("one"), [true, false, true, true, true, false, true]),
        (Some("two"), [true, true, false, true, true, false, true]),
        (None, [false, true, false, true, true, false, true]),
    ];
    for (revision, (node, expected)) in (5..).zip(steps) {
        let seen = woken(&of, &|of| change(of, "d/a", node, revision));
        assert_eq!(seen, expected, "{node:?}");
    }
    let seen = woken(&of, &|of| change(of, "e/a", Some("one"), 20));
    assert_eq!(seen, [true, false, false, false, false, true, true]);
    let seen = woken(&of, &|of| of.retire());
    assert_eq!(seen, [true; 7], "all learn that it has ended");
}

#[test]
fn nothing_that_concerns_a_watcher_is_left_out() {
    let of = pods();
    let one = watcher(&of, on(&of, "one"), 0);
    assert_eq!(read(&one, 0), Some(vec![]));
    for revision in 1..=9 {
        let node = if revision % 3 == 0 { "one" } else { "two" };
        change(&of, &format!("d/{revision}"), Some(node), revision);
    }
    // It begins with the first that does, and need not skip the others.
    assert_eq!(read(&one, 0), Some(vec![3, 4, 5, 6, 7, 8, 9]));
    // Only half of it was read: it is asked again before anybody is woken.
    change(&of, "d/10", Some("one"), 10);
    assert!(is_woken(&one));
    let first = one.events_after(9, 1).unwrap();
    assert_eq!(first[0].revision, 10);
    change(&of, "d/11", Some("one"), 11);
    assert_eq!(read(&one, 10), Some(vec![11]));
    // Who begins later is told what was since it has listed; who begins with what isn't there
    // yet, nothing from before.
    assert_eq!(
        read(&watcher(&of, on(&of, "one"), 8), 8),
        Some(vec![9, 10, 11])
    );
    let future = watcher(&of, on(&of, "one"), 12);
    change(&of, "d/12", Some("one"), 12);
    change(&of, "d/13", Some("one"), 13);
    assert_eq!(read(&future, 12), Some(vec![13]));
}

#[test]
fn what_others_have_the_history_forget_is_missed_by_nobody() {
    let of = pods();
    change(&of, "d/a", Some("one"), 1);
    let one = watcher(&of, on(&of, "one"), 1);
    let two = watcher(&of, on(&of, "two"), 1);
    assert_eq!(read(&one, 1), Some(vec![]));
    assert_eq!(read(&two, 1), Some(vec![]));
    change(&of, "d/b", Some("two"), 2);
    for revision in 3..200 {
        change(&of, "d/c", Some("three"), revision);
    }
    of.forget_old(Instant::now() + Duration::from_secs(3600));
    assert_eq!(read(&one, 1), Some(vec![]), "nothing was missed");
    assert_eq!(read(&two, 1), None, "this was");
    change(&of, "d/a", None, 200);
    assert!(is_woken(&one));
    assert_eq!(read(&one, 1), Some(vec![200]));
    // Who comes only now can't know what was.
    assert_eq!(read(&watcher(&of, on(&of, "one"), 1), 1), None);
}

#[test]
fn whoever_watches_begins_anew_when_the_history_is_lost() {
    let of = pods();
    change(&of, "d/a", Some("one"), 1);
    let one = watcher(&of, on(&of, "one"), 1);
    let all = watcher(&of, Interest::All, 1);
    let read_both = || (read(&one, 1), read(&all, 1));
    assert_eq!(read_both(), (Some(vec![]), Some(vec![])));
    let unreadable = StoreError::Unavailable("no key".into());
    of.apply("d/b", Update::Unreadable(unreadable), 2);
    of.notify(2);
    assert!(is_woken(&one) && is_woken(&all));
    assert_eq!(read_both(), (None, None));
    let again = watcher(&of, on(&of, "one"), 2);
    assert_eq!(read(&again, 2), Some(vec![]));
    of.reset(super::super::resource::Loaded::default(), 3);
    assert!(is_woken(&again));
    assert_eq!(read(&again, 2), None);
}

#[test]
fn nothing_is_left_of_who_is_gone() {
    let of = pods();
    let (one, other) = (
        watcher(&of, on(&of, "one"), 0),
        watcher(&of, on(&of, "one"), 0),
    );
    let named = watcher(&of, Interest::Object("d/a".into()), 0);
    drop((one, named));
    of.with_watchers(|watchers| assert_eq!(watchers.all().len(), 1));
    drop(other);
    of.with_watchers(|watchers| assert!(watchers.places.is_empty()));
}
