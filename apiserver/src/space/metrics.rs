//! Metrics of etcd's space; the first is Kubernetes', the others complete it.

use super::members::Member;
use crate::metrics::{counter, gauge};
use prometheus::{IntCounterVec, IntGaugeVec};
use std::sync::LazyLock;

const LABELS: &[&str] = &["storage_cluster_id"];

static SIZE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "apiserver_storage_size_bytes",
        "Size of the storage database file physically allocated in bytes.",
        LABELS,
    )
});
static IN_USE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "apiserver_storage_in_use_bytes",
        "Bytes of the storage database file that hold something; a defragmentation wins the rest.",
        LABELS,
    )
});
static QUOTA: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "apiserver_storage_quota_bytes",
        "Bytes that the storage database file may have.",
        LABELS,
    )
});
static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_storage_refused_total",
        "Writes refused because the storage has too little space for them.",
        &[],
    )
});

/// What the members said, in their order; `etcd-0` is the own one.
pub fn members(members: &[Option<Member>]) {
    for (index, member) in members.iter().enumerate() {
        let name = format!("etcd-{index}");
        let label = [name.as_str()];
        let set = |metric: &IntGaugeVec, value: Option<u64>| match value {
            Some(value) => metric.with_label_values(&label).set(value.cast_signed()),
            // An old number would look like a present one.
            None => drop(metric.remove_label_values(&label)),
        };
        set(&SIZE, member.map(|it| it.size));
        set(&IN_USE, member.map(|it| it.in_use));
        set(&QUOTA, member.and_then(|it| it.quota));
    }
}

/// A write was refused.
pub fn refused() {
    REFUSED.with_label_values::<&str>(&[]).inc();
}
