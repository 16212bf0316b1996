//! What the runtime shows of one pod.

use crate::cri::{
    self, ContainerState, ContainerStatus, PodSandboxState, PodSandboxStatus, Runtime, api, labels,
};
use k8s_openapi::api::core::v1::ResourceRequirements;
use std::collections::BTreeMap;

/// A sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// The runtime's id.
    pub id: String,
    /// Whether it runs.
    pub ready: bool,
    /// How many sandboxes the pod had before.
    pub attempt: u32,
    /// Nanoseconds since the epoch.
    pub created_at: i64,
    /// Addresses; none on the node's network.
    pub ips: Vec<String>,
    /// Whether it is on the node's network.
    pub host_network: bool,
}

/// State of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Made and not started.
    #[default]
    Created,
    /// Running.
    Running,
    /// Ended.
    Exited,
    /// The runtime has lost track of it.
    Unknown,
}

/// One container of the runtime: one life of a pod's container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instance {
    /// The runtime's id.
    pub id: String,
    /// Name in the pod's spec.
    pub name: String,
    /// The sandbox it is in.
    pub sandbox: String,
    /// Its state.
    pub state: State,
    /// Nanoseconds since the epoch, as the two that follow.
    pub created_at: i64,
    /// Zero if it never started.
    pub started_at: i64,
    /// Zero if it hasn't ended.
    pub finished_at: i64,
    /// Exit code.
    pub exit_code: i32,
    /// Why it ended, in a word.
    pub reason: String,
    /// Why it ended.
    pub message: String,
    /// The image asked for.
    pub image: String,
    /// The image got.
    pub image_ref: String,
    /// Hash of the container's spec when it was made.
    pub hash: String,
    /// Restarts before this life.
    pub restart_count: i32,
    /// What it was made with; what it has, once [`crate::allocation`] has added what was
    /// changed since.
    pub resources: Option<ResourceRequirements>,
    /// Whether it may have others: the runtime was asked for that, and nobody knows its answer.
    pub unsure: bool,
    /// Where on this host its termination message is.
    pub message_file: Option<String>,
    /// Where its log is.
    pub log_path: String,
}

impl Instance {
    /// Whether it ended well.
    pub fn succeeded(&self) -> bool {
        self.state == State::Exited && self.exit_code == 0
    }
}

/// Sandboxes and containers of a pod, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Sandboxes.
    pub sandboxes: Vec<Sandbox>,
    /// Containers.
    pub containers: Vec<Instance>,
}

impl Observed {
    /// The newest sandbox.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first()
    }

    /// The newest sandbox, if it runs.
    pub fn ready_sandbox(&self) -> Option<&Sandbox> {
        self.sandbox().filter(|s| s.ready)
    }

    /// The newest life of a container.
    pub fn latest(&self, name: &str) -> Option<&Instance> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// The newest life of a container within the newest sandbox.
    pub fn current(&self, name: &str) -> Option<&Instance> {
        let sandbox = self.sandbox()?;
        self.latest(name).filter(|c| c.sandbox == sandbox.id)
    }

    /// The life before the newest one.
    pub fn previous(&self, name: &str) -> Option<&Instance> {
        self.containers.iter().filter(|c| c.name == name).nth(1)
    }

    /// Containers that run or may run.
    pub fn alive(&self) -> impl Iterator<Item = &Instance> {
        let alive = |c: &&Instance| matches!(c.state, State::Running | State::Unknown);
        self.containers.iter().filter(alive)
    }

    /// Whether nothing of the pod is active any more.
    pub fn is_still(&self) -> bool {
        self.alive().next().is_none() && self.sandboxes.iter().all(|s| !s.ready)
    }
}

/// Looks at a pod. What disappears while we look isn't there.
pub async fn observe(runtime: &dyn Runtime, uid: &str) -> Result<Observed, cri::Error> {
    let selector = BTreeMap::from([(labels::POD_UID.to_owned(), uid.to_owned())]);
    let (sandboxes, containers) = tokio::try_join!(
        runtime.list_sandboxes(selector.clone()),
        runtime.list_containers(selector)
    )?;
    let mut observed = Observed::default();
    for listed in sandboxes {
        match runtime.sandbox_status(&listed.id).await {
            Ok(status) => observed.sandboxes.push(sandbox(status)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    for listed in containers {
        match runtime.container_status(&listed.id).await {
            Ok(status) => {
                let instance = instance(status, listed.pod_sandbox_id);
                observed.containers.push(instance);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    let newest = |time: i64| std::cmp::Reverse(time);
    observed.sandboxes.sort_by_key(|s| newest(s.created_at));
    observed.containers.sort_by_key(|c| newest(c.created_at));
    Ok(observed)
}

fn sandbox(status: PodSandboxStatus) -> Sandbox {
    let network = status.network.unwrap_or_default();
    let more = network.additional_ips.into_iter().map(|a| a.ip);
    let ips = std::iter::once(network.ip).chain(more);
    let options = status.linux.and_then(|l| l.namespaces?.options);
    Sandbox {
        id: status.id,
        ready: status.state == i32::from(PodSandboxState::SandboxReady),
        attempt: status.metadata.map_or(0, |m| m.attempt),
        created_at: status.created_at,
        ips: ips.filter(|ip| !ip.is_empty()).collect(),
        host_network: options.is_some_and(|o| o.network == i32::from(api::NamespaceMode::Node)),
    }
}

fn instance(status: ContainerStatus, sandbox: String) -> Instance {
    let annotation = |name: &str| status.annotations.get(name).cloned().unwrap_or_default();
    let label = |name: &str| status.labels.get(name).cloned().unwrap_or_default();
    let message_path = annotation(labels::TERMINATION_MESSAGE_PATH);
    let message_mount = status
        .mounts
        .iter()
        .find(|m| !message_path.is_empty() && m.container_path == message_path);
    Instance {
        name: label(labels::CONTAINER_NAME),
        hash: annotation(labels::HASH),
        restart_count: annotation(labels::RESTART_COUNT).parse().unwrap_or(0),
        resources: serde_json::from_str(&annotation(labels::RESOURCES)).ok(),
        unsure: false,
        message_file: message_mount.map(|m| m.host_path.clone()),
        sandbox,
        state: match status.state() {
            ContainerState::ContainerCreated => State::Created,
            ContainerState::ContainerRunning => State::Running,
            ContainerState::ContainerExited => State::Exited,
            ContainerState::ContainerUnknown => State::Unknown,
        },
        created_at: status.created_at,
        started_at: status.started_at,
        finished_at: status.finished_at,
        exit_code: status.exit_code,
        image: status
            .image
            .map(|i| match i.user_specified_image.is_empty() {
                true => i.image,
                false => i.user_specified_image,
            })
            .unwrap_or_default(),
        image_ref: status.image_ref,
        reason: status.reason,
        message: status.message,
        log_path: status.log_path,
        id: status.id,
    }
}
