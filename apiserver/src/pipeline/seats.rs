//! The server's seats: a request takes some before it is worked on.

use super::limits::{Inflight, Limits};
use super::{Answer, Request, TIMEOUT, Verb};
use crate::background::Lane;
use crate::cache::Cache;
use crate::fairness::{self, Classified, Details, Fairness, Watched};
use hardway_access::User;
use hardway_fairness::{Digest, Interest, Work};
use hardway_proto::Status;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a request waits for its seats: a quarter of its time.
const PATIENCE: Duration = Duration::from_secs(TIMEOUT.as_secs() / 4);
/// A watch may wait longer: it has no end to be in time for.
const WATCH_PATIENCE: Duration = Duration::from_secs(60);
/// Lists of more objects keep their seats while they are written.
const WRITTEN_AT_ONCE: usize = 100;

/// Shared fairly, or bounded.
pub struct Seats {
    limits: Limits,
    fairness: Option<Arc<Fairness>>,
}

/// Seats taken; given back when dropped.
pub struct Seat {
    _inflight: Inflight,
    fair: Option<fairness::Seat>,
}

/// A seat that is kept while an answer is written.
pub struct Held {
    _seat: Option<Box<Seat>>,
    _over: Option<oneshot::Sender<()>>,
}

impl Seats {
    /// For so many reads and writes at a time; shared fairly, these are added
    /// up.
    pub fn new(reads: usize, writes: usize, fair: bool) -> Self {
        Self {
            limits: Limits::new(reads, writes),
            fairness: fair.then(|| Fairness::new(reads + writes)),
        }
    }

    /// Who shares them, if they are shared fairly.
    pub fn fairness(&self) -> Option<&Arc<Fairness>> {
        self.fairness.as_ref()
    }

    /// For a request, in its turn.
    pub(super) async fn take(&self, request: &Request, cache: &Cache) -> Result<Seat, Status> {
        let read = request.verb.is_read();
        let Some(fairness) = &self.fairness else {
            let inflight = match request.verb {
                Verb::Watch => self.limits.count(read),
                _ => self.limits.enter(&request.user, read)?,
            };
            return Ok(Seat::unshared(inflight));
        };
        let (digest, details) = fairness::request_digest(request);
        let work = |bound| fairness::work(fairness, cache, request, bound);
        let patience = match request.verb {
            Verb::Watch => WATCH_PATIENCE,
            _ => PATIENCE,
        };
        let (classified, seat) = fairness.acquire(&digest, details, work, patience).await;
        let _ = request.classified.set(classified);
        Ok(self.seat(read, seat?))
    }

    /// For a request that will be refused: whatever it asks for, that is soon said.
    pub(super) async fn take_plain(&self, request: &Request) -> Result<Seat, Status> {
        let (digest, details) = fairness::request_digest(request);
        let (classified, seat) = self.take_one(&request.user, &digest, details).await;
        if let Some(classified) = classified {
            let _ = request.classified.set(classified);
        }
        seat
    }

    /// For a request that is about no resource, or about none that is served.
    pub async fn take_one(
        &self,
        user: &User,
        digest: &Digest<'_>,
        details: Details,
    ) -> (Option<Classified>, Result<Seat, Status>) {
        let Some(fairness) = &self.fairness else {
            let inflight = self.limits.enter(user, true);
            return (None, inflight.map(Seat::unshared));
        };
        let work = |_| Work::ONE;
        let (classified, seat) = fairness.acquire(digest, details, work, PATIENCE).await;
        (Some(classified), seat.map(|seat| self.seat(true, seat)))
    }

    fn seat(&self, read: bool, fair: fairness::Seat) -> Seat {
        Seat {
            _inflight: self.limits.count(read),
            fair: Some(fair),
        }
    }

    /// A watch begins.
    pub(super) fn watch(&self, request: &Request) -> Option<Watched> {
        let target = &request.target;
        let selector = &request.options.field_selector;
        let only = fairness::pinned(selector, "metadata.name")
            .or_else(|| fairness::pinned(selector, "spec.nodeName"));
        Some(self.fairness.as_ref()?.watch(Interest {
            group: target.resource.kept_group().to_owned(),
            resource: target.plural().to_owned(),
            namespace: target.namespace.clone(),
            only: only.unwrap_or_default(),
        }))
    }
}

impl Seat {
    /// Where the request's work gives way to that of others, if it does: who asks for
    /// much at once must not be in front of those who ask for little.
    pub(super) fn lane(&self) -> Option<Arc<Lane>> {
        self.fair.as_ref()?.lane()
    }

    fn unshared(inflight: Inflight) -> Self {
        Self {
            _inflight: inflight,
            fair: None,
        }
    }

    /// Keeps it while a long answer is written, for as long as a request may
    /// take; who reads slowly must not keep others from their seats.
    fn hold(self) -> Held {
        let (over, ended) = oneshot::channel();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(TIMEOUT, ended).await;
            drop(self);
        });
        Held {
            _seat: None,
            _over: Some(over),
        }
    }

    fn keep(self) -> Held {
        Held {
            _seat: Some(Box::new(self)),
            _over: None,
        }
    }
}

impl Answer {
    /// Has it keep its seat as long as there is work with it: until a list is
    /// written, or what a watch begins with.
    pub(super) fn keeping(mut self, seat: Seat) -> Self {
        match &mut self {
            Self::List(list) if list.items.len() > WRITTEN_AT_ONCE => {
                list.seat = Some(seat.hold());
            }
            Self::List(list) => list.seat = Some(seat.keep()),
            Self::Watch(watch) if watch.has_initial() => watch.keep(seat.hold()),
            Self::Watch(_) | Self::Object(_) => {}
        }
        self
    }
}
