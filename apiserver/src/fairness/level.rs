//! A priority level, and what is known of the requests in it.

use super::metrics::Counted;
use crate::background::Lane;
use crate::pipeline::Target;
use hardway_fairness::{Limits, PriorityLevel, QueueSet, Request, Slot, Stats};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

/// One priority level.
pub(super) struct Level {
    pub name: Arc<str>,
    /// Where requests of those who send many at a time give way to others; none where
    /// the control plane's own work is done.
    pub lane: Option<Arc<Lane>>,
    pub state: Mutex<State>,
}

pub(super) struct State {
    pub set: QueueSet<Tag>,
    pub spec: PriorityLevel,
    pub limits: Limits,
    pub stats: Stats,
    /// Its object is gone; so is the level, once its requests are.
    pub quiescing: bool,
}

/// What is known of a request beside what it takes.
pub(super) struct Tag {
    pub counted: Arc<Counted>,
    pub flow: String,
    pub details: Details,
    /// Tells a request that waits of its turn.
    pub waker: Option<oneshot::Sender<Slot>>,
}

/// A request, for who looks at the queues.
#[derive(Default)]
pub struct Details {
    /// Who asks.
    pub user: String,
    /// For what.
    pub verb: &'static str,
    /// Of which resource.
    pub target: Option<Target>,
    /// Or which path.
    pub path: String,
}

/// Tells a request that it has its seats.
pub(super) fn grant(request: &mut Request<Tag>, slot: Slot) {
    // Whoever waits listens until it has taken itself off the queue, which
    // takes the lock that is held here.
    if let Some(waker) = request.tag.waker.take() {
        let _ = waker.send(slot);
    }
}
