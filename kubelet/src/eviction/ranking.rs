//! Which pod goes first when something is short, and what it is told. Pure; orders and words
//! are Kubernetes' (`rankMemoryPressure` and others in `pkg/kubelet/eviction/helpers.go`).

use super::pressure::Observations;
use super::threshold::{Signal, Threshold};
use super::usage::{Disk, Usage};
use crate::{pod, qos};
use hardway_proto::quantity::{Format, Quantity};
use k8s_openapi::api::core::v1::Pod;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pods of this priority and above are the node's own; they stay.
const CRITICAL: i32 = 2_000_000_000;
const STORAGE: &str = "ephemeral-storage";

/// A pod, and what it uses.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The pod.
    pub pod: Arc<Pod>,
    /// What it uses; nothing if that can't be seen.
    pub usage: Option<Usage>,
}

/// Whether a pod may be evicted at all.
pub fn is_evictable(pod: &Pod) -> bool {
    let critical = pod::spec(pod).priority.is_some_and(|p| p >= CRITICAL);
    !critical && !pod::is_static(pod)
}

/// Puts first who goes first. `own_disk` says that images and containers have a disk of their
/// own.
pub fn rank(candidates: &mut [Candidate], signal: Signal, own_disk: bool) {
    candidates.sort_by_cached_key(|candidate| Rank::of(candidate, signal, own_disk));
}

/// Where a pod stands; the least goes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Nobody knows what it uses.
    is_seen: bool,
    /// It uses no more than it asked for.
    is_modest: bool,
    priority: i32,
    /// What it uses beyond what it asked for.
    excess: Reverse<i128>,
}

impl Rank {
    fn of(candidate: &Candidate, signal: Signal, own_disk: bool) -> Self {
        let pod = &candidate.pod;
        let priority = pod::spec(pod).priority.unwrap_or(0);
        let Some(usage) = &candidate.usage else {
            return Self {
                is_seen: false,
                is_modest: false,
                priority,
                excess: Reverse(0),
            };
        };
        let requested = |name: &str| i128::from(qos::pod_request(pod, name).value());
        let disk = usage.disk(
            !own_disk || is_image_disk(signal),
            !own_disk || !is_image_disk(signal),
        );
        let (used, asked, subtracted) = match signal {
            Signal::MemoryAvailable | Signal::AllocatableMemoryAvailable => {
                let asked = requested("memory");
                (usage.memory, asked, asked)
            }
            // Nobody asks for processes: priority alone comes before.
            Signal::PidAvailable => (usage.processes, i128::MAX, 0),
            Signal::NodeFsAvailable | Signal::ImageFsAvailable => {
                let asked = requested(STORAGE);
                (disk.bytes, asked, asked)
            }
            // Nobody asks for inodes; what is asked for in bytes counts as a wish to be kept.
            Signal::NodeFsInodesFree | Signal::ImageFsInodesFree => {
                (disk.inodes, 0, requested(STORAGE))
            }
        };
        let used = i128::from(used);
        Self {
            is_seen: true,
            is_modest: used <= asked,
            priority,
            excess: Reverse(used - subtracted),
        }
    }
}

fn is_image_disk(signal: Signal) -> bool {
    matches!(signal, Signal::ImageFsAvailable | Signal::ImageFsInodesFree)
}

/// What a pod is told, and what its event says besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// `status.message`.
    pub message: String,
    /// Annotations of the event.
    pub annotations: BTreeMap<String, String>,
}

/// Why a pod goes.
pub fn notice(candidate: &Candidate, starved: &[Threshold], seen: &Observations) -> Notice {
    let Some(resource) = starved.first().map(|threshold| threshold.signal.resource()) else {
        return Notice::default();
    };
    let mut message = format!("The node was low on resource: {resource}. ");
    let found = starved.iter().find_map(|threshold| {
        let seen = seen.get(&threshold.signal)?;
        let same = threshold.signal.resource() == resource;
        same.then_some((threshold, *seen))
    });
    if let Some((threshold, seen)) = found {
        let least = threshold.value.of(seen.capacity);
        let left = Quantity::from_value(seen.available, threshold.signal.format());
        message += &format!("Threshold quantity: {least}, available: {left}. ");
    }
    let Some(usage) = &candidate.usage else {
        return Notice {
            message,
            ..Notice::default()
        };
    };
    let (mut names, mut amounts) = (Vec::new(), Vec::new());
    let spec = pod::spec(&candidate.pod);
    let containers = spec.containers.iter();
    for container in containers.chain(pod::init_containers(&candidate.pod)) {
        let used = usage.containers.get(&container.name);
        let used = used.and_then(|used| match resource {
            "memory" => used.memory,
            STORAGE => Some((used.layer + used.logs).bytes),
            _ => None,
        });
        let asked = container.resources.as_ref();
        let asked = asked.and_then(|r| r.requests.as_ref()?.get(resource)?.0.parse().ok());
        let asked: Quantity = asked.unwrap_or_default();
        let Some(used) = used.map(bytes).filter(|used| *used > asked) else {
            continue;
        };
        let name = &container.name;
        message += &format!(
            "Container {name} was using {used}, request is {asked}, has larger consumption of {resource}. "
        );
        names.push(name.clone());
        amounts.push(used.to_string());
    }
    let annotations = [
        ("offending_containers", names.join(",")),
        ("offending_containers_usage", amounts.join(",")),
        ("starved_resource", resource.to_owned()),
    ];
    Notice {
        message,
        annotations: annotations.map(|(key, text)| (key.into(), text)).into(),
    }
}

fn bytes(bytes: u64) -> Quantity {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    Quantity::from_value(bytes, Format::BinarySi)
}

impl Usage {
    /// What it takes of a disk: of the one that has containers, of the one that has logs and
    /// volumes, or of both.
    fn disk(&self, layers: bool, others: bool) -> Disk {
        let containers = self.containers.values();
        let layer = containers.clone().map(|c| c.layer).filter(|_| layers);
        let logs = containers.map(|c| c.logs);
        let volumes = self.volumes.values().copied();
        let others = logs.chain(volumes).filter(|_| others);
        layer.chain(others).sum()
    }
}

#[cfg(test)]
#[path = "ranking_tests.rs"]
mod tests;
