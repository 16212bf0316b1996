//! Who needs a volume where.

use crate::pod_ranking::is_finished;
use hardway_proto::Kind;
use hardway_proto::claims::{is_for, made_for, of_volumes, volume_name};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use std::collections::BTreeMap;
use std::sync::Arc;

/// On a node: its volumes are attached by this controller, not by its kubelet.
const MANAGED: &str = "volumes.kubernetes.io/controller-managed-attach-detach";
/// On a node: volumes stay until pods that have ended are gone.
const KEEPS: &str = "volumes.kubernetes.io/keep-terminated-pod-volumes";

/// The pods that need a volume, by their node.
pub type Users = BTreeMap<String, Vec<Arc<Pod>>>;

fn has_annotation(node: &Node, name: &str) -> bool {
    let annotations = node.metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(name))
}

/// Whether volumes of a node's pods are to be attached here.
pub fn is_managed(node: &Node) -> bool {
    has_annotation(node, MANAGED)
}

/// Whether a pod runs nothing any more: it has ended, or it is going and no container runs.
fn is_terminated(pod: &Pod) -> bool {
    let statuses = pod.status.iter();
    let mut statuses = statuses.flat_map(|s| s.container_statuses.iter().flatten());
    let runs = statuses.any(|status| {
        let state = status.state.as_ref();
        !state.is_some_and(|state| state.terminated.is_some() || state.waiting.is_some())
    });
    is_finished(pod) || pod.metadata.deletion_timestamp.is_some() && !runs
}

/// Whether a pod, on a node, uses a claim.
fn uses(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    of_volumes(pod).any(|named| {
        named.name == claim.name() && (!named.is_ephemeral || made_for(claim, pod).is_ok())
    })
}

/// The pods that need a volume: those of its claim that are on managed nodes.
pub fn users(
    volume: &PersistentVolume,
    claim: &PersistentVolumeClaim,
    pods: impl Iterator<Item = Arc<Pod>>,
    node_of: impl Fn(&str) -> Option<Arc<Node>>,
) -> Users {
    let mut users = Users::new();
    if volume_name(claim) != volume.name() || !is_for(volume, claim) {
        return users;
    }
    for pod in pods.filter(|pod| uses(pod, claim)) {
        let name = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let Some(node) = name.and_then(&node_of).filter(|node| is_managed(node)) else {
            continue;
        };
        if !is_terminated(&pod) || has_annotation(&node, KEEPS) {
            users.entry(node.name().to_owned()).or_default().push(pod);
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::super::testing::{claim, node, pod, volume};
    use super::*;
    use serde_json::{Value, json};

    fn nodes_for(pod: Pod, node_status: Value) -> Vec<String> {
        let node = Arc::new(node("a", node_status));
        let node_of = |name: &str| (name == "a").then(|| node.clone());
        let volume = volume("v", json!({}));
        let pods = std::iter::once(Arc::new(pod));
        users(&volume, &claim("v"), pods, node_of)
            .into_keys()
            .collect()
    }

    #[test]
    fn a_volume_is_needed_where_its_claims_pods_run() {
        assert_eq!(nodes_for(pod("p", "a", json!({})), json!({})), ["a"]);
        let nowhere: [&str; 0] = [];
        assert_eq!(nodes_for(pod("p", "gone", json!({})), json!({})), nowhere);
        let ended = json!({"phase": "Succeeded"});
        assert_eq!(nodes_for(pod("p", "a", ended), json!({})), nowhere);
    }

    #[test]
    fn a_pod_that_is_going_needs_it_while_it_runs() {
        let going = |state: Value| {
            let mut pod = pod(
                "p",
                "a",
                json!({"containerStatuses": [{
                "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": state}]}),
            );
            pod.metadata.deletion_timestamp =
                serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
            nodes_for(pod, json!({})).len()
        };
        assert_eq!(going(json!({"running": {}})), 1);
        assert_eq!(going(json!({"terminated": {"exitCode": 0}})), 0);
    }
}
