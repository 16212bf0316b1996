//! Figures, under the names that CoreDNS gives them, so that dashboards and
//! alerts made for it go on working.

use hardway_client::metrics::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts,
    register_histogram_vec, register_int_counter, register_int_counter_vec, register_int_gauge_vec,
};
use std::sync::LazyLock;

/// The label `server` of all figures that have one.
pub const SERVER: &str = "dns://:53";

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident, $metric:literal, $help:literal, $labels:expr;)*) => {$(
        $(#[$doc])*
        pub static $name: LazyLock<IntCounterVec> = LazyLock::new(|| {
            register_int_counter_vec!(Opts::new($metric, $help), $labels)
                .expect("the metric is registered once")
        });
    )*};
}

counters! {
    /// Questions.
    REQUESTS, "coredns_dns_requests_total",
    "Counter of DNS requests made per zone, protocol and family.",
    &["server", "zone", "view", "proto", "family", "type"];
    /// Answers.
    RESPONSES, "coredns_dns_responses_total",
    "Counter of response status codes.",
    &["server", "zone", "view", "rcode", "plugin"];
    /// Answers that were remembered.
    CACHE_HITS, "coredns_cache_hits_total",
    "The count of cache hits.",
    &["server", "type", "zones", "view"];
    /// Questions to which no answer was remembered.
    CACHE_MISSES, "coredns_cache_misses_total",
    "The count of cache misses.",
    &["server", "zones", "view"];
    /// Questions about names that others know.
    CACHE_REQUESTS, "coredns_cache_requests_total",
    "The count of cache requests.",
    &["server", "zones", "view"];
    /// Questions passed on.
    FORWARD_REQUESTS, "coredns_forward_requests_total",
    "Counter of requests made per upstream.",
    &["to"];
    /// What came back.
    FORWARD_RESPONSES, "coredns_forward_responses_total",
    "Counter of responses received per upstream.",
    &["to", "rcode"];
}

/// How long answers took.
pub static DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    let buckets = (0..16).map(|n| 0.000_25 * f64::from(1 << n)).collect();
    let options = HistogramOpts::new(
        "coredns_dns_request_duration_seconds",
        "Histogram of the time (in seconds) each request took per zone.",
    )
    .buckets(buckets);
    register_histogram_vec!(options, &["server", "zone", "view"])
        .expect("the metric is registered once")
});

/// How many answers are remembered.
pub static CACHE_ENTRIES: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new(
        "coredns_cache_entries",
        "The number of elements in the cache.",
    );
    register_int_gauge_vec!(options, &["server", "type", "zones", "view"])
        .expect("the metric is registered once")
});

/// Questions that were not passed on because too many were under way.
pub static REJECTED: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!(
        "coredns_forward_max_concurrent_rejects_total",
        "Counter of the number of queries rejected because the concurrent queries were at maximum."
    )
    .expect("the metric is registered once")
});

/// The version of this server.
pub static BUILD: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new(
        "coredns_build_info",
        "A metric with a constant '1' value labeled by version.",
    );
    register_int_gauge_vec!(options, &["version"]).expect("the metric is registered once")
});
