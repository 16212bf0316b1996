//! Confirms etcd's current revision, once for all who ask at the same time.

use crate::store::{Store, StoreError};
use hardway_client::task;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

type Answer = Result<i64, StoreError>;

/// Asks etcd for its revision. Whoever asks while a question is under way
/// waits for the next one: the answer must not be older than the question.
#[derive(Clone)]
pub(super) struct Confirm {
    store: Store,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    running: bool,
    waiting: Vec<oneshot::Sender<Answer>>,
}

impl Confirm {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            state: Arc::default(),
        }
    }

    pub(super) async fn revision(&self) -> Answer {
        let (sender, receiver) = oneshot::channel();
        let first = {
            let mut state = self.state.lock();
            state.waiting.push(sender);
            !std::mem::replace(&mut state.running, true)
        };
        if first {
            // Who asks next would wait for one that panicked.
            task::spawn_job("etcd-revision", self.clone().ask());
        }
        receiver
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the question was dropped".into())))
    }

    async fn ask(self) {
        loop {
            let batch = {
                let mut state = self.state.lock();
                if state.waiting.is_empty() {
                    state.running = false;
                    return;
                }
                std::mem::take(&mut state.waiting)
            };
            let answer = self.store.revision().await;
            for sender in batch {
                let _ = sender.send(answer.clone());
            }
        }
    }
}
