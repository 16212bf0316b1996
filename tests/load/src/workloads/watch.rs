//! Many watchers of the same pods, each over a connection of its own: how long it takes until
//! all have heard of a change, and whether each heard of every one, once and in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::make;
use crate::api::{Api, ApiError, Call, Patch};
use crate::failure::{Failure, OrFail};
use crate::heard::Heard;
use crate::measure::Measuring;
use crate::report::Measurement;
use crate::workers;
use crate::workload::{Context, Workload};

/// So many pods are changed in turn.
const PODS: u64 = 50;
/// How long the last events may take, after the last write.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many watches are opened at the same time.
const OPENING: usize = 16;
/// How often the objects there are are streamed at the beginning of a watch.
const STREAMS: u64 = 10;
/// From this minor version on every API server sends them (KEP 3157).
const STREAMS_SINCE: u32 = 32;

/// See the module.
pub(super) struct Watch;

impl Workload for Watch {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn about(&self) -> &'static str {
        "--watchers watchers of --events changes, --event-rate a second: when, all, in order"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    let made = make::ready_pods(context, PODS).await?;
    let mut measured = vec![initial_events(context).await?];
    let path = context.core("pods");
    let list = context
        .api(0)
        .send(&Call::get(format!("{path}?limit=1")))
        .await;
    let list = list.and_then(|answer| answer.json());
    let list = list.or_fail(|| format!("list {path}"))?;
    let from = list["metadata"]["resourceVersion"].as_str().unwrap_or("0");
    let call = Call::get(format!(
        "{path}?watch=1&allowWatchBookmarks=true&resourceVersion={from}"
    ));

    let watchers = context.sizes.watchers.get();
    let opening = context.begin("open watches", watchers as u64);
    let opened = open(context, &call, watchers, &opening).await;
    measured.push(opening.finish());

    let events = context.sizes.events.get();
    let zero = Instant::now();
    let telling = context.begin(
        format!("events to {watchers} watchers"),
        events * watchers as u64,
    );
    // The revision that all have to come to; 0 as long as writes go on.
    let (end, ended) = watch::channel(0_u64);
    let mut tasks = JoinSet::new();
    for lines in opened {
        let follower = Follower {
            lines,
            zero,
            telling: Arc::clone(&telling),
            end: ended.clone(),
        };
        tasks.spawn(follower.follow());
    }
    let writing = context.begin("patch the watched pods", 0);
    let written = write(context, &made, zero, &writing).await;
    let mut wrote = writing.finish();
    wrote.processes.clear();
    // Nobody is left to hear it where no watch was opened.
    let _ = end.send(written.last().copied().unwrap_or(u64::MAX));
    for heard in tasks.join_all().await {
        for violation in heard.violations(&written) {
            telling.violation(violation);
        }
    }
    measured.extend([wrote, telling.finish()]);
    Ok(measured)
}

/// Opens watches, each over a connection of its own.
async fn open(
    context: &Context,
    call: &Call,
    count: usize,
    measuring: &Arc<Measuring>,
) -> Vec<crate::api::Lines> {
    let opened: Arc<Mutex<Vec<crate::api::Lines>>> = Arc::default();
    let (all, measuring, call) = (Arc::clone(&opened), Arc::clone(measuring), call.clone());
    let api = context.api(0).clone();
    let work = move |_: usize, _: u64| {
        let (all, measuring) = (Arc::clone(&all), Arc::clone(&measuring));
        let (api, call) = (api.fresh(), call.clone());
        async move {
            let began = Instant::now();
            let lines = api.watch(&call).await;
            if let Some(lines) = measuring.took(began.elapsed(), lines) {
                all.lock().push(lines);
            }
        }
    };
    workers::each(count as u64, OPENING, work).await;
    std::mem::take(&mut *opened.lock())
}

/// Changes the pods at a fixed rate; the revisions that were acknowledged.
async fn write(
    context: &Context,
    made: &[make::Made],
    zero: Instant,
    measuring: &Arc<Measuring>,
) -> BTreeSet<u64> {
    let written: Arc<Mutex<BTreeSet<u64>>> = Arc::default();
    let (path, apis) = (context.core("pods"), context.apis.clone());
    let work = |turn: u64, due: Instant| {
        let pod = &made[turn as usize % made.len()];
        let path = format!("{path}/{}/status", pod.name);
        let sent = zero.elapsed().as_nanos().to_string();
        // A status patch, as kubelets send them. Its message says when it was sent.
        let patch = json!({"status": {"message": sent}});
        let call = Call::patch(path, Patch::Merge, &patch);
        let api = apis[turn as usize % apis.len()].clone();
        let (written, measuring) = (Arc::clone(&written), Arc::clone(measuring));
        async move {
            let answer = api.send(&call).await;
            let revision = answer.and_then(|answer| {
                let object: Event = read(&answer.body)?;
                object.revision()
            });
            if let Some(revision) = measuring.took(due.elapsed(), revision) {
                written.lock().insert(revision);
            }
        }
    };
    let sizes = &context.sizes;
    workers::at_rate(sizes.events.get(), sizes.event_rate.get(), work).await;
    std::mem::take(&mut *written.lock())
}

/// One watcher.
struct Follower {
    lines: crate::api::Lines,
    zero: Instant,
    telling: Arc<Measuring>,
    end: watch::Receiver<u64>,
}

impl Follower {
    async fn follow(mut self) -> Heard {
        let mut heard = Heard::default();
        loop {
            let end = *self.end.borrow_and_update();
            if end > 0 && heard.last().is_some_and(|last| last >= end) {
                return heard;
            }
            let line = tokio::select! {
                line = self.lines.next() => line,
                Ok(()) = self.end.changed(), if end == 0 => continue,
                () = tokio::time::sleep(PATIENCE), if end > 0 => return heard,
            };
            let taken = match line {
                Some(Ok(line)) => {
                    self.telling.received(line.len());
                    self.take(&line, &mut heard)
                }
                Some(Err(error)) => Err(error),
                None => Err(ApiError::Broken {
                    call: "watch".to_owned(),
                    why: "the server ended it".to_owned(),
                }),
            };
            if let Err(error) = taken {
                self.telling.failed(&error);
                return heard;
            }
        }
    }

    fn take(&self, line: &[u8], heard: &mut Heard) -> Result<(), ApiError> {
        let came = self.zero.elapsed();
        let line = Line::read(line)?;
        match line.r#type.as_str() {
            "ADDED" | "MODIFIED" | "DELETED" => {
                heard.event(line.object.revision()?);
                // In nanoseconds since the load's own zero.
                if let Ok(sent) = line.object.status.message.parse() {
                    let sent = Duration::from_nanos(sent);
                    self.telling.done(came.saturating_sub(sent));
                }
                Ok(())
            }
            "BOOKMARK" => {
                heard.bookmark(line.object.revision()?);
                Ok(())
            }
            other => Err(ApiError::Unreadable {
                why: format!("the watch says {other}"),
            }),
        }
    }
}

/// What of an event has to be known.
#[derive(Debug, Deserialize)]
struct Line {
    r#type: String,
    object: Event,
}

/// The same of the object.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    resource_version: String,
    annotations: Annotations,
}

#[derive(Debug, Default, Deserialize)]
struct Annotations {
    #[serde(rename = "k8s.io/initial-events-end")]
    initial_end: Option<String>,
}

impl Line {
    fn read(text: &[u8]) -> Result<Self, ApiError> {
        let error = br#"{"type":"ERROR","#;
        match text.starts_with(error) {
            true => Err(ApiError::Unreadable {
                why: format!("the watch says {}", String::from_utf8_lossy(text)),
            }),
            false => read(text),
        }
    }
}

impl Event {
    fn revision(&self) -> Result<u64, ApiError> {
        let text = &self.metadata.resource_version;
        text.parse().map_err(|error| ApiError::Unreadable {
            why: format!("the resourceVersion {text:?}: {error}"),
        })
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(text).map_err(|error| ApiError::Unreadable {
        why: error.to_string(),
    })
}

/// Streams of all there is at the beginning of a watch, until the bookmark at its end.
async fn initial_events(context: &Context) -> Result<Measurement, Failure> {
    let measuring = context.begin("initial events", STREAMS);
    if context.version.minor < STREAMS_SINCE {
        let version = &context.version.text;
        measuring.note(format!("left out: {version} need not send them"));
        return Ok(measuring.finish());
    }
    let call = Call::get(format!(
        "{}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
        context.core("pods")
    ));
    for _ in 0..STREAMS {
        let began = Instant::now();
        let stream = stream(context.api(0), &call, &measuring);
        let streamed = tokio::time::timeout(PATIENCE, stream).await;
        let streamed = streamed.unwrap_or_else(|_| {
            Err(ApiError::Broken {
                call: call.to_string(),
                why: "no bookmark said that the initial events were through".to_owned(),
            })
        });
        if let Some(events) = measuring.took(began.elapsed(), streamed)
            && events != PODS
        {
            measuring.violation(format!("{events} initial events in place of {PODS}"));
        }
    }
    Ok(measuring.finish())
}

/// One stream; how many events it had.
async fn stream(api: &Api, call: &Call, measuring: &Measuring) -> Result<u64, ApiError> {
    let mut lines = api.watch(call).await?;
    let mut events = 0;
    while let Some(line) = lines.next().await {
        let line = line?;
        measuring.received(line.len());
        let line = Line::read(&line)?;
        match line.r#type.as_str() {
            "ADDED" => events += 1,
            "BOOKMARK" if line.object.metadata.annotations.initial_end.is_some() => {
                return Ok(events);
            }
            other => {
                return Err(ApiError::Unreadable {
                    why: format!("{other} came before the end of the initial events"),
                });
            }
        }
    }
    Err(ApiError::Broken {
        call: call.to_string(),
        why: "the server ended it".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_event_only_what_is_needed_is_read() {
        let text = br#"{"type":"MODIFIED","object":{"kind":"Pod","metadata":{"name":"a",
            "resourceVersion":"12"},"spec":{},"status":{"phase":"Pending","message":"5"}}}"#;
        let line = Line::read(text).unwrap();
        assert_eq!(line.object.revision().unwrap(), 12);
        assert_eq!(line.object.status.message, "5");
        let end = br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9",
            "annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        let line = Line::read(end).unwrap();
        assert!(line.object.metadata.annotations.initial_end.is_some());
        let error = br#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":410}}"#;
        let error = Line::read(error).unwrap_err().to_string();
        assert!(error.contains("410"), "{error}");
    }
}
