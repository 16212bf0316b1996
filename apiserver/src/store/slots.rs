//! Turns at etcd. It does one thing after the other, so whoever comes waits for all that
//! came before; those who send many requests at a time would make everybody else wait.

use crate::background::Others;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// So many requests of a lane may wait for etcd at a time where nobody else does.
const SLOTS: u32 = 16;

/// Slots of those who wait for each other, and give way to others.
pub struct Slots {
    /// Whose turn it is next.
    next: Mutex<()>,
    free: Arc<Semaphore>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            next: Mutex::default(),
            free: Arc::new(Semaphore::new(SLOTS as usize)),
        }
    }
}

/// A turn at etcd; over when it is dropped, and a rest after it if others are present.
pub struct Turn<'a> {
    others: &'a Others,
    place: Option<OwnedSemaphorePermit>,
    since: Instant,
}

impl<'a> Turn<'a> {
    /// Waits for the turn of one who gives way to others: as the only one while they are
    /// present.
    pub async fn wait(slots: &Slots, others: &'a Others) -> Self {
        let next = slots.next.lock().await;
        let count = if others.are_present() { SLOTS } else { 1 };
        // It is never closed.
        let place = slots.free.clone().acquire_many_owned(count).await.ok();
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
    use std::time::Duration;

    #[tokio::test]
    async fn alone_many_are_there_at_a_time() {
        let (slots, others) = (Slots::default(), Others::default());
        let mut turns = Vec::new();
        for _ in 0..SLOTS {
            turns.push(Turn::wait(&slots, &others).await);
        }
        assert!(Turn::wait(&slots, &others).now_or_never().is_none());
        turns.pop();
        // Nobody else is there: no rest.
        assert!(Turn::wait(&slots, &others).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn where_others_are_one_is_there_at_a_time_and_rests() {
        let (slots, others) = (Slots::default(), Others::default());
        let first = Turn::wait(&slots, &others).await;
        others.come();
        assert!(Turn::wait(&slots, &others).now_or_never().is_none());
        drop(first);
        others.come();
        let second = Turn::wait(&slots, &others).await;
        assert!(Turn::wait(&slots, &others).now_or_never().is_none());
        let took = Duration::from_millis(1);
        tokio::time::advance(took).await;
        drop(second);
        let rests = Instant::now();
        others.come();
        Turn::wait(&slots, &others).await;
        assert!(rests.elapsed() >= took);
    }
}
