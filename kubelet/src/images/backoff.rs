//! Pauses between attempts to pull an image for a pod.

use std::collections::HashMap;
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);

struct Entry {
    pause: Duration,
    since: Instant,
    /// Why the last attempt failed.
    error: String,
}

/// 10 s after the first failure, doubling up to 5 min, forgotten when nothing
/// happens for twice that.
#[derive(Default)]
pub(super) struct Backoff(HashMap<String, Entry>);

impl Backoff {
    /// Why the last attempt failed, if it is too early for the next.
    pub fn waits(&self, key: &str, now: Instant) -> Option<&str> {
        let entry = self.0.get(key)?;
        let early = now.duration_since(entry.since) < entry.pause;
        early.then_some(entry.error.as_str())
    }

    pub fn failed(&mut self, key: String, error: String, now: Instant) {
        self.0
            .retain(|_, entry| now.duration_since(entry.since) < LONGEST * 2);
        let pause = match self.0.get(&key) {
            Some(entry) => (entry.pause * 2).min(LONGEST),
            None => FIRST,
        };
        let entry = Entry {
            pause,
            since: now,
            error,
        };
        self.0.insert(key, entry);
    }

    pub fn succeeded(&mut self, key: &str) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        let mut now = Instant::now();
        assert_eq!(backoff.waits("a", now), None);
        for pause in [10, 20, 40, 80, 160, 300, 300] {
            backoff.failed("a".into(), "why".into(), now);
            now += Duration::from_secs(pause - 1);
            assert_eq!(backoff.waits("a", now), Some("why"));
            now += Duration::from_secs(1);
            assert_eq!(backoff.waits("a", now), None);
        }
        backoff.succeeded("a");
        backoff.failed("a".into(), "why".into(), now);
        assert_eq!(backoff.waits("a", now + FIRST), None);
    }
}
