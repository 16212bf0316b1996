//! How many seats a priority level would use, watched over time.

use std::time::Duration;

/// The demand for seats: those taken, and those that waiting requests ask for.
#[derive(Debug, Default)]
pub struct Demand {
    value: f64,
    begun: Duration,
    told: Duration,
    /// Of the value, and of its square, over the seconds since `begun`.
    integral: f64,
    square: f64,
    max: f64,
}

/// What was seen of a demand.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observed {
    /// The mean over time.
    pub average: f64,
    /// The standard deviation over time.
    pub deviation: f64,
    /// The largest.
    pub max: f64,
    /// For how long it was watched.
    pub during: Duration,
}

impl Demand {
    /// From now on it is this.
    pub fn set(&mut self, now: Duration, value: f64) {
        self.advance(now);
        self.value = value;
        self.max = self.max.max(value);
    }

    /// What was seen since the last time; starts anew.
    pub fn take(&mut self, now: Duration) -> Observed {
        self.advance(now);
        let during = now.saturating_sub(self.begun);
        let seconds = during.as_secs_f64();
        let mut observed = Observed {
            max: self.max,
            during,
            ..Observed::default()
        };
        if seconds > 0.0 {
            observed.average = self.integral / seconds;
            let variance = self.square / seconds - observed.average * observed.average;
            observed.deviation = variance.max(0.0).sqrt();
        }
        *self = Self {
            value: self.value,
            max: self.value,
            begun: now,
            told: now,
            ..Self::default()
        };
        observed
    }

    fn advance(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.told).as_secs_f64();
        self.told = self.told.max(now);
        self.integral += self.value * seconds;
        self.square += self.value * self.value * seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_deviation_and_high_watermark() {
        let at = Duration::from_secs;
        let mut demand = Demand::default();
        demand.set(at(0), 2.0);
        demand.set(at(5), 6.0);
        let seen = demand.take(at(10));
        assert_eq!((seen.average, seen.deviation, seen.max), (4.0, 2.0, 6.0));
        // What holds now is where the next watch begins.
        let seen = demand.take(at(20));
        assert_eq!((seen.average, seen.deviation, seen.max), (6.0, 0.0, 6.0));
        assert_eq!(demand.take(at(20)).average, 0.0);
    }
}
