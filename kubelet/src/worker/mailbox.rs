//! How a pod's worker is told of changes: only the newest of each kind counts.

use super::health::Health;
use crate::allocation::resize::Pending;
use crate::pod;
use crate::probes::Update;
use crate::status::Verdict;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// Seconds that are left to containers of a pod deleted by force.
const FORCED: i64 = 2;

/// What is to be known about the pod now.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The pod as it should be, with the resources that it was given.
    pub pod: Arc<Pod>,
    /// The API's copy of a static pod.
    pub mirror: Option<Arc<Pod>>,
    /// It isn't wanted on this node any more: gone from the API, or its file.
    pub removed: bool,
    /// It failed as a whole.
    pub verdict: Option<Verdict>,
    /// Seconds that its containers have to stop at most, whatever it asks for.
    pub at_most: Option<i64>,
    /// Why it doesn't have what it asks for of the node's resources.
    pub pending: Option<Pending>,
}

impl Mail {
    /// Whether the pod is to end.
    pub fn is_ending(&self) -> bool {
        self.removed
            || self.verdict.is_some()
            || pod::is_deleting(&self.pod)
            || pod::is_terminal(&self.pod)
    }

    /// Seconds its containers have to stop. A pod that left the API before its
    /// containers ended was deleted by force: they get little.
    pub fn grace(&self) -> i64 {
        let grace = pod::grace_period(&self.pod).max(1);
        let grace = self.at_most.map_or(grace, |most| grace.min(most.max(1)));
        if self.removed && !pod::is_static(&self.pod) {
            grace.min(FORCED)
        } else {
            grace
        }
    }
}

struct State {
    mail: Mail,
    findings: Vec<Update>,
}

/// A worker's inbox.
pub struct Mailbox {
    state: Mutex<State>,
    wake: Notify,
    changed: Notify,
    news: watch::Sender<()>,
    /// Whether nothing of the pod runs or is mounted any more.
    ended: watch::Sender<bool>,
}

impl Mailbox {
    /// For a new worker, which will look into it at once.
    pub fn new(mail: Mail) -> Arc<Self> {
        let this = Self {
            state: Mutex::new(State {
                mail,
                findings: Vec::new(),
            }),
            wake: Notify::new(),
            changed: Notify::new(),
            news: watch::Sender::new(()),
            ended: watch::Sender::new(false),
        };
        Arc::new(this)
    }

    /// What is known now.
    pub fn mail(&self) -> Mail {
        self.state.lock().mail.clone()
    }

    /// Changes what is known, and wakes the worker.
    pub fn update(&self, change: impl FnOnce(&mut Mail)) {
        change(&mut self.state.lock().mail);
        self.changed.notify_one();
        self.poke();
    }

    /// Something happened in the runtime, or to what the pod refers to.
    pub fn poke(&self) {
        self.wake.notify_one();
        self.news.send_replace(());
    }

    /// A probe found something.
    pub fn find(&self, finding: Update) {
        self.state.lock().findings.push(finding);
        self.poke();
    }

    /// Moves what probes found into `health`.
    pub fn drain_findings(&self, health: &mut Health) {
        for finding in self.state.lock().findings.drain(..) {
            health.apply(&finding);
        }
    }

    /// Nothing of the pod runs or is mounted any more.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Waits until that is so.
    pub async fn ended(&self) {
        // The sender lives in here.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Waits for anything new.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Hears of what is new from now on, and leaves it for [`Mailbox::woken`]
    /// all the same.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Waits until the pod is to end, or to end sooner than in `grace` seconds.
    pub async fn hurried(&self, grace: Option<i64>) {
        loop {
            let mail = self.mail();
            if mail.is_ending() && grace.is_none_or(|grace| mail.grace() < grace) {
                return;
            }
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_deleted_by_force_gets_little_time_and_a_static_one_its_own() {
        let mail = |source: &str, removed| {
            let pod = json!({
                "metadata": {"annotations": {pod::SOURCE: source}},
                "spec": {"containers": [], "terminationGracePeriodSeconds": 300},
            });
            Mail {
                pod: Arc::new(serde_json::from_value(pod).unwrap()),
                mirror: None,
                removed,
                verdict: None,
                at_most: None,
                pending: None,
            }
        };
        assert_eq!(mail("api", false).grace(), 300);
        assert_eq!(mail("api", true).grace(), FORCED);
        assert_eq!(mail("file", true).grace(), 300);
        let in_haste = |most| Mail {
            at_most: Some(most),
            ..mail("api", false)
        };
        assert_eq!(in_haste(20).grace(), 20);
        assert_eq!(in_haste(0).grace(), 1);
        assert_eq!(in_haste(600).grace(), 300);
    }
}
