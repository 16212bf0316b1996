//! From the compact tables to RBAC objects.
//!
//! A rule is a line of words: `VERBS GROUPS RESOURCES [NAMES]`, or
//! `VERBS url PATHS`; each word is a list with commas. `core` is the core
//! group; `read` is get, list, watch; `write` is everything that changes.

use super::AUTOUPDATE;
use super::controllers::CONTROLLERS;
use super::roles::{BINDINGS, CLUSTER_ROLES, ROLES};
use crate::authz::rbac::{GROUP, effective};
use crate::authz::rule::Rule;
use serde_json::{Value, json};

/// A ClusterRole.
pub struct ClusterRole {
    /// Its name.
    pub name: &'static str,
    /// The default role it adds its rules to, e.g. `view`; empty for none.
    pub adds_to: &'static str,
    /// Whether its rules are those of the roles that add to it.
    pub collects: bool,
    /// Its rules.
    pub rules: &'static [&'static str],
}

impl ClusterRole {
    /// A role of its own.
    pub const fn plain(name: &'static str, rules: &'static [&'static str]) -> Self {
        Self {
            name,
            adds_to: "",
            collects: false,
            rules,
        }
    }
}

/// A Role with its binding: namespace, name, rules, subjects.
pub struct Role(
    pub &'static str,
    pub &'static str,
    pub &'static [&'static str],
    pub &'static [&'static str],
);

/// The rules of a table's lines.
pub fn rules(lines: &[&str]) -> Vec<Rule> {
    lines.iter().map(|line| rule(line)).collect()
}

fn rule(line: &str) -> Rule {
    let words: Vec<&str> = line.split_whitespace().collect();
    let list = |at: usize| -> Vec<String> {
        let word = words.get(at).copied().unwrap_or_default();
        let items = word.split(',').filter(|w| !w.is_empty());
        items.map(str::to_owned).collect()
    };
    let verbs = list(0).iter().flat_map(|verb| verbs(verb)).collect();
    if words.get(1) == Some(&"url") {
        return Rule {
            verbs,
            non_resource_urls: list(2),
            ..Rule::default()
        };
    }
    let group = |group: String| {
        if group == "core" {
            String::new()
        } else {
            group
        }
    };
    Rule {
        verbs,
        api_groups: list(1).into_iter().map(group).collect(),
        resources: list(2),
        resource_names: list(3),
        ..Rule::default()
    }
}

fn verbs(word: &str) -> Vec<String> {
    let verbs: &[&str] = match word {
        "read" => &["get", "list", "watch"],
        "write" => &["create", "delete", "deletecollection", "patch", "update"],
        other => &[other],
    };
    verbs.iter().map(|verb| (*verb).to_owned()).collect()
}

/// All default roles and bindings.
pub fn objects() -> Vec<Value> {
    let mut roles: Vec<Value> = CLUSTER_ROLES.iter().map(cluster_role).collect();
    for (name, rules) in CONTROLLERS {
        let name = format!("system:controller:{name}");
        roles.push(object(
            "ClusterRole",
            "",
            &name,
            json!({"rules": self::rules(rules)}),
        ));
    }
    // Stored with their sums, as Kubernetes' aggregation controller writes them.
    let sums: Vec<Value> = roles
        .iter()
        .map(|role| json!(effective(role, &roles)))
        .collect();
    for (role, sum) in roles.iter_mut().zip(sums) {
        role["rules"] = sum;
    }
    let mut objects = roles;
    for (name, role, subjects) in BINDINGS {
        objects.push(binding(
            "ClusterRoleBinding",
            "",
            name,
            "ClusterRole",
            role,
            subjects,
        ));
    }
    for (name, _) in CONTROLLERS {
        let role = format!("system:controller:{name}");
        let subject = format!("kube-system/{name}");
        objects.push(binding(
            "ClusterRoleBinding",
            "",
            &role,
            "ClusterRole",
            &role,
            &[&subject],
        ));
    }
    for Role(namespace, name, rules, subjects) in ROLES {
        let rules = json!({"rules": self::rules(rules)});
        objects.push(object("Role", namespace, name, rules));
        // Kubernetes sets this one binding's name apart from its role's.
        let bound = match *name {
            "extension-apiserver-authentication-reader" => {
                "system::extension-apiserver-authentication-reader"
            }
            name => name,
        };
        objects.push(binding(
            "RoleBinding",
            namespace,
            bound,
            "Role",
            name,
            subjects,
        ));
    }
    objects
}

fn cluster_role(role: &ClusterRole) -> Value {
    let label = |target: &str| format!("rbac.authorization.k8s.io/aggregate-to-{target}");
    let mut rules = rules(role.rules);
    if role.name == "system:kube-controller-manager" {
        // All controllers run in one process under this one name.
        rules.extend(CONTROLLERS.iter().flat_map(|(_, lines)| self::rules(lines)));
        let mut seen = std::collections::HashSet::new();
        rules.retain(|rule| seen.insert(rule.clone()));
    }
    let mut object = object("ClusterRole", "", role.name, json!({"rules": rules}));
    if !role.adds_to.is_empty() {
        object["metadata"]["labels"][label(role.adds_to)] = json!("true");
    }
    if role.collects {
        let selector = json!([{"matchLabels": {label(role.name): "true"}}]);
        object["aggregationRule"] = json!({"clusterRoleSelectors": selector});
    }
    object
}

fn object(kind: &str, namespace: &str, name: &str, rest: Value) -> Value {
    let mut object = rest;
    object["apiVersion"] = json!(format!("{GROUP}/v1"));
    object["kind"] = json!(kind);
    object["metadata"] = json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {AUTOUPDATE: "true"},
    });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

/// Subjects are `group:NAME`, `user:NAME` or `NAMESPACE/SERVICEACCOUNT`.
fn binding(
    kind: &str,
    namespace: &str,
    name: &str,
    role_kind: &str,
    role: &str,
    subjects: &[&str],
) -> Value {
    let subject = |subject: &&str| {
        let of = |kind: &str, name: &str| json!({"apiGroup": GROUP, "kind": kind, "name": name});
        if let Some(name) = subject.strip_prefix("group:") {
            of("Group", name)
        } else if let Some(name) = subject.strip_prefix("user:") {
            of("User", name)
        } else {
            let (namespace, name) = subject.split_once('/').unwrap_or(("kube-system", subject));
            json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
        }
    };
    let mut rest = json!({"roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role}});
    if !subjects.is_empty() {
        rest["subjects"] = subjects.iter().map(subject).collect();
    }
    object(kind, namespace, name, rest)
}
