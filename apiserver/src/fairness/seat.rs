//! Seats taken, and waiting for them.

use super::Fairness;
use super::level::{self, Level};
use super::metrics::Counted;
use super::table::Schema;
use crate::background::Lane;
use hardway_fairness::{Digest, Lingering, Refusal, Slot, Work};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Seats taken for a request; given back when dropped.
pub struct Seat {
    fairness: Arc<Fairness>,
    level: Arc<Level>,
    counted: Arc<Counted>,
    slot: Option<Slot>,
    seats: usize,
    since: Instant,
    watching: bool,
}

impl Seat {
    pub(super) fn new(
        fairness: &Arc<Fairness>,
        schema: &Schema,
        slot: Slot,
        asked: &Digest<'_>,
        work: Work,
    ) -> Self {
        let mut seat = Self::pending(fairness, schema, asked, work);
        seat.take(slot);
        seat
    }

    /// Not taken yet.
    pub(super) fn pending(
        fairness: &Arc<Fairness>,
        schema: &Schema,
        asked: &Digest<'_>,
        work: Work,
    ) -> Self {
        Self {
            fairness: fairness.clone(),
            level: schema.level.clone(),
            counted: schema.counted.clone(),
            slot: None,
            seats: work.max_seats(),
            since: Instant::now(),
            watching: asked.verb == "watch",
        }
    }

    /// The lane of its level, if it has one and the seat belongs to somebody who has many
    /// requests at a time.
    pub fn lane(&self) -> Option<Arc<Lane>> {
        let crowded = self.slot.as_ref()?.is_crowded();
        self.level.lane.clone().filter(|_| crowded)
    }

    fn take(&mut self, slot: Slot) {
        self.slot = Some(slot);
        self.since = Instant::now();
        self.counted.begun(self.seats);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else {
            return;
        };
        self.counted
            .ended(self.seats, self.since.elapsed(), self.watching);
        let now = self.fairness.now();
        let lingering = self.level.state.lock().set.finish(now, slot, level::grant);
        if let Some(lingering) = lingering {
            linger(self.fairness.clone(), self.level.clone(), lingering);
        }
    }
}

/// Gives seats back after a while.
fn linger(fairness: Arc<Fairness>, level: Arc<Level>, lingering: Lingering) {
    let during = lingering.during;
    let release = move || {
        let mut state = level.state.lock();
        state.set.release(fairness.now(), &lingering, level::grant);
    };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(async move {
            tokio::time::sleep(during).await;
            release();
        })),
        // The process is ending.
        Err(_) => release(),
    }
}

/// A request that waits for its seats. Dropped, it waits no longer.
pub(super) struct Waiter {
    seat: Option<Seat>,
    queue: usize,
    id: u64,
    woken: oneshot::Receiver<Slot>,
}

impl Waiter {
    pub(super) fn new(seat: Seat, queue: usize, id: u64, woken: oneshot::Receiver<Slot>) -> Self {
        Self {
            seat: Some(seat),
            queue,
            id,
            woken,
        }
    }

    /// Waits for its turn, for a while.
    pub(super) async fn seat(mut self, patience: Duration) -> Result<Seat, Refusal> {
        let woken = tokio::time::timeout(patience, &mut self.woken).await;
        let slot = woken.ok().and_then(Result::ok);
        self.leave(slot, Refusal::TimeOut).ok_or(Refusal::TimeOut)
    }

    /// Leaves the queue, for its seat if it has got one.
    fn leave(&mut self, slot: Option<Slot>, why: Refusal) -> Option<Seat> {
        let mut seat = self.seat.take()?;
        let waited = seat.since.elapsed();
        let slot = slot.or_else(|| {
            let now = seat.fairness.now();
            let mut state = seat.level.state.lock();
            let set = &mut state.set;
            let waits = set.withdraw(now, self.queue, self.id, why, level::grant);
            // Its turn may have come just now.
            if waits {
                None
            } else {
                self.woken.try_recv().ok()
            }
        });
        seat.counted.unqueued();
        seat.counted.waited(waited, slot.is_some());
        seat.take(slot?);
        Some(seat)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(counted) = self.seat.as_ref().map(|seat| seat.counted.clone())
            && self.leave(None, Refusal::Cancelled).is_none()
        {
            counted.rejected(Refusal::Cancelled);
        }
    }
}
