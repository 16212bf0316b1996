//! Metrics of admission webhooks, under Kubernetes' names.

use crate::metrics::match_conditions::{self, Owner};
use crate::metrics::{counter, histogram_of};
use hardway_access::admission::webhooks::{ConditionsObservation, Observation, Phase};
use prometheus::{HistogramVec, IntCounterVec};
use std::sync::LazyLock;

/// Kubernetes' buckets, in seconds.
const SECONDS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0];
/// Codes above this are told as this.
const HIGHEST_CODE: u16 = 600;

static DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram_of(
        "apiserver_admission_webhook_admission_duration_seconds",
        "How long admission webhooks take, by name.",
        &["name", "type", "operation", "rejected"],
        SECONDS,
    )
});
static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_admission_webhook_request_total",
        "Requests that admission webhooks were asked about, and the code of the outcome.",
        &["name", "type", "operation", "code", "rejected"],
    )
});
static REJECTIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_admission_webhook_rejection_count",
        "Requests refused by admission webhooks, or because these could not be called.",
        &["name", "type", "operation", "error_type", "rejection_code"],
    )
});
static FAILED_OPEN: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_admission_webhook_fail_open_count",
        "Requests that went on although an admission webhook could not be called.",
        &["name", "type"],
    )
});

/// Counts what became of a webhook and a request.
pub fn observe(seen: &Observation<'_>) {
    let (name, phase, operation) = (seen.name, seen.phase.as_str(), seen.operation);
    let rejected = if seen.rejected.is_some() {
        "true"
    } else {
        "false"
    };
    DURATION
        .with_label_values(&[name, phase, operation, rejected])
        .observe(seen.took.as_secs_f64());
    let code = seen.code.min(HIGHEST_CODE).to_string();
    REQUESTS
        .with_label_values(&[name, phase, operation, &code, rejected])
        .inc();
    if let Some(kind) = seen.rejected {
        REJECTIONS
            .with_label_values(&[name, phase, operation, kind, &code])
            .inc();
    }
    if seen.failed_open {
        FAILED_OPEN.with_label_values(&[name, phase]).inc();
    }
}

/// Counts what became of a webhook's match conditions. Kubernetes has another word for the
/// validating phase where they exclude a request.
pub fn observe_conditions(seen: &ConditionsObservation<'_>) {
    let owner = Owner {
        name: seen.name,
        kind: "webhook",
        phase: seen.phase.as_str(),
        operation: seen.operation,
    };
    match_conditions::evaluated(owner, &seen.evaluated);
    if seen.evaluated.excluded {
        match_conditions::excluded(Owner {
            phase: match seen.phase {
                Phase::Mutating => "admit",
                Phase::Validating => "validate",
            },
            ..owner
        });
    }
}
