//! How often a probe has to pass or fail before that counts.

use super::Kind;
use k8s_openapi::api::core::v1::Probe;

/// Counts the results of one probe of one container.
#[derive(Clone, Debug)]
pub struct Tally {
    success_threshold: u32,
    failure_threshold: u32,
    last: Option<bool>,
    run: u32,
    verdict: Option<bool>,
}

fn threshold(value: Option<i32>, default: u32) -> u32 {
    let set = value.and_then(|v| u32::try_from(v).ok());
    set.filter(|v| *v > 0).unwrap_or(default)
}

impl Tally {
    /// Before anything is found a container is live, neither started nor
    /// failed, and as ready as it is known to be.
    pub fn new(kind: Kind, probe: &Probe, ready: bool) -> Self {
        Self {
            success_threshold: threshold(probe.success_threshold, 1),
            failure_threshold: threshold(probe.failure_threshold, 3),
            last: None,
            run: 0,
            verdict: match kind {
                Kind::Startup => None,
                Kind::Liveness => Some(true),
                Kind::Readiness => Some(ready),
            },
        }
    }

    /// Counts a result; answers the verdict if it changed.
    pub fn count(&mut self, success: bool) -> Option<bool> {
        if self.last == Some(success) {
            self.run = self.run.saturating_add(1);
        } else {
            self.last = Some(success);
            self.run = 1;
        }
        let needed = if success {
            self.success_threshold
        } else {
            self.failure_threshold
        };
        if self.run < needed || self.verdict == Some(success) {
            return None;
        }
        self.verdict = Some(success);
        Some(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(kind: Kind, success: i32, failure: i32, results: &[bool]) -> Vec<Option<bool>> {
        let probe = Probe {
            success_threshold: Some(success),
            failure_threshold: Some(failure),
            ..Default::default()
        };
        let mut tally = Tally::new(kind, &probe, false);
        results.iter().map(|r| tally.count(*r)).collect()
    }

    #[test]
    fn liveness_fails_after_so_many_in_a_row() {
        assert_eq!(
            verdicts(
                Kind::Liveness,
                1,
                3,
                &[false, false, true, false, false, false]
            ),
            [None, None, None, None, None, Some(false)]
        );
    }

    #[test]
    fn readiness_comes_and_goes() {
        assert_eq!(
            verdicts(
                Kind::Readiness,
                2,
                1,
                &[true, true, true, false, true, true]
            ),
            [None, Some(true), None, Some(false), None, Some(true)]
        );
        assert_eq!(verdicts(Kind::Readiness, 1, 1, &[false]), [None]);
    }

    #[test]
    fn what_was_ready_before_can_cease_to_be() {
        let mut tally = Tally::new(Kind::Readiness, &Probe::default(), true);
        let verdicts = [true, false, false, false].map(|found| tally.count(found));
        assert_eq!(verdicts, [None, None, None, Some(false)]);
    }

    #[test]
    fn startup_ends_either_way() {
        assert_eq!(
            verdicts(Kind::Startup, 1, 2, &[false, true]),
            [None, Some(true)]
        );
        assert_eq!(
            verdicts(Kind::Startup, 1, 2, &[false, false]),
            [None, Some(false)]
        );
    }

    #[test]
    fn defaults_are_one_and_three() {
        let mut tally = Tally::new(Kind::Liveness, &Probe::default(), false);
        assert_eq!(
            [0; 3].map(|_| tally.count(false)),
            [None, None, Some(false)]
        );
        assert_eq!(tally.count(true), Some(true));
    }
}
