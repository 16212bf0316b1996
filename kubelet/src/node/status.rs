//! The node's status, from facts; no I/O.

use super::machine::{Machine, Usage};
use crate::cri::{Image, RuntimeStatus, VersionResponse};
use crate::status::now;
use hardway_proto::names::is_extended_resource;
use hardway_proto::quantity::{Format, Quantity};
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeFeatures,
    NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use std::collections::BTreeMap;

/// The Kubernetes release whose behaviour this is.
pub const KUBELET_VERSION: &str = "v1.33.0";
/// Memory that is kept free, lest the node is under memory pressure.
pub const MEMORY_RESERVE: i64 = 100 << 20;
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
    /// Kept from pods: thousandths of a core, bytes.
    pub reserved_cpu: i64,
    /// Bytes of memory kept from pods.
    pub reserved_memory: i64,
    /// Bytes of huge pages by resource name.
    pub huge_pages: Vec<(String, i64)>,
    /// Part of the disk that must be free, in percent.
    pub disk_percent: u8,
    /// The host is about to go.
    pub shuts_down: bool,
    /// Volumes that must not be detached, because pods use them or are about to.
    pub volumes_in_use: Vec<String>,
    /// The runtime leaves cgroups to systemd, and the kubelet doesn't.
    pub systemd_cgroups: bool,
}

type Amounts = BTreeMap<String, Text>;

/// Thousandths of a core that pods can have.
pub fn pods_cpu(facts: &Facts) -> i64 {
    let cpus = i64::try_from(facts.machine.cpus).unwrap_or(1) * 1000;
    (cpus - facts.reserved_cpu).max(0)
}

/// What there is, and what of it pods can have.
pub fn amounts(facts: &Facts) -> (Amounts, Amounts) {
    let text = |value, format| Text(Quantity::from_value(value, format).to_string());
    let milli = |value| Text(Quantity::from_milli(value, Format::DecimalSi).to_string());
    let huge: i64 = facts.huge_pages.iter().map(|(_, bytes)| bytes).sum();
    let cpus = i64::try_from(facts.machine.cpus).unwrap_or(1) * 1000;
    let disk = i64::try_from(facts.usage.disk).unwrap_or(i64::MAX);
    let disk_kept = disk / 100 * i64::from(facts.disk_percent);
    let memory = facts.machine.memory;
    let memory_left = (memory - facts.reserved_memory - MEMORY_RESERVE - huge).max(0);
    let mut capacity = Amounts::from([
        ("cpu".to_owned(), milli(cpus)),
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
    allocatable.insert("cpu".into(), milli(pods_cpu(facts)));
    allocatable.insert("memory".into(), text(memory_left, Format::BinarySi));
    allocatable.insert(
        "ephemeral-storage".into(),
        text(disk - disk_kept, Format::DecimalSi),
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
    let usage = &facts.usage;
    let memory = usage.memory_available < MEMORY_RESERVE;
    let percent = |free: u64, all: u64| all > 0 && free * 100 < all * u64::from(facts.disk_percent);
    let inodes = usage.inodes > 0 && usage.inodes_free * 20 < usage.inodes;
    let disk = percent(usage.disk_free, usage.disk) || inodes;
    let pids = usage.pids_max.saturating_sub(usage.pids) < 100;
    vec![
        if memory {
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
        if disk {
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
        if pids {
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

    fn facts() -> Facts {
        Facts {
            machine: Machine {
                cpus: 2,
                memory: 4 << 30,
                ..Default::default()
            },
            usage: Usage {
                memory_available: 1 << 30,
                disk: 1000,
                disk_free: 500,
                pids_max: 32768,
                ..Default::default()
            },
            max_pods: 110,
            disk_percent: 10,
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
        facts.usage.disk_free = 99;
        assert!(pressure(&facts, "DiskPressure"));
        assert!(!pressure(&facts, "MemoryPressure"));
    }
}
