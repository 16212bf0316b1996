//! The autoscaler's own metrics, under Kubernetes' names
//! (`pkg/controller/podautoscaler/monitor/metrics.go`).

use hardway_client::metrics::{
    HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, register_histogram_vec,
    register_int_counter_vec, register_int_gauge, register_int_gauge_vec,
};
use hardway_proto::meta::ObjectKey;
use std::cmp::Ordering;
use std::sync::LazyLock;
use std::time::Duration;

/// What came of a look at an autoscaler, or at one of its metrics.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// `scale_up`, `scale_down` or `none`.
    pub action: &'static str,
    /// `spec`, `internal` or `none`.
    pub error: &'static str,
}

impl Outcome {
    /// From so many replicas to so many.
    pub fn between(from: i32, to: i32) -> Self {
        let action = match to.cmp(&from) {
            Ordering::Greater => "scale_up",
            Ordering::Less => "scale_down",
            Ordering::Equal => "none",
        };
        Self {
            action,
            error: "none",
        }
    }

    /// It failed.
    pub fn failed(is_spec: bool) -> Self {
        Self::between(0, 0).and_failed(is_spec)
    }

    /// The same, but not all of it was right.
    pub fn and_failed(self, is_spec: bool) -> Self {
        let error = if is_spec { "spec" } else { "internal" };
        Self { error, ..self }
    }
}

/// From a millisecond to 16 seconds.
fn buckets() -> Vec<f64> {
    (0..15).map(|power| 0.001 * f64::from(1 << power)).collect()
}

static RECONCILIATIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "horizontal_pod_autoscaler_controller_reconciliations_total",
        "Number of reconciliations of HorizontalPodAutoscalers, by action and error.",
        &["action", "error"]
    )
    .expect("the name is registered once")
});

static RECONCILIATION_DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!(
        "horizontal_pod_autoscaler_controller_reconciliation_duration_seconds",
        "How long a reconciliation of a HorizontalPodAutoscaler took, by action and error.",
        &["action", "error"],
        buckets()
    )
    .expect("the name is registered once")
});

static COMPUTATIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "horizontal_pod_autoscaler_controller_metric_computation_total",
        "Number of computations of a metric, by action, error and the metric's type.",
        &["action", "error", "metric_type"]
    )
    .expect("the name is registered once")
});

static COMPUTATION_DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!(
        "horizontal_pod_autoscaler_controller_metric_computation_duration_seconds",
        "How long the computation of a metric took, by action, error and the metric's type.",
        &["action", "error", "metric_type"],
        buckets()
    )
    .expect("the name is registered once")
});

static AUTOSCALERS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!(
        "horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers",
        "Current number of HorizontalPodAutoscalers."
    )
    .expect("the name is registered once")
});

static DESIRED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!(
        "horizontal_pod_autoscaler_controller_desired_replicas",
        "Replicas that a HorizontalPodAutoscaler wants its target to have.",
        &["namespace", "hpa_name"]
    )
    .expect("the name is registered once")
});

/// An autoscaler was looked at.
pub fn reconciled(outcome: Outcome, took: Duration) {
    let labels = [outcome.action, outcome.error];
    RECONCILIATIONS.with_label_values(&labels).inc();
    let duration = RECONCILIATION_DURATION.with_label_values(&labels);
    duration.observe(took.as_secs_f64());
}

/// A metric was looked at.
pub fn computed(outcome: Outcome, r#type: &str, took: Duration) {
    let labels = [outcome.action, outcome.error, r#type];
    COMPUTATIONS.with_label_values(&labels).inc();
    let duration = COMPUTATION_DURATION.with_label_values(&labels);
    duration.observe(took.as_secs_f64());
}

/// So many there are.
pub fn count(autoscalers: usize) {
    AUTOSCALERS.set(i64::try_from(autoscalers).unwrap_or(i64::MAX));
}

/// One wants so many replicas.
pub fn desired(key: &ObjectKey, replicas: i32) {
    let labels = [key.namespace.as_str(), key.name.as_str()];
    DESIRED.with_label_values(&labels).set(replicas.into());
}

/// One is gone.
pub fn forget(key: &ObjectKey) {
    // It may never have been looked at.
    let _ = DESIRED.remove_label_values(&[key.namespace.as_str(), key.name.as_str()]);
}
