//! Turns at etcd. It does one thing after the other, so whoever comes waits for all that
//! came before; those who send many requests at a time would make everybody else wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// So many requests of a lane may wait for etcd at a time where nobody else does.
const PLACES: u32 = 16;

/// Others count as present for so long after they came.
const PRESENT: Duration = Duration::from_millis(50);

/// Where others are present, those who give way leave etcd alone for so many times as
/// long as their request took, ...
const REST: u32 = 2;

/// ... but no longer than this.
const LONGEST_REST: Duration = Duration::from_millis(20);

/// Places of those who wait for each other, and give way to others.
pub struct Places {
    /// Whose turn it is next.
    next: Mutex<()>,
    free: Arc<Semaphore>,
}

impl Places {
    /// All of them free.
    pub fn new() -> Self {
        Self {
            next: Mutex::default(),
            free: Arc::new(Semaphore::new(PLACES as usize)),
        }
    }
}

/// When somebody came who gives way to nobody.
pub struct Others {
    epoch: Instant,
    /// Milliseconds after the epoch.
    came: AtomicU64,
}

impl Others {
    /// Nobody came.
    pub fn new() -> Self {
        Self {
            // Nobody came just before.
            epoch: Instant::now() - PRESENT,
            came: AtomicU64::default(),
        }
    }

    /// Somebody comes.
    pub fn come(&self) {
        let now = self.epoch.elapsed().as_millis() as u64;
        self.came.store(now, Ordering::Relaxed);
    }

    /// Whether somebody is there, or was lately.
    pub fn are_present(&self) -> bool {
        let now = self.epoch.elapsed().as_millis() as u64;
        now - self.came.load(Ordering::Relaxed).min(now) < PRESENT.as_millis() as u64
    }

    /// How long those who give way leave etcd alone after a request that took so long.
    pub fn rest(&self, took: Duration) -> Duration {
        match self.are_present() {
            true => (took * REST).min(LONGEST_REST),
            false => Duration::ZERO,
        }
    }
}

/// A turn at etcd; over when it is dropped.
pub struct Turn<'a> {
    others: &'a Others,
    place: Option<OwnedSemaphorePermit>,
    since: Instant,
}

impl<'a> Turn<'a> {
    /// Waits for the turn of one who gives way to others: as the only one while they are
    /// present.
    pub async fn wait(places: &Places, others: &'a Others) -> Self {
        let next = places.next.lock().await;
        let count = if others.are_present() { PLACES } else { 1 };
        // It is never closed.
        let place = places.free.clone().acquire_many_owned(count).await.ok();
        drop(next);
        Self {
            others,
            place,
            since: Instant::now(),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let rest = self.others.rest(self.since.elapsed());
        let (Some(place), false) = (self.place.take(), rest.is_zero()) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(rest).await;
                drop(place);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn alone_many_are_there_at_a_time() {
        let (places, others) = (Places::new(), Others::new());
        let mut turns = Vec::new();
        for _ in 0..PLACES {
            turns.push(Turn::wait(&places, &others).await);
        }
        assert!(Turn::wait(&places, &others).now_or_never().is_none());
        turns.pop();
        // Nobody else is there: no rest.
        assert!(Turn::wait(&places, &others).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn where_others_are_one_is_there_at_a_time_and_rests() {
        let (places, others) = (Places::new(), Others::new());
        let first = Turn::wait(&places, &others).await;
        others.come();
        assert!(Turn::wait(&places, &others).now_or_never().is_none());
        drop(first);
        others.come();
        let second = Turn::wait(&places, &others).await;
        assert!(Turn::wait(&places, &others).now_or_never().is_none());
        let took = Duration::from_millis(1);
        tokio::time::advance(took).await;
        drop(second);
        let rests = Instant::now();
        others.come();
        Turn::wait(&places, &others).await;
        assert!(rests.elapsed() >= took * REST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_has_a_bound() {
        let others = Others::new();
        let took = Duration::from_millis(1);
        assert_eq!(others.rest(took), Duration::ZERO, "nobody is there");
        others.come();
        assert_eq!(others.rest(took), took * REST);
        assert_eq!(others.rest(Duration::from_secs(5)), LONGEST_REST);
    }
}
