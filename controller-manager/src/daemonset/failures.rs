//! How soon a daemon pod that failed is replaced: at once the first time, and
//! ever later if its node keeps refusing it.

use hardway_client::queue::backoff;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// After this long without a failure a node is above suspicion again.
const KEPT: Duration = LONGEST.saturating_mul(2);
/// More than this many nodes under suspicion are gone through for what may be forgotten.
const MANY: usize = 1000;

/// A DaemonSet's UID and generation, and a node.
type Key = (String, i64, String);

struct Entry {
    failures: u32,
    last: Instant,
}

/// What failed, and when.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<Key, Entry>>);

impl Failures {
    /// For how long the replacement of a pod that failed has to wait. If it
    /// hasn't to, this counts as a failure.
    pub fn replace_in(&self, uid: &str, generation: i64, node: &str) -> Duration {
        let now = Instant::now();
        let mut entries = self.0.lock();
        if entries.len() > MANY {
            entries.retain(|_, entry| now.duration_since(entry.last) < KEPT);
        }
        let key = (uid.to_owned(), generation, node.to_owned());
        let entry = entries.entry(key).or_insert(Entry {
            failures: 0,
            last: now,
        });
        if now.duration_since(entry.last) > KEPT {
            entry.failures = 0;
        }
        if entry.failures > 0 {
            let pause = backoff(entry.failures, FIRST, LONGEST);
            let waited = now.duration_since(entry.last);
            if waited < pause {
                return pause - waited;
            }
        }
        entry.failures = entry.failures.saturating_add(1);
        entry.last = now;
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_keeps_refusing_is_asked_ever_later() {
        let failures = Failures::default();
        let wait = || failures.replace_in("ds", 1, "a").as_millis();
        assert_eq!(wait(), 0);
        assert_eq!(wait(), 1000);
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(wait(), 600);
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!(wait(), 0);
        assert_eq!(wait(), 2000);
        assert_eq!(failures.replace_in("ds", 2, "a"), Duration::ZERO, "changed");
        assert_eq!(failures.replace_in("ds", 1, "b"), Duration::ZERO);
        tokio::time::advance(KEPT * 2).await;
        assert_eq!((wait(), wait()), (0, 1000));
    }
}
