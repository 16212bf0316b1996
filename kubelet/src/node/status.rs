//! The node's status, from facts; no I/O.

use super::machine::{Machine, Usage};
use super::reserved::Reserved;
use crate::cri::{Image, RuntimeStatus, VersionResponse};
use crate::eviction::threshold::{Condition, Signal, Threshold};
use crate::status::now;
use hardway_proto::names::is_extended_resource;
use hardway_proto::quantity::{Format, Quantity};
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeFeatures,
    NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use std::collections::{BTreeMap, BTreeSet};

/// The Kubernetes release whose behaviour this is.
pub const KUBELET_VERSION: &str = "v1.33.0";
/// Images and names of an image that are listed at most.
const MAX_IMAGES: usize = 50;
const MAX_NAMES: usize = 5;

/// All that the status tells.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The machine.
    pub machine: Machine,
    /// What is free.
    pub usage: Usage,
    /// The node's name.
    pub name: String,
    /// The node's addresses.
    pub ips: Vec<String>,
    /// The runtime's name and version.
    pub version: VersionResponse,
    /// The runtime's conditions, or why they can't be had.
    pub runtime: Option<Result<RuntimeStatus, String>>,
    /// Images that are present.
    pub images: Vec<Image>,
    /// The port of the kubelet's API.
    pub port: u16,
    /// Most pods.
    pub max_pods: u32,
    /// Kept from pods.
    pub reserved: Reserved,
    /// Bytes of huge pages by resource name.
    pub huge_pages: Vec<(String, i64)>,
    /// What must be left, lest pods are evicted; pods don't get that either.
    pub thresholds: Vec<Threshold>,
    /// What is short.
    pub pressure: BTreeSet<Condition>,
    /// The host is about to go.
    pub shuts_down: bool,
    /// Volumes that must not be detached, because pods use them or are about to.
    pub volumes_in_use: Vec<String>,
    /// The runtime leaves cgroups to systemd, and the kubelet doesn't.
    pub systemd_cgroups: bool,
}

type Amounts = BTreeMap<String, Text>;

impl Facts {
    fn cpu(&self) -> i64 {
        i64::try_from(self.machine.cpus).unwrap_or(1) * 1000
    }

    /// Thousandths of a core that pods can have.
    pub fn pods_cpu(&self) -> i64 {
        (self.cpu() - self.reserved.cpu).max(0)
    }

    /// Bytes of memory that pods have together at most: more than they are given, lest they
    /// are killed where they can be evicted.
    pub fn pods_memory(&self) -> i64 {
        (self.machine.memory - self.reserved.memory).max(0)
    }

    /// Processes that pods have together at most, if some are kept from them.
    pub fn pods_processes(&self) -> Option<i64> {
        let most = i64::try_from(self.usage.pids_max).unwrap_or(i64::MAX);
        let kept = self.reserved.processes;
        (kept > 0).then(|| (most - kept).max(0))
    }
}

/// What there is, and what of it pods can have.
pub fn amounts(facts: &Facts) -> (Amounts, Amounts) {
    let text = |value, format| Text(Quantity::from_value(value, format).to_string());
    let milli = |value| Text(Quantity::from_milli(value, Format::DecimalSi).to_string());
    let huge: i64 = facts.huge_pages.iter().map(|(_, bytes)| bytes).sum();
    let disk = i64::try_from(facts.usage.disk).unwrap_or(i64::MAX);
    let memory = facts.machine.memory;
    let kept = |signal, capacity| {
        let mut hard = facts.thresholds.iter();
        let hard = hard.find(|t| t.signal == signal && t.is_hard());
        hard.map_or(0, |t| t.value.of(capacity).value())
    };
    let memory_kept = kept(Signal::MemoryAvailable, memory).saturating_add(huge);
    let memory_left = facts.pods_memory().saturating_sub(memory_kept).max(0);
    let disk_kept = kept(Signal::NodeFsAvailable, disk).saturating_add(facts.reserved.storage);
    let mut capacity = Amounts::from([
        ("cpu".to_owned(), milli(facts.cpu())),
        ("memory".to_owned(), text(memory, Format::BinarySi)),
        ("ephemeral-storage".to_owned(), text(disk, Format::BinarySi)),
        (
            "pods".to_owned(),
            text(facts.max_pods.into(), Format::DecimalSi),
        ),
    ]);
    let mut allocatable = capacity.clone();
    for (name, bytes) in &facts.huge_pages {
        let amount = text(*bytes, Format::BinarySi);
        capacity.insert(name.clone(), amount.clone());
        allocatable.insert(name.clone(), amount);
    }
    allocatable.insert("cpu".into(), milli(facts.pods_cpu()));
    allocatable.insert("memory".into(), text(memory_left, Format::BinarySi));
    allocatable.insert(
        "ephemeral-storage".into(),
        text(disk.saturating_sub(disk_kept).max(0), Format::DecimalSi),
    );
    (capacity, allocatable)
}

/// Pods can have what others say that the node has of extended resources: whoever
/// advertises one writes its capacity alone.
pub fn allocate_extended(status: &mut NodeStatus, shown: &NodeStatus) {
    let advertised = shown.capacity.iter().flatten();
    let extended = advertised.filter(|(name, _)| is_extended_resource(name));
    let allocatable = status.allocatable.get_or_insert_default();
    allocatable.extend(extended.map(|(name, amount)| (name.clone(), amount.clone())));
}

fn condition(kind: &str, met: bool, reason: &str, message: impl Into<String>) -> NodeCondition {
    NodeCondition {
        type_: kind.into(),
        status: if met { "True" } else { "False" }.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_heartbeat_time: Some(now()),
        last_transition_time: Some(now()),
    }
}

/// The conditions.
pub fn conditions(facts: &Facts) -> Vec<NodeCondition> {
    let is_short = |condition| facts.pressure.contains(&condition);
    vec![
        if is_short(Condition::MemoryPressure) {
            condition(
                "MemoryPressure",
                true,
                "KubeletHasInsufficientMemory",
                "kubelet has insufficient memory available",
            )
        } else {
            condition(
                "MemoryPressure",
                false,
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
            )
        },
        if is_short(Condition::DiskPressure) {
            condition(
                "DiskPressure",
                true,
                "KubeletHasDiskPressure",
                "kubelet has disk pressure",
            )
        } else {
            condition(
                "DiskPressure",
                false,
                "KubeletHasNoDiskPressure",
                "kubelet has no disk pressure",
            )
        },
        if is_short(Condition::PidPressure) {
            condition(
                "PIDPressure",
                true,
                "KubeletHasInsufficientPID",
                "kubelet has insufficient PID available",
            )
        } else {
            condition(
                "PIDPressure",
                false,
                "KubeletHasSufficientPID",
                "kubelet has sufficient PID available",
            )
        },
        ready(facts),
    ]
}

fn ready(facts: &Facts) -> NodeCondition {
    let mut problems = Vec::new();
    match &facts.runtime {
        None => problems.push("container runtime status check may not have completed yet".into()),
        Some(Err(error)) => problems.push(format!("container runtime is down: {error}")),
        Some(Ok(status)) => {
            for (kind, what) in [
                ("RuntimeReady", "container runtime"),
                ("NetworkReady", "container runtime network"),
            ] {
                match status.conditions.iter().find(|c| c.r#type == kind) {
                    Some(c) if c.status => {}
                    Some(c) => problems.push(format!(
                        "{what} not ready: {kind}=false reason:{} message:{}",
                        c.reason, c.message
                    )),
                    None => problems.push(format!("{what} not ready: condition {kind} is missing")),
                }
            }
        }
    }
    if facts.systemd_cgroups {
        problems.push("container runtime uses the systemd cgroup driver, this kubelet makes cgroups itself: set SystemdCgroup = false in the runtime's configuration and restart it".to_owned());
    }
    if facts.shuts_down {
        problems.push("node is shutting down".to_owned());
    }
    if problems.is_empty() {
        condition(
            "Ready",
            true,
            "KubeletReady",
            "kubelet is posting ready status",
        )
    } else {
        condition("Ready", false, "KubeletNotReady", problems.join(", "))
    }
}

fn images(facts: &Facts) -> Vec<ContainerImage> {
    let mut list: Vec<&Image> = facts.images.iter().collect();
    list.sort_by_key(|image| std::cmp::Reverse(image.size));
    list.into_iter()
        .take(MAX_IMAGES)
        .map(|image| {
            let names = image.repo_digests.iter().chain(&image.repo_tags);
            ContainerImage {
                names: Some(names.take(MAX_NAMES).cloned().collect()),
                size_bytes: i64::try_from(image.size).ok(),
            }
        })
        .collect()
}

/// The whole status.
pub fn compute(facts: &Facts) -> NodeStatus {
    let (capacity, allocatable) = amounts(facts);
    let internal = facts.ips.iter().map(|ip| NodeAddress {
        type_: "InternalIP".into(),
        address: ip.clone(),
    });
    let hostname = NodeAddress {
        type_: "Hostname".into(),
        address: facts.name.clone(),
    };
    let machine = facts.machine.clone();
    NodeStatus {
        addresses: Some(internal.chain([hostname]).collect()),
        capacity: Some(capacity),
        allocatable: Some(allocatable),
        conditions: Some(conditions(facts)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint {
                port: facts.port.into(),
            }),
        }),
        images: Some(images(facts)),
        // What the kubelet refuses pods for (`features.rs`) is told beforehand.
        features: Some(NodeFeatures {
            supplemental_groups_policy: Some(false),
        }),
        node_info: Some(NodeSystemInfo {
            machine_id: machine.machine_id,
            system_uuid: machine.system_uuid,
            boot_id: machine.boot_id,
            kernel_version: machine.kernel,
            os_image: machine.os_image,
            container_runtime_version: format!(
                "{}://{}",
                facts.version.runtime_name, facts.version.runtime_version
            ),
            kubelet_version: KUBELET_VERSION.into(),
            kube_proxy_version: String::new(),
            operating_system: "linux".into(),
            architecture: machine.architecture.into(),
            ..Default::default()
        }),
        volumes_in_use: (!facts.volumes_in_use.is_empty()).then(|| facts.volumes_in_use.clone()),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cri::api::RuntimeCondition;
    use crate::eviction::threshold::{DEFAULT_HARD, Texts, parse};

    fn facts() -> Facts {
        Facts {
            machine: Machine {
                cpus: 2,
                memory: 4 << 30,
                ..Default::default()
            },
            usage: Usage {
                memory_available: 1 << 30,
                disk: 1000 << 10,
                disk_free: 500 << 10,
                pids_max: 32768,
                ..Default::default()
            },
            max_pods: 110,
            thresholds: parse(Texts {
                hard: DEFAULT_HARD,
                ..Default::default()
            })
            .unwrap(),
            ..Default::default()
        }
    }

    #[test]
    fn pods_get_what_is_not_kept() {
        let (capacity, allocatable) = amounts(&facts());
        assert_eq!(capacity["memory"].0, "4Gi");
        assert_eq!(allocatable["memory"].0, "3996Mi");
        assert_eq!(allocatable["pods"].0, "110");
        assert_eq!(allocatable["cpu"].0, "2");
        assert_eq!(capacity["ephemeral-storage"].0, "1000Ki");
        assert_eq!(allocatable["ephemeral-storage"].0, "921600");
        let mut facts = facts();
        facts.reserved = Reserved::parse("cpu=500m,memory=1Gi,pid=1000").unwrap();
        let (_, allocatable) = amounts(&facts);
        assert_eq!(allocatable["memory"].0, "2972Mi");
        assert_eq!(allocatable["cpu"].0, "1500m");
        assert_eq!(
            facts.pods_memory(),
            3 << 30,
            "what is evicted for is not enforced"
        );
        assert_eq!(facts.pods_processes(), Some(31768));
    }

    #[test]
    fn readiness_tells_what_is_missing() {
        let mut facts = facts();
        let runtime = |network: bool| RuntimeStatus {
            conditions: vec![
                RuntimeCondition {
                    r#type: "RuntimeReady".into(),
                    status: true,
                    ..Default::default()
                },
                RuntimeCondition {
                    r#type: "NetworkReady".into(),
                    status: network,
                    reason: "NetworkPluginNotReady".into(),
                    message: "cni plugin not initialized".into(),
                },
            ],
        };
        facts.runtime = Some(Ok(runtime(false)));
        assert_eq!(
            ready(&facts).message.unwrap(),
            "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni plugin not initialized"
        );
        facts.runtime = Some(Ok(runtime(true)));
        assert_eq!(ready(&facts).status, "True");
        facts.shuts_down = true;
        let going = ready(&facts);
        assert_eq!(
            (going.status.as_str(), going.message.as_deref()),
            ("False", Some("node is shutting down"))
        );
        facts.shuts_down = false;
        facts.systemd_cgroups = true;
        assert!(
            ready(&facts)
                .message
                .unwrap()
                .contains("SystemdCgroup = false")
        );
        facts.systemd_cgroups = false;
        let pressure = |facts: &Facts, kind: &str| {
            let list = conditions(facts);
            list.iter().find(|c| c.type_ == kind).unwrap().status == "True"
        };
        assert!(!pressure(&facts, "DiskPressure"));
        facts.pressure.insert(Condition::DiskPressure);
        assert!(pressure(&facts, "DiskPressure"));
        assert!(!pressure(&facts, "MemoryPressure"));
    }
}
