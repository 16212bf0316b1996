//! Whether and how a Job ends.

use super::conditions::{self, COMPLETE, FAILED, FAILURE_TARGET, SUCCESS_CRITERIA_MET, SUSPENDED};
use super::failure_policy::{self, Action};
use super::state::State;
use super::{spec, success_policy};
use crate::pod_ranking::is_finished;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::JobCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::time::Duration;

/// How a Job ends, and why, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it has succeeded.
    pub success: bool,
    /// The reason that its conditions give.
    pub reason: String,
    /// Their message.
    pub message: String,
}

impl Verdict {
    fn failure(reason: &str, message: impl Into<String>) -> Self {
        Self {
            success: false,
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// As many pods as asked for have succeeded.
    pub fn completed() -> Self {
        Self {
            success: true,
            reason: "CompletionsReached".into(),
            message: "Reached expected number of succeeded pods".into(),
        }
    }

    fn written(condition: &JobCondition, success: bool) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self {
            success,
            reason: text(&condition.reason),
            message: text(&condition.message),
        }
    }

    /// The condition that is true while pods are still on their way out.
    pub fn interim(&self) -> &'static str {
        match self.success {
            true => SUCCESS_CRITERIA_MET,
            false => FAILURE_TARGET,
        }
    }

    /// The condition that is true once all are gone.
    pub fn last(&self) -> &'static str {
        match self.success {
            true => COMPLETE,
            false => FAILED,
        }
    }
}

/// What is certain already: what the status says once is not taken back; then
/// the Job's failures, then what is enough for success.
pub fn of(state: &State, now: Timestamp) -> Option<Verdict> {
    let status = state.status();
    if let Some(met) = conditions::when_true(status, SUCCESS_CRITERIA_MET) {
        return Some(Verdict::written(met, true));
    }
    if let Some(target) = conditions::when_true(status, FAILURE_TARGET) {
        return Some(Verdict::written(target, false));
    }
    by_policy(state)
        .or_else(|| by_limits(state, now))
        .or_else(|| by_indexes(state))
        .or_else(|| {
            let policy = state.spec().success_policy.as_ref();
            let completions = spec::completions(state.spec());
            let message = success_policy::met(policy, completions, &state.succeeded_indexes)?;
            Some(Verdict {
                success: true,
                reason: "SuccessPolicy".into(),
                message,
            })
        })
}

fn by_policy(state: &State) -> Option<Verdict> {
    let policy = state.spec().pod_failure_policy.as_ref();
    let mut failed = state.pods.iter().filter(|pod| state.has_failed(pod));
    failed.find_map(|pod| match failure_policy::judge(policy, pod) {
        Some(Action::FailJob(message)) => Some(Verdict::failure("PodFailurePolicy", message)),
        _ => None,
    })
}

fn by_limits(state: &State, now: Timestamp) -> Option<Verdict> {
    if state.failed > spec::backoff_limit(state.spec()) || restarted_too_often(state) {
        let message = "Job has reached the specified backoff limit";
        return Some(Verdict::failure("BackoffLimitExceeded", message));
    }
    if deadline(state).is_some_and(|deadline| deadline <= now) {
        let message = "Job was active longer than specified deadline";
        return Some(Verdict::failure("DeadlineExceeded", message));
    }
    None
}

/// Containers that are started again within their pods count, too.
fn restarted_too_often(state: &State) -> bool {
    let template = state.spec().template.spec.as_ref();
    if template.and_then(|t| t.restart_policy.as_deref()) != Some("OnFailure") {
        return false;
    }
    let alive = state.pods.iter().filter(|pod| !is_finished(pod));
    let restarts = alive.map(|pod| super::pods::restarts(pod));
    let restarts = restarts.fold(0, i32::saturating_add);
    // With a limit of zero, too, the first one is one too many.
    restarts >= spec::backoff_limit(state.spec()).max(1)
}

fn by_indexes(state: &State) -> Option<Verdict> {
    let failed = state.failed_indexes.as_ref()?.len();
    let job_spec = state.spec();
    if job_spec
        .max_failed_indexes
        .is_some_and(|limit| failed > limit)
    {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(Verdict::failure("MaxFailedIndexesExceeded", message));
    }
    let all = failed + state.succeeded_indexes.len() >= spec::completions(job_spec);
    (failed > 0 && all).then(|| Verdict::failure("FailedIndexes", "Job has failed indexes"))
}

/// Whether as many pods as asked for have succeeded, and none is active.
pub fn is_complete(state: &State) -> bool {
    // Without a number, one that has succeeded speaks for all.
    let enough = state.spec().completions.unwrap_or(1);
    state.succeeded >= enough && state.active.is_empty()
}

/// Notes whether the Job is held, or goes on: then its time starts anew. If
/// that is news: the reason and message of its event.
pub fn note_suspension(state: &mut State, now: Timestamp) -> Option<[&'static str; 2]> {
    let suspended = spec::is_suspended(state.spec());
    let (reason, [event, message]) = match suspended {
        true => ("JobSuspended", ["Suspended", "Job suspended"]),
        false => ("JobResumed", ["Resumed", "Job resumed"]),
    };
    let status = state.status_mut();
    let news = conditions::set(status, SUSPENDED, suspended, reason, message, now);
    if news && !suspended {
        status.start_time = Some(Time(now));
    }
    news.then_some([event, message])
}

/// By when the Job has to be done.
fn deadline(state: &State) -> Option<Timestamp> {
    let job_spec = state.spec();
    let seconds = job_spec.active_deadline_seconds?;
    let start = state.status().start_time.as_ref()?.0;
    if spec::is_suspended(job_spec) {
        return None;
    }
    start.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// In how long a Job that is not at its end has to be.
pub fn time_left(state: &State, now: Timestamp) -> Option<Duration> {
    let left = now.duration_until(deadline(state)?);
    Some(Duration::try_from(left).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{JobBuilder, PodBuilder, some, state};
    use super::*;
    use k8s_openapi::api::batch::v1::Job;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;
    use std::sync::Arc;

    /// The reason, with which condition; and the message.
    fn judged(job: &Job, pods: Vec<Arc<Pod>>) -> Option<(String, String)> {
        let verdict = state(job, pods).verdict?;
        Some((
            format!("{} {}", verdict.interim(), verdict.reason),
            verdict.message,
        ))
    }

    fn reason(job: &Job, pods: Vec<Arc<Pod>>) -> String {
        judged(job, pods).unwrap_or_default().0
    }

    #[test]
    fn too_many_failures_are_the_end() {
        let job = |failed| {
            JobBuilder::plain(1, Some(1))
                .with(json!({"backoffLimit": 2}))
                .status(json!({"failed": failed, "uncountedTerminatedPods": {"failed": ["x"]}}))
                .build()
        };
        assert_eq!(judged(&job(0), some(1, "Failed")), None);
        let (what, message) = judged(&job(1), some(1, "Failed")).unwrap();
        assert_eq!(what, "FailureTarget BackoffLimitExceeded");
        assert_eq!(message, "Job has reached the specified backoff limit");
        let counted = PodBuilder::new("x", "Failed").build();
        assert_eq!(judged(&job(1), vec![counted]), None, "it is on record");
        let counted = PodBuilder::new("y", "Failed").released().build();
        assert_eq!(judged(&job(1), vec![counted]), None, "it was counted");
    }

    #[test]
    fn containers_that_start_again_count() {
        let job = |limit| {
            let template = json!({"spec": {"restartPolicy": "OnFailure", "containers": []}});
            JobBuilder::plain(1, Some(1))
                .with(json!({"backoffLimit": limit, "template": template}))
                .build()
        };
        let restarted = |count| {
            let container = json!({"name": "c", "ready": true, "restartCount": count,
                "image": "", "imageID": ""});
            let pod = PodBuilder::new("p", "Running");
            vec![
                pod.status(json!({"containerStatuses": [container]}))
                    .build(),
            ]
        };
        for (limit, count, ends) in [(0, 0, false), (0, 1, true), (2, 1, false), (2, 2, true)] {
            let reason = reason(&job(limit), restarted(count));
            assert_eq!(
                reason == "FailureTarget BackoffLimitExceeded",
                ends,
                "{limit} {count}"
            );
        }
    }

    #[test]
    fn a_job_has_its_time() {
        let job = |seconds, suspended| {
            JobBuilder::plain(1, Some(1))
                .with(json!({"activeDeadlineSeconds": seconds, "suspend": suspended}))
                .status(json!({"startTime": "1970-01-01T00:50:00Z"}))
                .build()
        };
        assert_eq!(
            reason(&job(600, false), vec![]),
            "FailureTarget DeadlineExceeded"
        );
        assert_eq!(judged(&job(601, false), vec![]), None);
        assert_eq!(judged(&job(1, true), vec![]), None);
        let now = super::super::testing::at(3600);
        let left = |job| time_left(&state(&job, vec![]), now);
        assert_eq!(left(job(660, false)), Some(Duration::from_secs(60)));
        assert_eq!(left(job(660, true)), None);
    }

    #[test]
    fn a_policy_comes_before_limits() {
        let job = JobBuilder::plain(1, Some(1))
            .with(json!({"backoffLimit": 0, "podReplacementPolicy": "Failed",
                "podFailurePolicy": {"rules": [
                    {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [3]}},
                    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [4]}}]}}))
            .build();
        let failed = |code| vec![PodBuilder::new("p", "Failed").exit_code(code).build()];
        assert_eq!(judged(&job, failed(3)), None);
        assert_eq!(reason(&job, failed(4)), "FailureTarget PodFailurePolicy");
        assert_eq!(
            reason(&job, failed(5)),
            "FailureTarget BackoffLimitExceeded"
        );
        let leaving = PodBuilder::new("p", "Running").leaving().build();
        assert_eq!(judged(&job, vec![leaving]), None, "it may end well");
    }

    #[test]
    fn indexes_that_fail_are_counted() {
        let job = |most: Option<i32>, completed: &str| {
            JobBuilder::indexed(4, 4)
                .with(json!({"backoffLimit": i32::MAX, "backoffLimitPerIndex": 0, "maxFailedIndexes": most}))
                .status(json!({"completedIndexes": completed, "failedIndexes": "0"}))
                .build()
        };
        let failed = || vec![PodBuilder::new("p", "Failed").index(1).build()];
        assert_eq!(judged(&job(None, ""), failed()), None);
        assert_eq!(judged(&job(Some(2), "2"), failed()), None);
        assert_eq!(
            reason(&job(Some(1), ""), failed()),
            "FailureTarget MaxFailedIndexesExceeded"
        );
        assert_eq!(
            reason(&job(None, "2,3"), failed()),
            "FailureTarget FailedIndexes"
        );
    }

    #[test]
    fn what_is_enough_is_enough() {
        let job = JobBuilder::indexed(4, 4)
            .with(json!({"successPolicy": {"rules": [{"succeededIndexes": "1"}]}}))
            .build();
        let pod = |index| vec![PodBuilder::new("p", "Succeeded").index(index).build()];
        assert_eq!(judged(&job, pod(0)), None);
        let (what, message) = judged(&job, pod(1)).unwrap();
        assert_eq!(what, "SuccessCriteriaMet SuccessPolicy");
        assert_eq!(message, "Matched rules at index 0");
    }

    #[test]
    fn a_verdict_is_not_taken_back() {
        let condition = |r#type: &str| {
            json!({"conditions": [{"type": r#type, "status": "True",
            "reason": "Why", "message": "because"}]})
        };
        for (r#type, last) in [
            ("SuccessCriteriaMet", "Complete"),
            ("FailureTarget", "Failed"),
        ] {
            let job = JobBuilder::plain(1, Some(1))
                .with(json!({"backoffLimit": 0}))
                .status(condition(r#type))
                .build();
            let verdict = state(&job, some(2, "Failed")).verdict.unwrap();
            assert_eq!(verdict.last(), last);
            assert_eq!(
                (verdict.reason.as_str(), verdict.message.as_str()),
                ("Why", "because")
            );
        }
    }

    #[test]
    fn holding_and_going_on_are_told_once() {
        let note = |suspend: bool, status| {
            let job = JobBuilder::plain(1, Some(1)).with(json!({"suspend": suspend}));
            let mut state = state(&job.status(status).build(), vec![]);
            let news = note_suspension(&mut state, super::super::testing::at(3600));
            let start = state
                .status()
                .start_time
                .as_ref()
                .map(|time| time.0.as_second());
            (news, start)
        };
        let held = |status: &str, reason: &str, message: &str| {
            json!({"startTime": "1970-01-01T00:00:07Z", "conditions": [{"type": "Suspended",
                "status": status, "reason": reason, "message": message}]})
        };
        let now = Some(3600);
        assert_eq!(note(false, json!({})), (None, now));
        assert_eq!(
            note(true, json!({})),
            (Some(["Suspended", "Job suspended"]), None)
        );
        let is = held("True", "JobSuspended", "Job suspended");
        assert_eq!(note(true, is.clone()), (None, Some(7)));
        assert_eq!(note(false, is), (Some(["Resumed", "Job resumed"]), now));
        assert_eq!(
            note(false, held("False", "JobResumed", "Job resumed")),
            (None, Some(7))
        );
    }
}
