//! NodeRestriction: a node changes itself and the pods bound to it, nothing
//! else, and can't promote itself by labels, taints, or pods of its own making.

mod nodes;
mod pods;
mod token;

use super::{Context, Operation, Plugin, Review};
use crate::{Objects, text};
use hardway_proto::Status;
use serde_json::Value;

/// The plugin.
pub struct NodeRestriction;

impl Plugin for NodeRestriction {
    fn validate(
        &self,
        cx: &Context,
        review: &Review,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        // Streams are no writes.
        if !review.user.is_in("system:nodes") || review.operation == Operation::Connect {
            return Ok(());
        }
        let Some(node) = review.user.as_node() else {
            let why = format!("could not determine node from user {:?}", review.user.name);
            return Err(review.forbid(new.or(old), why));
        };
        let attempt = Attempt { cx, review, node };
        let verdict = match (review.group, review.resource, review.subresource) {
            ("", "pods", sub) => attempt.pod(sub, new, old),
            ("", "nodes", _) => attempt.node(new, old),
            ("", "persistentvolumeclaims", "status") => attempt.claim_status(new, old),
            ("", "persistentvolumeclaims", _) => Err("may only update PVC status".into()),
            ("", "serviceaccounts", "token") => attempt.token(new),
            ("coordination.k8s.io", "leases", _) => attempt.lease(new),
            ("storage.k8s.io", "csinodes", _) => attempt.csi_node(new),
            ("resource.k8s.io", "resourceslices", _) => attempt.slice(new, old),
            _ => Ok(()),
        };
        verdict.map_err(|why| review.forbid(new.or(old), why))
    }
}

struct Attempt<'a> {
    cx: &'a Context,
    review: &'a Review<'a>,
    node: &'a str,
}

impl Attempt<'_> {
    fn objects(&self) -> &dyn Objects {
        &*self.cx.objects
    }

    /// The name in the path, or in the object at creation.
    fn name<'v>(&'v self, new: Option<&'v Value>) -> &'v str {
        match self.review.name {
            "" => new
                .map(|new| text(new, "/metadata/name"))
                .unwrap_or_default(),
            name => name,
        }
    }

    /// A kubelet tells how it resizes a volume, nothing else.
    fn claim_status(&self, new: Option<&Value>, old: Option<&Value>) -> Result<(), String> {
        let (Some(new), Some(old)) = (new, old) else {
            return Err(format!(
                "unexpected operation {:?}",
                self.review.operation.as_str()
            ));
        };
        let rest = |claim: &Value| {
            let mut claim = claim.clone();
            for (parent, fields) in [
                ("metadata", &["resourceVersion", "managedFields"][..]),
                (
                    "status",
                    &[
                        "capacity",
                        "conditions",
                        "allocatedResources",
                        "allocatedResourceStatuses",
                    ],
                ),
            ] {
                if let Some(map) = claim.get_mut(parent).and_then(Value::as_object_mut) {
                    map.retain(|field, _| !fields.contains(&field.as_str()));
                }
            }
            claim
        };
        match rest(new) == rest(old) {
            true => Ok(()),
            false => Err(format!(
                "node {:?} is not allowed to update fields other than status.capacity and status.conditions",
                self.node
            )),
        }
    }

    fn lease(&self, new: Option<&Value>) -> Result<(), String> {
        if self.review.namespace != "kube-node-lease" {
            return Err(
                "can only access leases in the \"kube-node-lease\" system namespace".into(),
            );
        }
        match self.name(new) == self.node {
            true => Ok(()),
            false => {
                Err("can only access node lease with the same name as the requesting node".into())
            }
        }
    }

    fn csi_node(&self, new: Option<&Value>) -> Result<(), String> {
        match self.name(new) == self.node {
            true => Ok(()),
            false => {
                Err("can only access CSINode with the same name as the requesting node".into())
            }
        }
    }

    fn slice(&self, new: Option<&Value>, old: Option<&Value>) -> Result<(), String> {
        let is_own = |slice: &Value| text(slice, "/spec/nodeName") == self.node;
        match self.review.operation {
            Operation::Create if !new.is_some_and(is_own) => Err(
                "can only create ResourceSlice with the same NodeName as the requesting node"
                    .into(),
            ),
            Operation::Update | Operation::Delete if !old.is_some_and(is_own) => Err(
                "can only update or delete ResourceSlice with the same NodeName as the requesting node"
                    .into(),
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
