//! Who may do something. Pure; matches as Kubernetes' RBAC authorizer does
//! (`pkg/registry/rbac/validation` and `plugin/pkg/auth/authorizer/rbac`): a role's `rules` count,
//! which for aggregated roles a controller has put together.

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The group that the API server lets do anything, before any authorizer is asked.
const MASTERS: &str = "system:masters";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// With objects.
    Resource {
        /// `get`, `list` …
        verb: String,
        /// Empty for the core group.
        group: String,
        /// With a subresource, if it is one: `pods/exec`.
        resource: String,
        /// In which namespace; all of them, or none, if it isn't said.
        namespace: Option<String>,
        /// With which object; any if it isn't said.
        name: Option<String>,
    },
    /// At a URL that is no resource's.
    Path {
        /// `get`, `post` …
        verb: String,
        /// Its path.
        path: String,
    },
}

/// Roles and bindings: the cluster's, and those of the namespace that is asked about.
#[derive(Clone, Debug, Default)]
pub struct Rbac {
    /// All of them.
    pub cluster_roles: Vec<ClusterRole>,
    /// All of them.
    pub cluster_role_bindings: Vec<ClusterRoleBinding>,
    /// Of the namespace.
    pub roles: Vec<Role>,
    /// Of the namespace.
    pub role_bindings: Vec<RoleBinding>,
}

/// Somebody who may do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Permit {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// Who.
    pub name: String,
    /// Of a service account.
    pub namespace: Option<String>,
    /// By which bindings; none for who needs none.
    pub through: Vec<Through>,
}

/// A binding that permits it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Through {
    /// The binding.
    pub binding: Named,
    /// The role it gives.
    pub role: Named,
    /// The objects it is restricted to, where it was asked about any.
    pub names: Vec<String>,
}

/// An RBAC object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// `ClusterRole`, `RoleBinding` …
    pub kind: &'static str,
    /// Where it is, if it is in a namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// How far a rule goes.
enum Reach {
    All,
    Only(Vec<String>),
}

/// Who may do it, by kind and name.
pub fn who_can(rbac: &Rbac, action: &Action) -> Vec<Permit> {
    let mut permits = Permits::default();
    permits.entry("Group", MASTERS, None);
    for binding in &rbac.cluster_role_bindings {
        let name = binding.metadata.name.clone().unwrap_or_default();
        let named = Named {
            kind: "ClusterRoleBinding",
            namespace: None,
            name,
        };
        permits.add(
            rbac,
            action,
            named,
            &binding.role_ref,
            binding.subjects.as_deref(),
        );
    }
    // What is bound in a namespace is permitted there, and URLs are in none.
    if let Action::Resource {
        namespace: Some(namespace),
        ..
    } = action
    {
        for binding in &rbac.role_bindings {
            if binding.metadata.namespace.as_ref() != Some(namespace) {
                continue;
            }
            let named = Named {
                kind: "RoleBinding",
                namespace: Some(namespace.clone()),
                name: binding.metadata.name.clone().unwrap_or_default(),
            };
            permits.add(
                rbac,
                action,
                named,
                &binding.role_ref,
                binding.subjects.as_deref(),
            );
        }
    }
    permits.by_subject.into_values().collect()
}

#[derive(Default)]
struct Permits {
    by_subject: BTreeMap<(String, Option<String>, String), Permit>,
}

impl Permits {
    fn entry(&mut self, kind: &str, name: &str, namespace: Option<&str>) -> &mut Permit {
        let namespace = namespace.map(str::to_owned);
        let key = (kind.to_owned(), namespace.clone(), name.to_owned());
        self.by_subject.entry(key).or_insert_with(|| Permit {
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace,
            through: Vec::new(),
        })
    }

    fn add(
        &mut self,
        rbac: &Rbac,
        action: &Action,
        binding: Named,
        role: &RoleRef,
        subjects: Option<&[Subject]>,
    ) {
        let Some((role, rules)) = rules(rbac, role, binding.namespace.as_deref()) else {
            return;
        };
        let mut names = Vec::new();
        let mut reached = false;
        for rule in rules {
            match reach(rule, action) {
                None => {}
                Some(Reach::All) => {
                    names.clear();
                    reached = true;
                    break;
                }
                Some(Reach::Only(some)) => {
                    reached = true;
                    names.extend(some);
                }
            }
        }
        if !reached {
            return;
        }
        names.sort();
        names.dedup();
        for subject in subjects.unwrap_or_default() {
            let account = subject.kind == "ServiceAccount";
            // In a RoleBinding its own namespace is meant where none is said.
            let namespace = subject
                .namespace
                .as_deref()
                .or(binding.namespace.as_deref());
            let namespace = namespace.filter(|_| account);
            let permit = self.entry(&subject.kind, &subject.name, namespace);
            permit.through.push(Through {
                binding: binding.clone(),
                role: role.clone(),
                names: names.clone(),
            });
        }
    }
}

/// The rules that a binding gives.
fn rules<'a>(
    rbac: &'a Rbac,
    role: &RoleRef,
    namespace: Option<&str>,
) -> Option<(Named, &'a [PolicyRule])> {
    let is = |name: &Option<String>| name.as_ref() == Some(&role.name);
    match (role.kind.as_str(), namespace) {
        ("ClusterRole", _) => {
            let mut roles = rbac.cluster_roles.iter();
            let found = roles.find(|it| is(&it.metadata.name))?;
            let named = Named {
                kind: "ClusterRole",
                namespace: None,
                name: role.name.clone(),
            };
            Some((named, found.rules.as_deref().unwrap_or_default()))
        }
        ("Role", Some(namespace)) => {
            let here = |it: &&Role| it.metadata.namespace.as_deref() == Some(namespace);
            let mut roles = rbac.roles.iter().filter(here);
            let found = roles.find(|it| is(&it.metadata.name))?;
            let named = Named {
                kind: "Role",
                namespace: Some(namespace.to_owned()),
                name: role.name.clone(),
            };
            Some((named, found.rules.as_deref().unwrap_or_default()))
        }
        _ => None,
    }
}

/// Whether a rule permits it, and with which objects.
fn reach(rule: &PolicyRule, action: &Action) -> Option<Reach> {
    let has = |list: &Option<Vec<String>>, what: &str| {
        let mut list = list.iter().flatten();
        list.any(|it| it == "*" || it == what)
    };
    let verb = match action {
        Action::Resource { verb, .. } | Action::Path { verb, .. } => verb,
    };
    if !rule.verbs.iter().any(|it| it == "*" || it == verb) {
        return None;
    }
    match action {
        Action::Path { path, .. } => {
            let covers = |pattern: &String| match pattern.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => pattern == path,
            };
            let mut paths = rule.non_resource_urls.iter().flatten();
            paths.any(covers).then_some(Reach::All)
        }
        Action::Resource {
            group,
            resource,
            name,
            ..
        } => {
            let any = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
            let of_any =
                any.is_some_and(|any| rule.resources.iter().flatten().any(|it| *it == any));
            if !has(&rule.api_groups, group) || !(has(&rule.resources, resource) || of_any) {
                return None;
            }
            let names = rule.resource_names.as_deref().unwrap_or_default();
            match name {
                _ if names.is_empty() => Some(Reach::All),
                Some(name) => names.contains(name).then_some(Reach::All),
                None => Some(Reach::Only(names.to_vec())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn cluster_role(name: &str, rules: Value) -> ClusterRole {
        of(json!({"metadata": {"name": name}, "rules": rules}))
    }

    fn bound(name: &str, role: &str, subjects: Value) -> ClusterRoleBinding {
        of(json!({"metadata": {"name": name}, "subjects": subjects,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}}))
    }

    fn bound_in(
        namespace: &str,
        name: &str,
        kind: &str,
        role: &str,
        subjects: Value,
    ) -> RoleBinding {
        of(
            json!({"metadata": {"name": name, "namespace": namespace}, "subjects": subjects,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}}),
        )
    }

    fn action(verb: &str, group: &str, resource: &str, namespace: &str, name: &str) -> Action {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Action::Resource {
            verb: verb.into(),
            group: group.into(),
            resource: resource.into(),
            namespace: some(namespace),
            name: some(name),
        }
    }

    /// `Kind name` of all but the masters.
    fn names(rbac: &Rbac, action: &Action) -> Vec<String> {
        let permits = who_can(rbac, action).into_iter();
        let permits = permits.filter(|permit| permit.name != MASTERS);
        permits
            .map(|it| match it.namespace {
                Some(namespace) => format!("{} {namespace}/{}", it.kind, it.name),
                None => format!("{} {}", it.kind, it.name),
            })
            .collect()
    }

    fn rbac() -> Rbac {
        let user = |name: &str| json!([{"kind": "User", "name": name}]);
        Rbac {
            cluster_roles: vec![
                cluster_role(
                    "all",
                    json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
                    {"nonResourceURLs": ["*"], "verbs": ["*"]}]),
                ),
                cluster_role(
                    "view",
                    json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]),
                ),
                cluster_role(
                    "scale",
                    json!([{"apiGroups": ["apps"], "resources": ["*/scale"], "verbs": ["update"]}]),
                ),
                cluster_role(
                    "health",
                    json!([{"nonResourceURLs": ["/healthz", "/livez/*"], "verbs": ["get"]}]),
                ),
                // As the controller leaves an aggregated role: its rules are put together.
                of(json!({"metadata": {"name": "aggregated"},
                    "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
                    "rules": [{"apiGroups": ["example.org"], "resources": ["things"], "verbs": ["get"]}]})),
            ],
            cluster_role_bindings: vec![
                bound(
                    "admins",
                    "all",
                    json!([{"kind": "Group", "name": "admins"}]),
                ),
                bound("scalers", "scale", user("hpa")),
                bound(
                    "healthy",
                    "health",
                    json!([{"kind": "Group", "name": "system:unauthenticated"}]),
                ),
                bound("things", "aggregated", user("thing")),
                bound("dangling", "not-there", user("nobody")),
            ],
            roles: vec![of(
                json!({"metadata": {"name": "one", "namespace": "a"}, "rules": [
                    {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["token", "ca"], "verbs": ["get"]}]}),
            )],
            role_bindings: vec![
                bound_in(
                    "a",
                    "viewers",
                    "ClusterRole",
                    "view",
                    json!([{"kind": "ServiceAccount", "name": "ci"},
                           {"kind": "ServiceAccount", "name": "ci", "namespace": "b"}]),
                ),
                bound_in("a", "one", "Role", "one", user("reader")),
                bound_in("b", "one", "Role", "one", user("other")),
            ],
        }
    }

    #[test]
    fn bindings_of_a_namespace_count_there() {
        let rbac = rbac();
        assert_eq!(
            names(&rbac, &action("list", "", "pods", "a", "")),
            ["Group admins", "ServiceAccount a/ci", "ServiceAccount b/ci"]
        );
        assert_eq!(
            names(&rbac, &action("list", "", "pods", "", "")),
            ["Group admins"]
        );
        assert_eq!(
            names(&rbac, &action("list", "", "pods", "c", "")),
            ["Group admins"]
        );
        assert_eq!(
            names(&rbac, &action("delete", "", "pods", "a", "")),
            ["Group admins"]
        );
    }

    #[test]
    fn names_restrict_and_are_told_where_none_was_asked_for() {
        let rbac = rbac();
        let secret = |name| action("get", "", "secrets", "a", name);
        assert_eq!(
            names(&rbac, &secret("token")),
            ["Group admins", "User reader"]
        );
        assert_eq!(names(&rbac, &secret("other")), ["Group admins"]);
        let permits = who_can(&rbac, &secret(""));
        let reader = permits.iter().find(|it| it.name == "reader").unwrap();
        assert_eq!(reader.through[0].names, ["ca", "token"]);
        assert_eq!(reader.through[0].role.kind, "Role");
        assert_eq!(reader.through[0].binding.namespace.as_deref(), Some("a"));
    }

    #[test]
    fn subresources_are_permitted_by_themselves() {
        let rbac = rbac();
        let who = |resource| names(&rbac, &action("update", "apps", resource, "a", ""));
        assert_eq!(who("deployments/scale"), ["Group admins", "User hpa"]);
        assert_eq!(who("deployments"), ["Group admins"]);
        assert_eq!(
            names(&rbac, &action("get", "", "pods/log", "a", "")),
            ["Group admins"]
        );
    }

    #[test]
    fn aggregated_roles_count_by_their_rules_and_missing_ones_not_at_all() {
        let who = names(&rbac(), &action("get", "example.org", "things", "a", ""));
        assert_eq!(who, ["Group admins", "User thing"]);
    }

    #[test]
    fn urls_are_matched_exactly_or_by_their_beginning() {
        let rbac = rbac();
        let who = |path: &str| {
            let path = path.to_owned();
            names(
                &rbac,
                &Action::Path {
                    verb: "get".into(),
                    path,
                },
            )
        };
        assert_eq!(
            who("/healthz"),
            ["Group admins", "Group system:unauthenticated"]
        );
        assert_eq!(
            who("/livez/etcd"),
            ["Group admins", "Group system:unauthenticated"]
        );
        assert_eq!(who("/healthz/etcd"), ["Group admins"]);
        // Rules for all resources are no rules for URLs.
        let only = Rbac {
            cluster_roles: vec![cluster_role(
                "r",
                json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]),
            )],
            cluster_role_bindings: vec![bound("b", "r", json!([{"kind": "User", "name": "u"}]))],
            ..Rbac::default()
        };
        let path = Action::Path {
            verb: "get".into(),
            path: "/x".into(),
        };
        assert!(names(&only, &path).is_empty());
    }

    #[test]
    fn masters_may_do_anything() {
        let permits = who_can(&Rbac::default(), &action("get", "", "pods", "", ""));
        assert_eq!((permits.len(), permits[0].name.as_str()), (1, MASTERS));
        assert!(permits[0].through.is_empty());
    }
}
