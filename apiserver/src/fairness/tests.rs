//! Requests that share levels.

use super::*;
use hardway_fairness::{FlowSchema, PriorityLevel};
use serde_json::json;

const LONG: Duration = Duration::from_secs(15);

/// One level of so many seats, whose queues hold two requests each, and a
/// schema that sends everybody there.
fn one_level(total: usize) -> Arc<Fairness> {
    let fairness = Fairness::new(total);
    fairness.configure(&[level("only", 1_000)], &[schema("all", "only")]);
    fairness
}

fn level(name: &str, shares: u32) -> PriorityLevel {
    let object = json!({"metadata": {"name": name, "uid": format!("{name}-uid")}, "spec": {
        "type": "Limited", "limited": {"nominalConcurrencyShares": shares,
            "limitResponse": {"type": "Queue",
                "queuing": {"queues": 16, "handSize": 1, "queueLengthLimit": 2}}}}});
    PriorityLevel::parse(object.to_string().as_bytes()).unwrap()
}

fn schema(name: &str, level: &str) -> FlowSchema {
    let object = json!({"metadata": {"name": name, "uid": format!("{name}-uid")}, "spec": {
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": 10,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": [{"kind": "User", "user": {"name": "*"}}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}]}});
    FlowSchema::parse(object.to_string().as_bytes()).unwrap()
}

async fn ask(fairness: &Arc<Fairness>, user: &str) -> (Classified, Result<Seat, Status>) {
    ask_for(fairness, user, Work::ONE, LONG).await
}

async fn ask_for(
    fairness: &Arc<Fairness>,
    user: &str,
    work: Work,
    patience: Duration,
) -> (Classified, Result<Seat, Status>) {
    let user = hardway_access::User::new(user, ["dev"]);
    let (digest, details) = path_digest(&user, "get", "/version");
    fairness.acquire(&digest, details, |_| work, patience).await
}

fn counts(fairness: &Fairness) -> (usize, usize) {
    let levels = fairness.levels();
    let level = levels.iter().find(|level| &*level.name == "only").unwrap();
    let state = level.state.lock();
    (state.set.waiting(), state.set.executing_count())
}

#[tokio::test]
async fn a_seat_that_is_free_goes_to_who_waits() {
    let fairness = one_level(1);
    let (classified, first) = ask(&fairness, "a").await;
    assert_eq!(
        (&*classified.schema, &*classified.level),
        ("all-uid", "only-uid")
    );
    let waiting = tokio::spawn({
        let fairness = fairness.clone();
        async move { ask(&fairness, "b").await.1 }
    });
    tokio::task::yield_now().await;
    assert_eq!(counts(&fairness), (1, 1));
    drop(first);
    let second = waiting.await.unwrap();
    assert!(second.is_ok());
    assert_eq!(counts(&fairness), (0, 1));
    drop(second);
    assert_eq!(counts(&fairness), (0, 0));
}

#[tokio::test]
async fn who_waits_too_long_is_told_to_come_again() {
    let fairness = one_level(1);
    let _first = ask(&fairness, "a").await;
    let patience = Duration::from_millis(20);
    let begun = Instant::now();
    let asked = ask_for(&fairness, "b", Work::ONE, patience).await;
    let status = asked.1.err().unwrap();
    assert!(begun.elapsed() >= patience);
    assert_eq!((status.code, &*status.reason), (429, "TooManyRequests"));
    assert_eq!(status.message, TOO_MANY);
    assert_eq!(status.details.unwrap().retry_after_seconds, 1);
    assert_eq!(counts(&fairness), (0, 1));
}

#[tokio::test]
async fn who_asks_for_much_gives_way_unless_it_is_the_control_plane() {
    for (name, gives_way) in [("workload-low", true), ("workload-high", false)] {
        let fairness = Fairness::new(20);
        fairness.configure(&[level(name, 1_000)], &[schema("all", name)]);
        let mut seats = Vec::new();
        for _ in 0..16 {
            seats.push(ask(&fairness, "a").await.1.ok().unwrap());
        }
        let lanes: Vec<_> = seats.iter().map(|seat| seat.lane().is_some()).collect();
        assert!(!lanes[0], "{name}: the first is one of few");
        assert_eq!(lanes[15], gives_way, "{name}");
    }
}

#[tokio::test]
async fn who_goes_away_leaves_the_queue() {
    let fairness = one_level(1);
    let _first = ask(&fairness, "a").await;
    let mut waiting = Box::pin(ask(&fairness, "b"));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(counts(&fairness), (1, 1));
    drop(waiting);
    assert_eq!(counts(&fairness), (0, 1));
}

#[tokio::test]
async fn a_seat_given_to_one_who_just_left_is_not_lost() {
    let fairness = one_level(1);
    let (_, first) = ask(&fairness, "a").await;
    let mut waiting = Box::pin(ask(&fairness, "b"));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    // It gets its seat, and is gone before it notices.
    drop(first);
    assert_eq!(counts(&fairness), (0, 1));
    drop(waiting);
    assert_eq!(counts(&fairness), (0, 0));
    assert!(ask(&fairness, "c").await.1.is_ok());
}

#[tokio::test]
async fn seats_linger_and_come_back() {
    let fairness = one_level(4);
    let work = Work {
        seats: 1,
        final_seats: 4,
        lingering: Duration::from_millis(5),
    };
    drop(ask_for(&fairness, "a", work, LONG).await);
    let begun = Instant::now();
    assert!(ask(&fairness, "b").await.1.is_ok());
    assert!(begun.elapsed() >= Duration::from_millis(5));
}

#[tokio::test]
async fn a_level_that_is_gone_is_kept_until_its_requests_are() {
    let fairness = one_level(10);
    let (_, seat) = ask(&fairness, "a").await;
    fairness.configure(&[], &[]);
    assert!(!fairness.adjust());
    assert_eq!(counts(&fairness), (0, 1));
    // New requests go elsewhere.
    let (classified, _other) = ask(&fairness, "b").await;
    assert_eq!(&*classified.level, "");
    drop(seat);
    assert!(fairness.adjust());
    fairness.configure(&[], &[]);
    assert_eq!(fairness.levels().len(), 2);
}

#[tokio::test]
async fn masters_need_not_wait() {
    let fairness = one_level(1);
    let _first = ask(&fairness, "a").await;
    let root = hardway_access::User::new("root", [hardway_access::MASTERS]);
    let (digest, details) = path_digest(&root, "get", "/version");
    let work = |_| Work::ONE;
    let asked = fairness.acquire(&digest, details, work, Duration::ZERO);
    assert!(asked.await.1.is_ok());
}

#[tokio::test]
async fn what_is_in_the_queues_can_be_seen() {
    let fairness = one_level(1);
    let _first = ask(&fairness, "jane").await;
    let mut waiting = Box::pin(ask(&fairness, "joe"));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let show = |what: &str| {
        let path = format!("/debug/api_priority_and_fairness/{what}");
        respond(&fairness, &path, true).unwrap()
    };
    let requests = show("dump_requests");
    let lines: Vec<Vec<&str>> = requests
        .lines()
        .map(|line| line.split(',').map(str::trim).collect())
        .collect();
    assert_eq!(lines.len(), 3);
    let jane = lines.iter().find(|l| l[4] == "jane").unwrap();
    assert_eq!(
        (jane[0], jane[1], jane[3], jane[12]),
        ("only", "all", "-1", "/version")
    );
    let joe = lines.iter().find(|l| l[4] == "joe").unwrap();
    assert_eq!((joe[3], joe[9]), ("0", "0001-01-01T00:00:00Z"));
    let levels = show("dump_priority_levels");
    let only = levels.lines().find(|l| l.starts_with("only")).unwrap();
    let cells: Vec<&str> = only.split(',').map(str::trim).collect();
    assert_eq!(cells[1..6], ["1", "false", "false", "1", "1"]);
    assert_eq!(show("dump_queues").lines().count(), 17);
    assert!(respond(&fairness, "/debug/x", false).is_none());
}

/// `cargo test --release -p hardway-apiserver --lib uncontended -- --nocapture`
#[tokio::test]
async fn an_uncontended_request_costs_microseconds() {
    let fairness = Fairness::new(600);
    let parse = |kind: &str| {
        let all = defaults::all().into_iter();
        all.filter(move |d| d.object["kind"] == kind)
            .map(|d| d.object.to_string())
            .collect::<Vec<_>>()
    };
    let levels: Vec<_> = parse(defaults::LEVEL)
        .iter()
        .map(|json| PriorityLevel::parse(json.as_bytes()).unwrap())
        .collect();
    let schemas: Vec<_> = parse(defaults::SCHEMA)
        .iter()
        .map(|json| FlowSchema::parse(json.as_bytes()).unwrap())
        .collect();
    fairness.configure(&levels, &schemas);
    const ROUNDS: u32 = 20_000;
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        assert!(ask(&fairness, "jane").await.1.is_ok());
    }
    let each = begun.elapsed() / ROUNDS;
    println!("a request that finds a seat: {each:?}");
    let bound = if cfg!(debug_assertions) { 100 } else { 10 };
    assert!(each < Duration::from_micros(bound), "{each:?}");
}
