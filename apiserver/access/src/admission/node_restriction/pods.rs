//! Pods: a node tells the state of its own, and makes mirrors of its static ones, which
//! refer to nothing that it could then read.

use super::Attempt;
use crate::admission::Operation;
use crate::objects::{is_mirror, is_true, items};
use crate::text;
use hardway_proto::references::{self, Referent};
use serde_json::Value;
use std::collections::BTreeSet;

impl Attempt<'_> {
    pub(super) fn pod(
        &self,
        subresource: &str,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), String> {
        let node = self.node;
        let is_own =
            |pod: Option<&Value>| pod.is_some_and(|pod| text(pod, "/spec/nodeName") == node);
        let operation = self.review.operation;
        match (subresource, operation) {
            ("", Operation::Create) => new.map_or(Ok(()), |pod| self.mirror(pod)),
            ("", Operation::Delete) if is_own(old) => Ok(()),
            ("", Operation::Delete) => Err(format!(
                "node {node:?} can only delete pods with spec.nodeName set to itself"
            )),
            ("", _) => Err(format!(
                "unexpected operation {:?}, node {node:?} can only create and delete mirror pods",
                operation.as_str()
            )),
            ("status", Operation::Update) if !is_own(old) => Err(format!(
                "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
            )),
            ("status", Operation::Update) => {
                let differs = |pointer| {
                    let at =
                        |pod: Option<&Value>| pod.and_then(|pod| pod.pointer(pointer).cloned());
                    at(new) != at(old)
                };
                if differs("/metadata/labels") {
                    return Err(format!(
                        "node {node:?} cannot update labels through pod status"
                    ));
                }
                // The claims named there are the pod's to read.
                if differs("/status/resourceClaimStatuses") {
                    return Err(format!(
                        "node {node:?} cannot update resource claim statues"
                    ));
                }
                Ok(())
            }
            ("eviction", Operation::Create) => {
                let namespace = self.review.namespace;
                let pod = self.objects().read("", "pods", namespace, self.name(new));
                match is_own(pod.as_deref()) {
                    true => Ok(()),
                    false => Err(format!(
                        "node {node} can only evict pods with spec.nodeName set to itself"
                    )),
                }
            }
            ("status" | "eviction", _) => {
                Err(format!("unexpected operation {:?}", operation.as_str()))
            }
            (other, _) => Err(format!(
                "unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"
            )),
        }
    }

    fn mirror(&self, pod: &Value) -> Result<(), String> {
        let node = self.node;
        if !is_mirror(pod) {
            return Err(format!(
                "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods"
            ));
        }
        if text(pod, "/spec/nodeName") != node {
            return Err(format!(
                "node {node:?} can only create pods with spec.nodeName set to itself"
            ));
        }
        self.owner(items(pod, "/metadata/ownerReferences"))?;
        let mut referred = BTreeSet::new();
        references::of_pod(pod, |referent, _| {
            referred.insert(referent);
        });
        // Also one whose template names nothing yet.
        if !items(pod, "/spec/resourceClaims").is_empty() {
            referred.insert(Referent::ResourceClaim);
        }
        match referred.first() {
            None => Ok(()),
            Some(referent) => Err(format!(
                "node {node:?} can not create pods that reference {}",
                plural(*referent)
            )),
        }
    }

    /// A mirror pod belongs to the node that makes it, and goes with it.
    fn owner(&self, owners: &[Value]) -> Result<(), String> {
        let node = self.node;
        let owner = match owners {
            [owner] => owner,
            [] => {
                return Err(format!(
                    "node {node:?} can only create pods with an owner reference set to itself"
                ));
            }
            _ => {
                return Err(format!(
                    "node {node:?} can only create pods with a single owner reference set to itself"
                ));
            }
        };
        let is = |field, value| text(owner, field) == value;
        if !(is("/apiVersion", "v1") && is("/kind", "Node") && is("/name", node)) {
            return Err(format!(
                "node {node:?} can only create pods with an owner reference set to itself"
            ));
        }
        if !is_true(owner, "/controller") {
            return Err(format!(
                "node {node:?} can only create pods with a controller owner reference set to itself"
            ));
        }
        if is_true(owner, "/blockOwnerDeletion") {
            return Err(format!(
                "node {node:?} must not set blockOwnerDeletion on an owner reference"
            ));
        }
        let stored = self
            .objects()
            .read("", "nodes", "", node)
            .ok_or_else(|| format!("node {node:?} not found"))?;
        let (named, actual) = (text(owner, "/uid"), text(&stored, "/metadata/uid"));
        match named == actual {
            true => Ok(()),
            false => Err(format!(
                "node {node} UID mismatch: expected {named} got {actual}"
            )),
        }
    }
}

/// As refusals name them.
fn plural(referent: Referent) -> &'static str {
    match referent {
        Referent::ServiceAccount => "a service account",
        Referent::Secret => "secrets",
        Referent::ConfigMap => "configmaps",
        Referent::ClusterTrustBundle => "clustertrustbundles",
        Referent::PersistentVolumeClaim => "persistentvolumeclaims",
        Referent::ResourceClaim => "resourceclaims",
    }
}
