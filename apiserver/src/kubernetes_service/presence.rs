//! Whether this apiserver is among the endpoints, and when it may add itself. Pure.
//!
//! Others that take it out have their reasons: it waits, longer each time, before it comes back,
//! or they would write the endpoints against each other for as long as they disagree.

use std::time::Duration;
use tokio::time::Instant;

/// Before it comes back the first time, and at most.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Who was left in for so long is believed again.
const CALM: Duration = Duration::from_secs(60);

/// This apiserver as the endpoints have it.
#[derive(Debug)]
pub(super) struct Presence {
    since: Option<Instant>,
    back_at: Option<Instant>,
    pause: Duration,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            since: None,
            back_at: None,
            pause: PAUSE,
        }
    }
}

impl Presence {
    /// Takes over what is listed; nothing is learned where nobody is, as between two writes. Says
    /// for how long it stays out, if others have just taken it out.
    pub(super) fn seen(&mut self, listed: &[String], own: &str, now: Instant) -> Option<Duration> {
        if listed.iter().any(|address| address == own) {
            let since = *self.since.get_or_insert(now);
            if now - since >= CALM {
                self.pause = PAUSE;
            }
            return None;
        }
        if listed.is_empty() || self.since.take().is_none() {
            return None;
        }
        let pause = self.pause;
        self.back_at = Some(now + pause);
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        Some(pause)
    }

    /// Whether it was listed when that was last seen.
    pub(super) fn is_in(&self) -> bool {
        self.since.is_some()
    }

    /// Whether it may add itself, if it is ready.
    pub(super) fn may_return(&self, now: Instant) -> bool {
        self.back_at.is_none_or(|at| now >= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_taken_out_waits_longer_each_time_until_it_was_left_in() {
        let (mut own, mut now) = (Presence::default(), Instant::now());
        let with = ["a".to_owned(), "b".to_owned()];
        let without = ["b".to_owned()];
        assert_eq!(own.seen(&without, "a", now), None, "it never was there");
        assert!(own.may_return(now));
        for pause in [PAUSE, PAUSE * 2, PAUSE * 4] {
            assert_eq!(own.seen(&with, "a", now), None);
            assert!(own.is_in());
            assert_eq!(own.seen(&[], "a", now), None, "between two writes");
            assert!(own.is_in());
            assert_eq!(own.seen(&without, "a", now), Some(pause));
            assert_eq!(own.seen(&without, "a", now), None, "once");
            assert!(!own.is_in() && !own.may_return(now));
            now += pause;
            assert!(own.may_return(now));
        }
        own.seen(&with, "a", now);
        own.seen(&with, "a", now + CALM);
        assert_eq!(own.seen(&without, "a", now + CALM), Some(PAUSE));
    }
}
