//! Facts about a pod that can be read off its object.

use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{Container, ObjectReference, Pod, PodSpec};
use std::sync::LazyLock;

/// Annotation: where a pod came from: `api` or `file`.
pub const SOURCE: &str = "kubernetes.io/config.source";
/// Annotation of the API's copy of a static pod: the static pod's hash.
pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// Seconds a pod has to stop if it doesn't say.
pub const DEFAULT_GRACE: i64 = 30;

static NO_SPEC: LazyLock<PodSpec> = LazyLock::new(PodSpec::default);

/// The spec; an empty one if the object has none.
pub fn spec(pod: &Pod) -> &PodSpec {
    pod.spec.as_ref().unwrap_or(&NO_SPEC)
}

/// Init containers, in order.
pub fn init_containers(pod: &Pod) -> &[Container] {
    spec(pod).init_containers.as_deref().unwrap_or_default()
}

/// All containers, init containers first.
pub fn all_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    init_containers(pod).iter().chain(&spec(pod).containers)
}

/// A container of the pod by name, of either kind.
pub fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    all_containers(pod).find(|c| c.name == name)
}

/// Whether an init container keeps running beside the others.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// What becomes of containers that end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// They come again.
    Always,
    /// They come again unless they succeeded.
    OnFailure,
    /// They stay ended.
    Never,
}

/// The pod's restart policy.
pub fn restart_policy(pod: &Pod) -> RestartPolicy {
    match spec(pod).restart_policy.as_deref() {
        Some("OnFailure") => RestartPolicy::OnFailure,
        Some("Never") => RestartPolicy::Never,
        _ => RestartPolicy::Always,
    }
}

/// Whether the pod uses its node's network.
pub fn host_network(pod: &Pod) -> bool {
    spec(pod).host_network == Some(true)
}

fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let annotations = pod.metadata.annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}

/// Whether the pod comes from a file of this node.
pub fn is_static(pod: &Pod) -> bool {
    annotation(pod, SOURCE).is_some_and(|source| source != "api")
}

/// Whether it is the API's copy of a static pod.
pub fn is_mirror(pod: &Pod) -> bool {
    annotation(pod, MIRROR).is_some()
}

/// Whether it is being deleted.
pub fn is_deleting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// The phase its status tells.
pub fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status.and_then(|s| s.phase.as_deref()).unwrap_or("Pending")
}

/// Whether its status says that it has ended for good.
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Seconds its containers have to stop: what the deletion grants, else what
/// the spec says.
pub fn grace_period(pod: &Pod) -> i64 {
    let granted = pod.metadata.deletion_grace_period_seconds;
    granted
        .or(spec(pod).termination_grace_period_seconds)
        .unwrap_or(DEFAULT_GRACE)
}

/// A reference to one of its containers, for events.
pub fn container_reference(pod: &Pod, container: &str) -> ObjectReference {
    let init = init_containers(pod).iter().any(|c| c.name == container);
    let list = if init { "initContainers" } else { "containers" };
    ObjectReference {
        field_path: Some(format!("spec.{list}{{{container}}}")),
        ..hardway_client::events::reference(pod)
    }
}

/// `name_namespace(uid)`, as Kubernetes names pods in messages.
pub fn full_name(pod: &Pod) -> String {
    format!("{}_{}({})", pod.name(), pod.namespace(), pod.uid())
}

/// Changes when a container has to be replaced: when its image changes.
pub fn container_hash(container: &Container) -> String {
    let image = container.image.as_deref().unwrap_or_default();
    let bytes = container.name.bytes().chain([0]).chain(image.bytes());
    // FNV-1a: stable over restarts and versions, which std's hasher isn't.
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{hash:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_follows_the_image_alone() {
        let mut container = Container {
            name: "web".into(),
            image: Some("a:1".into()),
            ..Default::default()
        };
        let before = container_hash(&container);
        container.command = Some(vec!["x".into()]);
        assert_eq!(container_hash(&container), before);
        container.image = Some("a:2".into());
        assert_ne!(container_hash(&container), before);
    }

    #[test]
    fn deletion_grants_the_grace_period() {
        let mut pod = Pod::default();
        assert_eq!(grace_period(&pod), 30);
        pod.spec = Some(PodSpec {
            termination_grace_period_seconds: Some(5),
            ..Default::default()
        });
        assert_eq!(grace_period(&pod), 5);
        pod.metadata.deletion_grace_period_seconds = Some(0);
        assert_eq!(grace_period(&pod), 0);
    }
}
