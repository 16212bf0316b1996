//! A pod with what scheduling needs of it worked out once.

use crate::resources::{Resources, pod_requests};
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use std::sync::Arc;

/// A port on the host that a pod occupies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// `0.0.0.0` for all addresses.
    pub ip: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Port number.
    pub port: i32,
}

impl HostPort {
    /// Whether both can't be had on one host.
    pub fn collides(&self, other: &Self) -> bool {
        const ANY: &str = "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || self.ip == ANY || other.ip == ANY)
    }
}

/// A pod as the scheduler sees it.
#[derive(Debug)]
pub struct PodInfo {
    /// The object.
    pub pod: Arc<Pod>,
    /// Its key.
    pub key: ObjectKey,
    /// What it asks for.
    pub requests: Resources,
    /// The same with defaults, for scoring.
    pub scored_requests: Resources,
    /// Host ports it wants.
    pub host_ports: Vec<HostPort>,
    /// `spec.priority`.
    pub priority: i32,
}

impl PodInfo {
    /// Works it out.
    pub fn new(pod: Arc<Pod>) -> Self {
        let empty = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        let host_ports = host_ports(spec);
        Self {
            key: ObjectKey::of(pod.as_ref()),
            requests: pod_requests(spec, false),
            scored_requests: pod_requests(spec, true),
            host_ports,
            priority: spec.priority.unwrap_or(0),
            pod,
        }
    }

    /// The pod's spec.
    pub fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }

    /// Name of the node it runs on, or is to run on.
    pub fn node(&self) -> Option<&str> {
        self.spec()?.node_name.as_deref().filter(|n| !n.is_empty())
    }
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|c| c.restart_policy.as_deref() == Some("Always"));
    spec.containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            let number = port.host_port.filter(|&n| n > 0)?;
            let ip = port.host_ip.clone().filter(|ip| !ip.is_empty());
            Some(HostPort {
                ip: ip.unwrap_or_else(|| "0.0.0.0".into()),
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
                port: number,
            })
        })
        .collect()
}

/// Whether a pod is over: it holds no resources any more.
pub fn is_finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, port: i32) -> HostPort {
        HostPort {
            ip: ip.into(),
            protocol: "TCP".into(),
            port,
        }
    }

    #[test]
    fn the_wildcard_address_collides_with_any() {
        assert!(port("0.0.0.0", 80).collides(&port("10.0.0.1", 80)));
        assert!(!port("10.0.0.2", 80).collides(&port("10.0.0.1", 80)));
        assert!(!port("0.0.0.0", 81).collides(&port("0.0.0.0", 80)));
    }
}
