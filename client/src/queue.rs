//! A keyed work queue: each key waits once, is worked on by one worker at a
//! time, and comes back later after a failure.

use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// First pause after a failure, and the longest, as Kubernetes' controllers have them.
const BASE_DELAY: Duration = Duration::from_millis(5);
const MAX_DELAY: Duration = Duration::from_secs(1000);

/// The pause before attempt `failures + 1`: doubles from `base` up to `max`.
pub fn backoff(failures: u32, base: Duration, max: Duration) -> Duration {
    let factor = 1u32
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u32::MAX);
    base.saturating_mul(factor.max(1)).min(max)
}

struct State<T> {
    ready: VecDeque<T>,
    /// Wanted: in `ready`, or to be put there when their worker is done.
    dirty: HashSet<T>,
    processing: HashSet<T>,
    failures: HashMap<T, u32>,
    delayed: BinaryHeap<Reverse<(Instant, u64)>>,
    delayed_keys: HashMap<u64, T>,
    next_delayed: u64,
}

/// The queue; clones share it.
pub struct WorkQueue<T> {
    state: Arc<Mutex<State<T>>>,
    wake: Arc<Notify>,
}

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            wake: self.wake.clone(),
        }
    }
}

impl<T: Clone + Eq + Hash> Default for WorkQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone + Eq + Hash> WorkQueue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                ready: VecDeque::new(),
                dirty: HashSet::new(),
                processing: HashSet::new(),
                failures: HashMap::new(),
                delayed: BinaryHeap::new(),
                delayed_keys: HashMap::new(),
                next_delayed: 0,
            })),
            wake: Arc::new(Notify::new()),
        }
    }

    /// Wants a key worked on. A key that waits already is not added twice; one
    /// that is being worked on comes again afterwards.
    pub fn add(&self, key: T) {
        let mut state = self.state.lock();
        if state.dirty.insert(key.clone()) && !state.processing.contains(&key) {
            state.ready.push_back(key);
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Adds a key after a while.
    pub fn add_after(&self, key: T, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let mut state = self.state.lock();
        let id = state.next_delayed;
        state.next_delayed += 1;
        // Later than the clock can tell is as good as any time far away.
        let delay = delay.min(Duration::from_secs(u32::MAX.into()));
        state.delayed.push(Reverse((Instant::now() + delay, id)));
        state.delayed_keys.insert(id, key);
        drop(state);
        self.wake.notify_one();
    }

    /// Adds a key after a pause that doubles with each failure; returns the pause.
    pub fn add_failed(&self, key: T) -> Duration {
        let failures = {
            let mut state = self.state.lock();
            let count = state.failures.entry(key.clone()).or_insert(0);
            *count = count.saturating_add(1);
            *count
        };
        let delay = backoff(failures, BASE_DELAY, MAX_DELAY);
        self.add_after(key, delay);
        delay
    }

    /// Forgets a key's failures.
    pub fn forget(&self, key: &T) {
        self.state.lock().failures.remove(key);
    }

    /// How many keys are ready to be worked on.
    pub fn len(&self) -> usize {
        self.state.lock().ready.len()
    }

    /// Whether no key is ready.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next key; call [`WorkQueue::done`] when finished with it.
    pub async fn next(&self) -> T {
        loop {
            let deadline = {
                let mut state = self.state.lock();
                promote_due(&mut state);
                if let Some(key) = state.ready.pop_front() {
                    state.dirty.remove(&key);
                    state.processing.insert(key.clone());
                    if !state.ready.is_empty() {
                        // A wake-up is a single permit: pass it on.
                        self.wake.notify_one();
                    }
                    return key;
                }
                state.delayed.peek().map(|Reverse((at, _))| *at)
            };
            match deadline {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, self.wake.notified()).await;
                }
                None => self.wake.notified().await,
            }
        }
    }

    /// Says that the worker is finished with a key.
    pub fn done(&self, key: &T) {
        let mut state = self.state.lock();
        state.processing.remove(key);
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.wake.notify_one();
        }
    }
}

fn promote_due<T: Clone + Eq + Hash>(state: &mut State<T>) {
    let now = Instant::now();
    while let Some(&Reverse((at, id))) = state.delayed.peek() {
        if at > now {
            break;
        }
        state.delayed.pop();
        if let Some(key) = state.delayed_keys.remove(&id)
            && state.dirty.insert(key.clone())
            && !state.processing.contains(&key)
        {
            state.ready.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_limit() {
        let ms = Duration::from_millis;
        assert_eq!(backoff(1, ms(5), ms(100)), ms(5));
        assert_eq!(backoff(3, ms(5), ms(100)), ms(20));
        assert_eq!(backoff(60, ms(5), ms(100)), ms(100));
    }

    #[tokio::test]
    async fn a_key_waits_once_and_comes_again_when_changed_meanwhile() {
        let queue = WorkQueue::new();
        queue.add("a");
        queue.add("a");
        queue.add("b");
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        assert_eq!(queue.next().await, "b");
        assert!(queue.is_empty(), "a is being worked on");
        queue.done(&"a");
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn delayed_keys_come_in_time() {
        let queue = WorkQueue::new();
        let start = Instant::now();
        queue.add_after("never", Duration::MAX);
        queue.add_after("late", Duration::from_secs(60));
        queue.add_after("soon", Duration::from_secs(1));
        assert_eq!(queue.next().await, "soon");
        assert_eq!(queue.next().await, "late");
        assert!(start.elapsed() >= Duration::from_secs(60));
    }
}
