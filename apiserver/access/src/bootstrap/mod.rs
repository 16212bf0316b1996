//! What must exist in a new cluster: namespaces, priority classes, and
//! Kubernetes' default roles and bindings.

mod controllers;
mod roles;
mod table;

use crate::authz::rbac::{GROUP, rules_of};
use crate::authz::rule::Rule;
use crate::objects::items;
use crate::text;
use serde_json::{Value, json};

pub(crate) use roles::NODE_RULES;
pub(crate) use table::rules;

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
/// Namespaces that can't be deleted, and the one for nodes' leases.
const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Everything the apiserver makes sure of when it starts: what is missing is
/// created; what exists is passed through [`reconcile`].
pub fn objects() -> Vec<Value> {
    let mut objects: Vec<Value> = NAMESPACES.iter().map(|name| namespace(name)).collect();
    objects.push(priority_class(
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ));
    objects.push(priority_class(
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ));
    objects.extend(table::objects());
    objects
}

fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    })
}

fn priority_class(name: &str, value: i64, description: &str) -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        "description": description,
        "preemptionPolicy": "PreemptLowerPriority",
    })
}

/// What an existing object should become so that it grants at least what the
/// default does; `None` if it already does, or its owner has switched
/// `rbac.authorization.kubernetes.io/autoupdate` off.
pub fn reconcile(existing: &Value, wanted: &Value) -> Option<Value> {
    let of_rbac = text(wanted, "/apiVersion").starts_with(GROUP);
    let annotation = existing
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(AUTOUPDATE));
    if !of_rbac || annotation.and_then(Value::as_str) == Some("false") {
        return None;
    }
    let mut result = existing.clone();
    let held = rules_of(existing);
    let is_held = |rule: &Rule| {
        rule.pieces()
            .iter()
            .all(|piece| held.iter().any(|h| h.covers(piece)))
    };
    add(
        &mut result,
        "rules",
        rules_of(wanted)
            .iter()
            .filter(|rule| !is_held(rule))
            .map(|r| json!(r)),
    );
    let subjects = items(existing, "/subjects");
    let is_bound = |wanted: &&Value| {
        let same = |field| {
            subjects.iter().any(|s| {
                ["/kind", "/name", "/namespace"]
                    .iter()
                    .all(|f: &&str| text(s, f) == text(field, f))
            })
        };
        same(*wanted)
    };
    add(
        &mut result,
        "subjects",
        items(wanted, "/subjects")
            .iter()
            .filter(|s| !is_bound(s))
            .cloned(),
    );
    (result != *existing).then_some(result)
}

fn add(object: &mut Value, field: &str, more: impl Iterator<Item = Value>) {
    let more: Vec<Value> = more.collect();
    if more.is_empty() {
        return;
    }
    match object.get_mut(field).and_then(Value::as_array_mut) {
        Some(list) => list.extend(more),
        None => object[field] = Value::Array(more),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::fake::Fake;
    use crate::{Attributes, Authorizer, User};
    use std::sync::Arc;

    fn authorizer() -> Authorizer {
        let fake = Fake::default();
        for object in objects() {
            let resource = format!("{}s", text(&object, "/kind").to_lowercase());
            let group = text(&object, "/apiVersion")
                .split('/')
                .next()
                .unwrap()
                .to_owned();
            fake.put(&group, &resource, object);
        }
        Authorizer::new(Arc::new(fake))
    }

    #[test]
    fn components_may_do_their_work_and_no_more() {
        let authorizer = authorizer();
        let may = |user: &str, verb: &str, group: &str, resource: &str, namespace: &str| {
            let user = User::new(user, ["other"]);
            let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
            let asked = Attributes::resource(&user, verb, group, resource, namespace, "x");
            authorizer
                .authorize(&asked.with_subresource(sub))
                .is_allowed()
        };
        assert!(may(
            "system:kube-scheduler",
            "create",
            "",
            "pods/binding",
            "a"
        ));
        assert!(may("system:kube-scheduler", "list", "", "nodes", ""));
        for verb in ["get", "list", "watch"] {
            assert!(may("system:kube-scheduler", verb, "", "namespaces", ""));
        }
        assert!(!may("system:kube-scheduler", "get", "", "secrets", "a"));
        assert!(may(
            "system:kube-controller-manager",
            "create",
            "",
            "pods",
            "a"
        ));
        assert!(may(
            "system:kube-controller-manager",
            "delete",
            "acme.com",
            "things",
            "a"
        ));
        assert!(may(
            "system:kube-controller-manager",
            "update",
            "discovery.k8s.io",
            "endpointslices",
            "a"
        ));
        assert!(may(
            "system:kube-proxy",
            "watch",
            "discovery.k8s.io",
            "endpointslices",
            ""
        ));
        assert!(!may("system:kube-proxy", "list", "", "pods", ""));
        let may_as = |group: &str, verb: &str, group_of: &str, resource: &str| {
            let user = User::new("somebody", [group]);
            let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
            let asked = Attributes::resource(&user, verb, group_of, resource, "", "x");
            let asked = asked.with_subresource(sub);
            authorizer.authorize(&asked).is_allowed()
        };
        assert!(may_as("system:flannel-lite", "patch", "", "nodes"));
        assert!(!may("system:flannel-lite", "patch", "", "nodes", ""));
        let requests = "certificatesigningrequests";
        for (group, sub, expected) in [
            ("system:bootstrappers", "nodeclient", true),
            ("system:bootstrappers", "selfnodeclient", false),
            ("system:nodes", "selfnodeclient", true),
            ("system:nodes", "nodeclient", false),
            ("dev", "nodeclient", false),
        ] {
            let resource = format!("{requests}/{sub}");
            let may = may_as(group, "create", "certificates.k8s.io", &resource);
            assert_eq!(may, expected, "{group} {sub}");
        }
        let node = User::new("system:node:n1", ["system:nodes"]);
        let reads = |verb: &str, namespace: &str, name: &str| {
            let asked = Attributes::resource(&node, verb, "", "configmaps", namespace, name);
            authorizer.authorize(&asked).is_allowed()
        };
        for verb in ["get", "list", "watch"] {
            assert!(reads(verb, "kube-system", "kube-root-ca.crt"), "{verb}");
        }
        assert!(!reads("update", "kube-system", "kube-root-ca.crt"));
        assert!(!reads("get", "kube-system", "other") && !reads("list", "kube-system", ""));
        assert!(!reads("get", "shop", "kube-root-ca.crt"));
        let kubelets_client = "kube-apiserver-kubelet-client";
        assert!(may(kubelets_client, "create", "", "nodes/proxy", ""));
        assert!(may(kubelets_client, "get", "", "nodes/stats", ""));
        assert!(!may(kubelets_client, "list", "", "pods", "a"));
        assert!(!may(kubelets_client, "delete", "", "nodes", ""));
        assert!(may(
            "jane",
            "create",
            "authorization.k8s.io",
            "selfsubjectaccessreviews",
            ""
        ));
        assert!(!may("jane", "list", "", "pods", "default"));
        let root = User::new("root", ["system:masters"]);
        assert!(!authorizer.rules_for(&root, "").rules.is_empty());
    }

    #[test]
    fn aggregation_adds_up() {
        let roles = objects();
        let admin = roles
            .iter()
            .find(|o| text(o, "/metadata/name") == "admin")
            .unwrap();
        let rules = rules_of(admin);
        let user = User::new("jane", ["dev"]);
        let may = |verb, group, resource| {
            let asked = Attributes::resource(&user, verb, group, resource, "a", "x");
            rules.iter().any(|r| r.allows(&asked))
        };
        assert!(may("get", "", "configmaps"));
        assert!(may("create", "apps", "deployments"));
        assert!(may("create", GROUP, "roles"));
        assert!(!may("get", "", "nodes"));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<String> = objects()
            .iter()
            .map(|o| {
                format!(
                    "{} {} {}",
                    text(o, "/kind"),
                    text(o, "/metadata/namespace"),
                    text(o, "/metadata/name")
                )
            })
            .collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn reconciling_adds_what_was_taken_away() {
        let all = objects();
        let viewer = all
            .iter()
            .find(|o| text(o, "/metadata/name") == "system:kube-dns")
            .unwrap();
        assert_eq!(reconcile(viewer, viewer), None);
        let mut less = viewer.clone();
        less["rules"] = json!([]);
        assert_eq!(
            rules_of(&reconcile(&less, viewer).unwrap()),
            rules_of(viewer)
        );
        less["metadata"]["annotations"][AUTOUPDATE] = json!("false");
        assert_eq!(reconcile(&less, viewer), None);
    }
}
