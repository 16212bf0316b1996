//! API Priority and Fairness: every request takes seats of its priority level
//! before it is worked on, or waits for its turn. How, `hardway_fairness`
//! decides; here it is given requests, time and configuration.

pub mod defaults;
mod dump;
mod level;
mod metrics;
mod objects;
mod request;
mod seat;
mod table;

pub use dump::respond;
pub use level::Details;
pub use objects::{adjust_periodically, run};
pub use request::{path_digest, pinned, remote_digest, request_digest, work};
pub use seat::Seat;

use hardway_fairness::{Digest, Interest, Outcome, Refusal, Watchers, Work};
use hardway_proto::Status;
use jiff::Timestamp;
use level::{Level, Tag};
use parking_lot::{Mutex, RwLock};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::{Schema, Table};

/// What refused requests are told.
const TOO_MANY: &str = "too many requests, please try again later.";
/// When they may try again, in seconds.
const RETRY_AFTER: i32 = 1;

/// The apiserver's seats.
pub struct Fairness {
    /// So many at once.
    total: usize,
    table: RwLock<Arc<Table>>,
    /// Held while the table is made anew or seats are moved between levels.
    configuring: Mutex<()>,
    watchers: Mutex<Watchers>,
    hasher: RandomState,
    began: Instant,
    began_at: Timestamp,
}

/// Where a request belongs: UIDs, for the headers that tell so, and names.
#[derive(Clone, Debug)]
pub struct Classified {
    /// Of the flow schema.
    pub schema: Arc<str>,
    /// Of the priority level.
    pub level: Arc<str>,
    /// The flow schema's name.
    pub schema_name: Arc<str>,
    /// The priority level's name.
    pub level_name: Arc<str>,
}

impl Fairness {
    /// So many seats, all of them the mandatory levels' until there is a
    /// configuration.
    pub fn new(total: usize) -> Arc<Self> {
        let fairness = Arc::new(Self {
            total,
            table: RwLock::default(),
            configuring: Mutex::default(),
            watchers: Mutex::default(),
            hasher: RandomState::new(),
            began: Instant::now(),
            began_at: Timestamp::now(),
        });
        fairness.configure(&[], &[]);
        fairness
    }

    /// The time, as levels are told it.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Takes seats for a request; waits for its turn, for at most `patience`.
    /// `work` says how many it takes, where its level sets the bound it is
    /// given. A request that is dropped while it waits is taken off its queue.
    pub async fn acquire(
        self: &Arc<Self>,
        asked: &Digest<'_>,
        details: Details,
        work: impl FnOnce(Option<usize>) -> Work,
        patience: Duration,
    ) -> (Classified, Result<Seat, Status>) {
        let table = self.table.read().clone();
        let schema = table.classify(asked);
        let classified = schema.classified();
        let seat = match self.begin(schema, asked, details, work) {
            Ok(Admission::Seated(seat)) => Ok(seat),
            Ok(Admission::Waiting(waiter)) => waiter.seat(patience).await,
            Err(refusal) => Err(refusal),
        };
        let seat = seat.map_err(|refusal| {
            schema.counted.rejected(refusal);
            Status::too_many_requests(TOO_MANY, RETRY_AFTER)
        });
        (classified, seat)
    }

    fn begin(
        self: &Arc<Self>,
        schema: &Schema,
        asked: &Digest<'_>,
        details: Details,
        work: impl FnOnce(Option<usize>) -> Work,
    ) -> Result<Admission, Refusal> {
        let work = work(schema.widest);
        let flow = schema.flow(asked);
        let hash = self.hasher.hash_one((&*schema.name, flow));
        let tag = Tag {
            counted: schema.counted.clone(),
            flow: flow.to_owned(),
            details,
            waker: None,
        };
        schema.counted.estimated(work.seats);
        let now = self.now();
        let mut state = schema.level.state.lock();
        match state.set.start(now, hash, work, tag, level::grant) {
            Outcome::Executing(slot) => {
                drop(state);
                schema.counted.waited(Duration::ZERO, true);
                Ok(Admission::Seated(Seat::new(
                    self, schema, slot, asked, work,
                )))
            }
            Outcome::Waiting { queue, id } => {
                let (waker, woken) = tokio::sync::oneshot::channel();
                if let Some(tag) = state.set.waiting_tag(queue, id) {
                    tag.waker = Some(waker);
                }
                let seat = Seat::pending(self, schema, asked, work);
                schema.counted.queued();
                Ok(Admission::Waiting(seat::Waiter::new(
                    seat, queue, id, woken,
                )))
            }
            Outcome::Refused(refusal) => Err(refusal),
        }
    }

    /// A watch begins. It counts until what this returns is dropped.
    pub fn watch(self: &Arc<Self>, interest: Interest) -> Watched {
        self.watchers.lock().add(&interest);
        Watched {
            fairness: self.clone(),
            interest,
        }
    }

    /// How many watches are told of a change.
    fn interested(&self, group: &str, resource: &str, namespace: &str) -> usize {
        self.watchers.lock().interested(group, resource, namespace)
    }

    fn levels(&self) -> Vec<Arc<Level>> {
        self.table.read().levels.clone()
    }
}

enum Admission {
    Seated(Seat),
    Waiting(seat::Waiter),
}

/// A watch that is counted.
pub struct Watched {
    fairness: Arc<Fairness>,
    interest: Interest,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.fairness.watchers.lock().remove(&self.interest);
    }
}

#[cfg(test)]
mod tests;
