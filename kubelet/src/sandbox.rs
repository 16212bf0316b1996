//! What the runtime is told about a pod's sandbox.

use crate::cgroups::Cgroups;
use crate::cri::api::{LinuxPodSandboxConfig, PodSandboxMetadata, PortMapping, Protocol};
use crate::cri::{DnsConfig, PodSandboxConfig, labels};
use crate::dns::ResolvConf;
use crate::hosts::Names;
use crate::seccomp::Seccomp;
use crate::{pod, qos, security_context};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where things are on this node.
#[derive(Clone, Debug)]
pub struct Places {
    /// Directory of pods' logs.
    pub logs: PathBuf,
    /// Seccomp profiles.
    pub seccomp: Seccomp,
}

/// Directory of a pod's logs.
pub fn log_directory(logs: &Path, namespace: &str, name: &str, uid: &str) -> PathBuf {
    logs.join(format!("{namespace}_{name}_{uid}"))
}

/// Labels by which a pod's sandboxes and containers are found again.
pub fn pod_labels(pod: &Pod) -> BTreeMap<String, String> {
    BTreeMap::from([
        (labels::POD_NAME.to_owned(), pod.name().to_owned()),
        (labels::POD_NAMESPACE.to_owned(), pod.namespace().to_owned()),
        (labels::POD_UID.to_owned(), pod.uid().to_owned()),
    ])
}

/// Makes the sandbox's configuration.
pub fn config(
    pod: &Pod,
    attempt: u32,
    names: &Names,
    dns: ResolvConf,
    cgroups: &Cgroups,
    places: &Places,
) -> PodSandboxConfig {
    let spec = pod::spec(pod);
    let host_network = pod::host_network(pod);
    let context = spec.security_context.clone().unwrap_or_default();
    let sysctls = context.sysctls.unwrap_or_default();
    let mut all_labels = pod.metadata.labels.clone().unwrap_or_default();
    all_labels.extend(pod_labels(pod));
    let mut annotations = pod.metadata.annotations.clone().unwrap_or_default();
    annotations.insert(
        labels::POD_GRACE_PERIOD.to_owned(),
        pod::grace_period(pod).to_string(),
    );
    let log_directory = log_directory(&places.logs, pod.namespace(), pod.name(), pod.uid());
    let fqdn = spec.set_hostname_as_fqdn == Some(true);
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: pod.name().into(),
            uid: pod.uid().into(),
            namespace: pod.namespace().into(),
            attempt,
        }),
        // On the node's network the node's name is the pod's.
        hostname: match (host_network, fqdn) {
            (true, _) => String::new(),
            (false, true) => names.fqdn(),
            (false, false) => names.hostname.clone(),
        },
        log_directory: log_directory.display().to_string(),
        dns_config: Some(DnsConfig {
            servers: dns.servers,
            searches: dns.searches,
            options: dns.options,
        }),
        port_mappings: if host_network {
            Vec::new()
        } else {
            port_mappings(pod)
        },
        labels: all_labels,
        annotations,
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: cgroups.pod_parent(pod),
            security_context: Some(security_context::of_sandbox(pod)),
            sysctls: sysctls.into_iter().map(|s| (s.name, s.value)).collect(),
            overhead: None,
            resources: Some(qos::pod_resources(pod)),
        }),
    }
}

fn port_mappings(pod: &Pod) -> Vec<PortMapping> {
    let ports = pod::all_containers(pod)
        .flat_map(|c| c.ports.iter().flatten())
        .filter(|port| port.host_port.unwrap_or(0) != 0);
    ports
        .map(|port| PortMapping {
            protocol: match port.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            }
            .into(),
            container_port: port.container_port,
            host_port: port.host_port.unwrap_or(0),
            host_ip: port.host_ip.clone().unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{Container, ContainerPort, PodSpec};

    #[test]
    fn a_sandbox_carries_its_pods_identity_and_ports() {
        let mut pod = Pod::default();
        pod.metadata.name = Some("web".into());
        pod.metadata.namespace = Some("ns".into());
        pod.metadata.uid = Some("u".into());
        pod.spec = Some(PodSpec {
            containers: vec![Container {
                ports: Some(vec![ContainerPort {
                    container_port: 27017,
                    host_port: Some(27017),
                    ..Default::default()
                }]),
                ..Default::default()
            }],
            ..Default::default()
        });
        let names = crate::hosts::names(&pod, "cluster.local");
        let cgroups = Cgroups::new("/sys/fs/cgroup", "/", None);
        let places = Places {
            logs: "/logs".into(),
            seccomp: Seccomp {
                directory: "/seccomp".into(),
                default: false,
            },
        };
        let made = config(&pod, 2, &names, ResolvConf::default(), &cgroups, &places);
        assert_eq!(made.metadata.as_ref().unwrap().attempt, 2);
        assert_eq!(made.hostname, "web");
        assert_eq!(made.log_directory, "/logs/ns_web_u");
        assert_eq!(made.labels[labels::POD_UID], "u");
        assert_eq!(made.port_mappings[0].host_port, 27017);
        pod.spec.as_mut().unwrap().host_network = Some(true);
        let made = config(&pod, 0, &names, ResolvConf::default(), &cgroups, &places);
        assert!(made.hostname.is_empty());
        assert!(made.port_mappings.is_empty());
    }
}
