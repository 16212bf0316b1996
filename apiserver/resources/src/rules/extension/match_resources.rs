//! Which requests a policy or a binding is about.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, list, list_mut, object_mut, set_default, text};
use super::super::labels;
use super::webhooks::check_rule;
use hardway_proto::names;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a policy that mutates may be about: not deletions.
const MUTATED: [&str; 4] = ["*", "CONNECT", "CREATE", "UPDATE"];

/// Fills in the field `name` of a spec, if it is there.
pub fn default(spec: &mut Value, name: &str) {
    let Some(resources) = object_mut(spec, name) else {
        return;
    };
    set_default(resources, "matchPolicy", "Equivalent");
    set_default(resources, "namespaceSelector", json!({}));
    set_default(resources, "objectSelector", json!({}));
    for rules in ["resourceRules", "excludeResourceRules"] {
        for rule in list_mut(resources, rules) {
            set_default(rule, "scope", "*");
        }
    }
}

/// The `matchConstraints` of a policy, which must be there and name resources.
pub fn check_constraints(e: &mut Errors, path: &Path, constraints: &Value) {
    if constraints.is_null() {
        return e.required(path, "");
    }
    check(e, path, constraints);
    if list(constraints, "resourceRules").is_empty() {
        e.required(&path.child("resourceRules"), "");
    }
}

/// A `MatchResources`, if it is there.
pub fn check(e: &mut Errors, path: &Path, resources: &Value) {
    if resources.is_null() {
        return;
    }
    let policy = get(resources, "matchPolicy");
    let at = path.child("matchPolicy");
    e.one_of_if_set(&at, policy, &["Equivalent", "Exact"]);
    for selector in ["namespaceSelector", "objectSelector"] {
        labels::check_selector(e, &path.child(selector), get(resources, selector));
    }
    for rules in ["resourceRules", "excludeResourceRules"] {
        for (i, rule) in list(resources, rules).iter().enumerate() {
            let at = path.child(rules).index(i);
            check_names(e, &at.child("resourceNames"), list(rule, "resourceNames"));
            check_rule(e, &at, rule);
        }
    }
}

/// Nothing but what can be mutated is asked for.
pub fn check_mutated(e: &mut Errors, path: &Path, resources: &Value) {
    let rules = list(resources, "resourceRules").iter();
    for operation in rules.flat_map(|rule| list(rule, "operations")) {
        let operation = operation.as_str().unwrap_or_default();
        if !MUTATED.contains(&operation) {
            let at = path.child("resourceRules.operations");
            e.not_supported(&at, operation, &MUTATED);
        }
    }
}

fn check_names(e: &mut Errors, path: &Path, listed: &[Value]) {
    let mut seen = BTreeSet::new();
    for (i, name) in listed.iter().enumerate() {
        let (at, name) = (path.index(i), name.as_str().unwrap_or_default());
        e.each(&at, name, names::is_path_segment(name));
        if !seen.insert(name) {
            e.duplicate(&at, name);
        }
    }
}

/// The `paramKind` of a policy, if it has one.
pub fn check_param_kind(e: &mut Errors, path: &Path, kind: &Value) {
    if kind.is_null() {
        return;
    }
    let at = path.child("apiVersion");
    let version = text(kind, "apiVersion");
    match version.split('/').collect::<Vec<_>>()[..] {
        [""] => e.required(&at, ""),
        ["", ""] => e.invalid(&at, version, "version must be specified"),
        [version] => check_version(e, &at, version, version),
        [group, version] => {
            if !group.is_empty() {
                let problems = names::is_dns1123_subdomain(group);
                e.joined(&at, group, "", &problems);
            }
            check_version(e, &at, text(kind, "apiVersion"), version);
        }
        _ => {
            let detail = format!("unexpected GroupVersion string: {version}");
            e.invalid(&at, version, &detail);
        }
    }
    let (at, kind) = (path.child("kind"), text(kind, "kind"));
    if kind.is_empty() {
        return e.required(&at, "");
    }
    let problems = names::is_dns1035_label(&kind.to_lowercase());
    let before = "may have mixed case, but should otherwise match: ";
    e.joined(&at, kind, before, &problems);
}

fn check_version(e: &mut Errors, path: &Path, whole: &str, version: &str) {
    if version.is_empty() {
        return e.invalid(path, whole, "version must be specified");
    }
    e.joined(path, version, "", &names::is_dns1035_label(version));
}

/// The `paramRef` of a binding, if it has one.
pub fn check_param_ref(e: &mut Errors, path: &Path, reference: &Value) {
    const EXCLUSIVE: &str = "name and selector are mutually exclusive";
    if reference.is_null() {
        return;
    }
    let name = text(reference, "name");
    let selected = has(reference, "selector");
    if !name.is_empty() {
        let at = path.child("name");
        e.each(&at, name, names::is_path_segment(name));
        if selected {
            e.forbidden(&at, EXCLUSIVE);
        }
    }
    if selected {
        let at = path.child("selector");
        labels::check_selector(e, &at, get(reference, "selector"));
        if !name.is_empty() {
            e.forbidden(&at, EXCLUSIVE);
        }
    }
    if name.is_empty() && !selected {
        e.required(path, "one of name or selector must be specified");
    }
    let at = path.child("parameterNotFoundAction");
    match text(reference, "parameterNotFoundAction") {
        "" => e.required(&at, ""),
        action => e.one_of(&at, action, &["Deny", "Allow"]),
    }
}
