//! The controller's metrics, under Kubernetes' names (`pkg/controller/job/metrics`).

use super::indexes::Indexes;
use super::pods::is_tracked;
use super::scaling::Step;
use super::spec;
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
    use super::super::testing::{JobBuilder, PodBuilder};
    use super::*;
    use serde_json::json;

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
