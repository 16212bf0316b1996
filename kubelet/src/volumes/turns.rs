//! Turns: of those who work on the volumes of one pod there is one at a time, so that nothing is
//! taken down while it is set up, and what hangs is not begun a second time.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Whose turn it is, by UID of the pod.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<String, Weak<Turn<()>>>>);

impl Turns {
    /// Waits for the turn, which ends when it is dropped.
    pub async fn wait(&self, pod_uid: &str) -> OwnedMutexGuard<()> {
        self.turn(pod_uid).lock_owned().await
    }

    /// The turn, if it is nobody else's.
    pub fn take(&self, pod_uid: &str) -> Option<OwnedMutexGuard<()>> {
        self.turn(pod_uid).try_lock_owned().ok()
    }

    fn turn(&self, pod_uid: &str) -> Arc<Turn<()>> {
        let mut turns = self.0.lock();
        if let Some(turn) = turns.get(pod_uid).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(pod_uid.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_for_each_pod() {
        let turns = Turns::default();
        let first = turns.take("a").unwrap();
        assert!(turns.take("a").is_none());
        let other = turns.take("b").unwrap();
        drop(first);
        drop(turns.wait("a").await);
        drop(other);
        drop(turns.take("c"));
        assert_eq!(turns.0.lock().len(), 1, "those that are over are forgotten");
    }
}
