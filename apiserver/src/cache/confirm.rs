//! Confirms etcd's current revision, once for all who ask at the same time.

use crate::background::{Lane, OTHERS};
use crate::store::{Store, StoreError};
use hardway_client::task;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

type Answer = Result<i64, StoreError>;

/// Asks etcd for its revision. Whoever asks while a question is under way
/// waits for the next one: the answer must not be older than the question.
#[derive(Clone, Default)]
pub(super) struct Confirm {
    waiting: Arc<Mutex<Waiting>>,
    asked: Arc<Notify>,
}

#[derive(Default)]
struct Waiting {
    senders: Vec<oneshot::Sender<Answer>>,
    /// One of them gives way to nobody.
    urgent: bool,
}

impl Confirm {
    /// The task that asks belongs to nobody's request: requests that give way to
    /// others would ask for those others, too.
    pub(super) fn start(store: Store) -> Self {
        let confirm = Self::default();
        task::spawn_critical("etcd-revision", confirm.clone().run(store));
        confirm
    }

    pub(super) async fn revision(&self) -> Answer {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            waiting.senders.push(sender);
            waiting.urgent |= Lane::current().is_none();
        }
        self.asked.notify_one();
        receiver
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the question was dropped".into())))
    }

    async fn run(self, store: Store) {
        // Questions of those who give way alone are not asked before: whoever else comes
        // would wait for two answers.
        let mut rested = Instant::now();
        loop {
            let waiting = self.due(rested).await;
            let begun = Instant::now();
            let answer = store.revision().await;
            let now = Instant::now();
            rested = now + OTHERS.rest(now - begun);
            for sender in waiting.senders {
                let _ = sender.send(answer.clone());
            }
        }
    }

    /// Those who wait for an answer, when it is time to ask for it.
    async fn due(&self, rested: Instant) -> Waiting {
        loop {
            let rest = rested.saturating_duration_since(Instant::now());
            let some = {
                let mut waiting = self.waiting.lock();
                let some = !waiting.senders.is_empty();
                if waiting.urgent || some && rest.is_zero() {
                    return std::mem::take(&mut *waiting);
                }
                some
            };
            let rest = if some { rest } else { Duration::MAX };
            let _ = tokio::time::timeout(rest, self.asked.notified()).await;
        }
    }
}
