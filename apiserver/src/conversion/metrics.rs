//! Metrics of conversion webhooks, under Kubernetes' names.

use super::review::Error;
use crate::metrics::{counter, histogram_of};
use hardway_resources::crd::ConversionWebhook;
use prometheus::{HistogramVec, IntCounterVec};
use std::sync::LazyLock;
use std::time::Duration;

/// From 1 ms on, each twice the one before.
static OF_DEFINITION: LazyLock<HistogramVec> = LazyLock::new(|| {
    let buckets: Vec<f64> = (0..15).map(|power| 0.001 * f64::from(1 << power)).collect();
    histogram_of(
        "apiserver_crd_conversion_webhook_duration_seconds",
        "CRD webhook conversion duration in seconds",
        &["crd_name", "from_version", "to_version", "succeeded"],
        &buckets,
    )
});

static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_conversion_webhook_request_total",
        "Counter for conversion webhook requests with success/failure and failure error type",
        &["result", "failure_type"],
    )
});

static DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram_of(
        "apiserver_conversion_webhook_duration_seconds",
        "Conversion webhook request latency",
        &["result", "failure_type"],
        &[
            0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0,
        ],
    )
});

/// Counts a request to a webhook, and how long it took. `from` and `to` are versions.
pub(super) fn observe(
    webhook: &ConversionWebhook,
    (from, to): (&str, &str),
    failure: Option<&Error>,
    took: Duration,
) {
    let failure_type = match failure {
        None => "",
        Some(Error::NoReview | Error::Call(_) | Error::Answer(_)) => {
            "conversion_webhook_call_failure"
        }
        Some(Error::Count(..)) => "conversion_webhook_partial_response_failure",
        Some(Error::Object(_)) => "conversion_webhook_invalid_converted_object_failure",
    };
    let (result, succeeded) = match failure {
        None => ("success", "true"),
        Some(_) => ("failure", "false"),
    };
    let seconds = took.as_secs_f64();
    REQUESTS.with_label_values(&[result, failure_type]).inc();
    DURATION
        .with_label_values(&[result, failure_type])
        .observe(seconds);
    OF_DEFINITION
        .with_label_values(&[webhook.definition.as_str(), from, to, succeeded])
        .observe(seconds);
}
