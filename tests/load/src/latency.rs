//! How long operations took.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// For a plot: these shares of the operations, in percent. Dense at the end that hurts.
const SHARES: [f64; 21] = [
    0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 75.0, 80.0, 85.0, 90.0, 92.5, 95.0, 97.0, 98.0,
    99.0, 99.5, 99.9, 99.99, 100.0,
];
/// Each power of two is told apart in so many steps, as a power of two itself: to a thousandth.
const STEP_BITS: u32 = 10;

/// Latencies of any number of operations, in little memory and to a thousandth: how many
/// there are in each of steps that grow with the value (as an HDR histogram has them).
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// By step.
    counts: Vec<u64>,
    count: u64,
    /// The shortest and the longest, in microseconds.
    bounds: Option<(u64, u64)>,
    /// Microseconds of all.
    sum: u128,
}

/// What there is to say of latencies, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The shortest.
    pub min: f64,
    /// The average.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 90 of 100 took no longer.
    pub p90: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// 999 of 1,000 took no longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
    /// For a plot: shares of the operations in percent, and what they took at most.
    pub curve: Vec<(f64, f64)>,
}

impl Latencies {
    /// Takes down one.
    pub fn record(&mut self, latency: Duration) {
        let value = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let step = step(value);
        if self.counts.len() <= step {
            self.counts.resize(step + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(step) {
            *count += 1;
        }
        let (min, max) = self.bounds.unwrap_or((value, value));
        self.bounds = Some((min.min(value), max.max(value)));
        self.count += 1;
        self.sum += u128::from(value);
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What there is to say of them; nothing of none.
    pub fn percentiles(&self) -> Option<Percentiles> {
        let (min, max) = self.bounds?;
        let milliseconds = |microseconds: u64| microseconds as f64 / 1000.0;
        let at = |share: f64| milliseconds(self.at(share).clamp(min, max));
        Some(Percentiles {
            min: milliseconds(min),
            mean: self.sum as f64 / self.count as f64 / 1000.0,
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            p999: at(99.9),
            max: milliseconds(max),
            curve: SHARES.map(|share| (share, at(share))).to_vec(),
        })
    }

    /// What this share of them, in percent, took at most, in microseconds.
    fn at(&self, share: f64) -> u64 {
        let rank = ((share * self.count as f64 / 100.0).ceil() as u64).max(1);
        let mut seen = 0;
        for (step, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return longest_of(step);
            }
        }
        u64::MAX
    }
}

/// The step that a value is counted in. Below `2 << STEP_BITS` each value has its own; above,
/// the first bits say which.
fn step(value: u64) -> usize {
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(STEP_BITS + 1);
    ((shift as usize) << STEP_BITS) + (value >> shift) as usize
}

/// The greatest value of a step.
fn longest_of(step: usize) -> u64 {
    let shift = (step >> STEP_BITS).saturating_sub(1) as u32;
    let first = (step - ((shift as usize) << STEP_BITS)) as u64;
    // The last step ends with the numbers.
    (((u128::from(first) + 1) << shift) - 1).min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentiles(), None);
        for milliseconds in 1..=1000 {
            latencies.record(Duration::from_millis(milliseconds));
        }
        let told = latencies.percentiles().unwrap();
        // To a thousandth.
        let near = |value: f64, expected: f64| (value - expected).abs() <= expected * 0.001;
        for (value, expected) in [
            (told.min, 1.0),
            (told.mean, 500.5),
            (told.p50, 500.0),
            (told.p90, 900.0),
            (told.p99, 990.0),
            (told.p999, 999.0),
            (told.max, 1000.0),
        ] {
            assert!(near(value, expected), "{value} {expected}");
        }
        assert!(told.curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
    }

    #[test]
    fn every_value_has_a_step_that_is_narrow() {
        let values = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for value in values.chain([3_000, 4_097, 1_000_003, u64::MAX - 1, u64::MAX]) {
            let step = step(value);
            let longest = longest_of(step);
            assert!(longest >= value, "{value}: {longest}");
            assert!(longest - value <= value / 1000, "{value}: {longest}");
            assert!(step == 0 || longest_of(step - 1) < value, "{value}");
        }
    }

    #[test]
    fn nothing_is_too_short_or_too_long() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::ZERO);
        latencies.record(Duration::MAX);
        let told = latencies.percentiles().unwrap();
        assert_eq!((latencies.len(), told.min), (2, 0.0));
        assert_eq!(told.max, told.p99);
    }
}
