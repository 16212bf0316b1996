//! `/stats/summary`: what the node's pods use, as far as the runtime tells.

use super::{Body, Refusal, json};
use crate::context::Context;
use crate::cri::api::{ContainerStats, UInt64Value};
use crate::cri::labels;
use crate::manager::Pods;
use hardway_proto::Kind;
use http::Response;
use jiff::Timestamp;
use serde_json::{Value, json as object};
use std::collections::BTreeMap;

fn time(nanos: i64) -> String {
    let seconds = nanos.div_euclid(1_000_000_000);
    let stamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    stamp.to_string()
}

fn number(value: &Option<UInt64Value>) -> u64 {
    value.as_ref().map_or(0, |v| v.value)
}

fn container(name: &str, stats: &ContainerStats) -> Value {
    let mut value = object!({"name": name});
    if let Some(cpu) = &stats.cpu {
        value["cpu"] = object!({
            "time": time(cpu.timestamp),
            "usageNanoCores": number(&cpu.usage_nano_cores),
            "usageCoreNanoSeconds": number(&cpu.usage_core_nano_seconds),
        });
    }
    if let Some(memory) = &stats.memory {
        value["memory"] = object!({
            "time": time(memory.timestamp),
            "usageBytes": number(&memory.usage_bytes),
            "workingSetBytes": number(&memory.working_set_bytes),
            "rssBytes": number(&memory.rss_bytes),
            "pageFaults": number(&memory.page_faults),
            "majorPageFaults": number(&memory.major_page_faults),
        });
    }
    if let Some(layer) = &stats.writable_layer {
        value["rootfs"] = object!({
            "time": time(layer.timestamp),
            "usedBytes": number(&layer.used_bytes),
            "inodesUsed": number(&layer.inodes_used),
        });
    }
    value
}

/// Answers with the summary.
pub async fn summary(context: &Context, pods: &Pods) -> Result<Response<Body>, Refusal> {
    let stats = context.runtime.container_stats().await;
    let stats = stats.map_err(Refusal::internal)?;
    let mut by_pod: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for entry in &stats {
        let Some(attributes) = &entry.attributes else {
            continue;
        };
        let label = |name: &str| attributes.labels.get(name).cloned().unwrap_or_default();
        let value = container(&label(labels::CONTAINER_NAME), entry);
        by_pod
            .entry(label(labels::POD_UID))
            .or_default()
            .push(value);
    }
    let listed: Vec<Value> = pods
        .list(context)
        .into_iter()
        .map(|pod| {
            object!({
                "podRef": {"name": pod.name(), "namespace": pod.namespace(), "uid": pod.uid()},
                "startTime": pod.status.as_ref().and_then(|s| s.start_time.clone()),
                "containers": by_pod.remove(pod.uid()).unwrap_or_default(),
            })
        })
        .collect();
    json(&object!({
        "node": {"nodeName": context.node_name, "memory": {"capacityBytes": context.memory_capacity}},
        "pods": listed,
    }))
}
