//! How long a container that keeps ending waits before it comes again:
//! 10 s, doubling up to 5 min, forgotten after 10 min without an end.

use std::collections::HashMap;
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug)]
struct Entry {
    delay: Duration,
    /// Nanoseconds since the epoch.
    since: i64,
}

/// Pauses of one pod's containers.
#[derive(Clone, Debug, Default)]
pub struct Backoff(HashMap<String, Entry>);

/// A container that has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The whole pause.
    pub delay: Duration,
    /// When it ends, in nanoseconds since the epoch.
    pub until: i64,
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn expired(entry: &Entry, finished_at: i64) -> bool {
    finished_at.saturating_sub(entry.since) > nanos(LONGEST) * 2
}

impl Backoff {
    /// Whether a container that ended at `finished_at` has to wait still. One that seems to
    /// have ended later than now has not: the clock was set back since.
    pub fn wait(&self, key: &str, finished_at: i64, now: i64) -> Option<Wait> {
        let entry = self.0.get(key).filter(|e| !expired(e, finished_at))?;
        let until = finished_at.saturating_add(nanos(entry.delay));
        let delay = entry.delay;
        (finished_at..until)
            .contains(&now)
            .then_some(Wait { delay, until })
    }

    /// Notes that the container comes again now.
    pub fn started(&mut self, key: &str, finished_at: i64, now: i64) {
        let delay = match self.0.get(key) {
            Some(entry) if !expired(entry, finished_at) => (entry.delay * 2).min(LONGEST),
            _ => FIRST,
        };
        let entry = Entry { delay, since: now };
        self.0.insert(key.to_owned(), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn pauses_double_up_to_their_limit_and_are_forgotten() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.wait("web", 0, SECOND), None);
        let mut now = 0;
        for expected in [10, 20, 40, 80, 160, 300, 300] {
            backoff.started("web", now, now);
            let finished = now + SECOND;
            let wait = backoff.wait("web", finished, finished).unwrap();
            assert_eq!(wait.delay, Duration::from_secs(expected));
            now = wait.until;
            assert_eq!(backoff.wait("web", finished, now), None);
        }
        let much_later = now + 601 * SECOND;
        assert_eq!(backoff.wait("web", much_later, much_later), None);
        backoff.started("web", much_later, much_later);
        let wait = backoff.wait("web", much_later, much_later).unwrap();
        assert_eq!(wait.delay, FIRST);
    }

    #[test]
    fn nobody_waits_for_a_clock_that_was_set_back() {
        let mut backoff = Backoff::default();
        let day = 86_400 * SECOND;
        backoff.started("web", day, day);
        assert!(backoff.wait("web", day, day + SECOND).is_some());
        assert_eq!(backoff.wait("web", day, SECOND), None);
        backoff.started("web", day, SECOND);
        let wait = backoff.wait("web", 2 * SECOND, 2 * SECOND).unwrap();
        assert_eq!(wait.until, 22 * SECOND);
    }
}
