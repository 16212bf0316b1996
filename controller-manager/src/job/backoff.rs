//! How long a Job waits after failures before it makes pods anew.

use super::pods::{finished_at, ignored_index_failures, index_failures};
use hardway_client::queue::backoff;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;
use std::time::Duration;

/// The pause after the first failure, and the longest; it doubles in between.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// How many pods have failed since one succeeded, and when the last of them did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    count: u32,
    last: Option<Timestamp>,
}

impl Failures {
    /// After more pods have ended.
    pub fn after(self, succeeded: &[Arc<Pod>], failed: &[Arc<Pod>]) -> Self {
        let success = succeeded.iter().map(|pod| finished_at(pod)).max();
        let before = match success {
            Some(_) => Self::default(),
            None => self,
        };
        let later = failed.iter().map(|pod| finished_at(pod));
        let later = later.filter(|at| success.is_none_or(|success| *at > success));
        let later: Vec<Timestamp> = later.collect();
        match later.iter().max() {
            None => before,
            Some(last) => Self {
                count: before.count + later.len() as u32,
                last: Some(*last),
            },
        }
    }

    /// How long to wait from now; zero if it needs no more.
    pub fn pause(self, now: Timestamp) -> Duration {
        match self.last {
            Some(last) if self.count > 0 => left(self.count, last, now),
            _ => Duration::ZERO,
        }
    }
}

/// How long to wait before the pod that failed last for an index is replaced.
pub fn pause_of_index(failed: &Pod, now: Timestamp) -> Duration {
    let before = index_failures(failed).saturating_add(ignored_index_failures(failed));
    left(
        before.unsigned_abs().saturating_add(1),
        finished_at(failed),
        now,
    )
}

fn left(failures: u32, last: Timestamp, now: Timestamp) -> Duration {
    let pause = backoff(failures, FIRST, LONGEST);
    // A failure in the future, by another host's clock, is waited for from there.
    match Duration::try_from(now.duration_since(last)) {
        Ok(passed) => pause.saturating_sub(passed),
        Err(_) => pause.saturating_add(now.duration_until(last).unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ended(second: i64) -> Arc<Pod> {
        let time = at(second).to_string();
        Arc::new(serde_json::from_value(json!({"metadata": {"creationTimestamp": time}})).unwrap())
    }

    fn ends(seconds: &[i64]) -> Vec<Arc<Pod>> {
        seconds.iter().map(|second| ended(*second)).collect()
    }

    #[test]
    fn failures_since_the_last_success_count() {
        let known = Failures {
            count: 2,
            last: Some(at(50)),
        };
        for (succeeded, failed, count, last) in [
            (&[][..], &[][..], 2, Some(50)),
            (&[], &[60, 55], 4, Some(60)),
            (&[], &[40], 3, Some(40)),
            (&[70], &[], 0, None),
            (&[70], &[60, 80, 75], 2, Some(80)),
            (&[70], &[60, 70], 0, None),
        ] {
            let after = known.after(&ends(succeeded), &ends(failed));
            let expected = Failures {
                count,
                last: last.map(at),
            };
            assert_eq!(after, expected, "{succeeded:?} {failed:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_ten_minutes() {
        let pause = |count, passed: i64| {
            let failures = Failures {
                count,
                last: Some(at(1000)),
            };
            failures.pause(at(1000 + passed)).as_secs()
        };
        assert_eq!(Failures::default().pause(at(0)), Duration::ZERO);
        assert_eq!(
            [pause(1, 0), pause(1, 4), pause(1, 10), pause(1, 99)],
            [10, 6, 0, 0]
        );
        assert_eq!(
            [pause(2, 0), pause(4, 0), pause(7, 0), pause(99, 0)],
            [20, 80, 600, 600]
        );
    }

    #[test]
    fn each_index_has_pauses_of_its_own() {
        let mut pod = (*ended(1000)).clone();
        assert_eq!(pause_of_index(&pod, at(1003)).as_secs(), 7);
        let counts = json!({
            "batch.kubernetes.io/job-index-failure-count": "1",
            "batch.kubernetes.io/job-index-ignored-failure-count": "1",
        });
        pod.metadata.annotations = serde_json::from_value(counts).unwrap();
        assert_eq!(pause_of_index(&pod, at(1000)).as_secs(), 40);
    }
}
