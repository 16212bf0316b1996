//! Facts about a pod that can be read off its object.

use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{
    Container, EphemeralContainer, Node, ObjectReference, Pod, PodSpec,
};
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

/// Annotation: where a pod came from: `api` or `file`.
pub const SOURCE: &str = "kubernetes.io/config.source";
/// Annotation of a static pod: hash of its manifest.
pub const HASH: &str = "kubernetes.io/config.hash";
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

/// Containers of the pod itself, init containers first; ephemeral ones are not
/// among them.
pub fn all_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    init_containers(pod).iter().chain(&spec(pod).containers)
}

/// Containers that were added to the running pod to look into it.
pub fn ephemeral_containers(pod: &Pod) -> impl Iterator<Item = &EphemeralContainer> {
    spec(pod).ephemeral_containers.iter().flatten()
}

/// An ephemeral container as one like the others: what it can't have is unset.
pub fn ordinary(ephemeral: &EphemeralContainer) -> Container {
    let of = ephemeral.clone();
    Container {
        name: of.name,
        image: of.image,
        image_pull_policy: of.image_pull_policy,
        command: of.command,
        args: of.args,
        working_dir: of.working_dir,
        env: of.env,
        env_from: of.env_from,
        volume_mounts: of.volume_mounts,
        security_context: of.security_context,
        stdin: of.stdin,
        stdin_once: of.stdin_once,
        tty: of.tty,
        termination_message_path: of.termination_message_path,
        termination_message_policy: of.termination_message_policy,
        ..Container::default()
    }
}

/// A container of the pod by name, of any sort.
pub fn container<'a>(pod: &'a Pod, name: &str) -> Option<Cow<'a, Container>> {
    let own = all_containers(pod).find(|c| c.name == name);
    own.map(Cow::Borrowed)
        .or_else(|| ephemeral(pod, name).map(|c| Cow::Owned(ordinary(c))))
}

fn ephemeral<'a>(pod: &'a Pod, name: &str) -> Option<&'a EphemeralContainer> {
    ephemeral_containers(pod).find(|c| c.name == name)
}

/// The container whose processes an ephemeral one is to see, if it names one.
pub fn target<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let target = ephemeral(pod, name)?.target_container_name.as_deref();
    target.filter(|target| !target.is_empty())
}

/// What a container is in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What the pod is there for.
    Main,
    /// What prepares it, or runs beside it.
    Init,
    /// What was added to look into it.
    Ephemeral,
}

fn role(pod: &Pod, name: &str) -> Role {
    if init_containers(pod).iter().any(|c| c.name == name) {
        Role::Init
    } else if ephemeral(pod, name).is_some() {
        Role::Ephemeral
    } else {
        Role::Main
    }
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

/// Whether it is the API's copy of a static pod of this node: it says so, with
/// the hash of what it shows, and the node owns it. Words alone are anybody's.
pub fn is_mirror(pod: &Pod, node: &str) -> bool {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let owned = owners.iter().any(|owner| {
        (owner.kind.as_str(), owner.api_version.as_str()) == (Node::KIND, "v1")
            && owner.name == node
            && owner.controller == Some(true)
    });
    owned && annotation(pod, MIRROR).is_some_and(|hash| annotation(pod, HASH) == Some(hash))
}

/// Whether it says of itself that it shows a static pod. It isn't run then,
/// be it true or not: what it shows would run twice.
pub fn says_mirror(pod: &Pod) -> bool {
    annotation(pod, MIRROR).is_some()
}

/// A pod as the API has it. Where it comes from is known, whatever it says
/// about that itself.
pub fn from_api(pod: Arc<Pod>) -> Arc<Pod> {
    const API: &str = "api";
    if annotation(&pod, SOURCE).is_none_or(|source| source == API) {
        return pod;
    }
    let mut pod = Arc::unwrap_or_clone(pod);
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(SOURCE.into(), API.into());
    Arc::new(pod)
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
    let list = match role(pod, container) {
        Role::Main => "containers",
        Role::Init => "initContainers",
        Role::Ephemeral => "ephemeralContainers",
    };
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
    fn ephemeral_containers_are_found_like_the_others() {
        let pod: Pod = serde_json::from_value(serde_json::json!({"spec": {
            "initContainers": [{"name": "init"}],
            "containers": [{"name": "web"}],
            "ephemeralContainers": [
                {"name": "debugger", "image": "tools:1", "tty": true, "targetContainerName": "web"},
                {"name": "other"},
            ],
        }}))
        .unwrap();
        let found = container(&pod, "debugger").unwrap();
        assert_eq!(
            (found.image.as_deref(), found.tty),
            (Some("tools:1"), Some(true))
        );
        assert_eq!(target(&pod, "debugger"), Some("web"));
        assert_eq!((target(&pod, "other"), target(&pod, "web")), (None, None));
        assert!(container(&pod, "none").is_none());
        let path = |name| container_reference(&pod, name).field_path.unwrap();
        assert_eq!(path("debugger"), "spec.ephemeralContainers{debugger}");
        assert_eq!(path("init"), "spec.initContainers{init}");
        assert_eq!(path("web"), "spec.containers{web}");
    }

    #[test]
    fn only_what_the_node_owns_shows_a_static_pod() {
        let pod = |owner: serde_json::Value, hash: &str| -> Pod {
            serde_json::from_value(serde_json::json!({"metadata": {
                "annotations": {SOURCE: "file", MIRROR: "h", HASH: hash},
                "ownerReferences": owner,
            }}))
            .unwrap()
        };
        let owner = |kind: &str, name: &str, controller: bool| {
            serde_json::json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": "u",
                "controller": controller}])
        };
        assert!(is_mirror(&pod(owner("Node", "n1", true), "h"), "n1"));
        for other in [
            pod(owner("Node", "n1", true), "other"),
            pod(owner("Node", "n2", true), "h"),
            pod(owner("Node", "n1", false), "h"),
            pod(owner("ReplicaSet", "n1", true), "h"),
            pod(serde_json::json!([]), "h"),
        ] {
            assert!(!is_mirror(&other, "n1"));
        }
    }

    #[test]
    fn a_pod_of_the_api_is_no_static_one_whatever_it_says() {
        let mut pod = Pod::default();
        assert!(!is_static(&from_api(Arc::new(pod.clone()))));
        let lie = [(SOURCE.to_owned(), "file".to_owned())];
        pod.metadata.annotations = Some(lie.into());
        assert!(is_static(&pod));
        let seen = from_api(Arc::new(pod));
        assert!(!is_static(&seen));
        assert_eq!(annotation(&seen, SOURCE), Some("api"));
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
