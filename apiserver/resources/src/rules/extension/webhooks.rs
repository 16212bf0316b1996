//! What the configurations of admission webhooks say of each webhook, as
//! `pkg/apis/admissionregistration/validation` checks it.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, list, text};
use super::super::{client_config, labels};
use super::match_conditions;
use super::stored::Stored;
use hardway_cel::admission::Vocabulary;
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;

const NO_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];
const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

/// What isn't asked of a configuration that was as wrong before.
#[derive(Default)]
struct Lenience<'a> {
    /// That conditions are right, since they are the same.
    conditions: bool,
    /// That a version of reviews is known.
    versions: bool,
    /// That each has a name of its own.
    names: bool,
    /// That there are no side effects.
    effects: bool,
    /// That these expressions can be read by the version of Kubernetes before.
    stored: Stored<'a>,
}

impl<'a> Lenience<'a> {
    fn of(new: &[Value], old: &'a [Value]) -> Self {
        let conditions = |hooks: &[Value]| -> Vec<Value> {
            let hooks = hooks.iter();
            hooks
                .map(|hook| get(hook, "matchConditions").clone())
                .collect()
        };
        let all_known = |field: &str, known: &dyn Fn(&Value) -> bool| {
            old.iter().all(|hook| known(get(hook, field)))
        };
        let mut seen = BTreeSet::new();
        Self {
            conditions: conditions(new) == conditions(old),
            versions: !all_known("admissionReviewVersions", &knows_review),
            names: !old.iter().all(|hook| seen.insert(text(hook, "name"))),
            effects: !all_known("sideEffects", &|of| {
                NO_EFFECTS.iter().any(|known| of == known)
            }),
            stored: old.iter().flat_map(match_conditions::expressions).collect(),
        }
    }
}

/// The webhooks of a configuration; `old` is what it replaces.
pub fn check(e: &mut Errors, configuration: &Value, old: Option<&Value>) {
    let hooks = list(configuration, "webhooks");
    let lenience = match old {
        Some(old) => Lenience::of(hooks, list(old, "webhooks")),
        None => Lenience::default(),
    };
    let mut seen = BTreeSet::new();
    for (i, hook) in hooks.iter().enumerate() {
        let path = Path::new("webhooks").index(i);
        check_webhook(e, &path, hook, &lenience);
        let at = path.child("admissionReviewVersions");
        let versions = get(hook, "admissionReviewVersions");
        check_versions(e, &at, versions, lenience.versions);
        let name = text(hook, "name");
        if !name.is_empty() && !seen.insert(name) && !lenience.names {
            e.duplicate(&path.child("name"), name);
        }
    }
}

fn check_webhook(e: &mut Errors, path: &Path, hook: &Value, lenience: &Lenience) {
    check_name(e, &path.child("name"), text(hook, "name"));
    for (i, rule) in list(hook, "rules").iter().enumerate() {
        check_rule(e, &path.child("rules").index(i), rule);
    }
    for (field, values) in [
        ("failurePolicy", ["Fail", "Ignore"]),
        ("matchPolicy", ["Equivalent", "Exact"]),
    ] {
        e.one_of_if_set(&path.child(field), get(hook, field), &values);
    }
    let at = path.child("sideEffects");
    let known: &[&str] = match lenience.effects {
        true => &["None", "NoneOnDryRun", "Some", "Unknown"],
        false => &NO_EFFECTS,
    };
    match get(hook, "sideEffects") {
        Value::Null => e.required(&at, &format!("must specify one of {}", known.join(", "))),
        effects => e.one_of_if_set(&at, effects, known),
    }
    let seconds = int(hook, "timeoutSeconds").unwrap_or(10);
    if !(1..=30).contains(&seconds) {
        e.invalid(
            &path.child("timeoutSeconds"),
            seconds,
            "the timeout value must be between 1 and 30 seconds",
        );
    }
    for selector in ["namespaceSelector", "objectSelector"] {
        labels::check_selector(e, &path.child(selector), get(hook, selector));
    }
    client_config::check(e, &path.child("clientConfig"), get(hook, "clientConfig"));
    if !lenience.conditions {
        let (at, conditions) = (path.child("matchConditions"), list(hook, "matchConditions"));
        let vocabulary = Vocabulary::default();
        match_conditions::check(e, &at, conditions, vocabulary, &lenience.stored);
    }
    // Of mutating ones alone.
    let at = path.child("reinvocationPolicy");
    let policy = get(hook, "reinvocationPolicy");
    e.one_of_if_set(&at, policy, &["IfNeeded", "Never"]);
}

fn check_name(e: &mut Errors, path: &Path, name: &str) {
    if name.is_empty() {
        return e.required(path, "");
    }
    let problems = names::is_dns1123_subdomain(name);
    if !problems.is_empty() {
        return e.each(path, name, problems);
    }
    if name.split('.').count() < 3 {
        e.invalid(
            path,
            name,
            "should be a domain with at least three segments separated by dots",
        );
    }
}

/// Whether one of the versions of reviews is known.
fn knows_review(versions: &Value) -> bool {
    let mut versions = versions.as_array().into_iter().flatten();
    versions.any(|version| version == "v1" || version == "v1beta1")
}

fn check_versions(e: &mut Errors, path: &Path, versions: &Value, any: bool) {
    let listed = versions.as_array().map(Vec::as_slice).unwrap_or_default();
    if listed.is_empty() {
        return e.required(path, "must specify one of v1, v1beta1");
    }
    let mut seen = BTreeSet::new();
    for (i, version) in listed.iter().enumerate() {
        let version = version.as_str().unwrap_or_default();
        let at = path.index(i);
        match seen.insert(version) {
            true => e.each(&at, version, names::is_dns1035_label(version)),
            false => e.invalid(&at, version, "duplicate version"),
        }
    }
    if !any && !knows_review(versions) {
        e.invalid(path, versions, "must include at least one of v1, v1beta1");
    }
}

/// Which requests are sent to a webhook, or judged by a policy.
pub fn check_rule(e: &mut Errors, path: &Path, rule: &Value) {
    let at = path.child("operations");
    check_list(e, &at, get(rule, "operations"), "operations");
    for (i, operation) in list(rule, "operations").iter().enumerate() {
        let operation = operation.as_str().unwrap_or_default();
        if !OPERATIONS.contains(&operation) {
            e.not_supported(&at.index(i), operation, &OPERATIONS);
        }
    }
    let at = path.child("apiGroups");
    check_list(e, &at, get(rule, "apiGroups"), "API groups");
    let at = path.child("apiVersions");
    check_list(e, &at, get(rule, "apiVersions"), "API versions");
    for (i, version) in list(rule, "apiVersions").iter().enumerate() {
        if version == "" {
            e.required(&at.index(i), "");
        }
    }
    check_resources(e, &path.child("resources"), get(rule, "resources"));
    if has(rule, "scope") {
        let scope = text(rule, "scope");
        let scopes = ["*", "Cluster", "Namespaced"];
        if !scopes.contains(&scope) {
            e.not_supported(&path.child("scope"), scope, &scopes);
        }
    }
}

/// There must be some; everything stands alone.
fn check_list(e: &mut Errors, path: &Path, values: &Value, what: &str) {
    let listed = values.as_array().map(Vec::as_slice).unwrap_or_default();
    if listed.is_empty() {
        e.required(path, "");
    }
    if listed.len() > 1 && listed.iter().any(|value| value == "*") {
        let detail = format!("if '*' is present, must not specify other {what}");
        e.invalid(path, values, &detail);
    }
}

fn check_resources(e: &mut Errors, path: &Path, resources: &Value) {
    let listed: Vec<&str> = resources
        .as_array()
        .into_iter()
        .flatten()
        .map(|resource| resource.as_str().unwrap_or_default())
        .collect();
    if listed.is_empty() {
        e.required(path, "");
    }
    // Resources of which all subresources were named, and subresources of all resources.
    let (mut whole, mut everywhere) = (BTreeSet::new(), BTreeSet::new());
    for (i, named) in listed.iter().enumerate() {
        let at = path.index(i);
        if named.is_empty() {
            e.required(&at, "");
        }
        let Some((resource, subresource)) = named.split_once('/') else {
            continue;
        };
        if whole.contains(resource) {
            let detail = format!("if '{resource}/*' is present, must not specify {named}");
            e.invalid(&at, *named, &detail);
        }
        if everywhere.contains(subresource) {
            let detail = format!("if '*/{subresource}' is present, must not specify {named}");
            e.invalid(&at, *named, &detail);
        }
        if subresource == "*" {
            whole.insert(resource);
        }
        if resource == "*" {
            everywhere.insert(subresource);
        }
    }
    if listed.len() > 1 && listed.contains(&"*/*") {
        e.invalid(
            path,
            resources,
            "if '*/*' is present, must not specify other resources",
        );
    }
    // As Kubernetes sees it, the last one without a subresource decides.
    let plain = listed.iter().rev();
    let mut plain = plain.filter(|named| !named.is_empty() && !named.contains('/'));
    if listed.contains(&"*") && plain.next().is_some_and(|named| *named != "*") {
        e.invalid(
            path,
            resources,
            "if '*' is present, must not specify other resources without subresources",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `TestValidateValidatingWebhookConfigurationUpdate` of Kubernetes: what was wrong
    /// before may stay so.
    #[test]
    fn what_was_as_wrong_before_is_let_be() {
        let hook = |name: &str, effects: &str, versions: &[&str], condition: &str| {
            json!({"name": name, "sideEffects": effects, "admissionReviewVersions": versions,
                "clientConfig": {"url": "https://example.com"}, "failurePolicy": "Fail",
                "matchPolicy": "Exact", "timeoutSeconds": 10,
                "matchConditions": [{"name": "c", "expression": condition}]})
        };
        let of = |hooks: &[Value]| json!({"webhooks": hooks});
        let told = |new: &Value, old: Option<&Value>| -> Vec<String> {
            let causes = Errors::collect(|e| check(e, new, old));
            causes.into_iter().map(|cause| cause.field).collect()
        };
        let good = of(&[hook("a.b.c", "None", &["v1"], "true")]);
        for (wrong, field) in [
            (hook("a.b.c", "Unknown", &["v1"], "true"), "sideEffects"),
            (
                hook("a.b.c", "None", &["v7"], "true"),
                "admissionReviewVersions",
            ),
            (
                hook("a.b.c", "None", &["v1"], "odd("),
                "matchConditions[0].expression",
            ),
        ] {
            let wrong = of(&[wrong]);
            let field = format!("webhooks[0].{field}");
            assert_eq!(told(&wrong, None), std::slice::from_ref(&field));
            assert_eq!(told(&wrong, Some(&good)), [field]);
            assert_eq!(told(&wrong, Some(&wrong)), [""; 0]);
        }
        let twice = of(&[
            hook("a.b.c", "None", &["v1"], "true"),
            hook("a.b.c", "None", &["v1"], "true"),
        ]);
        assert_eq!(told(&twice, Some(&good)), ["webhooks[1].name"]);
        assert_eq!(told(&twice, Some(&twice)), [""; 0]);
    }
}
