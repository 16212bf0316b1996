//! The Node authorizer: a node may read what its pods need, and write what is
//! its own. As in Kubernetes 1.33 it lists and watches its own pods, and
//! itself, and no others.

mod graph;

pub use graph::Graph;

use super::Attributes;
use super::rule::Rule;
use crate::{Objects, bootstrap};
use std::sync::Arc;

/// Where nodes' leases live.
const LEASES: &str = "kube-node-lease";

/// Decides for users in `system:nodes`.
pub struct NodeAuthorizer {
    objects: Arc<dyn Objects>,
    rules: Vec<Rule>,
}

impl NodeAuthorizer {
    /// Decides from the relations that `objects` keeps.
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
                only(
                    request,
                    &["get", "list", "watch"],
                    "can only read resources of this type",
                )?;
                whole(request, "cannot read subresource")?;
                if request.namespace.is_empty() {
                    return Err("can only read namespaced object of this type".into());
                }
                self.related(node, request)
            }
            ("", "persistentvolumeclaims") if request.subresource == "status" => {
                only(
                    request,
                    &["update", "patch"],
                    "can only get/update/patch this type",
                )?;
                self.related(node, request)
            }
            ("", "persistentvolumeclaims" | "persistentvolumes")
            | ("storage.k8s.io", "volumeattachments")
            | ("resource.k8s.io", "resourceclaims") => self.get(node, request),
            ("", "serviceaccounts") => {
                if request.verb != "create" || request.name.is_empty() {
                    return Err("can only create tokens for individual service accounts".into());
                }
                if request.subresource != "token" {
                    return Err("can only create token subresource of serviceaccount".into());
                }
                self.related(node, request)
            }
            ("coordination.k8s.io", "leases") => {
                only(
                    request,
                    OWN_VERBS,
                    "can only get, create, update, patch, or delete a node lease",
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
                    OWN_VERBS,
                    "can only get, create, update, patch, or delete a CSINode",
                )?;
                whole(request, "cannot authorize CSINode subresources")?;
                own(
                    node,
                    request,
                    "can only access CSINode with the same name as the requesting node",
                )
            }
            ("resource.k8s.io", "resourceslices") => self.slice(node, request),
            ("", "nodes") => self::node(node, request),
            ("", "pods") => self.pod(node, request),
            _ if self.rules.iter().any(|rule| rule.allows(request)) => Ok(()),
            _ => Err(String::new()),
        }
    }

    fn get(&self, node: &str, request: &Attributes) -> Result<(), String> {
        only(
            request,
            &["get"],
            "can only get individual resources of this type",
        )?;
        whole(request, "cannot get subresource")?;
        self.related(node, request)
    }

    /// What a node makes and deletes, and whose status it tells, is looked at
    /// by NodeRestriction.
    fn pod(&self, node: &str, request: &Attributes) -> Result<(), String> {
        match (request.subresource, request.verb) {
            ("", "get") => self.get(node, request),
            ("", "list" | "watch") if request.is_limited_to("spec.nodeName", node) => Ok(()),
            ("", "list" | "watch") if request.name.is_empty() => {
                Err("can only list/watch pods with spec.nodeName field selector".into())
            }
            ("", "list" | "watch") => self.related(node, request),
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => {
                Ok(())
            }
            _ => Err(String::new()),
        }
    }

    fn slice(&self, node: &str, request: &Attributes) -> Result<(), String> {
        whole(request, "cannot authorize ResourceSlice subresources")?;
        match request.verb {
            "create" => Ok(()),
            "get" | "update" | "patch" | "delete" => self.related(node, request),
            "list" | "watch" | "deletecollection" if request.is_limited_to("nodeName", node) => {
                Ok(())
            }
            "list" | "watch" | "deletecollection" => Err(
                "can only list/watch/deletecollection resourceslices with nodeName field selector"
                    .into(),
            ),
            _ => Err("only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection".into()),
        }
    }

    fn related(&self, node: &str, request: &Attributes) -> Result<(), String> {
        let Attributes {
            group,
            resource,
            namespace,
            name,
            ..
        } = *request;
        if name.is_empty() {
            return Err("No Object name found".into());
        }
        let graph = self.objects.graph();
        match graph.relates(node, group, resource, namespace, name) {
            true => Ok(()),
            false => Err(format!(
                "no relationship found between node '{node}' and this object"
            )),
        }
    }
}

/// What a node may do with objects that bear its name.
const OWN_VERBS: &[&str] = &["get", "create", "update", "patch", "delete"];

fn only(request: &Attributes, verbs: &[&str], why_not: &str) -> Result<(), String> {
    match verbs.contains(&request.verb) {
        true => Ok(()),
        false => Err(why_not.into()),
    }
}

fn whole(request: &Attributes, why_not: &str) -> Result<(), String> {
    match request.subresource {
        "" => Ok(()),
        _ => Err(why_not.into()),
    }
}

/// The object must bear the node's name; at creation the name isn't known yet
/// and left to NodeRestriction.
fn own(node: &str, request: &Attributes, why_not: &str) -> Result<(), String> {
    match request.name == node || request.verb == "create" {
        true => Ok(()),
        false => Err(why_not.into()),
    }
}

/// A node reads itself; also before it is there. NodeRestriction looks at what
/// it writes.
fn node(node: &str, request: &Attributes) -> Result<(), String> {
    match (request.subresource, request.verb, request.name) {
        ("", "create" | "update" | "patch", _) | ("status", "update" | "patch", _) => Ok(()),
        ("", "get" | "list" | "watch", name) if name == node => Ok(()),
        ("", "get" | "list" | "watch", "") => Err(format!(
            "node '{node}' cannot read all nodes, only its own Node object"
        )),
        ("", "get" | "list" | "watch", name) => Err(format!(
            "node '{node}' cannot read '{name}', only its own Node object"
        )),
        _ => Err(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::User;
    use crate::objects::fake::Fake;
    use hardway_proto::fields::FieldSelector;
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
        assert!(check("n1", "watch", "", "secrets", "shop", "tls").is_ok());
        assert!(check("n1", "list", "", "secrets", "", "tls").is_err());
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
        assert!(check("n1", "create", "apps", "deployments", "shop", "").is_err());
    }

    #[test]
    fn a_node_lists_its_own_pods_and_itself() {
        let authorizer = NodeAuthorizer::new(Arc::new(Fake::default()));
        let user = User::new("system:node:n1", ["system:nodes"]);
        let list = |selector: &str| {
            let fields = FieldSelector::parse(selector).unwrap();
            let asked = Attributes::resource(&user, "list", "", "pods", "", "");
            authorizer.authorize("n1", &asked.limited_to(&fields))
        };
        assert_eq!(list("spec.nodeName=n1"), Ok(()));
        assert_eq!(list("spec.nodeName=n1,status.phase!=Failed"), Ok(()));
        for wide in [
            "",
            "spec.nodeName=n2",
            "spec.nodeName!=n1",
            "metadata.namespace=n1",
        ] {
            assert_eq!(
                list(wide).unwrap_err(),
                "can only list/watch pods with spec.nodeName field selector",
                "{wide}"
            );
        }
        assert!(check("n1", "get", "", "pods", "shop", "p").is_ok());
        assert!(check("n1", "watch", "", "pods", "shop", "p").is_ok());
        assert!(check("n2", "get", "", "pods", "shop", "p").is_err());
        assert!(check("n1", "update", "", "pods", "shop", "p").is_err());
        assert!(check("n1", "update", "", "pods/ephemeralcontainers", "shop", "p").is_err());
        assert!(check("n1", "get", "", "nodes", "", "n1").is_ok());
        assert_eq!(
            check("n1", "get", "", "nodes", "", "n2").unwrap_err(),
            "node 'n1' cannot read 'n2', only its own Node object"
        );
        assert_eq!(
            check("n1", "list", "", "nodes", "", "").unwrap_err(),
            "node 'n1' cannot read all nodes, only its own Node object"
        );
        assert!(check("n1", "delete", "", "nodes", "", "n1").is_err());
        assert!(check("n1", "create", "", "nodes/proxy", "", "n1").is_err());
    }
}
