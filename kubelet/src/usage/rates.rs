//! How much CPU is in use, out of how much was: two samples and what lies between.

use parking_lot::Mutex;
use std::collections::HashMap;

/// Samples that are nearer to each other say nothing.
const NEAREST: i64 = 1_000_000_000;
/// Samples kept of what is not looked at any more: in nanoseconds.
const KEPT: i64 = 600_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: i64,
    usage: u64,
    rate: Option<u64>,
}

/// The last sample of each cgroup, by its path.
#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<String, Sample>>);

impl Rates {
    /// Takes a sample: at a time in nanoseconds, so much was used. Answers the nanoseconds
    /// of CPU in a second since the one before; nothing for the first.
    pub fn sample(&self, path: &str, at: i64, usage: u64) -> Option<u64> {
        let mut samples = self.0.lock();
        let Some(last) = samples.get_mut(path) else {
            let rate = None;
            samples.insert(path.to_owned(), Sample { at, usage, rate });
            return None;
        };
        let passed = at - last.at;
        // A cgroup of the same path that is another one begins anew.
        if usage < last.usage || passed < 0 {
            *last = Sample {
                at,
                usage,
                rate: None,
            };
        } else if passed >= NEAREST {
            let rate =
                u128::from(usage - last.usage) * 1_000_000_000 / passed.unsigned_abs() as u128;
            let rate = u64::try_from(rate).ok();
            *last = Sample { at, usage, rate };
        }
        last.rate
    }

    /// Forgets what was not looked at for long.
    pub fn sweep(&self, now: i64) {
        self.0.lock().retain(|_, sample| now - sample.at < KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_lies_between() {
        let rates = Rates::default();
        let second = 1_000_000_000;
        assert_eq!(rates.sample("a", 0, 500), None);
        assert_eq!(
            rates.sample("a", 2 * second, 1_000_000_500),
            Some(500_000_000)
        );
        // Too near: the last one holds, and the sample is not moved.
        assert_eq!(
            rates.sample("a", 2 * second + 5, 9_000_000_000),
            Some(500_000_000)
        );
        assert_eq!(rates.sample("a", 4 * second, 1_000_000_500), Some(0));
        // Another cgroup of that name.
        assert_eq!(rates.sample("a", 6 * second, 3), None);
        rates.sweep(KEPT * 2);
        assert_eq!(rates.sample("a", KEPT * 2, 4), None);
    }
}
