//! What the server tells of itself.

use hardway_client::metrics::{IntCounter, IntGauge, register_int_counter, register_int_gauge};
use std::sync::LazyLock;

fn gauge(name: &str, help: &str) -> IntGauge {
    register_int_gauge!(name, help).expect("each metric is registered once")
}

fn counter(name: &str, help: &str) -> IntCounter {
    register_int_counter!(name, help).expect("each metric is registered once")
}

/// Sessions of viewers who logged in.
pub static SESSIONS: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("hardway_dashboard_sessions", "Sessions of viewers."));
/// Live connections of pages.
pub static PAGES: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("hardway_dashboard_pages", "Live connections of pages."));
/// Watches that are kept for pages.
pub static WATCHES: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("hardway_dashboard_watches", "Watches kept for pages."));
/// Lists that were read for watches: again and again means that watches don't hold.
pub static LISTS: LazyLock<IntCounter> =
    LazyLock::new(|| counter("hardway_dashboard_lists_total", "Lists read for watches."));
/// Batches that pages were sent.
pub static BATCHES: LazyLock<IntCounter> =
    LazyLock::new(|| counter("hardway_dashboard_batches_total", "Batches sent to pages."));
