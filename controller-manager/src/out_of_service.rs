//! Nodes that are out of service: a person who has made sure that nothing runs there any more
//! taints such a node, so that nobody waits for its kubelet.

use k8s_openapi::api::core::v1::Node;

/// Its key.
pub const TAINT: &str = "node.kubernetes.io/out-of-service";

/// Whether a node's kubelet is there.
pub fn is_ready(node: &Node) -> bool {
    let conditions = node
        .status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    ready.any(|condition| condition.status == "True")
}

/// Whether somebody vouches that nothing runs on a node any more.
pub fn is_tainted(node: &Node) -> bool {
    let taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    taints.into_iter().any(|taint| taint.key == TAINT)
}
