//! What events tell, where an apiserver has no steps: a poor story, but one of any cluster.

use crate::cluster::{Cluster, owner_uids};
use crate::feed::Lines;
use crate::line::{Line, Step};
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How often events are asked for: a few requests, while a person looks on.
const PAUSE: Duration = Duration::from_millis(500);

struct Reading<'a> {
    cluster: &'a Cluster,
    seen: BTreeSet<(String, i64)>,
    ready: VecDeque<Line>,
    is_synced: bool,
}

/// Events of all namespaces as steps, with the owners of what they are about.
pub fn lines(cluster: &Cluster) -> Lines<'_> {
    let reading = Reading {
        cluster,
        seen: BTreeSet::new(),
        ready: VecDeque::new(),
        is_synced: false,
    };
    let lines = stream::unfold(reading, |mut reading| async move {
        loop {
            if let Some(line) = reading.ready.pop_front() {
                return Some((Ok(line), reading));
            }
            if reading.is_synced {
                tokio::time::sleep(PAUSE).await;
            }
            reading.look().await;
        }
    });
    lines.boxed()
}

impl Reading<'_> {
    async fn look(&mut self) {
        for event in self.cluster.events().await {
            let uid = event["metadata"]["uid"].as_str().unwrap_or_default();
            let count = event["count"].as_i64().unwrap_or(1);
            if !self.seen.insert((uid.to_owned(), count)) {
                continue;
            }
            if let Some(mut step) = step(self.cluster, &event) {
                // Who owns something is asked for while it is there.
                if self.is_synced
                    && let Ok(Some(object)) = self.cluster.get(&step.object).await
                {
                    let owners: Vec<&str> = owner_uids(&object).collect();
                    step.details.insert("owners".into(), owners.join(" "));
                }
                self.ready.push_back(Line::Step(Box::new(step)));
            }
        }
        if !self.is_synced {
            self.is_synced = true;
            self.ready.push_back(Line::Synced);
        }
    }
}

fn step(cluster: &Cluster, event: &Value) -> Option<Step> {
    let text = |pointer: &str| {
        event
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let either = |one: &str, other: &str| match text(one) {
        "" => text(other).to_owned(),
        text => text.to_owned(),
    };
    let times = [
        "/lastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ];
    let time = times
        .iter()
        .find_map(|pointer| text(pointer).parse::<Timestamp>().ok())?;
    let details = [("reason", text("/reason")), ("message", text("/message"))];
    Some(Step {
        time,
        process: either("/reportingComponent", "/source/component"),
        host: either("/source/host", "/reportingInstance"),
        object: cluster.referred(&event["involvedObject"])?,
        uid: text("/involvedObject/uid").to_owned(),
        what: "event".to_owned(),
        details: details
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect::<BTreeMap<_, _>>(),
        ..Step::default()
    })
}
