//! A Job's conditions.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Enough pods have succeeded; those that are left are on their way out.
pub const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
/// It can't succeed any more; the pods that are left are on their way out.
pub const FAILURE_TARGET: &str = "FailureTarget";
/// It has succeeded, and nothing is left to do.
pub const COMPLETE: &str = "Complete";
/// It has failed, and nothing is left to do.
pub const FAILED: &str = "Failed";
/// It is held.
pub const SUSPENDED: &str = "Suspended";

/// One of a status' conditions.
pub fn get<'a>(status: &'a JobStatus, r#type: &str) -> Option<&'a JobCondition> {
    let conditions = status.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == r#type)
}

/// The same, if it is true.
pub fn when_true<'a>(status: &'a JobStatus, r#type: &str) -> Option<&'a JobCondition> {
    get(status, r#type).filter(|c| c.status == "True")
}

/// The condition with which a Job ended, if it has.
pub fn finished(job: &Job) -> Option<&JobCondition> {
    let status = job.status.as_ref()?;
    when_true(status, COMPLETE).or_else(|| when_true(status, FAILED))
}

/// Sets a condition; says whether that is news. That something which was never
/// true isn't is none, and not written down.
pub fn set(
    status: &mut JobStatus,
    r#type: &str,
    value: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> bool {
    let condition = JobCondition {
        type_: r#type.into(),
        status: if value { "True" } else { "False" }.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    };
    let conditions = status.conditions.get_or_insert_default();
    let same = |known: &JobCondition| {
        known.status == condition.status
            && known.reason == condition.reason
            && known.message == condition.message
    };
    match conditions.iter_mut().find(|c| c.type_ == r#type) {
        Some(known) if same(known) => return false,
        Some(known) => *known = condition,
        None if !value => {
            status.conditions = status.conditions.take().filter(|c| !c.is_empty());
            return false;
        }
        None => conditions.push(condition),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_is_written_down() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut status = JobStatus::default();
        let mut set = |value, reason, second| {
            let news = set(&mut status, SUSPENDED, value, reason, "m", at(second));
            let condition = get(&status, SUSPENDED);
            let since = condition.and_then(|c| c.last_transition_time.as_ref());
            (news, since.map(|time| time.0.as_second()))
        };
        assert_eq!(set(false, "JobResumed", 1), (false, None));
        assert_eq!(set(true, "JobSuspended", 2), (true, Some(2)));
        assert_eq!(set(true, "JobSuspended", 3), (false, Some(2)));
        assert_eq!(set(false, "JobResumed", 4), (true, Some(4)));
    }
}
