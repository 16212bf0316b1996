//! A Deployment's conditions, and the reasons they give.

use super::settings::Settings;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Whether enough pods are available.
pub const AVAILABLE: &str = "Available";
/// Whether the rollout goes on, or has been done.
pub const PROGRESSING: &str = "Progressing";
/// That pods can't be created or deleted.
pub const REPLICA_FAILURE: &str = "ReplicaFailure";

/// The template got its ReplicaSet.
pub const CREATED: &str = "NewReplicaSetCreated";
/// The ReplicaSet of the template was there already.
pub const FOUND: &str = "FoundNewReplicaSet";
/// The new ReplicaSet could not be created.
pub const CREATE_ERROR: &str = "ReplicaSetCreateError";
/// Pods came or went.
pub const UPDATED: &str = "ReplicaSetUpdated";
/// The rollout is complete.
pub const COMPLETE: &str = "NewReplicaSetAvailable";
/// Nothing came or went for too long.
pub const TIMED_OUT: &str = "ProgressDeadlineExceeded";
/// Rollouts are held.
pub const PAUSED: &str = "DeploymentPaused";
/// They go on.
pub const RESUMED: &str = "DeploymentResumed";

/// A condition that came to be now.
pub fn new(
    r#type: &str,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> DeploymentCondition {
    DeploymentCondition {
        type_: r#type.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message),
        last_transition_time: Some(Time(now)),
        last_update_time: Some(Time(now)),
    }
}

/// One of a status' conditions.
pub fn get<'a>(status: &'a DeploymentStatus, r#type: &str) -> Option<&'a DeploymentCondition> {
    let conditions = status.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == r#type)
}

/// The reason a condition gives, or `""`.
pub fn reason<'a>(status: &'a DeploymentStatus, r#type: &str) -> &'a str {
    let reason = get(status, r#type).and_then(|c| c.reason.as_deref());
    reason.unwrap_or_default()
}

/// Sets a condition, unless it says the same for the same reason already. When
/// it last changed stays unless its status changes.
pub fn set(status: &mut DeploymentStatus, condition: DeploymentCondition) {
    let known = get(status, &condition.type_);
    if known.is_some_and(|k| k.status == condition.status && k.reason == condition.reason) {
        return;
    }
    renew(status, condition);
}

/// Sets a condition, even if it says the same: its update is news.
pub fn renew(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(known) = get(status, &condition.type_)
        && known.status == condition.status
    {
        condition.last_transition_time = known.last_transition_time.clone();
    }
    remove(status, &condition.type_);
    status.conditions.get_or_insert_default().push(condition);
}

/// Takes a condition away.
pub fn remove(status: &mut DeploymentStatus, r#type: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|c| c.type_ != r#type);
    }
    status.conditions = status.conditions.take().filter(|c| !c.is_empty());
}

/// What a ReplicaSet says about pods it can't create or delete.
pub fn failure_of(set: &ReplicaSet, now: Timestamp) -> Option<DeploymentCondition> {
    let conditions = set.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions.iter().find(|c| c.type_ == REPLICA_FAILURE)?;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Some(new(
        REPLICA_FAILURE,
        &failure.status,
        &text(&failure.reason),
        text(&failure.message),
        now,
    ))
}

/// The condition that a Deployment gets when it was paused or resumed: from
/// then on the time without progress is not counted, or counted anew. A
/// rollout that failed before is not told otherwise.
pub fn pause(
    status: &DeploymentStatus,
    settings: &Settings,
    now: Timestamp,
) -> Option<DeploymentCondition> {
    settings.progress_deadline?;
    let unknown = |reason, message: &str| new(PROGRESSING, "Unknown", reason, message.into(), now);
    match reason(status, PROGRESSING) {
        TIMED_OUT => None,
        PAUSED if !settings.paused => Some(unknown(RESUMED, "Deployment is resumed")),
        PAUSED => None,
        _ if settings.paused => Some(unknown(PAUSED, "Deployment is paused")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, settings};
    use super::*;

    #[test]
    fn only_news_changes_a_condition() {
        let mut status = DeploymentStatus::default();
        set(
            &mut status,
            new(PROGRESSING, "True", CREATED, "a".into(), at(1)),
        );
        set(
            &mut status,
            new(PROGRESSING, "True", CREATED, "b".into(), at(2)),
        );
        assert_eq!(
            get(&status, PROGRESSING).unwrap().message.as_deref(),
            Some("a")
        );
        renew(
            &mut status,
            new(PROGRESSING, "True", CREATED, "c".into(), at(3)),
        );
        let renewed = get(&status, PROGRESSING).unwrap();
        assert_eq!(renewed.last_update_time, Some(Time(at(3))));
        assert_eq!(renewed.last_transition_time, Some(Time(at(1))));
        set(
            &mut status,
            new(PROGRESSING, "False", TIMED_OUT, "d".into(), at(4)),
        );
        let changed = get(&status, PROGRESSING).unwrap();
        assert_eq!(changed.last_transition_time, Some(Time(at(4))));
        remove(&mut status, PROGRESSING);
        assert_eq!(status.conditions, None);
    }

    #[test]
    fn pausing_and_resuming_are_told_once() {
        let mut status = DeploymentStatus::default();
        let mut settings = settings(3, 1, 0);
        assert_eq!(pause(&status, &settings, at(1)), None);
        settings.paused = true;
        let paused = pause(&status, &settings, at(1)).unwrap();
        assert_eq!(
            (paused.status.as_str(), paused.reason.as_deref()),
            ("Unknown", Some(PAUSED))
        );
        set(&mut status, paused);
        assert_eq!(pause(&status, &settings, at(2)), None);
        settings.paused = false;
        let resumed = pause(&status, &settings, at(3)).unwrap();
        assert_eq!(resumed.reason.as_deref(), Some(RESUMED));
        set(
            &mut status,
            new(PROGRESSING, "False", TIMED_OUT, String::new(), at(4)),
        );
        settings.paused = true;
        assert_eq!(pause(&status, &settings, at(5)), None);
    }
}
