//! What all pod workers share.

use crate::allocation::Allocations;
use crate::cgroups::Cgroups;
use crate::cri;
use crate::downward::Facts;
use crate::eviction::NodePressure;
use crate::images::Puller;
use crate::objects::Cluster;
use crate::probes;
use crate::root_dir::RootDir;
use crate::sandbox::Places;
use crate::shutdown::Shutdown;
use crate::status::writer::Writer;
use crate::volumes;
use crate::{dns, pod, sysctls};
use hardway_client::events::{EventType, Recorder, reference};
use k8s_openapi::api::core::v1::Pod;
use std::path::PathBuf;
use std::sync::Arc;

/// The modules of the kubelet, as pod workers use them.
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
    /// Whether the host shuts down.
    pub shutdown: Shutdown,
    /// What the node is short of.
    pub pressure: NodePressure,
    /// What pods were given.
    pub allocations: Allocations,
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

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "nobody receives what is sent here"
)]
pub(crate) mod fake {
    //! Surroundings with a runtime in memory and no apiserver.

    use super::*;
    use crate::cri::fake::Fake;
    use crate::downward;
    use crate::objects::Objects;
    use crate::seccomp::Seccomp;
    use hardway_client::api::Client;
    use std::path::Path;
    use tokio::sync::{Notify, mpsc};
    use tonic::transport::Endpoint;

    /// All on the node `n1`, below a directory.
    pub fn context(dir: &Path, runtime: &Arc<Fake>) -> Arc<Context> {
        let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let client = Client::from_channel(channel, "test");
        let recorder = Recorder::new(client.clone(), "kubelet", None);
        let objects = Arc::new(Cluster::new(
            client.clone(),
            "node",
            mpsc::unbounded_channel().0,
        ));
        let shared: Arc<dyn Objects> = objects.clone();
        let handle: cri::Handle = runtime.clone();
        let facts = downward::Facts::default();
        Arc::new(Context {
            volumes: Arc::new(volumes::Manager::new(
                dir,
                shared.clone(),
                Arc::new(volumes::Kernel),
                facts.clone(),
            )),
            objects,
            images: Arc::new(Puller::new(handle.clone(), recorder.clone(), shared, 1)),
            probes: Arc::new(probes::Manager::new(
                handle.clone(),
                recorder.clone(),
                mpsc::unbounded_channel().0,
            )),
            runtime: handle,
            nudge: Arc::new(Notify::new()),
            recorder,
            statuses: Writer::start(client),
            cgroups: Cgroups::new(dir.join("cgroup"), "/", None),
            shutdown: Shutdown::default(),
            pressure: NodePressure::default(),
            allocations: Allocations::open(&dir.join("allocations")).unwrap(),
            places: Places {
                logs: dir.join("logs"),
                seccomp: Seccomp {
                    directory: dir.join("seccomp"),
                    default: false,
                },
            },
            root: RootDir::claim(dir, "n1", "boot").unwrap(),
            sysctls: sysctls::Allowed::new("6.1", &[]).unwrap(),
            app_armor: false,
            dns: dns::Node::default(),
            cluster_domain: "cluster.local".into(),
            hosts_file: dir.join("hosts"),
            facts,
            node_name: "n1".into(),
            memory_capacity: 1 << 30,
        })
    }
}
