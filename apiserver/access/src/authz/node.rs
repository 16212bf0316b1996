//! The Node authorizer: a node may read what its pods need, and write what is
//! its own.
//!
//! The relation between a node and an object is looked up in the stored pods
//! when asked: kubelets ask seldom, while an index would change with every pod.

use super::Attributes;
use super::rule::Rule;
use crate::objects::items;
use crate::{Objects, bootstrap, text};
use serde_json::Value;
use std::sync::Arc;

/// Where nodes' leases live.
const LEASES: &str = "kube-node-lease";

/// Decides for users in `system:nodes`.
pub struct NodeAuthorizer {
    objects: Arc<dyn Objects>,
    rules: Vec<Rule>,
}

impl NodeAuthorizer {
    /// Decides from the pods, volumes and claims found in `objects`.
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self {
            objects,
            rules: bootstrap::rules(bootstrap::NODE_RULES),
        }
    }

    /// Allowed, or the reason why not.
    pub fn authorize(&self, node: &str, request: &Attributes) -> Result<(), String> {
        if !request.is_resource {
            return Err(String::new());
        }
        match (request.group, request.resource) {
            ("", "secrets" | "configmaps") => {
                only(request, &["get", "list", "watch"], &[""])?;
                self.related(node, request)
            }
            ("", "persistentvolumeclaims") => {
                match request.subresource {
                    "status" => only(request, &["get", "update", "patch"], &["status"])?,
                    _ => only(request, &["get"], &[""])?,
                }
                self.related(node, request)
            }
            ("", "persistentvolumes") | ("storage.k8s.io", "volumeattachments") => {
                only(request, &["get"], &[""])?;
                self.related(node, request)
            }
            ("", "serviceaccounts") => {
                only(request, &["create"], &["token"])?;
                self.related(node, request)
            }
            ("coordination.k8s.io", "leases") => {
                only(
                    request,
                    &["get", "create", "update", "patch", "delete"],
                    &[""],
                )?;
                if request.namespace != LEASES {
                    return Err(format!(
                        "can only access leases in the {LEASES:?} system namespace"
                    ));
                }
                own(
                    node,
                    request,
                    "can only access node lease with the same name as the requesting node",
                )
            }
            ("storage.k8s.io", "csinodes") => {
                only(
                    request,
                    &["get", "create", "update", "patch", "delete"],
                    &[""],
                )?;
                own(
                    node,
                    request,
                    "can only access CSINode with the same name as the requesting node",
                )
            }
            _ if self.rules.iter().any(|rule| rule.allows(request)) => Ok(()),
            _ => Err(String::new()),
        }
    }

    fn related(&self, node: &str, request: &Attributes) -> Result<(), String> {
        if request.name.is_empty() {
            return Err("No Object name found".into());
        }
        match self.is_related(node, request) {
            true => Ok(()),
            false => Err(format!(
                "no relationship found between node '{node}' and this object"
            )),
        }
    }

    fn is_related(&self, node: &str, request: &Attributes) -> bool {
        let (namespace, name) = (request.namespace, request.name);
        let mut pods = self.pods(node, namespace, name);
        match request.resource {
            "secrets" => pods.any(|pod| refers(&pod["spec"], name, SECRETS)),
            "configmaps" => pods.any(|pod| refers(&pod["spec"], name, CONFIG_MAPS)),
            "persistentvolumeclaims" => pods.any(|pod| claims(&pod, name)),
            "serviceaccounts" => pods.any(|pod| text(&pod, "/spec/serviceAccountName") == name),
            "persistentvolumes" => {
                let Some(volume) = self.objects.read("", "persistentvolumes", "", name) else {
                    return false;
                };
                let claim = text(&volume, "/spec/claimRef/name");
                let home = text(&volume, "/spec/claimRef/namespace");
                !claim.is_empty()
                    && self
                        .objects
                        .read("", "persistentvolumeclaims", home, claim)
                        .is_some_and(|claim| text(&claim, "/spec/volumeName") == name)
                    && self.pods(node, home, claim).any(|pod| claims(&pod, claim))
            }
            "volumeattachments" => self
                .objects
                .read("storage.k8s.io", "volumeattachments", "", name)
                .is_some_and(|attachment| text(&attachment, "/spec/nodeName") == node),
            _ => false,
        }
    }

    /// Pods of a namespace on a node that mention a name. The bytes are
    /// searched before they are parsed. Mirror pods are the node's own making
    /// and open no doors.
    fn pods(&self, node: &str, namespace: &str, name: &str) -> impl Iterator<Item = Value> {
        let mentions = move |bytes: &[u8]| {
            std::str::from_utf8(bytes)
                .is_ok_and(|pod| pod.contains(&format!("{node:?}")) && pod.contains(name))
        };
        let list = self.objects.list("", "pods", Some(namespace));
        list.into_iter()
            .filter(move |bytes| mentions(bytes))
            .filter_map(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
            .filter(move |pod| {
                text(pod, "/spec/nodeName") == node
                    && pod
                        .pointer("/metadata/annotations/kubernetes.io~1config.mirror")
                        .is_none()
            })
    }
}

fn only(request: &Attributes, verbs: &[&str], subresources: &[&str]) -> Result<(), String> {
    if !subresources.contains(&request.subresource) {
        return Err(match subresources {
            [""] => "cannot access subresources of this type".into(),
            [one] => format!("can only access the {one:?} subresource of this type"),
            _ => "can't access this subresource".into(),
        });
    }
    match verbs.contains(&request.verb) {
        true => Ok(()),
        false => Err(format!(
            "can only {} resources of this type",
            verbs.join("/")
        )),
    }
}

/// The object must bear the node's name; at creation the name isn't known yet
/// and left to NodeRestriction.
fn own(node: &str, request: &Attributes, why_not: &str) -> Result<(), String> {
    match request.name == node || request.verb == "create" && request.name.is_empty() {
        true => Ok(()),
        false => Err(why_not.into()),
    }
}

/// Fields by which pods refer to secrets: the field, and the key within it.
const SECRETS: &[(&str, &str)] = &[
    ("secret", "secretName"),
    ("secret", "name"),
    ("secretKeyRef", "name"),
    ("secretRef", "name"),
    ("nodePublishSecretRef", "name"),
    ("imagePullSecrets", "name"),
    ("azureFile", "secretName"),
];
const CONFIG_MAPS: &[(&str, &str)] = &[
    ("configMap", "name"),
    ("configMapKeyRef", "name"),
    ("configMapRef", "name"),
];

/// Whether any reference of these kinds below `value` has this name.
fn refers(value: &Value, name: &str, kinds: &[(&str, &str)]) -> bool {
    let named = |field: &str, target: &Value| {
        kinds.iter().any(|(kind, key)| {
            *kind == field
                && match target {
                    Value::Array(list) => list.iter().any(|item| item[key] == name),
                    one => one.get(key).is_some_and(|n| n == name),
                }
        })
    };
    match value {
        Value::Object(map) => map
            .iter()
            .any(|(field, inner)| named(field, inner) || refers(inner, name, kinds)),
        Value::Array(list) => list.iter().any(|inner| refers(inner, name, kinds)),
        _ => false,
    }
}

/// Whether a pod uses a claim, directly or as an ephemeral volume.
fn claims(pod: &Value, claim: &str) -> bool {
    let ephemeral = |volume: &Value| {
        let name = format!("{}-{}", text(pod, "/metadata/name"), text(volume, "/name"));
        volume.get("ephemeral").is_some() && name == claim
    };
    items(pod, "/spec/volumes").iter().any(|volume| {
        text(volume, "/persistentVolumeClaim/claimName") == claim || ephemeral(volume)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::User;
    use crate::objects::fake::Fake;
    use serde_json::json;

    fn check(
        node: &str,
        verb: &str,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<(), String> {
        let fake = Fake::default();
        fake.put("", "pods", json!({
            "metadata": {"name": "p", "namespace": "shop"},
            "spec": {
                "nodeName": "n1", "serviceAccountName": "web",
                "imagePullSecrets": [{"name": "pull"}],
                "volumes": [
                    {"name": "a", "secret": {"secretName": "tls"}},
                    {"name": "b", "projected": {"sources": [{"configMap": {"name": "ca"}}]}},
                    {"name": "c", "persistentVolumeClaim": {"claimName": "data"}}],
                "containers": [{"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}]}],
            }}));
        fake.put(
            "",
            "persistentvolumeclaims",
            json!({
            "metadata": {"name": "data", "namespace": "shop"}, "spec": {"volumeName": "pv1"}}),
        );
        fake.put("", "persistentvolumes", json!({
            "metadata": {"name": "pv1"}, "spec": {"claimRef": {"namespace": "shop", "name": "data"}}}));
        let user = User::new(format!("system:node:{node}"), ["system:nodes"]);
        let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
        let request = Attributes::resource(&user, verb, group, resource, namespace, name);
        NodeAuthorizer::new(Arc::new(fake)).authorize(node, &request.with_subresource(sub))
    }

    #[test]
    fn a_node_reads_what_its_pods_refer_to() {
        for secret in ["tls", "pull", "env"] {
            assert_eq!(
                check("n1", "get", "", "secrets", "shop", secret),
                Ok(()),
                "{secret}"
            );
            assert_eq!(
                check("n2", "get", "", "secrets", "shop", secret).unwrap_err(),
                "no relationship found between node 'n2' and this object"
            );
        }
        assert!(check("n1", "get", "", "secrets", "shop", "other").is_err());
        assert!(check("n1", "list", "", "secrets", "shop", "").is_err());
        assert!(check("n1", "update", "", "secrets", "shop", "tls").is_err());
        assert!(check("n1", "get", "", "configmaps", "shop", "ca").is_ok());
        assert!(check("n1", "get", "", "configmaps", "shop", "tls").is_err());
        assert!(check("n1", "get", "", "persistentvolumes", "", "pv1").is_ok());
        assert!(check("n2", "get", "", "persistentvolumes", "", "pv1").is_err());
        assert!(check("n1", "create", "", "serviceaccounts/token", "shop", "web").is_ok());
        assert!(check("n1", "create", "", "serviceaccounts/token", "shop", "admin").is_err());
    }

    #[test]
    fn a_node_writes_what_is_its_own() {
        let lease = |namespace, name| {
            check(
                "n1",
                "update",
                "coordination.k8s.io",
                "leases",
                namespace,
                name,
            )
        };
        assert!(lease("kube-node-lease", "n1").is_ok());
        assert!(lease("kube-node-lease", "n2").is_err());
        assert!(lease("default", "n1").is_err());
        assert!(check("n1", "patch", "", "nodes/status", "", "n1").is_ok());
        assert!(check("n1", "delete", "", "nodes", "", "n1").is_err());
        assert!(check("n1", "list", "", "pods", "", "").is_ok());
        assert!(check("n1", "create", "apps", "deployments", "shop", "").is_err());
    }
}
