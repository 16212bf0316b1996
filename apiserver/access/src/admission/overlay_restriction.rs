//! What flannel-lite may change: of the node it runs on the annotations by which
//! nodes of the overlay find each other, and the condition that the network
//! works. Each node's has an identity of its own, `system:flannel-lite:NODE`.
//!
//! Always on, like the other guards of identities.

use super::{Context, Operation, Plugin, Review};
use crate::text;
use crate::user::OVERLAY;
use hardway_proto::Status;
use serde_json::Value;

/// Prefix of the annotations that nodes announce themselves with.
const ANNOTATIONS: &str = "flannel.alpha.coreos.com/";
const CONDITION: &str = "NetworkUnavailable";

/// The plugin.
pub struct OverlayRestriction;

impl Plugin for OverlayRestriction {
    fn validate(
        &self,
        _: &Context,
        review: &Review,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        // The name without a node is what the first versions went by: its rights
        // stay in clusters that had it, and it may change nothing any more.
        let user = review.user;
        if !user.is_in(OVERLAY) && user.name != OVERLAY {
            return Ok(());
        }
        if (review.group, review.resource) != ("", "nodes") {
            return Ok(());
        }
        let forbid = |why: String| Err(review.forbid(new.or(old), why));
        let Some(node) = user.as_overlay_node() else {
            return forbid(format!(
                "could not determine node from user {:?}",
                user.name
            ));
        };
        let (Operation::Update, Some(new), Some(old)) = (review.operation, new, old) else {
            return forbid(format!(
                "unexpected operation {:?}",
                review.operation.as_str()
            ));
        };
        if review.name != node {
            return forbid(format!(
                "flannel-lite of node {node:?} is not allowed to modify node {:?}",
                review.name
            ));
        }
        match rest(new) == rest(old) {
            true => Ok(()),
            false => forbid(format!(
                "flannel-lite is not allowed to update fields other than annotations of {ANNOTATIONS} and the condition {CONDITION}"
            )),
        }
    }
}

/// A node without what flannel-lite may change.
fn rest(node: &Value) -> Value {
    let mut node = node.clone();
    if let Some(metadata) = node.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.retain(|key, _| !key.starts_with(ANNOTATIONS));
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    if let Some(status) = node.get_mut("status").and_then(Value::as_object_mut) {
        if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
            conditions.retain(|condition| text(condition, "/type") != CONDITION);
            if conditions.is_empty() {
                status.remove("conditions");
            }
        }
        if status.is_empty() {
            node["status"] = Value::Null;
        }
    }
    if node["status"].is_null() {
        node.as_object_mut().map(|node| node.remove("status"));
    }
    node
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, review};
    use super::*;
    use crate::User;
    use serde_json::json;

    fn node() -> Value {
        json!({"metadata": {"name": "n1", "labels": {"a": "b"}}, "spec": {"podCIDR": "10.0.0.0/24"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    }

    fn write(user: &str, operation: Operation, name: &str, new: Value) -> Result<(), String> {
        let bench = Bench::new();
        let user = User::new(user, ["system:flannel-lite"]);
        let review = review(&user, operation, "", "nodes", "", name);
        let old = node();
        OverlayRestriction
            .validate(&bench.admission.context, &review, Some(&new), Some(&old))
            .map_err(|status| status.message)
    }

    fn with(change: impl FnOnce(&mut Value)) -> Value {
        let mut node = node();
        change(&mut node);
        node
    }

    #[test]
    fn it_announces_its_own_node_only() {
        let own = "system:flannel-lite:n1";
        let announced = with(|node| {
            node["metadata"]["annotations"] =
                json!({"flannel.alpha.coreos.com/public-ip": "192.0.2.1"});
            node["status"]["conditions"]
                .as_array_mut()
                .unwrap()
                .push(json!({"type": "NetworkUnavailable", "status": "False"}));
        });
        let update =
            |user: &str, name: &str, new: &Value| write(user, Operation::Update, name, new.clone());
        assert_eq!(update(own, "n1", &announced), Ok(()));
        assert!(update(own, "n2", &announced).is_err());
        assert!(update("system:flannel-lite:n2", "n1", &announced).is_err());
        assert!(update("system:flannel-lite", "n1", &announced).is_err());
        assert!(update("system:flannel-lite:", "n1", &announced).is_err());
        assert!(write(own, Operation::Create, "n1", announced.clone()).is_err());
        assert!(write(own, Operation::Delete, "n1", announced).is_err());
    }

    #[test]
    fn it_changes_nothing_else() {
        for (what, new) in [
            ("labels", with(|n| n["metadata"]["labels"] = json!({}))),
            (
                "taints",
                with(|n| n["spec"]["taints"] = json!([{"key": "a"}])),
            ),
            (
                "subnet",
                with(|n| n["spec"]["podCIDR"] = json!("10.0.1.0/24")),
            ),
            (
                "annotations",
                with(|n| n["metadata"]["annotations"] = json!({"acme.com/a": "b"})),
            ),
            (
                "conditions",
                with(|n| n["status"]["conditions"][0]["status"] = json!("False")),
            ),
            (
                "addresses",
                with(|n| n["status"]["addresses"] = json!([{}])),
            ),
        ] {
            let refused = write("system:flannel-lite:n1", Operation::Update, "n1", new);
            assert!(refused.is_err(), "{what}");
        }
    }
}
