//! What it does, in numbers.

use hardway_client::metrics::{
    Histogram, IntCounter, IntCounterVec, IntGauge, register_histogram, register_int_counter,
    register_int_counter_vec, register_int_gauge,
};
use std::sync::LazyLock;

/// A metric that is registered when it is first used.
type Metric<T> = LazyLock<T>;

/// Requests, by the status of the answer.
pub static REQUESTS: Metric<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "hardway_ingress_requests_total",
        "Requests, by the status of the answer.",
        &["status"]
    )
    .expect("the name is registered once")
});

/// How long requests took until their answers began.
pub static DURATION: Metric<Histogram> = LazyLock::new(|| {
    register_histogram!(
        "hardway_ingress_request_duration_seconds",
        "Time from a request's head to that of its answer."
    )
    .expect("the name is registered once")
});

/// Requests that another endpoint was asked than the first.
pub static RETRIES: Metric<IntCounter> = LazyLock::new(|| {
    register_int_counter!(
        "hardway_ingress_retries_total",
        "Requests sent to another endpoint, since one did not take them."
    )
    .expect("the name is registered once")
});

/// Requests that no endpoint had a place for.
pub static BUSY: Metric<IntCounter> = LazyLock::new(|| {
    register_int_counter!(
        "hardway_ingress_busy_total",
        "Requests refused since no endpoint had a place for them in time."
    )
    .expect("the name is registered once")
});

/// Ingresses of this controller.
pub static INGRESSES: Metric<IntGauge> = LazyLock::new(|| {
    register_int_gauge!(
        "hardway_ingress_ingresses",
        "Ingresses that this controller answers for."
    )
    .expect("the name is registered once")
});
