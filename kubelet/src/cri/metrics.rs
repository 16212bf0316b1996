//! What calls of the runtime took, as `/metrics` tells it. Names, labels and help are those of
//! Kubernetes 1.33 (`pkg/kubelet/metrics/metrics.go`; the operations' names are in
//! `pkg/kubelet/kuberuntime/instrumented_services.go`).

use super::Error;
use hardway_client::metrics::{
    HistogramVec, IntCounterVec, register_histogram_vec, register_int_counter_vec,
};
use std::sync::LazyLock;
use std::time::Instant;

const LABELS: &[&str] = &["operation_type"];

static CALLS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "kubelet_runtime_operations_total",
        "[ALPHA] Cumulative number of runtime operations by operation type.",
        LABELS
    )
    .expect("the name is registered once")
});

static DURATIONS: LazyLock<HistogramVec> = LazyLock::new(|| {
    // From 5 ms to 12 minutes, each bucket two and a half times the one before.
    let buckets = std::iter::successors(Some(0.005), |last| Some(last * 2.5));
    register_histogram_vec!(
        "kubelet_runtime_operations_duration_seconds",
        "[ALPHA] Duration in seconds of runtime operations. Broken down by operation type.",
        LABELS,
        buckets.take(14).collect()
    )
    .expect("the name is registered once")
});

static ERRORS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "kubelet_runtime_operations_errors_total",
        "[ALPHA] Cumulative number of runtime operation errors by operation type.",
        LABELS
    )
    .expect("the name is registered once")
});

/// Counts a call of a method of CRI that began then and is over.
pub(super) fn count<T>(method: &'static str, began: Instant, result: &Result<T, Error>) {
    let labels = &[operation(method)];
    CALLS.with_label_values(labels).inc();
    let took = began.elapsed().as_secs_f64();
    DURATIONS.with_label_values(labels).observe(took);
    if result.is_err() {
        ERRORS.with_label_values(labels).inc();
    }
}

/// Kubernetes' name for a method, which is the method's own but for these.
fn operation(method: &'static str) -> &'static str {
    match method {
        "run_pod_sandbox" => "run_podsandbox",
        "stop_pod_sandbox" => "stop_podsandbox",
        "remove_pod_sandbox" => "remove_podsandbox",
        "pod_sandbox_status" => "podsandbox_status",
        "list_pod_sandbox" => "list_podsandbox",
        "update_container_resources" => "update_container",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn calls_and_those_that_failed_are_counted_under_kubernetes_names() {
        let began = Instant::now()
            .checked_sub(Duration::from_millis(20))
            .unwrap();
        count("remove_pod_sandbox", began, &Ok(()));
        let refused = Error {
            code: tonic::Code::NotFound,
            message: "no such sandbox".into(),
        };
        count::<()>("remove_pod_sandbox", began, &Err(refused));
        let text = String::from_utf8(hardway_client::metrics::render()).unwrap();
        let label = r#"operation_type="remove_podsandbox""#;
        let name = "kubelet_runtime_operations";
        for line in [
            format!("{name}_total{{{label}}} 2"),
            format!("{name}_errors_total{{{label}}} 1"),
            format!("{name}_duration_seconds_count{{{label}}} 2"),
            // Both took more than 12.5 ms and, on any machine, less than 12 minutes.
            format!("{name}_duration_seconds_bucket{{{label},le=\"0.0125\"}} 0"),
            format!("{name}_duration_seconds_bucket{{{label},le=\"745.0580596923828\"}} 2"),
        ] {
            assert!(text.contains(&line), "{line} in\n{text}");
        }
    }
}
