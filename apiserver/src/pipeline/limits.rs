//! How many requests are worked on at once: two bounds for everybody, where
//! requests are not shared fairly.

use crate::metrics;
use hardway_access::{MASTERS, User};
use hardway_proto::Status;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bounds for reads and writes; whoever comes when all places are taken is
/// asked to come again.
pub struct Limits {
    reads: Arc<Bound>,
    writes: Arc<Bound>,
}

struct Bound {
    kind: &'static str,
    limit: usize,
    inside: AtomicUsize,
}

/// A request that is worked on, until this is dropped.
pub struct Inflight(Arc<Bound>);

impl Limits {
    /// At most so many reads and writes at a time; 0 means no limit.
    pub fn new(reads: usize, writes: usize) -> Self {
        let bound = |kind, limit| {
            Arc::new(Bound {
                kind,
                limit,
                inside: AtomicUsize::new(0),
            })
        };
        Self {
            reads: bound("readOnly", reads),
            writes: bound("mutating", writes),
        }
    }

    /// Counts a request, whatever the bounds.
    pub fn count(&self, read: bool) -> Inflight {
        let bound = if read { &self.reads } else { &self.writes };
        let before = bound.inside.fetch_add(1, Ordering::Relaxed);
        metrics::inflight(bound.kind, before + 1);
        Inflight(bound.clone())
    }

    /// Lets a request in. The cluster's superusers always get in, so that an
    /// overloaded server can be helped.
    pub fn enter(&self, user: &User, read: bool) -> Result<Inflight, Status> {
        let inflight = self.count(read);
        let bound = &inflight.0;
        let inside = bound.inside.load(Ordering::Relaxed);
        if bound.limit > 0 && inside > bound.limit && !user.is_in(MASTERS) {
            return Err(Status::too_many_requests(
                "too many requests, please try again later.",
                1,
            ));
        }
        Ok(inflight)
    }
}

impl Drop for Inflight {
    fn drop(&mut self) {
        let before = self.0.inside.fetch_sub(1, Ordering::Relaxed);
        metrics::inflight(self.0.kind, before - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_bounded_and_counted() {
        let limits = Limits::new(1, 0);
        let jane = User::new("jane", ["dev"]);
        let first = limits.enter(&jane, true).ok().unwrap();
        assert_eq!(limits.enter(&jane, true).err().unwrap().code, 429);
        assert!(limits.enter(&User::new("root", [MASTERS]), true).is_ok());
        assert!(limits.enter(&jane, false).is_ok());
        drop(first);
        assert!(limits.enter(&jane, true).is_ok());
    }
}
