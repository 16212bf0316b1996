//! How often policies were asked, what they said, and how long that took.

use crate::metrics::match_conditions::{self, Owner};
use crate::metrics::{counter, histogram_of};
use hardway_access::admission::policies::{Check, ConditionsCheck, Enforcement};
use prometheus::{HistogramVec, IntCounterVec};
use std::sync::LazyLock;

/// As Kubernetes has them, in seconds.
const BUCKETS: &[f64] = &[0.000_000_5, 0.001, 0.01, 0.1, 1.0];
const VALIDATING: &[&str] = &[
    "policy",
    "policy_binding",
    "error_type",
    "enforcement_action",
];
const MUTATING: &[&str] = &["policy", "policy_binding", "error_type"];

static VALIDATED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_validating_admission_policy_check_total",
        "Validations that failed or could not be evaluated, by what was done about it.",
        VALIDATING,
    )
});
static VALIDATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram_of(
        "apiserver_validating_admission_policy_check_duration_seconds",
        "How long evaluating a validation took.",
        VALIDATING,
        BUCKETS,
    )
});
static MUTATED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_mutating_admission_policy_check_total",
        "Mutations that were evaluated.",
        MUTATING,
    )
});
static MUTATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram_of(
        "apiserver_mutating_admission_policy_check_duration_seconds",
        "How long evaluating a mutation took.",
        MUTATING,
        BUCKETS,
    )
});

/// Counts a check.
pub fn observe(check: &Check<'_>) {
    let labels = [
        check.policy,
        check.binding,
        check.error.as_str(),
        check.enforcement.as_str(),
    ];
    let (counter, duration, labels) = match check.enforcement {
        Enforcement::Mutate => (&*MUTATED, &*MUTATION, &labels[..3]),
        _ => (&*VALIDATED, &*VALIDATION, &labels[..]),
    };
    counter.with_label_values(labels).inc();
    let seconds = check.elapsed.as_secs_f64();
    duration.with_label_values(labels).observe(seconds);
}

/// Counts what became of a policy's match conditions. To Kubernetes those that mutate are of the
/// validating phase, too; and it doesn't count what policies are excluded from.
pub fn observe_conditions(check: &ConditionsCheck<'_>) {
    let owner = Owner {
        name: check.policy,
        kind: "policy",
        phase: "validate",
        operation: check.operation.as_str(),
    };
    match_conditions::evaluated(owner, &check.evaluated);
}
