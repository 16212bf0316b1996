//! Metrics in Prometheus' text format, from the process-wide registry.

use prometheus::{Encoder, TextEncoder};

pub use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    register_histogram, register_histogram_vec, register_int_counter, register_int_counter_vec,
    register_int_gauge, register_int_gauge_vec,
};

/// Content type of [`render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything registered, as text. The process' own figures
/// (`process_resident_memory_bytes` …) are always among it.
pub fn render() -> Vec<u8> {
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&prometheus::gather(), &mut text) {
        tracing::warn!(%error, "metrics can't be rendered");
    }
    text
}
