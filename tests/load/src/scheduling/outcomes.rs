//! What becomes of pods, seen by a watch of their namespace.

use super::case::End;
use crate::api::{Api, Call};
use crate::failure::{Failure, OrFail};
use crate::measure::Measuring;
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long nothing may happen before the scheduler is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pods that something is to become of.
#[derive(Clone)]
pub struct Outcomes {
    state: Arc<Mutex<State>>,
    /// How many are waited for.
    waiting: Arc<watch::Sender<usize>>,
}

#[derive(Default)]
struct State {
    /// When each was asked for.
    asked: HashMap<String, Instant>,
    end: Option<End>,
    measuring: Option<Arc<Measuring>>,
}

/// Of an event only what is needed.
#[derive(Deserialize)]
struct Event {
    object: Pod,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

impl Pod {
    /// What has become of it, if anything.
    fn end(&self) -> Option<End> {
        let refused = |it: &Condition| it.r#type == "PodScheduled" && it.status == "False";
        if !self.spec.node_name.is_empty() {
            return Some(End::Bound);
        }
        let is_refused = self.status.conditions.iter().any(refused);
        is_refused.then_some(End::Refused)
    }
}

impl Outcomes {
    /// Begins to watch; gives what follows the watch for as long as it is polled.
    ///
    /// # Errors
    /// If the watch can't be begun.
    pub async fn follow(
        api: &Api,
        pods: &str,
    ) -> Result<(Self, impl Future<Output = Failure> + use<>), Failure> {
        let call = Call::get(format!("{pods}?watch=1"));
        let what = || format!("watch {pods}");
        let mut lines = api.watch(&call).await.or_fail(what)?;
        let outcomes = Self {
            state: Arc::default(),
            waiting: Arc::new(watch::channel(0).0),
        };
        let seen = outcomes.clone();
        let what = what();
        let follow = async move {
            while let Some(line) = lines.next().await {
                match line {
                    Ok(line) => seen.event(&line),
                    Err(error) => return Failure::new(what, &error, error.way_out()),
                }
            }
            Failure::new(what, "it has ended", "the API server's log says why")
        };
        Ok((outcomes, follow))
    }

    /// From now on pods are to come to this end; each that does is measured, if that is
    /// wanted.
    pub fn expect(&self, end: End, measuring: Option<Arc<Measuring>>) {
        let mut state = self.state.lock();
        state.asked.clear();
        state.end = Some(end);
        state.measuring = measuring;
        self.waiting.send_replace(0);
    }

    /// A pod is about to be made.
    pub fn asked(&self, name: &str) {
        let mut state = self.state.lock();
        state.asked.insert(name.to_owned(), Instant::now());
        self.waiting.send_replace(state.asked.len());
    }

    /// It could not be made.
    pub fn not_made(&self, name: &str) {
        let mut state = self.state.lock();
        state.asked.remove(name);
        self.waiting.send_replace(state.asked.len());
    }

    fn event(&self, line: &[u8]) {
        // An error of the watch has no pod in it; the watch ends with it.
        let Ok(event) = serde_json::from_slice::<Event>(line) else {
            return;
        };
        let end = event.object.end();
        let mut state = self.state.lock();
        if end.is_none() || end != state.end {
            return;
        }
        let Some(asked) = state.asked.remove(&event.object.metadata.name) else {
            return;
        };
        if let Some(measuring) = &state.measuring {
            measuring.done(asked.elapsed());
        }
        self.waiting.send_replace(state.asked.len());
    }

    /// Waits until all have come to their end.
    ///
    /// # Errors
    /// If for a minute none does.
    pub async fn all(&self, end: End) -> Result<(), Failure> {
        let mut waiting = self.waiting.subscribe();
        loop {
            let left = *waiting.borrow_and_update();
            if left == 0 {
                return Ok(());
            }
            let change = tokio::time::timeout(PATIENCE, waiting.changed()).await;
            if !matches!(change, Ok(Ok(()))) {
                let what = match end {
                    End::Bound => "wait until pods have nodes",
                    End::Refused => "wait until pods are told that no node is for them",
                };
                let why = format!(
                    "{left} wait, and for {} s there was nothing",
                    PATIENCE.as_secs()
                );
                let way_out = "does the cluster have a scheduler, and what does it log?";
                return Err(Failure::new(what, why, way_out));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(object: &str) -> Option<End> {
        let line = format!(r#"{{"type":"MODIFIED","object":{object}}}"#);
        let event: Event = serde_json::from_str(&line).unwrap();
        event.object.end()
    }

    #[test]
    fn a_node_or_a_condition_is_an_end() {
        assert_eq!(end(r#"{"metadata":{"name":"a"},"spec":{}}"#), None);
        let bound = r#"{"metadata":{"name":"a"},"spec":{"nodeName":"n"}}"#;
        assert_eq!(end(bound), Some(End::Bound));
        let refused = r#"{"metadata":{"name":"a"},"spec":{},"status":{"conditions":
            [{"type":"Ready","status":"False"},{"type":"PodScheduled","status":"False"}]}}"#;
        assert_eq!(end(refused), Some(End::Refused));
        let initialized = r#"{"metadata":{"name":"a"},"status":{"conditions":
            [{"type":"Initialized","status":"False"}]}}"#;
        assert_eq!(end(initialized), None);
    }

    #[tokio::test]
    async fn who_came_to_another_end_is_waited_for() {
        let outcomes = Outcomes {
            state: Arc::default(),
            waiting: Arc::new(watch::channel(0).0),
        };
        outcomes.expect(End::Bound, None);
        outcomes.asked("a");
        outcomes.asked("b");
        outcomes.not_made("b");
        let refused = br#"{"object":{"metadata":{"name":"a"},"status":{"conditions":
            [{"type":"PodScheduled","status":"False"}]}}}"#;
        outcomes.event(refused);
        assert_eq!(*outcomes.waiting.borrow(), 1);
        outcomes.event(br#"{"object":{"metadata":{"name":"a"},"spec":{"nodeName":"n"}}}"#);
        outcomes.all(End::Bound).await.unwrap();
    }
}
