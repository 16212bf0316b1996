//! Clients that write, read, list and watch the same few objects at the same time, and what
//! they were told, by the rules of `hardway_tests::history`: every list is a state that was
//! there at its revision, whatever it selects and however it is shown, and nothing that was
//! acknowledged is missing later.

mod lists;

use crate::common::people::Client;
use crate::common::requests::Watch as Lines;
use crate::common::{Lab, PATIENCE, PODS, pod, service_account};
use hardway_tests::dice::Dice;
use hardway_tests::history::{
    Action, Event, Kind, Operation, Outcome, Recorder, Rule, Watch, check,
};
use hardway_tests::load::answers::{outcome_of, revision_of};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long it is written, read and listed.
const TIME: Duration = Duration::from_secs(4);
/// Clients of each sort.
const WRITERS: usize = 4;
const READERS: usize = 4;
const WATCHERS: usize = 2;
/// Lists of each sort that must have been asked for, or the test shows nothing.
const LEAST: usize = 5;
/// Objects that are written to at a time, and how often each is asked for before others take
/// its place: orders of long lives take long to be found.
const OBJECTS: u64 = 4;
const LIFE: u64 = 30;

/// The first part of a value, which is also a label.
const COLORS: [&str; 3] = ["red", "green", "blue"];
/// The second one, which is also a field that objects are selected by.
const PLACES: [&str; 3] = ["place-0", "place-1", "place-2"];

/// What is written and listed.
struct Subject {
    path: &'static str,
    /// An object without its value.
    bare: fn(&str) -> Value,
    /// The field that has the place, in `spec` and in field selectors.
    field: &'static str,
    /// Whether an object may go from one place to another.
    moves: bool,
}

const OF_PODS: Subject = Subject {
    path: PODS,
    bare: pod,
    field: "nodeName",
    moves: false,
};

const TURTLES: Subject = Subject {
    path: "/apis/pub.example.com/v1/namespaces/default/turtles",
    bare: |name| {
        json!({"apiVersion": "pub.example.com/v1", "kind": "Turtle", "metadata": {"name": name},
            "spec": {}})
    },
    field: "place",
    moves: true,
};

/// What all clients of a run share.
struct Run {
    lab: Lab,
    subject: Subject,
    recorder: Recorder,
    over: AtomicBool,
    /// The revision that watchers have to come to; 0 as long as that is not known.
    end: AtomicU64,
    /// All clients count together, so that they come to the next objects at the same time.
    count: AtomicU64,
}

impl Subject {
    /// An object with a value: in an annotation, so that metadata alone shows it; its parts
    /// also where objects are selected by them.
    fn object(&self, name: &str, value: &str) -> Value {
        let mut object = (self.bare)(name);
        let mut parts = value.split('/');
        object["metadata"]["labels"] = json!({"color": parts.next()});
        object["metadata"]["annotations"] = json!({"value": value});
        object["spec"][self.field] = parts.next().into();
        object
    }

    /// What changes it to another value.
    fn patch(&self, revision: u64, value: &str) -> Value {
        let whole = self.object("", value);
        let mut patch = json!({"metadata": {"resourceVersion": revision.to_string(),
            "labels": whole["metadata"]["labels"],
            "annotations": whole["metadata"]["annotations"]}});
        if self.moves {
            patch["spec"] = whole["spec"].clone();
        }
        patch
    }
}

fn value_of(object: &Value) -> String {
    let value = object["metadata"]["annotations"]["value"].as_str();
    value.unwrap_or_default().to_owned()
}

async fn client(run: &Run) -> Client {
    Client::new(&run.lab, "jane", &["system:masters"]).await
}

/// Writes and reads single objects.
async fn write(run: Arc<Run>, number: usize) {
    let mut client = client(&run).await;
    let mut dice = Dice::new(number as u64 + 1);
    let mut known: BTreeMap<String, (u64, String)> = BTreeMap::new();
    while !run.over.load(Ordering::Relaxed) {
        let count = run.count.fetch_add(1, Ordering::Relaxed);
        let key = format!("o{}-{}", count / (OBJECTS * LIFE), count % OBJECTS);
        let before = known.get(&key);
        let place = match before {
            Some((_, value)) if !run.subject.moves => value.split('/').nth(1),
            _ => dice.pick(&PLACES).copied(),
        };
        let color = dice.pick(&COLORS).copied().unwrap_or_default();
        let value = format!("{color}/{}/{number}-{count}", place.unwrap_or_default());
        let action = match (dice.below(10), before.map(|(revision, _)| *revision)) {
            (0..=6, Some(expected)) => Action::Update { expected, value },
            (0..=4, None) => Action::Create { value },
            (7, expected) => Action::Delete { expected },
            (8, _) => Action::Get { stale: true },
            _ => Action::Get { stale: false },
        };
        let outcome = act(&run, &mut client, number, &key, &action).await;
        match (action, outcome) {
            (_, Outcome::Found { revision, value })
            | (
                Action::Create { value } | Action::Update { value, .. },
                Outcome::Done {
                    revision: Some(revision),
                },
            ) => drop(known.insert(key, (revision, value))),
            (_, Outcome::NotFound | Outcome::Done { revision: None }) => drop(known.remove(&key)),
            _ => {}
        }
    }
}

async fn act(run: &Run, client: &mut Client, number: usize, key: &str, action: &Action) -> Outcome {
    let subject = &run.subject;
    let path = format!("{}/{key}", subject.path);
    let (method, path, body) = match action {
        Action::Create { value } => (
            Method::POST,
            subject.path.to_owned(),
            Some(subject.object(key, value)),
        ),
        Action::Update { expected, value } => {
            (Method::PATCH, path, Some(subject.patch(*expected, value)))
        }
        Action::Delete { expected } => {
            let mut options = json!({"gracePeriodSeconds": 0});
            if let Some(expected) = expected {
                options["preconditions"] = json!({"resourceVersion": expected.to_string()});
            }
            (Method::DELETE, path, Some(options))
        }
        Action::Get { stale: true } => (Method::GET, format!("{path}?resourceVersion=0"), None),
        Action::Get { stale: false } => (Method::GET, path, None),
    };
    let invoked = run.recorder.now();
    let answer = client.send(method, &path, body.as_ref()).await;
    let outcome = outcome_of(action, answer.code, &answer.body, value_of);
    let is_told = !matches!(outcome, Outcome::Refused | Outcome::Unknown);
    assert!(is_told, "{action:?}: {} {}", answer.code, answer.body);
    run.recorder.operation(Operation {
        client: number,
        key: key.to_owned(),
        action: action.clone(),
        invoked,
        completed: run.recorder.now(),
        outcome: outcome.clone(),
    });
    outcome
}

/// Watches all objects up to the last change.
async fn watch(run: Arc<Run>, number: usize, after: u64) {
    let query = format!("watch=1&allowWatchBookmarks=true&resourceVersion={after}");
    let mut lines: Lines = run
        .lab
        .watch(&format!("{}?{query}", run.subject.path))
        .await;
    let mut watch = Watch {
        client: number,
        after,
        events: Vec::new(),
    };
    loop {
        let end = run.end.load(Ordering::Relaxed);
        if end > 0 && watch.until() >= end {
            break;
        }
        let line = lines.next().await.expect("the watch goes on");
        let kind = match line["type"].as_str() {
            Some("ADDED") => Kind::Added,
            Some("MODIFIED") => Kind::Modified,
            Some("DELETED") => Kind::Deleted,
            Some("BOOKMARK") => Kind::Bookmark,
            _ => panic!("{line}"),
        };
        let object = &line["object"];
        let name = object["metadata"]["name"].as_str();
        watch.events.push(Event {
            at: run.recorder.now(),
            kind,
            key: name.unwrap_or_default().to_owned(),
            revision: revision_of(object).expect("a revision"),
            value: value_of(object),
        });
    }
    run.recorder.watch(watch);
}

/// A run on one sort of objects, and what is wrong with it.
async fn run(lab: Lab, subject: Subject) {
    let run = Arc::new(Run {
        lab,
        subject,
        recorder: Recorder::default(),
        over: AtomicBool::new(false),
        end: AtomicU64::new(0),
        count: AtomicU64::new(0),
    });
    let (code, list) = run.lab.get(run.subject.path).await;
    assert_eq!(code, 200, "{list}");
    let first = revision_of(&list).expect("a revision");
    let clients = WRITERS + READERS;
    let mut watchers = tokio::task::JoinSet::new();
    for number in clients..clients + WATCHERS {
        watchers.spawn(watch(run.clone(), number, first));
    }
    let mut others = tokio::task::JoinSet::new();
    for number in 0..WRITERS {
        others.spawn(write(run.clone(), number));
    }
    for number in WRITERS..clients {
        others.spawn(lists::ask(run.clone(), number, first));
    }
    let began = Instant::now();
    while began.elapsed() < TIME && others.len() == clients {
        // One that ends early has failed.
        let left = TIME.saturating_sub(began.elapsed());
        if let Ok(Some(ended)) = tokio::time::timeout(left, others.join_next()).await {
            ended.expect("no client ends before the others");
        }
    }
    run.over.store(true, Ordering::Relaxed);
    while let Some(ended) = others.join_next().await {
        ended.expect("clients end well");
    }
    // The watchers have to see one more change, and those who have seen it before it is known
    // that it is the last hear of yet another.
    let mut client = client(&run).await;
    for key in ["last", "after"] {
        let action = Action::Create {
            value: format!("red/place-0/{key}"),
        };
        let outcome = act(&run, &mut client, clients + WATCHERS, key, &action).await;
        let Outcome::Done {
            revision: Some(revision),
        } = outcome
        else {
            panic!("{outcome:?}");
        };
        if key == "last" {
            run.end.store(revision, Ordering::Relaxed);
        }
    }
    let ended = tokio::time::timeout(PATIENCE, async {
        while let Some(ended) = watchers.join_next().await {
            ended.expect("watchers end well");
        }
    });
    ended.await.expect("watchers come to the end");

    let history = run.recorder.history();
    lists::all_sorts_were_asked_for(&history.lists);
    let verdict = check(&history);
    assert!(verdict.violations.is_empty(), "{verdict}");
    assert!(verdict.undecided.len() <= 1, "{verdict}");
    // The rules see what would be wrong: an acknowledged write that no list has.
    let mut lost = history;
    let complete = |list: &&mut hardway_tests::history::List| {
        list.selected.is_none() && !list.items.is_empty()
    };
    let list = lost.lists.iter_mut().rev().find(complete);
    list.expect("a list of all").items.pop_last();
    let verdict = check(&lost);
    assert!(
        verdict.violations.iter().any(|it| it.rule == Rule::List),
        "{verdict}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_pods_are_what_was_there() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    run(lab, OF_PODS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_custom_resources_are_what_was_there() {
    let lab = Lab::start().await;
    let string = json!({"type": "string"});
    let definition = json!({"metadata": {"name": "turtles.pub.example.com"}, "spec": {
        "group": "pub.example.com", "scope": "Namespaced",
        "names": {"plural": "turtles", "singular": "turtle", "kind": "Turtle"},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "selectableFields": [{"jsonPath": ".spec.place"}],
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {"place": string}}}}}}]}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    lab.create(definitions, &definition).await;
    lab.until("turtles are served", async || {
        lab.get(TURTLES.path).await.0 == 200
    })
    .await;
    run(lab, TURTLES).await;
}
