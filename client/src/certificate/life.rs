//! How long a certificate is good, and when it is renewed.

use std::time::{Duration, SystemTime};

/// The part of its life after which a certificate is renewed: from here to
/// [`LATEST`], as Kubernetes' components do, so that those of many nodes that
/// began together don't end together.
const EARLIEST: f64 = 0.7;
const LATEST: f64 = 0.9;

/// From when to when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When its life begins: when it was issued, as far as known. Signers date
    /// certificates back for clocks that differ; that is no time it has lived.
    pub from: SystemTime,
    /// From when on it is good: its date, which may be before its life begins.
    pub good_from: SystemTime,
    /// When it ends.
    pub to: SystemTime,
}

impl Life {
    /// Whether it has ended.
    pub fn is_over(&self, now: SystemTime) -> bool {
        now >= self.to
    }

    /// Whether it was good when its life began and isn't yet: the clock was set back since.
    /// (One that wasn't good then either is of a signer whose clock is ahead. Whoever it is
    /// shown to may think as the signer does.)
    pub fn is_early(&self, now: SystemTime) -> bool {
        now < self.good_from && self.good_from < self.from
    }

    /// Whether it is good now.
    pub fn is_good(&self, now: SystemTime) -> bool {
        now >= self.good_from && !self.is_over(now)
    }

    /// When to renew it; `chance` is between 0 and 1.
    pub fn renewal(&self, chance: f64) -> SystemTime {
        let whole = self.to.duration_since(self.from).unwrap_or_default();
        self.from + whole.mul_f64(EARLIEST + (LATEST - EARLIEST) * chance.clamp(0.0, 1.0))
    }

    /// How long until it is renewed; nothing if it should have been.
    pub fn left(&self, chance: f64, now: SystemTime) -> Duration {
        let at = self.renewal(chance);
        at.duration_since(now).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewed_between_seven_and_nine_tenths_of_its_life() {
        let hour = Duration::from_secs(3600);
        let from = SystemTime::UNIX_EPOCH + 1000 * hour;
        let life = Life {
            from,
            good_from: from - hour / 12,
            to: from + 100 * hour,
        };
        let round = |time: SystemTime| time.duration_since(from).unwrap().as_secs_f64().round();
        assert_eq!(round(life.renewal(0.0)), 70.0 * 3600.0);
        assert_eq!(round(life.renewal(0.5)), 80.0 * 3600.0);
        assert_eq!(round(life.renewal(1.0)), 90.0 * 3600.0);
        assert_eq!(life.left(0.0, from + 71 * hour), Duration::ZERO);
        assert!(life.left(1.0, from + 71 * hour) > 18 * hour);
        assert!(!life.is_over(from + 99 * hour) && life.is_over(life.to));
        assert!(life.is_early(from - hour) && !life.is_early(life.good_from));
        let ahead = Life {
            good_from: from,
            ..life
        };
        assert!(!ahead.is_early(from - hour) && !ahead.is_good(from - hour));
        assert!(life.is_good(from) && !life.is_good(from - hour) && !life.is_good(life.to));
    }

    #[test]
    fn one_that_never_was_good_is_renewed_at_once() {
        let now = SystemTime::now();
        let life = Life {
            from: now,
            good_from: now,
            to: now - Duration::from_secs(1),
        };
        assert_eq!(life.left(1.0, now), Duration::ZERO);
    }
}
