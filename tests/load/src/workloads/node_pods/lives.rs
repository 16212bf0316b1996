//! What becomes of pods that nodes run, by the clock and by their own status, seen by a watch
//! of their namespace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::watch;

use crate::api::{Api, Call};
use crate::failure::{Failure, OrFail};

/// How long a pod may take: its image may have to be fetched.
const PATIENCE: Duration = Duration::from_secs(180);

/// What has become of a pod.
#[derive(Debug, Clone)]
pub(in crate::workloads) struct Life {
    /// When it was asked for.
    asked: Instant,
    /// How long after that it was seen to have a node.
    pub(in crate::workloads) assigned: Option<Duration>,
    /// … to be ready, or to have ended well.
    pub(in crate::workloads) done: Option<Duration>,
    /// What its own status says of the time from its creation until it was ready. Kubernetes'
    /// times are in whole seconds.
    pub(in crate::workloads) by_status: Option<Duration>,
    /// What it is at.
    state: String,
    failed: bool,
}

/// Pods by name.
type All = BTreeMap<String, Life>;

/// Pods that are followed; clones are the same.
#[derive(Clone)]
pub(in crate::workloads) struct Lives {
    all: Arc<watch::Sender<All>>,
}

#[derive(Deserialize)]
struct Event {
    r#type: String,
    object: Pod,
}

#[derive(Deserialize)]
struct Pod {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    creation_timestamp: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: String,
    message: String,
    conditions: Vec<Condition>,
    container_statuses: Vec<Container>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    r#type: String,
    status: String,
    last_transition_time: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    state: State,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: String,
    message: String,
}

impl Pod {
    /// The condition that says that it is ready.
    fn ready(&self) -> Option<&Condition> {
        let is_ready = |it: &&Condition| it.r#type == "Ready" && it.status == "True";
        self.status.conditions.iter().find(is_ready)
    }

    /// What it is at, in words.
    fn state(&self) -> String {
        let containers = self.status.container_statuses.iter();
        let waiting = containers.filter_map(|it| it.state.waiting.as_ref()).next();
        let waiting = waiting.map(|it| format!("{} {}", it.reason, it.message));
        let said = waiting.unwrap_or_else(|| self.status.message.clone());
        format!("{} {said}", self.status.phase).trim().to_owned()
    }
}

impl Life {
    fn new(asked: Instant) -> Self {
        Self {
            asked,
            assigned: None,
            done: None,
            by_status: None,
            state: "nothing was heard of it".to_owned(),
            failed: false,
        }
    }

    fn see(&mut self, pod: &Pod) {
        let now = self.asked.elapsed();
        if !pod.spec.node_name.is_empty() {
            self.assigned.get_or_insert(now);
        }
        let ready = pod.ready();
        if ready.is_some() || pod.status.phase == "Succeeded" {
            self.done.get_or_insert(now);
        }
        if let Some(ready) = ready
            && let Some(since) = ready.last_transition_time
            && let Some(created) = pod.metadata.creation_timestamp
        {
            let took = since.duration_since(created);
            self.by_status.get_or_insert(took.unsigned_abs());
        }
        self.state = pod.state();
        self.failed = pod.status.phase == "Failed";
    }
}

impl Lives {
    fn new() -> Self {
        Self {
            all: Arc::new(watch::channel(All::new()).0),
        }
    }

    /// Begins to watch; gives what follows the watch for as long as it is polled.
    ///
    /// # Errors
    /// If the watch can't be begun.
    pub(in crate::workloads) async fn follow(
        api: &Api,
        pods: &str,
    ) -> Result<(Self, impl Future<Output = Failure> + use<>), Failure> {
        let what = format!("watch {pods}");
        let call = Call::get(format!("{pods}?watch=1"));
        let mut lines = api.watch(&call).await.or_fail(|| what.clone())?;
        let lives = Self::new();
        let seen = lives.clone();
        let follow = async move {
            while let Some(line) = lines.next().await {
                match line {
                    Ok(line) => seen.event(&line),
                    Err(error) => return Failure::new(what, &error, error.way_out()),
                }
            }
            Failure::new(what, "it has ended", "the API server's log says why")
        };
        Ok((lives, follow))
    }

    /// A pod is about to be made.
    pub(in crate::workloads) fn asked(&self, name: &str) {
        let life = Life::new(Instant::now());
        self.all.send_modify(|all| {
            all.insert(name.to_owned(), life);
        });
    }

    fn event(&self, line: &[u8]) {
        // An error of the watch has no pod in it; the watch ends with it.
        let Ok(event) = serde_json::from_slice::<Event>(line) else {
            return;
        };
        let name = &event.object.metadata.name;
        self.all.send_if_modified(|all| {
            if event.r#type == "DELETED" {
                return all.remove(name).is_some();
            }
            let life = all.get_mut(name);
            life.map(|life| life.see(&event.object)).is_some()
        });
    }

    /// Waits until a pod is ready or has ended well.
    ///
    /// # Errors
    /// If it fails, is deleted, or takes longer than three minutes.
    pub(in crate::workloads) async fn until_done(&self, name: &str) -> Result<Life, Failure> {
        let mut all = self.all.subscribe();
        let over = |all: &All| {
            let life = all.get(name);
            life.is_none_or(|life| life.done.is_some() || life.failed)
        };
        // The sender is here: what ends the wait is time.
        let is_over = tokio::time::timeout(PATIENCE, all.wait_for(over)).await;
        let is_late = is_over.is_err();
        drop(is_over);
        let life = self.all.borrow().get(name).cloned();
        let why = match life {
            Some(life) if life.done.is_some() => return Ok(life),
            Some(life) if is_late => format!("{} s later: {}", PATIENCE.as_secs(), life.state),
            Some(life) => life.state,
            None => "it was deleted".to_owned(),
        };
        let way_out = "is there room on the nodes, and do they have the image (--image)?";
        Err(Failure::new(format!("run the pod {name}"), why, way_out))
    }

    /// Waits until all are gone that were asked for.
    ///
    /// # Errors
    /// If that takes longer than three minutes.
    pub(in crate::workloads) async fn until_gone(&self) -> Result<(), Failure> {
        let mut all = self.all.subscribe();
        let gone = tokio::time::timeout(PATIENCE, all.wait_for(All::is_empty)).await;
        let is_late = gone.is_err();
        drop(gone);
        if !is_late {
            return Ok(());
        }
        let left: Vec<String> = self.all.borrow().keys().cloned().collect();
        let why = format!(
            "{} s later there are: {}",
            PATIENCE.as_secs(),
            left.join(", ")
        );
        let way_out = "see why with:  kubectl describe pod --all-namespaces -l app=load";
        Err(Failure::new("wait until pods are gone", why, way_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(lives: &Lives, sort: &str, object: serde_json::Value) {
        let event = json!({"type": sort, "object": object});
        lives.event(event.to_string().as_bytes());
    }

    #[tokio::test]
    async fn a_pod_is_followed_until_it_is_ready() {
        let lives = Lives::new();
        lives.asked("a");
        let metadata = json!({"name": "a", "creationTimestamp": "2026-01-01T00:00:01Z"});
        let pod = |spec, status| json!({"metadata": metadata, "spec": spec, "status": status});
        event(&lives, "ADDED", pod(json!({}), json!({"phase": "Pending"})));
        let on_node = json!({"nodeName": "n"});
        let ready = |status: &str| {
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": status,
                "lastTransitionTime": "2026-01-01T00:00:03Z"}]})
        };
        event(&lives, "MODIFIED", pod(on_node.clone(), ready("False")));
        let life = lives.all.borrow()["a"].clone();
        assert!(life.assigned.is_some() && life.done.is_none());
        event(&lives, "MODIFIED", pod(on_node, ready("True")));
        // Nobody asked for it.
        event(&lives, "ADDED", json!({"metadata": {"name": "b"}}));
        let life = lives.until_done("a").await.unwrap();
        assert!(life.done >= life.assigned);
        assert_eq!(life.by_status, Some(Duration::from_secs(2)));
        event(&lives, "DELETED", json!({"metadata": {"name": "a"}}));
        lives.until_gone().await.unwrap();
        assert!(lives.until_done("a").await.is_err());
    }

    #[tokio::test]
    async fn why_a_pod_does_not_run_is_told() {
        let lives = Lives::new();
        lives.asked("a");
        let status = json!({"phase": "Failed", "message": "no room"});
        event(
            &lives,
            "MODIFIED",
            json!({"metadata": {"name": "a"}, "status": status}),
        );
        let failure = lives.until_done("a").await.unwrap_err();
        assert!(failure.why.contains("Failed no room"), "{failure}");
        let waiting = json!({"waiting": {"reason": "ErrImagePull", "message": "denied"}});
        let status = json!({"phase": "Pending", "containerStatuses": [{"state": waiting}]});
        let pod: Pod = serde_json::from_value(json!({"status": status})).unwrap();
        assert_eq!(pod.state(), "Pending ErrImagePull denied");
    }
}
