//! The controller's metrics, under Kubernetes' names (`pkg/controller/job/metrics`).

use super::scaling::Step;
use super::spec;
use hardway_client::metrics::{
    HistogramVec, IntCounterVec, register_histogram_vec, register_int_counter_vec,
};
use k8s_openapi::api::batch::v1::{Job, JobStatus};
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
    let count = |job: &Job, of: fn(&JobStatus) -> Option<i32>| {
        job.status.as_ref().and_then(of).unwrap_or_default()
    };
    let results: [(&str, fn(&JobStatus) -> Option<i32>); 2] = [
        ("succeeded", |status| status.succeeded),
        ("failed", |status| status.failed),
    ];
    for (result, of) in results {
        let more = count(now, of).saturating_sub(count(before, of));
        if let Ok(more) = u64::try_from(more) {
            PODS_FINISHED
                .with_label_values(&[mode(now), result])
                .inc_by(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::JobBuilder;
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
}
