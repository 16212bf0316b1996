//! One at a time for each volume: drivers may answer `Aborted` to a second call, and a session
//! that is begun must not be ended by somebody else meanwhile.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// A lock for each volume that is worked on.
#[derive(Default)]
pub(super) struct Locks(Mutex<HashMap<String, Weak<AsyncMutex<()>>>>);

impl Locks {
    /// Waits until nobody else works on this volume.
    pub async fn lock(&self, volume: &str) -> OwnedMutexGuard<()> {
        self.of(volume).lock_owned().await
    }

    /// The same, unless somebody else works on it now.
    pub fn try_lock(&self, volume: &str) -> Option<OwnedMutexGuard<()>> {
        self.of(volume).try_lock_owned().ok()
    }

    fn of(&self, volume: &str) -> Arc<AsyncMutex<()>> {
        let mut locks = self.0.lock();
        locks.retain(|_, lock| lock.strong_count() > 0);
        let known = locks.get(volume).and_then(Weak::upgrade);
        let lock = known.unwrap_or_default();
        locks.insert(volume.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_volume_is_one_mans_work() {
        let locks = Locks::default();
        let first = locks.lock("a").await;
        assert!(locks.lock("b").now_or_never().is_some());
        assert!(locks.lock("a").now_or_never().is_none());
        assert!(locks.try_lock("a").is_none());
        drop(first);
        assert!(locks.try_lock("a").is_some());
        assert!(locks.lock("a").now_or_never().is_some());
        assert!(locks.0.lock().len() <= 2);
    }
}
