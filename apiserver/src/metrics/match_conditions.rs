//! Metrics of match conditions, which webhooks and policies have, under Kubernetes' names
//! (`k8s.io/apiserver/pkg/admission/metrics`).

use super::{counter, histogram_of};
use hardway_access::admission::conditions::Evaluated;
use prometheus::{HistogramVec, IntCounterVec};
use std::sync::LazyLock;

const LABELS: &[&str] = &["name", "kind", "type", "operation"];

static ERRORS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_admission_match_condition_evaluation_errors_total",
        "Match conditions that could not be evaluated, by who has them.",
        LABELS,
    )
});
static EXCLUSIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_admission_match_condition_exclusions_total",
        "Requests that webhooks were not asked about for their match conditions.",
        LABELS,
    )
});
static SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram_of(
        "apiserver_admission_match_condition_evaluation_seconds",
        "How long evaluating match conditions takes, by who has them.",
        LABELS,
        &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5],
    )
});

/// Who has conditions, and what was asked.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// Its name.
    pub name: &'a str,
    /// `webhook` or `policy`.
    pub kind: &'a str,
    /// The phase of admission, as the label `type` has it for such an owner.
    pub phase: &'a str,
    /// What was being done.
    pub operation: &'a str,
}

impl Owner<'_> {
    fn labels(&self) -> [&str; 4] {
        [self.name, self.kind, self.phase, self.operation]
    }
}

/// Conditions were evaluated.
pub(crate) fn evaluated(owner: Owner<'_>, evaluated: &Evaluated) {
    let labels = owner.labels();
    let seconds = evaluated.took.as_secs_f64();
    SECONDS.with_label_values(&labels).observe(seconds);
    if evaluated.errors > 0 {
        ERRORS.with_label_values(&labels).inc_by(evaluated.errors);
    }
}

/// Nobody is asked about a request.
pub(crate) fn excluded(owner: Owner<'_>) {
    EXCLUSIONS.with_label_values(&owner.labels()).inc();
}
