//! A pod with what scheduling needs of it worked out once.

use crate::affinity::Affinity;
use crate::resources::{Resources, pod_requests};
use hardway_client::trace;
use hardway_proto::Kind;
use hardway_proto::claims::of_pod;
use hardway_proto::meta::ObjectKey;
use hardway_proto::placement::{HostPort, host_ports};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use std::borrow::Cow;
use std::sync::Arc;
use tracing::Instrument;

/// A pod as the scheduler sees it.
#[derive(Clone, Debug)]
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
    /// The claims of its volumes, those of ephemeral ones included.
    pub claims: Vec<String>,
    /// `spec.priority`.
    pub priority: i32,
    /// Its wishes about other pods, if it has any.
    pub affinity: Option<Arc<Affinity>>,
}

impl PodInfo {
    /// Works it out.
    pub fn new(pod: Arc<Pod>) -> Self {
        let empty = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        let host_ports = host_ports(spec);
        Self {
            key: ObjectKey::of(pod.as_ref()),
            requests: pod_requests(&pod, false),
            scored_requests: pod_requests(&pod, true),
            host_ports,
            claims: of_pod(&pod).into_iter().map(Cow::into_owned).collect(),
            priority: spec.priority.unwrap_or(0),
            affinity: Affinity::of(&pod).map(Arc::new),
            pod,
        }
    }

    /// The pod's spec.
    pub fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }

    /// Work on the pod: known by the pod's UID in the logs, and in those of the apiserver.
    pub fn traced<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        let uid = self.pod.uid().to_owned();
        let span = tracing::info_span!("pod", name = %self.key, uid);
        trace::scope(uid, work).instrument(span)
    }

    /// Name of the node it runs on, or is to run on.
    pub fn node(&self) -> Option<&str> {
        self.spec()?.node_name.as_deref().filter(|n| !n.is_empty())
    }
}

/// Whether a pod is over: it holds no resources any more.
pub fn is_finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
