//! What the simulated nodes have asked and been told, counted by all of them together.

use crate::api::ApiError;
use crate::measure::Measuring;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The counts.
#[derive(Default)]
pub struct Tally {
    /// Watches that stand.
    standing: AtomicU64,
    events: AtomicU64,
    writes: AtomicU64,
    measuring: RwLock<Option<Arc<Measuring>>>,
}

/// How much there has been up to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Events that watches have given.
    pub events: u64,
    /// Writes that were acknowledged: Leases, nodes' and pods' statuses, what changes.
    pub writes: u64,
}

impl Tally {
    /// What is counted from now on also goes into a measurement, if there is one.
    pub fn measure(&self, measuring: Option<Arc<Measuring>>) {
        *self.measuring.write() = measuring;
    }

    /// So many watches stand.
    pub fn standing(&self) -> u64 {
        self.standing.load(Ordering::Relaxed)
    }

    /// The counts up to now.
    pub fn counts(&self) -> Counts {
        Counts {
            events: self.events.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
        }
    }

    /// A watch stands, until the value goes.
    pub fn stands(&self) -> Standing<'_> {
        self.standing.fetch_add(1, Ordering::Relaxed);
        Standing(self)
    }

    /// An event has come.
    pub fn event(&self, bytes: usize) {
        self.events.fetch_add(1, Ordering::Relaxed);
        if let Some(measuring) = &*self.measuring.read() {
            measuring.received(bytes);
        }
    }

    /// A Lease was renewed: what the cluster's health hangs on, and so what is measured.
    pub fn renewed<T>(&self, took: Duration, answer: Result<T, ApiError>) {
        if answer.is_ok() {
            self.writes.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(measuring) = &*self.measuring.read() {
            measuring.took(took, answer);
        }
    }

    /// Something else was written.
    pub fn wrote<T>(&self, answer: Result<T, ApiError>) {
        match answer {
            Ok(_) => {
                self.writes.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Something could not be done.
    pub fn failed(&self, error: &ApiError) {
        if let Some(measuring) = &*self.measuring.read() {
            measuring.failed(error);
        }
    }
}

/// A watch that stands.
pub struct Standing<'a>(&'a Tally);

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.standing.fetch_sub(1, Ordering::Relaxed);
    }
}
