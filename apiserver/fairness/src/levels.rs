//! The limits of priority levels, and how they lend each other seats.

use crate::allocation::{Bounds, Shares, allocate};
use crate::demand::Observed;
use crate::spec::{LimitResponse, PriorityLevel};

/// How much of the past the smoothed demand keeps at each adjustment; every
/// ten seconds, this halves it in five minutes.
const SMOOTHING: f64 = 0.977;
/// No request is counted as more than this part of its level's seats.
const WIDEST: f64 = 0.15;

/// What a level's configuration comes to, in seats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Its share of the server's seats.
    pub nominal: usize,
    /// What is left when it has lent all it may.
    pub min: usize,
    /// What it has when it has borrowed all it may.
    pub max: usize,
}

/// The limits of levels that share so many seats.
pub fn limits(total: usize, levels: &[&PriorityLevel]) -> Vec<Limits> {
    let shares: f64 = levels.iter().map(|level| f64::from(level.shares)).sum();
    let percent = |of: usize, percent: u32| (of as f64 * f64::from(percent) / 100.0).round();
    levels
        .iter()
        .map(|level| {
            let part = f64::from(level.shares) / shares.max(1.0);
            let nominal = (total as f64 * part).ceil() as usize;
            let lendable = percent(nominal, level.lendable) as usize;
            let borrowed = level
                .borrowing
                .map_or(total, |limit| percent(nominal, limit) as usize);
            Limits {
                nominal,
                min: nominal.saturating_sub(lendable),
                max: nominal + borrowed,
            }
        })
        .collect()
}

/// The most seats that one request of a level is counted as; `None` where the
/// level sets no bound of its own.
pub fn max_seats(level: &PriorityLevel, nominal: usize) -> Option<usize> {
    let LimitResponse::Queue(queuing) = level.response else {
        return None;
    };
    let part = (nominal as f64 * WIDEST).ceil() as usize;
    Some(part.min(nominal / queuing.hand.max(1)).max(1))
}

/// What is known of a level's demand.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Over the last period.
    pub seen: Observed,
    /// Average and deviation, falling slowly after they have fallen.
    pub smoothed: f64,
}

impl Stats {
    /// Takes what was seen in another period into account.
    pub fn update(&mut self, seen: Observed) {
        if seen.during.is_zero() {
            self.seen.max = seen.max;
            return;
        }
        self.seen = seen;
        let envelope = seen.average + seen.deviation;
        self.smoothed = envelope.max(SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * envelope);
    }

    /// What the level gets at least and at most, and aims at.
    pub fn bounds(&self, limits: Limits) -> Bounds {
        let lower = self.seen.max.min(limits.nominal as f64);
        let lower = lower.max(limits.min as f64);
        Bounds {
            target: lower.max(self.smoothed),
            lower,
            upper: limits.max as f64,
        }
    }
}

/// Divides the levels' seats by their demand.
pub fn borrow(levels: &[(Limits, Stats)]) -> Option<Shares> {
    let sum: usize = levels.iter().map(|(limits, _)| limits.nominal).sum();
    let bounds: Vec<Bounds> = levels
        .iter()
        .map(|(limits, stats)| stats.bounds(*limits))
        .collect();
    allocate(sum as f64, &bounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Queuing;
    use std::time::Duration;

    fn level(shares: u32, lendable: u32, borrowing: Option<u32>) -> PriorityLevel {
        PriorityLevel {
            name: "x".into(),
            uid: "".into(),
            shares,
            lendable,
            borrowing,
            response: LimitResponse::Queue(Queuing {
                queues: 128,
                hand: 6,
                length: 50,
            }),
        }
    }

    fn demand(seats: f64) -> Observed {
        Observed {
            average: seats,
            deviation: 0.0,
            max: seats,
            during: Duration::from_secs(10),
        }
    }

    #[test]
    fn shares_become_seats() {
        let (low, high) = (level(100, 90, None), level(45, 50, Some(20)));
        let limits = limits(600, &[&low, &high]);
        assert_eq!(
            limits[0],
            Limits {
                nominal: 414,
                min: 41,
                max: 1014
            }
        );
        assert_eq!(limits[1].nominal, 187);
        assert_eq!(limits[1].min, 93);
        assert_eq!(limits[1].max, 187 + 37);
    }

    #[test]
    fn no_request_is_too_wide_for_its_level() {
        let level = level(1, 0, None);
        assert_eq!(max_seats(&level, 245), Some(37));
        assert_eq!(max_seats(&level, 49), Some(8));
        assert_eq!(max_seats(&level, 12), Some(2));
        assert_eq!(max_seats(&level, 3), Some(1));
        let reject = PriorityLevel {
            response: LimitResponse::Reject,
            ..level
        };
        assert_eq!(max_seats(&reject, 245), None);
    }

    #[test]
    fn idle_levels_lend_and_get_back_what_is_theirs() {
        let (a, b) = (level(50, 90, None), level(50, 90, None));
        let limits = limits(100, &[&a, &b]);
        let mut stats = [Stats::default(), Stats::default()];
        stats[0].update(demand(200.0));
        stats[1].update(demand(0.0));
        let seats = |stats: &[Stats; 2]| {
            let levels = [(limits[0], stats[0]), (limits[1], stats[1])];
            borrow(&levels).unwrap().seats
        };
        let lent = seats(&stats);
        assert!(lent[0] > 90.0, "{lent:?}");
        assert!(lent[1] >= 5.0, "{lent:?}");
        // The lender has work again: what is nominally its own, it has.
        stats[1].update(demand(80.0));
        let back = seats(&stats);
        assert!(back[1] >= 50.0, "{back:?}");
    }

    #[test]
    fn demand_is_forgotten_slowly() {
        let mut stats = Stats::default();
        stats.update(demand(100.0));
        assert_eq!(stats.smoothed, 100.0);
        for _ in 0..30 {
            stats.update(demand(0.0));
        }
        assert!((45.0..55.0).contains(&stats.smoothed), "{stats:?}");
    }
}
