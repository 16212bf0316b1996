//! The container runtime, as the kubelet sees it: the trait [`Runtime`], its
//! implementation over CRI v1 ([`client`]), and the names under which pods and
//! containers are labelled.

pub mod cgroup_driver;
pub mod client;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod fake_world;
pub mod labels;
mod metrics;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use client::Client;

/// The messages of CRI v1.
#[allow(missing_docs, clippy::all)]
pub mod api {
    tonic::include_proto!("runtime.v1");
}

pub use api::{
    AuthConfig, Container, ContainerConfig, ContainerEventResponse, ContainerEventType,
    ContainerState, ContainerStats, ContainerStatus, DnsConfig, ExecSyncResponse, FilesystemUsage,
    Image, LinuxContainerResources, Mount, MountPropagation, PodSandbox, PodSandboxConfig,
    PodSandboxState, PodSandboxStatus, RuntimeStatus, VersionResponse,
};

/// What the runtime said when it refused or failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("rpc error: code = {} desc = {message}", code_name(*.code))]
pub struct Error {
    /// The gRPC code.
    pub code: tonic::Code,
    /// The runtime's words.
    pub message: String,
}

/// A gRPC code as Go prints it, which is how it appears in events.
fn code_name(code: tonic::Code) -> String {
    match code {
        tonic::Code::Cancelled => "Canceled".into(),
        tonic::Code::Ok => "OK".into(),
        other => format!("{other:?}"),
    }
}

impl Error {
    /// Whether the object asked for isn't there.
    pub fn is_not_found(&self) -> bool {
        self.code == tonic::Code::NotFound
    }

    /// Whether the runtime can't be reached.
    pub fn is_unavailable(&self) -> bool {
        self.code == tonic::Code::Unavailable
    }
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self {
            code: status.code(),
            message: status.message().to_owned(),
        }
    }
}

/// A call under way.
pub type Call<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Events of containers, as they happen.
pub type Events = BoxStream<'static, Result<ContainerEventResponse, Error>>;

/// Which streams of a container to connect, and whether it has a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Terminal.
    pub tty: bool,
}

/// A shared runtime.
pub type Handle = Arc<dyn Runtime>;

/// A container runtime. Everything that is observed of pods comes from here.
pub trait Runtime: Send + Sync + 'static {
    /// Name and version.
    fn version(&self) -> Call<'_, VersionResponse>;
    /// Whether the runtime and its network are ready.
    fn status(&self) -> Call<'_, RuntimeStatus>;
    /// What the runtime tells of itself besides, by topic; each has its own words.
    fn info(&self) -> Call<'_, BTreeMap<String, String>>;

    /// Creates and starts a sandbox; answers its id.
    fn run_pod_sandbox(&self, config: PodSandboxConfig, handler: String) -> Call<'_, String>;
    /// Stops a sandbox and gives back its network.
    fn stop_pod_sandbox(&self, id: &str) -> Call<'_, ()>;
    /// Removes a stopped sandbox.
    fn remove_pod_sandbox(&self, id: &str) -> Call<'_, ()>;
    /// One sandbox, with its addresses.
    fn sandbox_status(&self, id: &str) -> Call<'_, PodSandboxStatus>;
    /// Sandboxes that carry all these labels.
    fn list_sandboxes(&self, labels: BTreeMap<String, String>) -> Call<'_, Vec<PodSandbox>>;

    /// Creates a container; answers its id.
    fn create_container(
        &self,
        sandbox: &str,
        config: ContainerConfig,
        sandbox_config: PodSandboxConfig,
    ) -> Call<'_, String>;
    /// Starts a created container.
    fn start_container(&self, id: &str) -> Call<'_, ()>;
    /// Stops a container: asks, waits that long, kills.
    fn stop_container(&self, id: &str, timeout: Duration) -> Call<'_, ()>;
    /// Removes a stopped container.
    fn remove_container(&self, id: &str) -> Call<'_, ()>;
    /// Containers that carry all these labels.
    fn list_containers(&self, labels: BTreeMap<String, String>) -> Call<'_, Vec<Container>>;
    /// One container.
    fn container_status(&self, id: &str) -> Call<'_, ContainerStatus>;
    /// Changes the limits of a running container.
    fn update_resources(&self, id: &str, resources: LinuxContainerResources) -> Call<'_, ()>;
    /// Makes the runtime write to the container's log path anew, after it was moved away.
    fn reopen_container_log(&self, id: &str) -> Call<'_, ()>;

    /// Runs a command in a container and collects what it prints.
    fn exec_sync(
        &self,
        id: &str,
        command: Vec<String>,
        timeout: Duration,
    ) -> Call<'_, ExecSyncResponse>;
    /// URL at which the streams of a new command wait.
    fn exec(&self, id: &str, command: Vec<String>, streams: Streams) -> Call<'_, String>;
    /// URL at which the streams of a container's main process wait.
    fn attach(&self, id: &str, streams: Streams) -> Call<'_, String>;
    /// URL at which connections to a sandbox's ports are taken.
    fn port_forward(&self, sandbox: &str, ports: Vec<i32>) -> Call<'_, String>;

    /// Figures of all running containers.
    fn container_stats(&self) -> Call<'_, Vec<ContainerStats>>;
    /// Tells the runtime the node's pod range.
    fn update_pod_cidr(&self, cidr: &str) -> Call<'_, ()>;
    /// Events of containers; `Unimplemented` from runtimes that have none.
    fn events(&self) -> Call<'_, Events>;

    /// All images.
    fn list_images(&self) -> Call<'_, Vec<Image>>;
    /// One image, if it is present.
    fn image_status(&self, image: &str) -> Call<'_, Option<Image>>;
    /// Pulls an image; answers its reference.
    fn pull_image(&self, image: &str, auth: Option<AuthConfig>) -> Call<'_, String>;
    /// Removes an image.
    fn remove_image(&self, image: &str) -> Call<'_, ()>;
    /// Usage of the file systems that hold images.
    fn image_fs_info(&self) -> Call<'_, Vec<FilesystemUsage>>;
}
