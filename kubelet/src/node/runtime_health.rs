//! Whether the container runtime counts as up, from its answers over time.

use crate::cri::RuntimeStatus;
use std::time::Duration;
use tokio::time::Instant;

/// How long a runtime that doesn't answer counts as what it was: a restart of it is
/// nothing to its containers. Kubernetes' `maxWaitForContainerRuntime`.
const GRACE: Duration = Duration::from_secs(30);

/// What the runtime last said, or why that can't be relied on any more.
pub type Answer = Result<RuntimeStatus, String>;

/// Follows the runtime's answers.
pub struct RuntimeHealth {
    heard: Instant,
    answers: bool,
}

impl RuntimeHealth {
    /// Nothing was heard yet; `now` begins the time in which something should be.
    pub fn new(now: Instant) -> Self {
        Self {
            heard: now,
            answers: false,
        }
    }

    /// Takes what was answered at `now`, and brings `known` up to date: within the grace
    /// period a failure leaves it as it is, be it nothing at all.
    pub fn observe(&mut self, answer: Answer, known: &mut Option<Answer>, now: Instant) {
        self.answers = answer.is_ok();
        if self.answers {
            self.heard = now;
        }
        if self.answers || now.duration_since(self.heard) >= GRACE {
            *known = Some(answer);
        }
    }

    /// Whether the last question was answered.
    pub fn answers(&self) -> bool {
        self.answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_absence_is_nothing() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let gone = || Err("connection refused".to_owned());
        let mut health = RuntimeHealth::new(start);
        let mut known = None;
        health.observe(gone(), &mut known, at(29));
        assert!(known.is_none(), "not known yet");
        health.observe(Ok(RuntimeStatus::default()), &mut known, at(29));
        assert!(matches!(known, Some(Ok(_))) && health.answers());
        health.observe(gone(), &mut known, at(58));
        assert!(matches!(known, Some(Ok(_))), "as it was");
        assert!(!health.answers());
        health.observe(gone(), &mut known, at(59));
        assert!(matches!(known, Some(Err(_))), "down");
        health.observe(Ok(RuntimeStatus::default()), &mut known, at(60));
        assert!(matches!(known, Some(Ok(_))));
    }

    #[test]
    fn a_runtime_that_never_answers_is_down_after_the_grace_period() {
        let start = Instant::now();
        let mut known = None;
        RuntimeHealth::new(start).observe(Err("gone".into()), &mut known, start + GRACE);
        assert!(matches!(known, Some(Err(_))));
    }
}
