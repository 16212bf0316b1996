//! Who may do what: RBAC, and the accounts of pods.

use super::field::{Errors, Path};
use super::json::{default_text, get, has, list, list_mut, text};
use super::kind::{Kind, PLAIN};
use super::labels;
use hardway_proto::names;
use serde_json::Value;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Has the account's pods mount no Secrets but those it names.
const MOUNTABLE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

/// Told when the annotation is new.
fn account_warnings(account: &Value, old: Option<&Value>) -> Vec<String> {
    let is_set = |account| {
        has(
            get(get(account, "metadata"), "annotations"),
            MOUNTABLE_SECRETS,
        )
    };
    match is_set(account) && !old.is_some_and(is_set) {
        true => vec![format!(
            "metadata.annotations[{MOUNTABLE_SECRETS}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        )],
        false => Vec::new(),
    }
}

/// Secrets of an account are in its namespace: nothing but their names is kept
/// (`pkg/registry/core/serviceaccount/strategy.go`).
fn keep_names(account: &mut Value) {
    for secret in list_mut(account, "secrets") {
        if let Value::Object(fields) = secret {
            fields.retain(|field, _| field == "name");
        }
    }
}

pub(super) const SERVICE_ACCOUNT: Kind = Kind {
    prepare_create: keep_names,
    prepare_update: |new, _| keep_names(new),
    warnings: account_warnings,
    ..PLAIN
};

fn check_rules(e: &mut Errors, role: &Value, cluster: bool) {
    for (i, rule) in list(role, "rules").iter().enumerate() {
        let path = Path::new("rules").index(i);
        let empty = |field: &str| list(rule, field).is_empty();
        if empty("verbs") {
            e.required(
                &path.child("verbs"),
                "verbs must contain at least one value",
            );
        }
        if !empty("nonResourceURLs") {
            let at = path.child("nonResourceURLs");
            if !cluster {
                e.invalid(
                    &at,
                    get(rule, "nonResourceURLs"),
                    "namespaced rules cannot apply to non-resource URLs",
                );
            }
            if !(empty("apiGroups") && empty("resources") && empty("resourceNames")) {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                e.invalid(&at, get(rule, "nonResourceURLs"), detail);
            }
            continue;
        }
        if empty("apiGroups") {
            e.required(
                &path.child("apiGroups"),
                "resource rules must supply at least one api group",
            );
        }
        if empty("resources") {
            e.required(
                &path.child("resources"),
                "resource rules must supply at least one resource",
            );
        }
    }
}

pub(super) const ROLE: Kind = Kind {
    name: names::is_path_segment,
    validate: |role| Errors::collect(|e| check_rules(e, role, false)),
    ..PLAIN
};

pub(super) const CLUSTER_ROLE: Kind = Kind {
    name: names::is_path_segment,
    validate: |role| {
        Errors::collect(|e| {
            check_rules(e, role, true);
            let selectors = list(get(role, "aggregationRule"), "clusterRoleSelectors");
            if has(role, "aggregationRule") && selectors.is_empty() {
                e.required(
                    &Path::new("aggregationRule.clusterRoleSelectors"),
                    "at least one clusterRoleSelector required if aggregationRule is non-nil",
                );
            }
            for (i, selector) in selectors.iter().enumerate() {
                let path = Path::new("aggregationRule.clusterRoleSelectors").index(i);
                labels::check_selector(e, &path, selector);
            }
        })
    },
    ..PLAIN
};

fn default_binding(binding: &mut Value) {
    if let Some(role) = super::json::object_mut(binding, "roleRef") {
        default_text(role, "apiGroup", RBAC);
    }
    for subject in list_mut(binding, "subjects") {
        if ["User", "Group"].contains(&text(subject, "kind")) {
            default_text(subject, "apiGroup", RBAC);
        }
    }
}

fn check_binding(e: &mut Errors, binding: &Value, kinds: &[&str]) {
    let (path, role) = (Path::new("roleRef"), get(binding, "roleRef"));
    let group = text(role, "apiGroup");
    if group != RBAC {
        e.not_supported(&path.child("apiGroup"), group, &[RBAC]);
    }
    let kind = text(role, "kind");
    if !kinds.contains(&kind) {
        e.not_supported(&path.child("kind"), kind, kinds);
    }
    let name = text(role, "name");
    if name.is_empty() {
        e.required(&path.child("name"), "");
    } else {
        e.each(&path.child("name"), name, names::is_path_segment(name));
    }
    for (i, subject) in list(binding, "subjects").iter().enumerate() {
        check_subject(e, &Path::new("subjects").index(i), subject, kinds.len() > 1);
    }
}

fn check_subject(e: &mut Errors, path: &Path, subject: &Value, namespaced: bool) {
    let (name, group) = (text(subject, "name"), text(subject, "apiGroup"));
    if name.is_empty() {
        e.required(&path.child("name"), "");
    }
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                e.each(&path.child("name"), name, names::is_dns1123_subdomain(name));
            }
            if !group.is_empty() {
                e.not_supported(&path.child("apiGroup"), group, &[""]);
            }
            // A RoleBinding's accounts are its namespace's unless said otherwise.
            if !namespaced && text(subject, "namespace").is_empty() {
                e.required(&path.child("namespace"), "");
            }
        }
        "User" | "Group" => {
            if group != RBAC {
                e.not_supported(&path.child("apiGroup"), group, &[RBAC]);
            }
        }
        other => e.not_supported(
            &path.child("kind"),
            other,
            &["ServiceAccount", "User", "Group"],
        ),
    }
}

fn same_role(new: &Value, old: &Value) -> super::FieldErrors {
    Errors::collect(|e| {
        if get(new, "roleRef") != get(old, "roleRef") {
            e.invalid(
                &Path::new("roleRef"),
                get(new, "roleRef"),
                "cannot change roleRef",
            );
        }
    })
}

pub(super) const ROLE_BINDING: Kind = Kind {
    name: names::is_path_segment,
    default: default_binding,
    validate: |binding| Errors::collect(|e| check_binding(e, binding, &["Role", "ClusterRole"])),
    validate_update: same_role,
    ..PLAIN
};

pub(super) const CLUSTER_ROLE_BINDING: Kind = Kind {
    validate: |binding| Errors::collect(|e| check_binding(e, binding, &["ClusterRole"])),
    ..ROLE_BINDING
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;
    use serde_json::json;

    #[test]
    fn secrets_of_accounts_are_known_by_their_names() {
        let mut account =
            json!({"secrets": [{"kind": "Secret", "namespace": "other", "name": "a"}]});
        let kept = json!({"secrets": [{"name": "a"}]});
        let mut changed = account.clone();
        SERVICE_ACCOUNT.prepare_create(&mut account);
        assert_eq!(account, kept);
        SERVICE_ACCOUNT.prepare_update(&mut changed, &kept);
        assert_eq!(changed, kept);
    }

    /// The text is of `test/integration/serviceaccount`.
    #[test]
    fn what_is_deprecated_of_accounts_is_told_once() {
        let account = json!({"metadata": {"annotations": {MOUNTABLE_SECRETS: "true"}}});
        let text = "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets";
        let plain = json!({"metadata": {}});
        assert_eq!(account_warnings(&account, None), [text]);
        assert_eq!(account_warnings(&account, Some(&plain)), [text]);
        assert_eq!(account_warnings(&account, Some(&account)), [""; 0]);
        assert_eq!(account_warnings(&plain, None), [""; 0]);
    }

    #[test]
    fn bindings_keep_their_role() {
        let mut old = json!({"roleRef": {"kind": "Role", "name": "a"}, "subjects": [{"kind": "User", "name": "u"}]});
        ROLE_BINDING.default(&mut old);
        assert_eq!(old["subjects"][0]["apiGroup"], RBAC);
        assert!(KindRules::validate(&ROLE_BINDING, &old).is_empty());
        let mut new = old.clone();
        new["roleRef"]["name"] = json!("b");
        let found = KindRules::validate_update(&ROLE_BINDING, &new, &old);
        assert!(found[0].message.ends_with(": cannot change roleRef"));
    }

    #[test]
    fn rules_need_verbs_and_groups() {
        let found = KindRules::validate(&ROLE, &json!({"rules": [{"resources": ["pods"]}]}));
        let texts: Vec<_> = found.iter().map(|c| c.message.as_str()).collect();
        assert_eq!(
            texts,
            [
                "Required value: verbs must contain at least one value",
                "Required value: resource rules must supply at least one api group",
            ]
        );
    }
}
