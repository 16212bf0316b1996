//! NodeRestriction: a node changes itself and the pods bound to it, nothing
//! else, and can't promote itself by labels or taints.

use super::{Context, Operation, Plugin, Review, is_mirror};
use crate::objects::{fields, is_true, items};
use crate::text;
use hardway_proto::Status;
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
        if !review.user.is_in("system:nodes") {
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
            ("", "persistentvolumeclaims", "status") => Ok(()),
            ("", "serviceaccounts", "token") => attempt.token(new),
            ("coordination.k8s.io", "leases", _) => attempt.lease(new),
            ("storage.k8s.io", "csinodes", _) => attempt.csi_node(new),
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
        match (subresource, self.review.operation) {
            ("", Operation::Create) => new.map_or(Ok(()), |pod| self.mirror(pod)),
            ("", Operation::Delete) if is_own(old) => Ok(()),
            ("", Operation::Delete) => Err(format!(
                "node {node:?} can only delete pods with spec.nodeName set to itself"
            )),
            ("status", Operation::Update) if !is_own(old) => Err(format!(
                "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
            )),
            ("status", Operation::Update) => {
                let labels =
                    |pod: Option<&Value>| pod.and_then(|p| p.pointer("/metadata/labels").cloned());
                match labels(new) == labels(old) {
                    true => Ok(()),
                    false => Err(format!(
                        "node {node:?} cannot update labels through pod status"
                    )),
                }
            }
            ("eviction", Operation::Create) => {
                let namespace = self.review.namespace;
                let pod = self.cx.objects.read("", "pods", namespace, self.name(new));
                match is_own(pod.as_ref()) {
                    true => Ok(()),
                    false => Err(format!(
                        "node {node:?} can only evict pods with spec.nodeName set to itself"
                    )),
                }
            }
            (other, _) => Err(format!(
                "unexpected operation on pods/{other} by node {node:?}"
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
        let spec = pod["spec"].to_string();
        let refers = [
            ("\"serviceAccountName\":\"", "a service account"),
            ("\"secret\":{", "secrets"),
            ("\"secretKeyRef\":", "secrets"),
            ("\"secretRef\":", "secrets"),
            ("\"imagePullSecrets\":[{", "secrets"),
            ("\"configMap\":{", "configmaps"),
            ("\"configMapKeyRef\":", "configmaps"),
            ("\"configMapRef\":", "configmaps"),
            ("\"persistentVolumeClaim\":", "persistentvolumeclaims"),
        ];
        if let Some((_, what)) = refers.iter().find(|(mark, _)| spec.contains(mark)) {
            return Err(format!(
                "node {node:?} can not create pods that reference {what}"
            ));
        }
        let owners = items(pod, "/metadata/ownerReferences");
        let is_node = |owner: &Value| {
            text(owner, "/apiVersion") == "v1"
                && text(owner, "/kind") == "Node"
                && text(owner, "/name") == node
                && is_true(owner, "/controller")
                && !is_true(owner, "/blockOwnerDeletion")
        };
        match owners {
            [] => Ok(()),
            [owner] if is_node(owner) => Ok(()),
            _ => Err(format!(
                "node {node:?} can only create pods with an owner reference set to itself"
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
        let Some(old) = old else {
            return match forbidden_labels(&changed_labels(new, &Value::Null)) {
                none if none.is_empty() => Ok(()),
                labels => Err(format!(
                    "node {node:?} is not allowed to set the following labels: {labels}"
                )),
            };
        };
        if new.pointer("/spec/taints") != old.pointer("/spec/taints") {
            return Err(format!("node {node:?} is not allowed to modify taints"));
        }
        if new.pointer("/metadata/ownerReferences") != old.pointer("/metadata/ownerReferences") {
            return Err(format!(
                "node {node:?} is not allowed to modify ownerReferences"
            ));
        }
        match forbidden_labels(&changed_labels(new, old)) {
            none if none.is_empty() => Ok(()),
            labels => Err(format!("is not allowed to modify labels: {labels}")),
        }
    }

    fn token(&self, new: Option<&Value>) -> Result<(), String> {
        let reference = new.and_then(|new| new.pointer("/spec/boundObjectRef"));
        let Some(pod) =
            reference.filter(|r| text(r, "/apiVersion") == "v1" && text(r, "/kind") == "Pod")
        else {
            return Err("node requested token not bound to a pod".into());
        };
        let (name, uid) = (text(pod, "/name"), text(pod, "/uid"));
        if uid.is_empty() {
            return Err("node requested token with a pod binding without a uid".into());
        }
        let found = self
            .cx
            .objects
            .read("", "pods", self.review.namespace, name)
            .ok_or_else(|| format!("pod {name:?} not found"))?;
        let stored = text(&found, "/metadata/uid");
        if stored != uid {
            return Err(format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record ({stored}). The object might have been deleted and then recreated"
            ));
        }
        match text(&found, "/spec/nodeName") == self.node {
            true => Ok(()),
            false => {
                Err("node requested token bound to a pod scheduled on a different node".into())
            }
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
        let mut mirror = pod("n1");
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        assert_eq!(
            attempt(Operation::Create, "pods", "", mirror.clone(), Value::Null),
            Ok(())
        );
        let mut from = mirror.clone();
        from["spec"]["containers"] = json!([{"envFrom": [{"secretRef": {"name": "x"}}]}]);
        assert!(
            attempt(Operation::Create, "pods", "", from, Value::Null)
                .unwrap_err()
                .ends_with("reference secrets")
        );
        mirror["spec"]["volumes"] = json!([{"name": "s", "secret": {"secretName": "x"}}]);
        assert!(
            attempt(Operation::Create, "pods", "", mirror, Value::Null)
                .unwrap_err()
                .ends_with("reference secrets")
        );
    }

    #[test]
    fn tokens_are_for_pods_on_the_node() {
        let request = json!({"metadata": {"namespace": "shop"}, "spec": {}});
        assert!(
            attempt(
                Operation::Create,
                "serviceaccounts/token",
                "web",
                request,
                Value::Null
            )
            .unwrap_err()
            .ends_with("node requested token not bound to a pod")
        );
    }
}
