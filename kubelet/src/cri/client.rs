//! CRI v1 over the runtime's unix socket.

use super::api::image_service_client::ImageServiceClient;
use super::api::runtime_service_client::RuntimeServiceClient;
use super::{metrics, *};
use futures_util::{FutureExt, StreamExt};
use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use std::time::Instant;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

/// How long a call may take that doesn't wait for anything by its nature.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an image may take to come.
const PULL_TIMEOUT: Duration = Duration::from_secs(1800);
/// Slack on top of a timeout that the runtime itself keeps.
const GRACE: Duration = Duration::from_secs(30);
/// Lists of all containers and outputs of commands may be large.
const MAX_MESSAGE: usize = 32 << 20;

/// A runtime behind a unix socket; connects when used and reconnects by itself.
#[derive(Clone)]
pub struct Client {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

impl Client {
    /// A client of `unix:///path` (or a plain path).
    pub fn connect(endpoint: &str) -> Self {
        let path = PathBuf::from(endpoint.strip_prefix("unix://").unwrap_or(endpoint));
        let connector = tower::service_fn(move |_: http::Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        // The URI only fills the :authority of requests; the connector decides.
        let channel =
            Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector);
        Self {
            runtime: RuntimeServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_MESSAGE),
            images: ImageServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE),
        }
    }
}

fn within<T>(message: T, timeout: Duration) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(timeout);
    request
}

/// Makes one unary call: `call!(self.runtime.method(message), timeout)`, counts it, and
/// takes what is wanted from the answer.
macro_rules! call {
    ($self:ident.$service:ident.$method:ident($message:expr), $timeout:expr, $answer:pat => $value:expr) => {{
        let mut service = $self.$service.clone();
        let request = within($message, $timeout);
        async move {
            let began = Instant::now();
            let answer = service.$method(request).await.map_err(Error::from);
            metrics::count(stringify!($method), began, &answer);
            let $answer = answer?.into_inner();
            Ok($value)
        }
        .boxed()
    }};
}

/// An answer that lacks its main part.
fn absent(what: &str, id: &str) -> Error {
    Error {
        code: tonic::Code::NotFound,
        message: format!("the runtime answered without a status of {what} {id:?}"),
    }
}

fn spec(image: &str) -> Option<api::ImageSpec> {
    Some(api::ImageSpec {
        image: image.into(),
        ..Default::default()
    })
}

impl Runtime for Client {
    fn version(&self) -> Call<'_, VersionResponse> {
        let request = api::VersionRequest {
            version: "v1".into(),
        };
        call!(self.runtime.version(request), CALL_TIMEOUT, answer => answer)
    }

    fn status(&self) -> Call<'_, RuntimeStatus> {
        let request = api::StatusRequest { verbose: false };
        call!(self.runtime.status(request), CALL_TIMEOUT, answer => answer.status.unwrap_or_default())
    }

    fn info(&self) -> Call<'_, BTreeMap<String, String>> {
        let request = api::StatusRequest { verbose: true };
        call!(self.runtime.status(request), CALL_TIMEOUT, answer => answer.info)
    }

    fn run_pod_sandbox(&self, config: PodSandboxConfig, handler: String) -> Call<'_, String> {
        let request = api::RunPodSandboxRequest {
            config: Some(config),
            runtime_handler: handler,
        };
        call!(self.runtime.run_pod_sandbox(request), CALL_TIMEOUT * 2, answer => answer.pod_sandbox_id)
    }

    fn stop_pod_sandbox(&self, id: &str) -> Call<'_, ()> {
        let request = api::StopPodSandboxRequest {
            pod_sandbox_id: id.into(),
        };
        call!(self.runtime.stop_pod_sandbox(request), CALL_TIMEOUT, _ => ())
    }

    fn remove_pod_sandbox(&self, id: &str) -> Call<'_, ()> {
        let request = api::RemovePodSandboxRequest {
            pod_sandbox_id: id.into(),
        };
        call!(self.runtime.remove_pod_sandbox(request), CALL_TIMEOUT, _ => ())
    }

    fn sandbox_status(&self, id: &str) -> Call<'_, PodSandboxStatus> {
        let id = id.to_owned();
        let request = api::PodSandboxStatusRequest {
            pod_sandbox_id: id.clone(),
            verbose: false,
        };
        call!(self.runtime.pod_sandbox_status(request), CALL_TIMEOUT,
            answer => answer.status.ok_or_else(|| absent("sandbox", &id))?)
    }

    fn list_sandboxes(&self, labels: BTreeMap<String, String>) -> Call<'_, Vec<PodSandbox>> {
        let request = api::ListPodSandboxRequest {
            filter: Some(api::PodSandboxFilter {
                label_selector: labels,
                ..Default::default()
            }),
        };
        call!(self.runtime.list_pod_sandbox(request), CALL_TIMEOUT, answer => answer.items)
    }

    fn create_container(
        &self,
        sandbox: &str,
        config: ContainerConfig,
        sandbox_config: PodSandboxConfig,
    ) -> Call<'_, String> {
        let request = api::CreateContainerRequest {
            pod_sandbox_id: sandbox.into(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        call!(self.runtime.create_container(request), CALL_TIMEOUT, answer => answer.container_id)
    }

    fn start_container(&self, id: &str) -> Call<'_, ()> {
        let request = api::StartContainerRequest {
            container_id: id.into(),
        };
        call!(self.runtime.start_container(request), CALL_TIMEOUT, _ => ())
    }

    fn stop_container(&self, id: &str, timeout: Duration) -> Call<'_, ()> {
        let request = api::StopContainerRequest {
            container_id: id.into(),
            // CRI counts whole seconds: part of one left is not none.
            timeout: i64::try_from(timeout.as_millis().div_ceil(1000)).unwrap_or(i64::MAX),
        };
        call!(self.runtime.stop_container(request), timeout + GRACE, _ => ())
    }

    fn remove_container(&self, id: &str) -> Call<'_, ()> {
        let request = api::RemoveContainerRequest {
            container_id: id.into(),
        };
        call!(self.runtime.remove_container(request), CALL_TIMEOUT, _ => ())
    }

    fn list_containers(&self, labels: BTreeMap<String, String>) -> Call<'_, Vec<Container>> {
        let request = api::ListContainersRequest {
            filter: Some(api::ContainerFilter {
                label_selector: labels,
                ..Default::default()
            }),
        };
        call!(self.runtime.list_containers(request), CALL_TIMEOUT, answer => answer.containers)
    }

    fn container_status(&self, id: &str) -> Call<'_, ContainerStatus> {
        let id = id.to_owned();
        let request = api::ContainerStatusRequest {
            container_id: id.clone(),
            verbose: false,
        };
        call!(self.runtime.container_status(request), CALL_TIMEOUT,
            answer => answer.status.ok_or_else(|| absent("container", &id))?)
    }

    fn update_resources(&self, id: &str, resources: LinuxContainerResources) -> Call<'_, ()> {
        let request = api::UpdateContainerResourcesRequest {
            container_id: id.into(),
            linux: Some(resources),
        };
        call!(self.runtime.update_container_resources(request), CALL_TIMEOUT, _ => ())
    }

    fn reopen_container_log(&self, id: &str) -> Call<'_, ()> {
        let request = api::ReopenContainerLogRequest {
            container_id: id.into(),
        };
        call!(self.runtime.reopen_container_log(request), CALL_TIMEOUT, _ => ())
    }

    fn exec_sync(
        &self,
        id: &str,
        command: Vec<String>,
        timeout: Duration,
    ) -> Call<'_, ExecSyncResponse> {
        let request = api::ExecSyncRequest {
            container_id: id.into(),
            cmd: command,
            timeout: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        };
        // Zero means that the command may run forever.
        let patience = if timeout.is_zero() {
            Duration::from_secs(86400)
        } else {
            timeout + GRACE
        };
        call!(self.runtime.exec_sync(request), patience, answer => answer)
    }

    fn exec(&self, id: &str, command: Vec<String>, streams: Streams) -> Call<'_, String> {
        let request = api::ExecRequest {
            container_id: id.into(),
            cmd: command,
            tty: streams.tty,
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr,
        };
        call!(self.runtime.exec(request), CALL_TIMEOUT, answer => answer.url)
    }

    fn attach(&self, id: &str, streams: Streams) -> Call<'_, String> {
        let request = api::AttachRequest {
            container_id: id.into(),
            stdin: streams.stdin,
            tty: streams.tty,
            stdout: streams.stdout,
            stderr: streams.stderr,
        };
        call!(self.runtime.attach(request), CALL_TIMEOUT, answer => answer.url)
    }

    fn port_forward(&self, sandbox: &str, ports: Vec<i32>) -> Call<'_, String> {
        let request = api::PortForwardRequest {
            pod_sandbox_id: sandbox.into(),
            port: ports,
        };
        call!(self.runtime.port_forward(request), CALL_TIMEOUT, answer => answer.url)
    }

    fn container_stats(&self) -> Call<'_, Vec<ContainerStats>> {
        let request = api::ListContainerStatsRequest::default();
        call!(self.runtime.list_container_stats(request), CALL_TIMEOUT, answer => answer.stats)
    }

    fn update_pod_cidr(&self, cidr: &str) -> Call<'_, ()> {
        let request = api::UpdateRuntimeConfigRequest {
            runtime_config: Some(api::RuntimeConfig {
                network_config: Some(api::NetworkConfig {
                    pod_cidr: cidr.into(),
                }),
            }),
        };
        call!(self.runtime.update_runtime_config(request), CALL_TIMEOUT, _ => ())
    }

    fn events(&self) -> Call<'_, Events> {
        let mut service = self.runtime.clone();
        async move {
            let stream = service
                .get_container_events(api::GetEventsRequest {})
                .await?
                .into_inner();
            Ok(stream.map(|event| event.map_err(Error::from)).boxed())
        }
        .boxed()
    }

    fn list_images(&self) -> Call<'_, Vec<Image>> {
        let request = api::ListImagesRequest::default();
        call!(self.images.list_images(request), CALL_TIMEOUT, answer => answer.images)
    }

    fn image_status(&self, image: &str) -> Call<'_, Option<Image>> {
        let request = api::ImageStatusRequest {
            image: spec(image),
            verbose: false,
        };
        call!(self.images.image_status(request), CALL_TIMEOUT, answer => answer.image)
    }

    fn pull_image(&self, image: &str, auth: Option<AuthConfig>) -> Call<'_, String> {
        let request = api::PullImageRequest {
            image: spec(image),
            auth,
            sandbox_config: None,
        };
        call!(self.images.pull_image(request), PULL_TIMEOUT, answer => answer.image_ref)
    }

    fn remove_image(&self, image: &str) -> Call<'_, ()> {
        let request = api::RemoveImageRequest { image: spec(image) };
        call!(self.images.remove_image(request), CALL_TIMEOUT, _ => ())
    }

    fn image_fs_info(&self) -> Call<'_, Vec<FilesystemUsage>> {
        let request = api::ImageFsInfoRequest {};
        call!(self.images.image_fs_info(request), CALL_TIMEOUT, answer => answer.image_filesystems)
    }
}
