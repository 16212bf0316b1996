//! A keyed work queue: each key waits once, is worked on by one worker at a
//! time, and comes back later after a failure.
//!
//! Keys that workers add, rather than anything that happened, can lead to each
//! other in a ring that never ends. So a key that comes again and again by the
//! workers' own doing comes ever more slowly; news of it come at once, and end
//! the suspicion.

use crate::shrink::Shrink;
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

/// How often workers may add a key, without any news of it, before they have
/// to wait for it; and how long they wait at most.
const FREE_TURNS: u32 = 10;
const MAX_TURN_DELAY: Duration = Duration::from_secs(30);
/// After this long without a turn, a key is above suspicion again.
const TURNS_KEPT: Duration = Duration::from_secs(60);
/// More keys than this under suspicion are gone through for what may be forgotten.
const MANY_TURNS: usize = 10_000;
/// A worker that asks for its key again sooner than this may be spinning.
const SOON: Duration = Duration::from_secs(1);

tokio::task_local! {
    static RECONCILING: ();
}

/// Marks a future as a worker's: what it adds to a queue is its own doing.
pub(crate) fn reconciling<F: Future>(future: F) -> impl Future<Output = F::Output> {
    RECONCILING.scope((), future)
}

fn is_reconciling() -> bool {
    RECONCILING.try_with(|()| ()).is_ok()
}

/// The pause before attempt `failures + 1`: doubles from `base` up to `max`.
///
/// ```
/// # use hardway_client::queue::backoff;
/// # use std::time::Duration;
/// let seconds = Duration::from_secs;
/// assert_eq!(backoff(1, seconds(10), seconds(300)), seconds(10));
/// assert_eq!(backoff(3, seconds(10), seconds(300)), seconds(40));
/// assert_eq!(backoff(9, seconds(10), seconds(300)), seconds(300));
/// ```
pub fn backoff(failures: u32, base: Duration, max: Duration) -> Duration {
    let factor = 1u32
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u32::MAX);
    base.saturating_mul(factor.max(1)).min(max)
}

/// How often workers added a key since there were news of it, and when the
/// last of these turns is due.
#[derive(Clone, Copy)]
struct Turns {
    count: u32,
    due: Instant,
}

struct State<T> {
    ready: VecDeque<T>,
    /// Wanted: in `ready`, or to be put there when their worker is done.
    dirty: HashSet<T>,
    processing: HashSet<T>,
    failures: HashMap<T, u32>,
    turns: HashMap<T, Turns>,
    delayed: BinaryHeap<Reverse<(Instant, u64)>>,
    delayed_keys: HashMap<u64, T>,
    /// Which entry of `delayed` counts for a key: the earliest.
    earliest: HashMap<T, (Instant, u64)>,
    next_delayed: u64,
    /// How often all that was delayed was added at once.
    hurries: u64,
}

/// The queue; clones share it.
///
/// ```
/// # use hardway_client::queue::WorkQueue;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let queue = WorkQueue::new();
/// queue.add("default/web");
/// queue.add("default/web");
/// let key = queue.next().await;
/// // It changes while it is worked on: it comes once more, when that is done.
/// queue.add(key);
/// assert_eq!(queue.len(), 0);
/// queue.done(&key);
/// assert_eq!(queue.next().await, key);
/// # });
/// ```
pub struct WorkQueue<T> {
    state: Arc<Mutex<State<T>>>,
    wake: Arc<Notify>,
    /// How long a key that failed waits at most.
    longest: Duration,
}

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            wake: self.wake.clone(),
            longest: self.longest,
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
            longest: MAX_DELAY,
            state: Arc::new(Mutex::new(State {
                ready: VecDeque::new(),
                dirty: HashSet::new(),
                processing: HashSet::new(),
                failures: HashMap::new(),
                turns: HashMap::new(),
                delayed: BinaryHeap::new(),
                delayed_keys: HashMap::new(),
                earliest: HashMap::new(),
                next_delayed: 0,
                hurries: 0,
            })),
            wake: Arc::new(Notify::new()),
        }
    }

    /// Wants a key worked on. A key that waits already is not added twice; one
    /// that is being worked on comes again afterwards. One that workers keep
    /// adding comes after a pause.
    pub fn add(&self, key: T) {
        let mut state = self.state.lock();
        if is_reconciling() {
            let now = Instant::now();
            let waits = state.turns.get(&key).is_some_and(|turns| turns.due > now);
            if waits || state.dirty.contains(&key) {
                return;
            }
            let pause = state.turn(&key, now, MAX_TURN_DELAY);
            if !pause.is_zero() {
                let due = state.delay(key.clone(), now + pause);
                if let Some(turns) = state.turns.get_mut(&key) {
                    turns.due = due;
                }
                drop(state);
                return self.wake.notify_one();
            }
        } else {
            state.turns.remove(&key);
        }
        if state.dirty.insert(key.clone()) && !state.processing.contains(&key) {
            state.ready.push_back(key);
            drop(state);
            self.wake.notify_one();
        }
    }

    /// The same, but a key that failed comes back within this time, however often it did.
    #[must_use]
    pub fn retrying_within(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Adds a key after a while; sooner, if it is to come sooner anyway: whoever works on
    /// it then says anew when it is to come again.
    pub fn add_after(&self, key: T, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        // Later than the clock can tell is as good as any time far away.
        let delay = delay.min(Duration::from_secs(u32::MAX.into()));
        self.state.lock().delay(key, Instant::now() + delay);
        self.wake.notify_one();
    }

    /// Adds a key that its worker wants to see again after a while; somewhat
    /// later if it keeps asking for very short ones.
    pub fn add_again(&self, key: T, delay: Duration) {
        let pause = match delay < SOON {
            true => self.state.lock().turn(&key, Instant::now(), SOON),
            false => Duration::ZERO,
        };
        // Not `add`: that would count it again.
        self.add_after(key, delay.max(pause).max(Duration::from_nanos(1)));
    }

    /// Adds a key after a pause that doubles with each failure; returns the pause.
    pub fn add_failed(&self, key: T) -> Duration {
        let failures = {
            let mut state = self.state.lock();
            let count = state.failures.entry(key.clone()).or_insert(0);
            *count = count.saturating_add(1);
            *count
        };
        let delay = backoff(failures, BASE_DELAY, self.longest);
        self.add_after(key, delay);
        delay
    }

    /// Forgets a key's failures.
    pub fn forget(&self, key: &T) {
        self.state.lock().failures.remove(key);
    }

    /// Adds now all keys that were to come after a while: what they wait for may have come
    /// sooner than it was computed.
    pub fn add_delayed(&self) {
        let mut state = self.state.lock();
        state.hurries += 1;
        promote(&mut state, None);
        // None of them is to come later any more: what a worker adds may not wait for it.
        let now = Instant::now();
        for turns in state.turns.values_mut() {
            turns.due = turns.due.min(now);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// How often that was done. A key that was being worked on meanwhile was not among them:
    /// its worker sees by this that what it computed may not be so any more.
    pub fn hurries(&self) -> u64 {
        self.state.lock().hurries
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
                promote(&mut state, Some(Instant::now()));
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
        state.ready.shrink_if_sparse();
        state.dirty.shrink_if_sparse();
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.wake.notify_one();
        }
    }
}

impl<T: Clone + Eq + Hash> State<T> {
    /// Has a key come by then; returns when it comes, sooner if it was to come sooner.
    fn delay(&mut self, key: T, at: Instant) -> Instant {
        if let Some(&(sooner, id)) = self.earliest.get(&key) {
            if sooner <= at {
                return sooner;
            }
            self.delayed_keys.remove(&id);
        }
        let id = self.next_delayed;
        self.next_delayed += 1;
        self.delayed.push(Reverse((at, id)));
        self.earliest.insert(key.clone(), (at, id));
        self.delayed_keys.insert(id, key);
        at
    }

    /// Counts a turn that workers gave a key; says for how long it has to wait, at most
    /// for `longest`. The caller adds it then: until it is due, no other worker can.
    fn turn(&mut self, key: &T, now: Instant, longest: Duration) -> Duration {
        if self.turns.len() >= MANY_TURNS {
            self.turns.retain(|_, turns| turns.due + TURNS_KEPT > now);
        }
        let last = self
            .turns
            .get(key)
            .filter(|turns| turns.due + TURNS_KEPT > now);
        let count = last.map_or(1, |turns| turns.count.saturating_add(1));
        let pause = match count.checked_sub(FREE_TURNS) {
            None | Some(0) => Duration::ZERO,
            Some(more) => backoff(more, BASE_DELAY, longest),
        };
        let due = now + pause;
        self.turns.insert(key.clone(), Turns { count, due });
        pause
    }
}

/// Makes those ready that were to come by then, or all.
fn promote<T: Clone + Eq + Hash>(state: &mut State<T>, by: Option<Instant>) {
    while let Some(&Reverse((at, id))) = state.delayed.peek() {
        if by.is_some_and(|by| at > by) {
            break;
        }
        state.delayed.pop();
        // One that another came before is gone.
        let Some(key) = state.delayed_keys.remove(&id) else {
            continue;
        };
        state.earliest.remove(&key);
        if state.dirty.insert(key.clone()) && !state.processing.contains(&key) {
            state.ready.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_failed_comes_back_within_a_time_of_ones_own() {
        let longest = Duration::from_secs(10);
        let queue = WorkQueue::new().retrying_within(longest);
        let waited = (0..30).map(|_| queue.add_failed("a")).max();
        assert_eq!(waited, Some(longest));
        let as_ever = WorkQueue::new();
        let waited = (0..30).map(|_| as_ever.add_failed("a")).max();
        assert_eq!(waited, Some(MAX_DELAY));
    }

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

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_delayed_again_and_again_comes_once_and_takes_one_place() {
        let queue = WorkQueue::new();
        let start = Instant::now();
        for _ in 0..1000 {
            queue.add_after("key", Duration::from_secs(3600));
        }
        assert_eq!(queue.state.lock().delayed.len(), 1);
        queue.add_after("key", SOON);
        assert_eq!(queue.next().await, "key");
        assert_eq!(start.elapsed().as_secs(), SOON.as_secs());
        queue.done(&"key");
        let again = tokio::time::timeout(Duration::from_secs(7200), queue.next());
        assert!(again.await.is_err(), "its worker would have said so");
        // Nothing is left of it.
        let state = queue.state.lock();
        assert!(state.earliest.is_empty() && state.delayed_keys.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn delayed_keys_come_at_once_when_asked_for() {
        let queue = WorkQueue::new();
        queue.add_after("b", 2 * SOON);
        queue.add_after("a", SOON);
        let start = Instant::now();
        let (first, ()) = tokio::join!(queue.next(), async { queue.add_delayed() });
        assert_eq!((first, queue.next().await), ("a", "b"));
        assert_eq!(start.elapsed(), Duration::ZERO);
        // They came; they don't come again in time.
        queue.done(&"a");
        queue.done(&"b");
        let again = tokio::time::timeout(3 * SOON, queue.next());
        assert!(again.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_may_add_a_key_that_came_early() {
        let queue = WorkQueue::new();
        for _ in 0..3 * FREE_TURNS {
            reconciling(async { queue.add("key") }).await;
            let key = queue.next().await;
            queue.done(&key);
        }
        reconciling(async { queue.add("key") }).await;
        assert!(queue.is_empty(), "it has to wait");
        queue.add_delayed();
        let key = queue.next().await;
        queue.done(&key);
        reconciling(async { queue.add("key") }).await;
        let added = tokio::time::timeout(2 * MAX_TURN_DELAY, queue.next()).await;
        assert_eq!(added, Ok("key"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ring_of_keys_slows_down_and_news_do_not() {
        let queue = WorkQueue::new();
        queue.add(0);
        let spin = async {
            let mut turns = 0;
            loop {
                let key = queue.next().await;
                turns += 1;
                // Each leads to the next, and the last to the first.
                reconciling(async { queue.add((key + 1) % 3) }).await;
                queue.done(&key);
                if turns > 10_000 {
                    return;
                }
            }
        };
        let minute = tokio::time::timeout(Duration::from_secs(60), spin).await;
        assert!(minute.is_err(), "more than ten thousand turns in a minute");
        let start = Instant::now();
        queue.add(7);
        for key in 0..3 {
            queue.add(key);
        }
        while !queue.is_empty() {
            let key = queue.next().await;
            queue.done(&key);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_asks_for_its_key_at_once_waits_in_the_end() {
        let queue = WorkQueue::new();
        queue.add("key");
        let start = Instant::now();
        for _ in 0..100 {
            let key = queue.next().await;
            queue.add_again(key, Duration::ZERO);
            queue.done(&key);
        }
        assert!(
            start.elapsed() > Duration::from_secs(60),
            "{:?}",
            start.elapsed()
        );
        // Another worker that adds it meanwhile is not forgotten.
        let key = queue.next().await;
        queue.add_again(key, Duration::ZERO);
        queue.done(&key);
        let key = queue.next().await;
        queue.done(&key);
        reconciling(async { queue.add("key") }).await;
        let added = tokio::time::timeout(2 * MAX_TURN_DELAY, queue.next()).await;
        assert_eq!(added, Ok("key"));
        // A real deadline is kept.
        let start = Instant::now();
        queue.add_again(key, SOON);
        queue.done(&key);
        assert_eq!(queue.next().await, "key");
        assert!(start.elapsed() < SOON + Duration::from_millis(2));
    }
}
