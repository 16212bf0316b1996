//! How many bytes of requests are held in memory at once.

use hardway_access::{MASTERS, User};
use hardway_proto::Status;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of bodies held at once, of all requests.
const TOTAL: usize = 128 << 20;
/// Bytes of bodies held at once, of one user's requests.
const PER_USER: usize = 32 << 20;

/// The bytes of bodies that have come and whose requests aren't answered.
/// What has not come counts nothing, whatever length it was announced with.
pub struct Bodies {
    total: usize,
    per_user: usize,
    held: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    all: usize,
    users: HashMap<String, usize>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new(TOTAL, PER_USER)
    }
}

impl Bodies {
    /// Holds at most so many bytes in all and of each user. The cluster's
    /// superusers have as much again, so that a server full of others' bytes
    /// can be helped.
    pub fn new(total: usize, per_user: usize) -> Self {
        Self {
            total,
            per_user,
            held: Mutex::default(),
        }
    }

    /// Nothing yet, of a request of this user.
    pub fn of(self: &Arc<Self>, user: &User) -> HeldBytes {
        HeldBytes {
            bodies: self.clone(),
            user: user.name.clone(),
            times: if user.is_in(MASTERS) { 2 } else { 1 },
            bytes: 0,
        }
    }
}

/// What is held of one request; given back when dropped.
pub struct HeldBytes {
    bodies: Arc<Bodies>,
    user: String,
    times: usize,
    bytes: usize,
}

impl HeldBytes {
    /// Holds more; 429 if there is no room for it.
    pub fn take(&mut self, bytes: usize) -> Result<(), Status> {
        let mut sums = self.bodies.held.lock();
        let theirs = sums.users.get(&self.user).copied().unwrap_or_default();
        if sums.all + bytes > self.times * self.bodies.total
            || theirs + bytes > self.times * self.bodies.per_user
        {
            return Err(Status::too_many_requests(
                "too many bytes of requests are being worked on, please try again later.",
                1,
            ));
        }
        sums.all += bytes;
        match sums.users.get_mut(&self.user) {
            Some(theirs) => *theirs += bytes,
            None => {
                sums.users.insert(self.user.clone(), bytes);
            }
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut sums = self.bodies.held.lock();
        sums.all -= self.bytes;
        if let Some(theirs) = sums.users.get_mut(&self.user) {
            *theirs -= self.bytes;
            if *theirs == 0 {
                sums.users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded_in_all_and_for_each_and_given_back() {
        let bodies = Arc::new(Bodies::new(100, 60));
        let user = |name: &str| User::new(name, ["dev"]);
        let mut jane = bodies.of(&user("jane"));
        assert!(jane.take(40).is_ok() && jane.take(20).is_ok());
        assert_eq!(jane.take(1).unwrap_err().code, 429);
        let mut another = bodies.of(&user("jane"));
        assert_eq!(another.take(1).unwrap_err().code, 429);
        let mut joe = bodies.of(&user("joe"));
        assert_eq!(joe.take(41).unwrap_err().code, 429);
        assert!(joe.take(40).is_ok());
        let mut root = bodies.of(&User::new("root", [MASTERS]));
        assert!(root.take(100).is_ok());
        drop((jane, root));
        assert!(another.take(60).is_ok());
        drop((another, joe));
        let sums = bodies.held.lock();
        assert!(sums.all == 0 && sums.users.is_empty());
    }
}
