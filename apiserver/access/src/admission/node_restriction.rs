//! NodeRestriction: a node changes itself and the pods bound to it, nothing
//! else, and can't promote itself by labels, taints, or pods of its own making.

mod token;

use super::{Context, Operation, Plugin, Review};
use crate::objects::{fields, is_mirror, is_true, items};
use crate::{Objects, text};
use hardway_proto::Status;
use hardway_proto::references::{self, Referent};
use serde_json::Value;
use std::collections::BTreeSet;

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

    fn pod(
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
                match is_own(pod.as_ref()) {
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

    fn node(&self, new: Option<&Value>, old: Option<&Value>) -> Result<(), String> {
        let node = self.node;
        let name = self.name(new);
        if name != node {
            return Err(format!(
                "node {node:?} is not allowed to modify node {name:?}"
            ));
        }
        let Some(new) = new else {
            return Ok(());
        };
        let source = |node: &Value| node.pointer("/spec/configSource").cloned();
        let Some(old) = old else {
            if source(new).is_some_and(|source| !source.is_null()) {
                return Err(format!(
                    "node {node:?} is not allowed to create pods with a non-nil configSource"
                ));
            }
            return match forbidden_labels(&changed_labels(new, &Value::Null)) {
                none if none.is_empty() => Ok(()),
                labels => Err(format!(
                    "node {node:?} is not allowed to set the following labels: {labels}"
                )),
            };
        };
        if source(new).is_some_and(|source| !source.is_null()) && source(new) != source(old) {
            return Err(format!(
                "node {node:?} is not allowed to update configSource to a new non-nil configSource"
            ));
        }
        if items(new, "/spec/taints") != items(old, "/spec/taints") {
            return Err(format!("node {node:?} is not allowed to modify taints"));
        }
        if items(new, "/metadata/ownerReferences") != items(old, "/metadata/ownerReferences") {
            return Err(format!(
                "node {node:?} is not allowed to modify ownerReferences"
            ));
        }
        match forbidden_labels(&changed_labels(new, old)) {
            none if none.is_empty() => Ok(()),
            labels => Err(format!("is not allowed to modify labels: {labels}")),
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

/// Labels added, changed or removed.
fn changed_labels<'a>(new: &'a Value, old: &'a Value) -> BTreeSet<&'a str> {
    let get =
        |object: &'a Value, key: &str| object.pointer("/metadata/labels").and_then(|l| l.get(key));
    [new, old]
        .into_iter()
        .flat_map(|object| fields(object, "/metadata/labels"))
        .map(|(key, _)| key)
        .filter(|key| get(new, key) != get(old, key))
        .collect()
}

const KUBELET_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];

/// Those of the labels that a kubelet may not set on itself.
fn forbidden_labels(labels: &BTreeSet<&str>) -> String {
    let of = |domain: &str, parent: &str| {
        domain == parent
            || domain.ends_with(parent) && domain[..domain.len() - parent.len()].ends_with('.')
    };
    let is_forbidden = |label: &&&str| {
        let domain = label
            .split_once('/')
            .map(|(domain, _)| domain)
            .unwrap_or_default();
        let is_kubernetes = of(domain, "kubernetes.io") || of(domain, "k8s.io");
        let is_allowed = KUBELET_LABELS.contains(*label)
            || of(domain, "kubelet.kubernetes.io")
            || of(domain, "node.kubernetes.io");
        of(domain, "node-restriction.kubernetes.io") || is_kubernetes && !is_allowed
    };
    let forbidden: Vec<&str> = labels.iter().filter(is_forbidden).copied().collect();
    forbidden.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, review};
    use super::*;
    use crate::User;
    use serde_json::json;

    fn attempt(
        operation: Operation,
        resource: &str,
        name: &str,
        new: Value,
        old: Value,
    ) -> Result<(), String> {
        let bench = Bench::new();
        let node = json!({"metadata": {"name": "n1", "uid": "u1"}});
        bench.fake.put("", "nodes", node);
        let user = User::new("system:node:n1", ["system:nodes"]);
        let namespace = text(&new, "/metadata/namespace").to_owned();
        let review = review(&user, operation, "", resource, &namespace, name);
        let some = |v: Value| (!v.is_null()).then_some(v);
        let (new, old) = (some(new), some(old));
        let chain = NodeRestriction;
        chain
            .validate(
                &bench.admission.context,
                &review,
                new.as_ref(),
                old.as_ref(),
            )
            .map_err(|status| status.message)
    }

    #[test]
    fn nodes_modify_themselves_only() {
        let node =
            |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
        let own = node(
            "n1",
            json!({"kubernetes.io/hostname": "n1", "acme.com/x": "y"}),
        );
        assert_eq!(
            attempt(Operation::Create, "nodes", "", own.clone(), Value::Null),
            Ok(())
        );
        assert_eq!(
            attempt(
                Operation::Create,
                "nodes",
                "",
                node("n2", json!({})),
                Value::Null
            )
            .unwrap_err(),
            r#"nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2""#
        );
        let restricted = node(
            "n1",
            json!({"node-restriction.kubernetes.io/secure": "yes"}),
        );
        assert!(
            attempt(
                Operation::Create,
                "nodes",
                "",
                restricted.clone(),
                Value::Null
            )
            .unwrap_err()
            .ends_with(
                "not allowed to set the following labels: node-restriction.kubernetes.io/secure"
            )
        );
        assert!(
            attempt(Operation::Update, "nodes", "n1", restricted, own.clone())
                .unwrap_err()
                .contains("is not allowed to modify labels: ")
        );
        let mut untainted = own.clone();
        untainted["spec"] = json!({"taints": [{"key": "a"}]});
        assert!(
            attempt(Operation::Update, "nodes/status", "n1", own, untainted)
                .unwrap_err()
                .ends_with(r#"node "n1" is not allowed to modify taints"#)
        );
    }

    #[test]
    fn nodes_touch_their_own_pods_only() {
        let pod = |node: &str| json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": {"nodeName": node}});
        let status = |node| attempt(Operation::Update, "pods/status", "p", pod(node), pod(node));
        assert_eq!(status("n1"), Ok(()));
        assert!(status("n2").is_err());
        assert_eq!(
            attempt(Operation::Delete, "pods", "p", Value::Null, pod("n1")),
            Ok(())
        );
        assert!(attempt(Operation::Delete, "pods", "p", Value::Null, pod("n2")).is_err());
        assert!(
            attempt(Operation::Create, "pods", "", pod("n1"), Value::Null)
                .unwrap_err()
                .contains("can only create mirror pods")
        );
        assert!(attempt(Operation::Update, "pods", "p", pod("n1"), pod("n1")).is_err());
        let with = |pointer: &str, value: Value| {
            let mut changed = pod("n1");
            match pointer {
                "labels" => changed["metadata"]["labels"] = value,
                _ => changed["status"] = json!({pointer: value}),
            }
            attempt(Operation::Update, "pods/status", "p", changed, pod("n1"))
        };
        assert_eq!(with("phase", json!("Running")), Ok(()));
        assert!(with("labels", json!({"app": "x"})).is_err());
        let claims = json!([{"name": "gpu", "resourceClaimName": "of-another"}]);
        assert!(with("resourceClaimStatuses", claims).is_err());
    }

    fn mirror() -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "shop",
                "annotations": {"kubernetes.io/config.mirror": "x"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1",
                    "uid": "u1", "controller": true}]},
            "spec": {"nodeName": "n1", "containers": [{"name": "c"}]}})
    }

    #[test]
    fn a_mirror_pod_belongs_to_its_node() {
        let create = |pod: Value| attempt(Operation::Create, "pods", "", pod, Value::Null);
        assert_eq!(create(mirror()), Ok(()));
        let owned = |field: &str, value: Value| {
            let mut pod = mirror();
            pod["metadata"]["ownerReferences"][0][field] = value;
            create(pod).unwrap_err()
        };
        for (field, value) in [
            ("apiVersion", json!("v2")),
            ("kind", json!("Pod")),
            ("name", json!("n2")),
        ] {
            assert!(owned(field, value).ends_with("with an owner reference set to itself"));
        }
        assert!(owned("controller", json!(false)).contains("a controller owner reference"));
        assert!(owned("blockOwnerDeletion", json!(true)).contains("must not set"));
        assert!(owned("uid", json!("u2")).ends_with("UID mismatch: expected u2 got u1"));
        let mut unowned = mirror();
        unowned["metadata"]["ownerReferences"] = json!([]);
        assert!(
            create(unowned)
                .unwrap_err()
                .ends_with("with an owner reference set to itself")
        );
    }

    #[test]
    fn a_mirror_pod_refers_to_nothing() {
        for (field, value, what) in [
            ("serviceAccountName", json!("admin"), "a service account"),
            ("imagePullSecrets", json!([{"name": "x"}]), "secrets"),
            (
                "containers",
                json!([{"envFrom": [{"secretRef": {"name": "x"}}]}]),
                "secrets",
            ),
            (
                "initContainers",
                json!([{"env": [{"valueFrom": {"configMapKeyRef": {"name": "x"}}}]}]),
                "configmaps",
            ),
            (
                "resourceClaims",
                json!([{"name": "g", "resourceClaimTemplateName": "t"}]),
                "resourceclaims",
            ),
        ] {
            let mut pod = mirror();
            pod["spec"][field] = value;
            let refused = attempt(Operation::Create, "pods", "", pod, Value::Null).unwrap_err();
            assert!(refused.ends_with(&format!("reference {what}")), "{refused}");
        }
        for (volume, what) in [
            (json!({"secret": {"secretName": "x"}}), "secrets"),
            (
                json!({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "x"}}}),
                "secrets",
            ),
            (json!({"azureFile": {"secretName": "x"}}), "secrets"),
            (json!({"configMap": {"name": "x"}}), "configmaps"),
            (
                json!({"projected": {"sources": [{"clusterTrustBundle": {"name": "x"}}]}}),
                "clustertrustbundles",
            ),
            (
                json!({"persistentVolumeClaim": {"claimName": "x"}}),
                "persistentvolumeclaims",
            ),
            (
                json!({"ephemeral": {"volumeClaimTemplate": {}}}),
                "persistentvolumeclaims",
            ),
        ] {
            let mut pod = mirror();
            pod["spec"]["volumes"] = json!([volume]);
            let refused = attempt(Operation::Create, "pods", "", pod, Value::Null).unwrap_err();
            assert!(refused.ends_with(&format!("reference {what}")), "{refused}");
        }
    }

    #[test]
    fn a_claims_status_tells_of_resizing_only() {
        let claim = |status: Value, labels: Value| {
            json!({
            "metadata": {"name": "data", "namespace": "shop", "labels": labels},
            "status": status})
        };
        let old = claim(json!({"phase": "Bound"}), json!({}));
        let update = |new| {
            attempt(
                Operation::Update,
                "persistentvolumeclaims/status",
                "data",
                new,
                old.clone(),
            )
        };
        let resized = json!({"phase": "Bound", "capacity": {"storage": "2Gi"}});
        assert_eq!(update(claim(resized.clone(), json!({}))), Ok(()));
        assert!(update(claim(resized, json!({"a": "b"}))).is_err());
        assert!(update(claim(json!({"phase": "Lost"}), json!({}))).is_err());
    }
}
