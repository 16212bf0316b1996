//! How often servers were left.

use crate::metrics::{IntCounterVec, register_int_counter_vec};
use std::sync::LazyLock;

static LEFT: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "hardway_failovers_total",
        "How often a server that did not answer was left for another one, by what it serves.",
        &["server"]
    )
    .expect("the name is registered once")
});

/// A server was left.
pub(super) fn left(what: &str) {
    LEFT.with_label_values(&[what]).inc();
}
