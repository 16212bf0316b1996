//! How long to wait before asking again. Pure.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses that grow while nothing works.
#[derive(Debug, Default)]
pub struct Pause {
    failures: u32,
}

impl Pause {
    /// It works again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// It has not worked: how long to wait. `random`, from 0 to 1, spreads out those who wait
    /// for the same.
    pub fn next(&mut self, random: f64) -> Duration {
        let pause = SHORTEST
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(0.75 + random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew() {
        let mut pause = Pause::default();
        let mut all: Vec<Duration> = (0..8).map(|_| pause.next(0.5)).collect();
        assert_eq!(all[0], SHORTEST);
        assert_eq!(all[1], SHORTEST * 2);
        assert_eq!(all.pop(), Some(LONGEST));
        for _ in 0..100 {
            assert!(pause.next(1.0) <= LONGEST.mul_f64(1.25));
        }
        pause.reset();
        assert_eq!(pause.next(0.5), SHORTEST);
    }
}
