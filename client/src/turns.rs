//! Turns at something of which there is only so much for each key: a pod's connections, the
//! questions of one address. Who comes for one key never waits for those of another.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many have their turn at the same time for each key, and so many more may wait for it.
pub struct Turns<K: Eq + Hash + Clone> {
    at_once: usize,
    waiting: usize,
    keys: Mutex<HashMap<K, Entry>>,
}

/// Of a key that somebody has to do with.
struct Entry {
    free: Arc<Semaphore>,
    /// How many have a turn, or wait for one.
    users: usize,
}

/// As many wait for this key as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many wait for their turn")]
pub struct Full;

impl<K: Eq + Hash + Clone> Turns<K> {
    /// Nobody has a turn yet.
    pub fn new(at_once: usize, waiting: usize) -> Arc<Self> {
        Arc::new(Self {
            at_once,
            waiting,
            keys: Mutex::default(),
        })
    }

    /// A turn, if one is free now.
    pub fn try_take(self: &Arc<Self>, key: &K) -> Option<Turn<K>> {
        let (mut turn, free) = self.enter(key).ok()?;
        turn.permit = free.try_acquire_owned().ok();
        turn.permit.is_some().then_some(turn)
    }

    /// A turn, as soon as one is free; who came first gets it.
    ///
    /// # Errors
    /// If too many wait already.
    pub async fn take(self: &Arc<Self>, key: &K) -> Result<Turn<K>, Full> {
        let (mut turn, free) = self.enter(key)?;
        // It is never closed.
        turn.permit = free.acquire_owned().await.ok();
        Ok(turn)
    }

    fn enter(self: &Arc<Self>, key: &K) -> Result<(Turn<K>, Arc<Semaphore>), Full> {
        let mut keys = self.keys.lock();
        let entry = keys.entry(key.clone()).or_insert_with(|| Entry {
            free: Arc::new(Semaphore::new(self.at_once)),
            users: 0,
        });
        if entry.users >= self.at_once + self.waiting {
            return Err(Full);
        }
        entry.users += 1;
        let turn = Turn {
            turns: self.clone(),
            key: key.clone(),
            permit: None,
        };
        Ok((turn, entry.free.clone()))
    }
}

/// Somebody's turn, or their place among those that wait for it, until this is dropped.
pub struct Turn<K: Eq + Hash + Clone> {
    turns: Arc<Turns<K>>,
    key: K,
    permit: Option<OwnedSemaphorePermit>,
}

impl<K: Eq + Hash + Clone> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut keys = self.turns.keys.lock();
        self.permit = None;
        if let Some(entry) = keys.get_mut(&self.key) {
            entry.users -= 1;
            if entry.users == 0 {
                keys.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn nobody_waits_for_another_key() {
        let turns = Turns::new(1, 1);
        let first = turns.take(&"a").await.unwrap();
        assert!(turns.try_take(&"a").is_none());
        let other = turns.take(&"b").now_or_never().unwrap().unwrap();
        let mut second = Box::pin(turns.take(&"a"));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(matches!(turns.take(&"a").await, Err(Full)));
        drop(first);
        let second = second.await.unwrap();
        assert!(turns.try_take(&"a").is_none());
        drop((second, other));
        assert!(turns.keys.lock().is_empty(), "nothing is kept of them");
    }

    #[tokio::test]
    async fn who_waits_no_longer_has_no_place() {
        let turns = Turns::new(1, 1);
        let first = turns.take(&1).await.unwrap();
        assert!(turns.take(&1).now_or_never().is_none());
        assert!(turns.take(&1).now_or_never().is_none(), "its place is free");
        drop(first);
        assert!(turns.keys.lock().is_empty());
        assert!(turns.take(&1).now_or_never().is_some());
    }
}
