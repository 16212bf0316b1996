//! How many requests are worked on at once.

use crate::metrics;
use hardway_access::{MASTERS, User};
use hardway_proto::Status;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bounds for reads and writes; whoever comes when all seats are taken is
/// asked to come again.
pub struct Limits {
    reads: Bound,
    writes: Bound,
}

struct Bound {
    kind: &'static str,
    limit: usize,
    inside: AtomicUsize,
}

/// A seat taken; given back when dropped.
pub struct Seat<'a>(&'a Bound);

impl Limits {
    /// At most so many reads and writes at a time; 0 means no limit.
    pub fn new(reads: usize, writes: usize) -> Self {
        let bound = |kind, limit| Bound {
            kind,
            limit,
            inside: AtomicUsize::new(0),
        };
        Self {
            reads: bound("readOnly", reads),
            writes: bound("mutating", writes),
        }
    }

    /// Takes a seat. The cluster's superusers always get one, so that an
    /// overloaded server can be helped.
    pub fn enter(&self, user: &User, read: bool) -> Result<Seat<'_>, Status> {
        let bound = if read { &self.reads } else { &self.writes };
        let before = bound.inside.fetch_add(1, Ordering::Relaxed);
        metrics::inflight(bound.kind, before + 1);
        let seat = Seat(bound);
        if bound.limit > 0 && before >= bound.limit && !user.is_in(MASTERS) {
            return Err(Status::too_many_requests(
                "too many requests, please try again later.",
                1,
            ));
        }
        Ok(seat)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let before = self.0.inside.fetch_sub(1, Ordering::Relaxed);
        metrics::inflight(self.0.kind, before - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_bounded_and_given_back() {
        let limits = Limits::new(1, 0);
        let jane = User::new("jane", ["dev"]);
        let seat = limits.enter(&jane, true).ok().unwrap();
        assert_eq!(limits.enter(&jane, true).err().unwrap().code, 429);
        assert!(limits.enter(&User::new("root", [MASTERS]), true).is_ok());
        assert!(limits.enter(&jane, false).is_ok());
        drop(seat);
        assert!(limits.enter(&jane, true).is_ok());
    }
}
