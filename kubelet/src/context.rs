//! What all pod workers share.

use crate::cgroups::Cgroups;
use crate::cri;
use crate::downward::Facts;
use crate::images::Puller;
use crate::objects::Cluster;
use crate::probes;
use crate::root_dir::RootDir;
use crate::sandbox::Places;
use crate::status::writer::Writer;
use crate::volumes;
use crate::{dns, pod, sysctls};
use hardway_client::events::{EventType, Recorder, reference};
use k8s_openapi::api::core::v1::Pod;
use std::path::PathBuf;
use std::sync::Arc;

/// The rooms of the house, as pod workers use them.
pub struct Context {
    /// The container runtime.
    pub runtime: cri::Handle,
    /// Volumes.
    pub volumes: Arc<volumes::Manager>,
    /// What pods refer to.
    pub objects: Arc<Cluster>,
    /// Images.
    pub images: Arc<Puller>,
    /// Probes.
    pub probes: Arc<probes::Manager>,
    /// Told when something runs that didn't before.
    pub nudge: Arc<tokio::sync::Notify>,
    /// Events.
    pub recorder: Recorder,
    /// Statuses.
    pub statuses: Writer,
    /// Cgroups of pods.
    pub cgroups: Cgroups,
    /// Directories.
    pub places: Places,
    /// The kubelet's directory, claimed for this node.
    pub root: RootDir,
    /// Sysctls that pods may set.
    pub sysctls: sysctls::Allowed,
    /// Whether the kernel enforces AppArmor profiles.
    pub app_armor: bool,
    /// The node's DNS.
    pub dns: dns::Node,
    /// The cluster's domain.
    pub cluster_domain: String,
    /// The node's hosts file.
    pub hosts_file: PathBuf,
    /// The node's addresses and what it can give.
    pub facts: Facts,
    /// The node's name.
    pub node_name: String,
    /// The node's memory in bytes.
    pub memory_capacity: i64,
}

impl Context {
    /// An event about a pod.
    pub fn pod_event(&self, pod: &Pod, warning: bool, reason: &str, message: impl Into<String>) {
        self.recorder
            .event(reference(pod), kind(warning), reason, message);
    }

    /// An event about a container of a pod.
    pub fn container_event(
        &self,
        pod: &Pod,
        container: &str,
        warning: bool,
        reason: &str,
        message: impl Into<String>,
    ) {
        let object = pod::container_reference(pod, container);
        self.recorder.event(object, kind(warning), reason, message);
    }
}

fn kind(warning: bool) -> EventType {
    if warning {
        EventType::Warning
    } else {
        EventType::Normal
    }
}
