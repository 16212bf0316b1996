//! Metrics of the rules in custom resource definitions, under Kubernetes' names
//! (`k8s.io/apiserver/pkg/cel/metrics`).

use super::histogram_of;
use hardway_cel::timing::{self, Observer};
use prometheus::{DEFAULT_BUCKETS, HistogramVec};
use std::sync::LazyLock;

static COMPILATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram_of(
        "apiserver_cel_compilation_duration_seconds",
        "How long compiling the rules of a schema takes.",
        &[],
        DEFAULT_BUCKETS,
    )
});
static EVALUATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram_of(
        "apiserver_cel_evaluation_duration_seconds",
        "How long holding an object against the rules of its schema takes.",
        &[],
        DEFAULT_BUCKETS,
    )
});

/// From now on they are counted.
pub(crate) fn observe() {
    timing::observe(Observer {
        compiled: |took| {
            COMPILATION
                .with_label_values::<&str>(&[])
                .observe(took.as_secs_f64());
        },
        evaluated: |took| {
            EVALUATION
                .with_label_values::<&str>(&[])
                .observe(took.as_secs_f64());
        },
    });
}
