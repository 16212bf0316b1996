//! A driver's Node service, behind its unix socket.

use hyper_util::rt::TokioIo;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

/// The messages of CSI 1.x.
#[allow(missing_docs, clippy::all)]
pub mod api {
    tonic::include_proto!("csi.v1");
}

use api::node_client::NodeClient;
use api::node_service_capability::{Type, rpc};

/// How long a driver may take for one call, as in Kubernetes (`csiTimeout`).
pub(super) const TIMEOUT: Duration = Duration::from_secs(120);

/// What a driver's answer means for what is to be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// In Kubernetes' words, e.g. `rpc error: code = Internal desc = no space left`.
    pub message: String,
    /// Whether the driver is certainly not at it any more.
    pub is_final: bool,
    /// Whether the driver says that it can't ever be done.
    pub is_infeasible: bool,
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        use tonic::Code;
        // Of a connection that breaks in the middle nobody knows what became of the call. What
        // a driver says itself has no source.
        let broke = std::error::Error::source(&status).is_some();
        let (code, text) = match (status.code(), status.message()) {
            (Code::Unknown, text) if broke => (Code::Unavailable, text),
            answer => answer,
        };
        let name = match code {
            Code::Cancelled => "Canceled".to_owned(),
            other => format!("{other:?}"),
        };
        Self {
            message: format!("rpc error: code = {name} desc = {text}"),
            // As Kubernetes' `IsOperationFinishedError` and `IsInfeasibleError` have it.
            is_final: !matches!(
                code,
                Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::Unavailable
                    | Code::ResourceExhausted
                    | Code::Aborted
            ),
            is_infeasible: matches!(
                code,
                Code::InvalidArgument | Code::OutOfRange | Code::NotFound
            ),
        }
    }
}

/// What a driver's Node service can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities(Vec<rpc::Type>);

impl Capabilities {
    #[cfg(test)]
    pub fn of(all: &[rpc::Type]) -> Self {
        Self(all.to_vec())
    }

    pub fn has(&self, capability: rpc::Type) -> bool {
        self.0.contains(&capability)
    }

    /// Whether volumes are made ready for the node before they are for a pod.
    pub fn stages(&self) -> bool {
        self.has(rpc::Type::StageUnstageVolume)
    }
}

/// A connection; it connects when it is used, and again when its driver comes back.
#[derive(Clone, Debug)]
pub(super) struct Driver {
    node: NodeClient<Channel>,
    timeout: Duration,
}

/// A channel over a unix socket.
pub(super) fn connect(socket: &Path) -> Channel {
    let path = socket.to_owned();
    let connector = tower::service_fn(move |_: http::Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The URI only fills the :authority of requests; the connector decides.
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector)
}

/// Bounds a call: a driver that hangs must not take its caller with it.
pub(super) async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(timeout, call).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(tonic::Status::deadline_exceeded("context deadline exceeded").into()),
    }
}

macro_rules! calls {
    ($($name:ident: $request:ident => $answer:ident;)*) => {
        $(pub async fn $name(&self, message: api::$request) -> Result<api::$answer, Failure> {
            let mut node = self.node.clone();
            within(self.timeout, node.$name(message)).await
        })*
    };
}

impl Driver {
    /// The driver at a socket; it is called when it is needed.
    pub fn at(socket: &Path, timeout: Duration) -> Self {
        Self {
            node: NodeClient::new(connect(socket)),
            timeout,
        }
    }

    /// What the driver can do now; it may have come back as another version.
    pub async fn capabilities(&self) -> Result<Capabilities, String> {
        let answer = self.node_get_capabilities(api::NodeGetCapabilitiesRequest {});
        let answer = answer.await.map_err(|failure| failure.message)?;
        let all = answer.capabilities.into_iter();
        let known = all.filter_map(|capability| match capability.r#type? {
            Type::Rpc(rpc) => rpc::Type::try_from(rpc.r#type).ok(),
        });
        Ok(Capabilities(known.collect()))
    }

    calls! {
        node_get_info: NodeGetInfoRequest => NodeGetInfoResponse;
        node_get_capabilities: NodeGetCapabilitiesRequest => NodeGetCapabilitiesResponse;
        node_stage_volume: NodeStageVolumeRequest => NodeStageVolumeResponse;
        node_unstage_volume: NodeUnstageVolumeRequest => NodeUnstageVolumeResponse;
        node_publish_volume: NodePublishVolumeRequest => NodePublishVolumeResponse;
        node_unpublish_volume: NodeUnpublishVolumeRequest => NodeUnpublishVolumeResponse;
        node_expand_volume: NodeExpandVolumeRequest => NodeExpandVolumeResponse;
        node_get_volume_stats: NodeGetVolumeStatsRequest => NodeGetVolumeStatsResponse;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_in_kubernetes_words() {
        let failed = Failure::from(tonic::Status::internal("disk on fire"));
        assert_eq!(
            failed.message,
            "rpc error: code = Internal desc = disk on fire"
        );
        assert!(failed.is_final && !failed.is_infeasible);
        let broke = tonic::Status::from_error(Box::new(std::io::Error::other("broken pipe")));
        assert!(Failure::from(tonic::Status::unknown("so it says")).is_final);
        for uncertain in [
            broke,
            tonic::Status::deadline_exceeded("late"),
            tonic::Status::unavailable("gone"),
            tonic::Status::aborted("at it"),
        ] {
            assert!(!Failure::from(uncertain).is_final);
        }
        assert!(Failure::from(tonic::Status::not_found("no such volume")).is_infeasible);
    }

    #[tokio::test(start_paused = true)]
    async fn a_driver_that_hangs_is_given_up() {
        let never = std::future::pending::<Result<tonic::Response<()>, tonic::Status>>();
        let failed = within(TIMEOUT, never).await.unwrap_err();
        let text = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";
        assert_eq!(failed.message, text);
    }
}
