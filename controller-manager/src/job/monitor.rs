//! The controller's metrics, under Kubernetes' names (`pkg/controller/job/metrics`).

use super::failure_policy::Action;
use super::indexes::Indexes;
use super::pods::is_tracked;
use super::scaling::Step;
use super::spec;
use super::state::State;
use crate::pod_ranking::is_finished;
use hardway_client::informer::Change;
use hardway_client::metrics::{
    HistogramVec, IntCounterVec, register_histogram_vec, register_int_counter_vec,
};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use std::sync::LazyLock;
use tokio::time::Instant;

static SYNC_DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    // From 4 ms to a minute.
    let buckets = (0..15).map(|power| 0.004 * f64::from(1 << power)).collect();
    register_histogram_vec!(
        "job_controller_job_sync_duration_seconds",
        "The time it took to sync a job.",
        &["completion_mode", "result", "action"],
        buckets
    )
    .expect("the name is registered once")
});

static SYNCS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "job_controller_job_syncs_total",
        "The number of job syncs.",
        &["completion_mode", "result", "action"]
    )
    .expect("the name is registered once")
});

static FINISHED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "job_controller_jobs_finished_total",
        "The number of finished jobs.",
        &["completion_mode", "result", "reason"]
    )
    .expect("the name is registered once")
});

static PODS_FINISHED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "job_controller_job_pods_finished_total",
        "The number of finished Pods that are fully tracked.",
        &["completion_mode", "result"]
    )
    .expect("the name is registered once")
});

static INDEXES_FINISHED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "job_controller_job_finished_indexes_total",
        "The number of finished indexes.",
        &["status", "backoffLimit"]
    )
    .expect("the name is registered once")
});

static TERMINATED_PODS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "job_controller_terminated_pods_tracking_finalizer_total",
        "The number of terminated pods that got and lost the finalizer batch.kubernetes.io/job-tracking.",
        &["event"]
    )
    .expect("the name is registered once")
});

static FAILURES_HANDLED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "job_controller_pod_failures_handled_by_failure_policy_total",
        "The number of failed Pods handled by failure policy, by the action of the rule that matched.",
        &["action"]
    )
    .expect("the name is registered once")
});

static PODS_CREATED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "job_controller_job_pods_creation_total",
        "The number of Pods created by the Job controller, by why it creates them and whether it could.",
        &["reason", "status"]
    )
    .expect("the name is registered once")
});

static MANAGED_ELSEWHERE: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "job_controller_jobs_by_external_controller_total",
        "The number of Jobs managed by an external controller.",
        &["controller_name"]
    )
    .expect("the name is registered once")
});

fn mode(job: &Job) -> &'static str {
    match job.spec.as_ref().is_some_and(spec::is_indexed) {
        true => "Indexed",
        false => "NonIndexed",
    }
}

/// One look at a Job.
pub struct Sync {
    mode: &'static str,
    action: &'static str,
    began: Instant,
}

impl Sync {
    /// Begins it. As long as nothing is decided, it waits for the cache.
    pub fn of(job: &Job) -> Self {
        Self {
            mode: mode(job),
            action: "reconciling",
            began: Instant::now(),
        }
    }

    /// It does this about pods.
    pub fn does(&mut self, step: &Step) {
        self.action = match step {
            Step::Create(_) => "pods_created",
            Step::Delete(_) => "pods_deleted",
            Step::Nothing => "tracking",
        };
    }

    /// It is over.
    pub fn end(self, ok: bool) {
        let result = if ok { "success" } else { "error" };
        let labels = [self.mode, result, self.action];
        let took = self.began.elapsed().as_secs_f64();
        SYNC_DURATION.with_label_values(&labels).observe(took);
        SYNCS.with_label_values(&labels).inc();
    }
}

/// A Job has ended.
pub fn finished(job: &Job, success: bool, reason: &str) {
    let result = if success { "succeeded" } else { "failed" };
    let labels = [mode(job), result, reason];
    FINISHED.with_label_values(&labels).inc();
}

/// The ends of pods that a Job counts now and did not before.
pub fn counted(before: &Job, now: &Job) {
    let counts = |job: &Job| {
        let status = job.status.as_ref();
        [
            ("succeeded", status.and_then(|status| status.succeeded)),
            ("failed", status.and_then(|status| status.failed)),
        ]
    };
    for ((result, now_ended), (_, had_ended)) in counts(now).into_iter().zip(counts(before)) {
        let more = now_ended
            .unwrap_or_default()
            .saturating_sub(had_ended.unwrap_or_default());
        if let Ok(more) = u64::try_from(more) {
            PODS_FINISHED
                .with_label_values(&[mode(now), result])
                .inc_by(more);
        }
    }
    count_indexes(before, now);
}

fn count_indexes(before: &Job, now: &Job) {
    let Some(spec) = now.spec.as_ref().filter(|spec| spec::is_indexed(spec)) else {
        return;
    };
    let limit = match spec.backoff_limit_per_index {
        Some(_) => "perIndex",
        None => "global",
    };
    let counts = |job: &Job| {
        let status = job.status.as_ref();
        let count = |text: Option<&String>| {
            let text = text.map(String::as_str).unwrap_or_default();
            Indexes::parse(text, spec::completions(spec)).len()
        };
        [
            (
                "succeeded",
                count(status.and_then(|s| s.completed_indexes.as_ref())),
            ),
            (
                "failed",
                count(status.and_then(|s| s.failed_indexes.as_ref())),
            ),
        ]
    };
    for ((result, now_ended), (_, had_ended)) in counts(now).into_iter().zip(counts(before)) {
        if let Ok(more) = u64::try_from(now_ended.saturating_sub(had_ended)) {
            let labels = [result, limit];
            INDEXES_FINISHED.with_label_values(&labels).inc_by(more);
        }
    }
}

/// Pods of a Job were created, and some were refused.
pub fn created(state: &State, created: usize, refused: usize) {
    let policy = state.spec().pod_replacement_policy.as_deref();
    let reason = match (state.failed > 0, state.terminating > 0) {
        (true, _) if policy == Some("Failed") => "recreate_failed",
        (false, false) => "new",
        _ => "recreate_terminating_or_failed",
    };
    for (status, count) in [("succeeded", created), ("failed", refused)] {
        let labels = [reason, status];
        PODS_CREATED.with_label_values(&labels).inc_by(count as u64);
    }
}

/// What the Job's policy said of failures is on record.
pub fn handled(actions: &[Action]) {
    for action in actions {
        let action = match action {
            Action::Count => "Count",
            Action::Ignore => "Ignore",
            Action::FailIndex => "FailIndex",
            Action::FailJob(_) => "FailJob",
        };
        FAILURES_HANDLED.with_label_values(&[action]).inc();
    }
}

/// A Job has changed: one that another controller looks after may be new.
pub fn job_changed(change: &Change<Job>) {
    let Change::Applied { old: None, new } = change else {
        return;
    };
    if let Some(manager) = spec::manager_elsewhere(new) {
        MANAGED_ELSEWHERE.with_label_values(&[manager]).inc();
    }
}

/// A pod has changed: it may have ended with the finalizer, or lost that since.
pub fn pod_changed(change: &Change<Pod>) {
    let waits = |pod: &Pod| is_finished(pod) && is_tracked(pod);
    let (was, is) = match change {
        Change::Applied { old, new } => (old.as_ref().is_some_and(|old| waits(old)), waits(new)),
        Change::Deleted(pod) => (waits(pod), false),
    };
    let event = match (was, is) {
        (false, true) => "add",
        (true, false) => "delete",
        _ => return,
    };
    TERMINATED_PODS.with_label_values(&[event]).inc();
}

#[cfg(test)]
mod tests {
    use super::super::testing::{JobBuilder, PodBuilder, at, some, state};
    use super::super::tracking;
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn ends_of_pods_are_counted_once() {
        let count = |result: &str| {
            PODS_FINISHED
                .with_label_values(&["NonIndexed", result])
                .get()
        };
        let job = |status| JobBuilder::plain(3, Some(3)).status(status).build();
        let (succeeded, failed) = (count("succeeded"), count("failed"));
        let first = job(json!({"succeeded": 1}));
        let second = job(json!({"succeeded": 3, "failed": 1}));
        counted(&first, &second);
        counted(&second, &second);
        assert_eq!(count("succeeded") - succeeded, 2);
        assert_eq!(count("failed") - failed, 1);
    }

    /// The cases of Kubernetes' `recordJobPodsCreationTotal`.
    #[test]
    fn pods_are_created_for_a_reason() {
        let count = |reason: &str, status: &str| {
            let labels = [reason, status];
            PODS_CREATED.with_label_values(&labels).get()
        };
        let failed = || some(1, "Failed");
        let leaving = || vec![PodBuilder::new("l", "Running").leaving().build()];
        let either = "recreate_terminating_or_failed";
        for (policy, pods, reason) in [
            ("TerminatingOrFailed", vec![], "new"),
            ("Failed", vec![], "new"),
            ("TerminatingOrFailed", failed(), either),
            ("TerminatingOrFailed", leaving(), either),
            ("Failed", failed(), "recreate_failed"),
            ("Failed", leaving(), either),
        ] {
            let job = JobBuilder::plain(9, Some(9));
            let job = job.with(json!({"podReplacementPolicy": policy})).build();
            let before = [count(reason, "succeeded"), count(reason, "failed")];
            created(&state(&job, pods), 2, 1);
            let after = [count(reason, "succeeded"), count(reason, "failed")];
            assert_eq!(after, [before[0] + 2, before[1] + 1], "{policy} {reason}");
        }
    }

    #[test]
    fn what_a_policy_says_is_counted_once_for_each_failure() {
        let count = |action: &str| FAILURES_HANDLED.with_label_values(&[action]).get();
        let rule = |action: &str, code: i32| json!({"action": action, "onExitCodes": {"operator": "In", "values": [code]}});
        let rules = [rule("Ignore", 3), rule("Count", 4), rule("FailJob", 5)];
        let job = JobBuilder::plain(9, Some(9))
            .with(json!({"podFailurePolicy": {"rules": rules}}))
            .status(json!({"uncountedTerminatedPods": {"failed": ["known"]}}))
            .build();
        let pod = |name: &str, code: i32| PodBuilder::new(name, "Failed").exit_code(code).build();
        let pods = vec![
            pod("a", 3),
            pod("b", 3),
            pod("c", 4),
            pod("d", 5),
            pod("known", 4),
            pod("unmatched", 6),
        ];
        let actions = ["Ignore", "Count", "FailJob", "FailIndex"];
        let before = actions.map(count);
        handled(&tracking::record(&mut state(&job, pods), at(0)).actions);
        let more: Vec<u64> = actions
            .iter()
            .zip(before)
            .map(|(a, b)| count(a) - b)
            .collect();
        assert_eq!(more, [2, 1, 1, 0]);
    }

    #[test]
    fn jobs_of_other_controllers_are_counted_when_they_are_new() {
        let of = |manager: &str| {
            let job = JobBuilder::plain(1, Some(1)).with(json!({"managedBy": manager}));
            Arc::new(job.build())
        };
        let count = |name: &str| MANAGED_ELSEWHERE.with_label_values(&[name]).get();
        let (theirs, own) = (of("example.com/queue"), of("kubernetes.io/job-controller"));
        for (old, new) in [(None, &theirs), (Some(&theirs), &theirs), (None, &own)] {
            job_changed(&Change::Applied {
                old: old.cloned(),
                new: new.clone(),
            });
        }
        assert_eq!(count("example.com/queue"), 1);
        assert_eq!(count("kubernetes.io/job-controller"), 0);
    }

    #[test]
    fn pods_that_wait_to_be_counted_are_counted() {
        let count = |event: &str| TERMINATED_PODS.with_label_values(&[event]).get();
        let (added, deleted) = (count("add"), count("delete"));
        let running = PodBuilder::new("p", "Running").build();
        let ended = PodBuilder::new("p", "Failed").build();
        let released = PodBuilder::new("p", "Failed").released().build();
        for (old, new) in [
            (None, &running),
            (Some(&running), &ended),
            (Some(&ended), &released),
        ] {
            pod_changed(&Change::Applied {
                old: old.cloned(),
                new: new.clone(),
            });
        }
        pod_changed(&Change::Deleted(released));
        assert!(count("add") > added && count("delete") > deleted);
    }
}
