//! `/stats/summary`: what the node and its pods use (`k8s.io/kubelet/pkg/apis/stats/v1alpha1`).
//! CPU and memory come from cgroups, what containers have written from the runtime.

use super::{Body, Refusal, json};
use crate::context::Context;
use crate::cri::ContainerStats;
use crate::manager::Pods;
use crate::node::machine::Usage;
use crate::usage::network::Interface;
use crate::usage::{Figures, Meter, PodFigures};
use crate::volumes::UsedVolume;
use hardway_proto::Kind;
use http::Response;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json as object};
use std::collections::HashMap;

fn time(nanos: i64) -> String {
    let seconds = nanos.div_euclid(1_000_000_000);
    let stamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    stamp.to_string()
}

/// Puts CPU and memory into an object, out of so many bytes that could be had.
fn with_figures(value: &mut Value, figures: &Figures, capacity: Option<u64>) {
    let time = time(figures.at);
    if let Some(cpu) = figures.cpu {
        value["cpu"] = object!({"time": time, "usageCoreNanoSeconds": cpu});
        if let Some(rate) = figures.cpu_rate {
            value["cpu"]["usageNanoCores"] = rate.into();
        }
    }
    if let Some(memory) = figures.memory {
        value["memory"] = object!({
            "time": time,
            "usageBytes": memory.usage,
            "workingSetBytes": memory.working_set,
            "rssBytes": memory.rss,
            "pageFaults": memory.faults,
            "majorPageFaults": memory.major_faults,
        });
        if let Some(capacity) = capacity {
            let available = capacity.saturating_sub(memory.working_set);
            value["memory"]["availableBytes"] = available.into();
        }
        if let Some(swap) = memory.swap {
            value["swap"] = object!({"time": time, "swapUsageBytes": swap});
        }
    }
}

fn with_network(value: &mut Value, interfaces: &[Interface], at: i64) {
    let of = |interface: &Interface| {
        object!({
            "name": interface.name,
            "rxBytes": interface.received.bytes,
            "rxErrors": interface.received.errors,
            "txBytes": interface.sent.bytes,
            "txErrors": interface.sent.errors,
        })
    };
    let Some(first) = interfaces.iter().find(|it| it.name == "eth0") else {
        return;
    };
    let mut network = of(first);
    network["time"] = time(at).into();
    network["interfaces"] = interfaces.iter().map(of).collect();
    value["network"] = network;
}

fn with_layer(value: &mut Value, stats: &ContainerStats) {
    if let Some(layer) = &stats.writable_layer {
        let number = |it: &Option<_>| {
            it.as_ref()
                .map_or(0, |v: &crate::cri::api::UInt64Value| v.value)
        };
        value["rootfs"] = object!({
            "time": time(layer.timestamp),
            "usedBytes": number(&layer.used_bytes),
            "inodesUsed": number(&layer.inodes_used),
        });
    }
}

fn of_pod(
    figures: &PodFigures,
    interfaces: &[Interface],
    layers: &HashMap<&str, &ContainerStats>,
) -> Value {
    let containers = figures.pod.containers.iter().zip(&figures.containers);
    let containers = containers.map(|(entry, figures)| {
        let mut value = object!({"name": entry.name, "startTime": time(entry.created)});
        with_figures(&mut value, figures, None);
        if let Some(stats) = layers.get(entry.id.as_str()) {
            with_layer(&mut value, stats);
        }
        value
    });
    let mut value = object!({"containers": containers.collect::<Vec<_>>()});
    with_figures(&mut value, &figures.all, None);
    with_network(&mut value, interfaces, figures.all.at);
    value
}

fn of_volume(pod: &Pod, used: &UsedVolume) -> Value {
    let UsedVolume { name, claim, usage } = used;
    let mut value = object!({
        "name": name,
        "availableBytes": usage.available,
        "capacityBytes": usage.capacity,
        "usedBytes": usage.used,
        "inodesFree": usage.inodes_free,
        "inodes": usage.inodes,
        "inodesUsed": usage.inodes_used,
    });
    if let Some(claim) = claim {
        value["pvcRef"] = object!({"name": claim, "namespace": pod.namespace()});
    }
    if usage.abnormal.is_some() {
        value["volumeHealthStats"] = object!({"abnormal": true});
    }
    value
}

/// Answers with the summary.
pub async fn summary(
    context: &Context,
    pods: &Pods,
    meter: &Meter,
) -> Result<Response<Body>, Refusal> {
    let inventory = meter.inventory(&*context.runtime).await;
    let inventory = inventory.map_err(Refusal::internal)?;
    // A runtime without statistics has no layers to tell of.
    let stats = context.runtime.container_stats().await.unwrap_or_default();
    let (reader, root) = (meter.clone(), context.places.logs.clone());
    let read = tokio::task::spawn_blocking(move || {
        let figures = reader.figures(inventory);
        let networks: Vec<Vec<Interface>> = figures
            .pods
            .iter()
            .map(|of| {
                let sandbox = of.pod.sandbox.as_ref();
                sandbox.map_or_else(Vec::new, |entry| reader.network(entry))
            })
            .collect();
        (figures, networks, Usage::look(&root))
    });
    let (figures, networks, disk) = read.await.map_err(Refusal::internal)?;
    let layers: HashMap<&str, &ContainerStats> = stats
        .iter()
        .filter_map(|entry| Some((entry.attributes.as_ref()?.id.as_str(), entry)))
        .collect();
    let mut measured: HashMap<&str, Value> = figures
        .pods
        .iter()
        .zip(&networks)
        .map(|(of, interfaces)| (of.pod.uid.as_str(), of_pod(of, interfaces, &layers)))
        .collect();
    let listed = pods.list(context).into_iter().map(|pod| {
        let mut value = measured
            .remove(pod.uid())
            .unwrap_or_else(|| object!({"containers": []}));
        value["podRef"] =
            object!({"name": pod.name(), "namespace": pod.namespace(), "uid": pod.uid()});
        let volumes = context.volumes.measured(pod.uid());
        value["volume"] = volumes.iter().map(|used| of_volume(&pod, used)).collect();
        value["startTime"] = object!(pod.status.as_ref().and_then(|s| s.start_time.clone()));
        value
    });
    let capacity = u64::try_from(context.memory_capacity).ok();
    let mut node = object!({
        "nodeName": context.node_name,
        "fs": {
            "time": time(figures.node.at),
            "availableBytes": disk.disk_free,
            "capacityBytes": disk.disk,
            "usedBytes": disk.disk_used,
            "inodesFree": disk.inodes_free,
            "inodes": disk.inodes,
            "inodesUsed": disk.inodes.saturating_sub(disk.inodes_free),
        },
    });
    with_figures(&mut node, &figures.node, capacity);
    json(&object!({"node": node, "pods": listed.collect::<Vec<_>>()}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::cgroup::Memory;
    use crate::usage::inventory::{Entry, PodEntry};

    #[test]
    fn a_pods_figures_are_those_of_the_summary_api() {
        let figures = Figures {
            at: 1_700_000_000_000_000_000,
            cpu: Some(5),
            cpu_rate: Some(7),
            memory: Some(Memory {
                working_set: 40,
                ..Memory::default()
            }),
        };
        let pod = PodFigures {
            pod: PodEntry {
                containers: vec![Entry {
                    name: "web".into(),
                    ..Entry::default()
                }],
                ..PodEntry::default()
            },
            all: figures,
            containers: vec![Figures {
                cpu_rate: None,
                ..figures
            }],
        };
        let eth0 = Interface {
            name: "eth0".into(),
            ..Interface::default()
        };
        let value = of_pod(&pod, &[eth0], &HashMap::new());
        assert_eq!(value["cpu"]["usageNanoCores"], 7);
        assert_eq!(value["memory"]["workingSetBytes"], 40);
        assert_eq!(value["network"]["interfaces"][0]["name"], "eth0");
        let web = &value["containers"][0];
        assert_eq!(web["cpu"]["time"], "2023-11-14T22:13:20Z");
        assert_eq!(
            web["cpu"]["usageNanoCores"],
            Value::Null,
            "one sample is no rate"
        );
        let mut node = object!({});
        with_figures(&mut node, &figures, Some(100));
        assert_eq!(node["memory"]["availableBytes"], 60);
    }
}
