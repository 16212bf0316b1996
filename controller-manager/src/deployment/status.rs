//! A Deployment's status: what its ReplicaSets count, whether enough is
//! available, and how the rollout goes on.

use super::conditions::{self, AVAILABLE, PROGRESSING, REPLICA_FAILURE};
use super::sets::{Rollout, available, present, ready, size, total};
use super::settings::Settings;
use hardway_proto::Kind;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use std::time::Duration;

/// The counts, and whether enough pods are available.
pub fn count(deployment: &Deployment, rollout: &Rollout, now: Timestamp) -> DeploymentStatus {
    let old = deployment.status.clone().unwrap_or_default();
    let some = |count: i32| (count > 0).then_some(count);
    let serving = total(rollout.all(), available);
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(total(rollout.all(), present)),
        updated_replicas: some(total(&rollout.new, present)),
        ready_replicas: some(total(rollout.all(), ready)),
        available_replicas: some(serving),
        unavailable_replicas: some(total(rollout.all(), size) - serving),
        ..old
    };
    let (value, reason, message) = if serving >= rollout.settings.min_available() {
        let message = "Deployment has minimum availability.";
        ("True", "MinimumReplicasAvailable", message)
    } else {
        let message = "Deployment does not have minimum availability.";
        ("False", "MinimumReplicasUnavailable", message)
    };
    let condition = conditions::new(AVAILABLE, value, reason, message.into(), now);
    conditions::set(&mut status, condition);
    status
}

/// The same, and how the rollout goes on, compared with the status before.
pub fn judge(deployment: &Deployment, rollout: &Rollout, now: Timestamp) -> DeploymentStatus {
    let old = deployment.status.clone().unwrap_or_default();
    let mut status = count(deployment, rollout, now);
    let all_new = status.replicas == status.updated_replicas;
    let was_complete = all_new && conditions::reason(&old, PROGRESSING) == conditions::COMPLETE;
    if rollout.settings.progress_deadline.is_none() {
        conditions::remove(&mut status, PROGRESSING);
    } else if !was_complete {
        let who = match &rollout.new {
            Some(new) => format!("ReplicaSet {:?}", new.name()),
            None => format!("Deployment {:?}", deployment.name()),
        };
        let condition = |value, reason, what| {
            conditions::new(PROGRESSING, value, reason, format!("{who} {what}"), now)
        };
        if is_complete(deployment, &rollout.settings, &status) {
            let what = "has successfully progressed.";
            let done = condition("True", conditions::COMPLETE, what);
            conditions::set(&mut status, done);
        } else if has_progressed(&old, &status) {
            let goes_on = condition("True", conditions::UPDATED, "is progressing.");
            conditions::renew(&mut status, goes_on);
        } else if has_timed_out(&rollout.settings, &status, now) {
            let what = "has timed out progressing.";
            let stuck = condition("False", conditions::TIMED_OUT, what);
            conditions::set(&mut status, stuck);
        }
    }
    let failure = rollout.new.iter().chain(&rollout.old);
    match failure
        .filter_map(|set| conditions::failure_of(set, now))
        .next()
    {
        Some(failure) => conditions::set(&mut status, failure),
        None => conditions::remove(&mut status, REPLICA_FAILURE),
    }
    status
}

/// Whether all that is asked for is there, new and available, and nothing else.
pub fn is_complete(
    deployment: &Deployment,
    settings: &Settings,
    status: &DeploymentStatus,
) -> bool {
    let all = |count: Option<i32>| count.unwrap_or(0) == settings.replicas;
    all(status.updated_replicas)
        && all(status.replicas)
        && all(status.available_replicas)
        && status.observed_generation >= deployment.metadata.generation
}

/// Whether new pods came, old ones went, or pods became ready or available.
fn has_progressed(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let left_over = |status: &DeploymentStatus| {
        status.replicas.unwrap_or(0) - status.updated_replicas.unwrap_or(0)
    };
    new.updated_replicas > old.updated_replicas
        || left_over(new) < left_over(old)
        || new.ready_replicas > old.ready_replicas
        || new.available_replicas > old.available_replicas
}

/// When a rollout under way has failed unless something happens before.
fn deadline(settings: &Settings, status: &DeploymentStatus) -> Option<Timestamp> {
    let limit = SignedDuration::from_secs(settings.progress_deadline?);
    let condition = conditions::get(status, PROGRESSING)?;
    let since = condition.last_update_time.as_ref()?.0;
    since.checked_add(limit).ok()
}

fn has_timed_out(settings: &Settings, status: &DeploymentStatus, now: Timestamp) -> bool {
    match conditions::reason(status, PROGRESSING) {
        conditions::COMPLETE => false,
        conditions::TIMED_OUT => true,
        _ => deadline(settings, status).is_some_and(|deadline| deadline < now),
    }
}

/// In how long to look again whether the rollout has failed.
pub fn next_look(
    deployment: &Deployment,
    settings: &Settings,
    status: &DeploymentStatus,
    now: Timestamp,
) -> Option<Duration> {
    let settled = [
        conditions::TIMED_OUT,
        conditions::COMPLETE,
        conditions::PAUSED,
    ];
    if settled.contains(&conditions::reason(status, PROGRESSING))
        || is_complete(deployment, settings, status)
    {
        return None;
    }
    let left = now.duration_until(deadline(settings, status)?);
    // Stored times are in whole seconds: a second more, so as not to be early.
    let left = left.max(SignedDuration::ZERO) + SignedDuration::from_secs(1);
    left.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, deployment, rollout, set, settings};
    use super::*;
    use conditions::{get, reason};
    use k8s_openapi::api::apps::v1::ReplicaSetCondition;
    use std::sync::Arc;

    /// The Deployment after its status was judged.
    fn judged(deployment: &Deployment, rollout: &Rollout, second: i64) -> Deployment {
        Deployment {
            status: Some(judge(deployment, rollout, at(second))),
            ..deployment.clone()
        }
    }

    #[test]
    fn counts_new_and_old() {
        let rollout = rollout(settings(3, 1, 0), &set("new", 2, 1), &[set("old", 2, 2)]);
        let status = count(&deployment(3), &rollout, at(1));
        let counts = [
            status.replicas,
            status.updated_replicas,
            status.ready_replicas,
            status.available_replicas,
            status.unavailable_replicas,
        ];
        assert_eq!(counts, [4, 2, 3, 3, 1].map(Some));
        assert_eq!(status.observed_generation, Some(1));
        assert_eq!(reason(&status, AVAILABLE), "MinimumReplicasAvailable");
        let mut more = rollout.clone();
        more.settings = settings(5, 1, 1);
        let status = count(&deployment(5), &more, at(1));
        assert_eq!(reason(&status, AVAILABLE), "MinimumReplicasUnavailable");
    }

    #[test]
    fn a_rollout_progresses_and_completes() {
        let settings = settings(2, 1, 0);
        let begun = judged(
            &deployment(2),
            &rollout(settings.clone(), &set("web-1", 2, 0), &[]),
            10,
        );
        let status = begun.status.as_ref().unwrap();
        let progressing = get(status, PROGRESSING).unwrap();
        assert_eq!(progressing.reason.as_deref(), Some(conditions::UPDATED));
        let message = progressing.message.as_deref();
        assert_eq!(message, Some("ReplicaSet \"web-1\" is progressing."));
        let more = judged(
            &begun,
            &rollout(settings.clone(), &set("web-1", 2, 1), &[]),
            20,
        );
        let progressing = get(more.status.as_ref().unwrap(), PROGRESSING)
            .unwrap()
            .clone();
        assert_eq!(progressing.last_update_time.unwrap().0, at(20));
        assert_eq!(progressing.last_transition_time.unwrap().0, at(10));
        let done = judged(
            &more,
            &rollout(settings.clone(), &set("web-1", 2, 2), &[]),
            30,
        );
        let status = done.status.as_ref().unwrap();
        assert_eq!(reason(status, PROGRESSING), conditions::COMPLETE);
        let message = get(status, PROGRESSING).unwrap().message.as_deref();
        assert_eq!(
            message,
            Some("ReplicaSet \"web-1\" has successfully progressed.")
        );
        assert_eq!(next_look(&done, &settings, status, at(30)), None);
        // A pod that fails later makes no failed rollout of it.
        let later = judged(&done, &rollout(settings, &set("web-1", 2, 1), &[]), 9999);
        assert_eq!(
            reason(later.status.as_ref().unwrap(), PROGRESSING),
            conditions::COMPLETE
        );
    }

    #[test]
    fn without_progress_the_deadline_passes() {
        let mut settings = settings(2, 1, 0);
        settings.progress_deadline = Some(60);
        let stuck = rollout(settings.clone(), &set("new", 1, 0), &[set("old", 2, 2)]);
        let begun = judged(&deployment(2), &stuck, 100);
        let status = begun.status.as_ref().unwrap();
        let look = next_look(&begun, &settings, status, at(130));
        assert_eq!(look, Some(Duration::from_secs(31)));
        assert_eq!(judged(&begun, &stuck, 160), begun, "not yet");
        let failed = judged(&begun, &stuck, 161);
        let condition = get(failed.status.as_ref().unwrap(), PROGRESSING).unwrap();
        assert_eq!(condition.status, "False");
        let message = condition.message.as_deref();
        assert_eq!(
            message,
            Some("ReplicaSet \"new\" has timed out progressing.")
        );
        assert_eq!(judged(&failed, &stuck, 500), failed);
        let mended = judged(
            &failed,
            &rollout(settings, &set("new", 1, 1), &[set("old", 2, 2)]),
            600,
        );
        assert_eq!(
            reason(mended.status.as_ref().unwrap(), PROGRESSING),
            conditions::UPDATED
        );
    }

    #[test]
    fn without_a_deadline_nothing_is_said_of_progress() {
        let mut settings = settings(2, 1, 0);
        settings.progress_deadline = None;
        let judged = judged(
            &deployment(2),
            &rollout(settings, &set("web", 2, 2), &[]),
            1,
        );
        assert_eq!(get(judged.status.as_ref().unwrap(), PROGRESSING), None);
    }

    #[test]
    fn what_replica_sets_fail_at_is_passed_on() {
        let mut failing = (*set("new", 2, 0)).clone();
        failing.status.as_mut().unwrap().conditions = Some(vec![ReplicaSetCondition {
            type_: REPLICA_FAILURE.into(),
            status: "True".into(),
            reason: Some("FailedCreate".into()),
            message: Some("exceeded quota".into()),
            ..Default::default()
        }]);
        let failing = judged(
            &deployment(2),
            &rollout(settings(2, 1, 0), &Arc::new(failing), &[]),
            1,
        );
        assert_eq!(
            reason(failing.status.as_ref().unwrap(), REPLICA_FAILURE),
            "FailedCreate"
        );
        let well = judged(
            &failing,
            &rollout(settings(2, 1, 0), &set("new", 2, 0), &[]),
            2,
        );
        assert_eq!(get(well.status.as_ref().unwrap(), REPLICA_FAILURE), None);
    }
}
