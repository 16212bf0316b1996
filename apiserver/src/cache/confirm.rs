//! Confirms etcd's current revision, once for all who ask at the same time.

use crate::store::{Store, StoreError};
use hardway_client::task;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

type Answer = Result<i64, StoreError>;

/// Asks etcd for its revision. Whoever asks while a question is under way
/// waits for the next one: the answer must not be older than the question.
#[derive(Clone, Default)]
pub(super) struct Confirm {
    waiting: Arc<Mutex<Vec<oneshot::Sender<Answer>>>>,
    asked: Arc<Notify>,
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
        self.waiting.lock().push(sender);
        self.asked.notify_one();
        receiver
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the question was dropped".into())))
    }

    async fn run(self, store: Store) {
        loop {
            self.asked.notified().await;
            let batch = std::mem::take(&mut *self.waiting.lock());
            if batch.is_empty() {
                continue;
            }
            let answer = store.revision().await;
            for sender in batch {
                let _ = sender.send(answer.clone());
            }
        }
    }
}
