//! ResourceQuotas, as `pkg/apis/core/validation` checks them.

use super::super::field::{Errors, Path};
use super::super::json::{entries, get, has, list, text};
use super::super::pod;
use super::names::{is_integer, is_of_quota, resource_name};
use serde_json::Value;
use std::collections::BTreeSet;

const SCOPES: [&str; 6] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
];
/// Scopes that exclude each other.
const PAIRS: [(&str, &str); 2] = [
    ("BestEffort", "NotBestEffort"),
    ("Terminating", "NotTerminating"),
];
/// What of pods is counted that use resources.
const OF_PODS: [&str; 6] = [
    "cpu",
    "memory",
    "limits.cpu",
    "limits.memory",
    "requests.cpu",
    "requests.memory",
];

/// A quota's `spec`.
pub fn check(e: &mut Errors, spec: &Value) {
    let path = Path::new("spec");
    for (name, amount) in entries(spec, "hard") {
        let at = path.child("hard").key(name);
        resource_name(e, &at, name);
        if !name.contains('/') && !is_of_quota(name) {
            e.invalid(&at, name, "must be a standard resource for quota");
        }
        if let Some(quantity) = pod::check_quantity(e, &at, amount)
            && is_integer(name)
            && !quantity.is_integer()
        {
            e.invalid(&at, amount, "must be an integer");
        }
    }
    check_scopes(e, &path.child("scopes"), spec);
    if has(spec, "scopeSelector") {
        check_selector(e, &path.child("scopeSelector.matchExpressions"), spec);
    }
}

/// Which scopes say something of all that is limited.
struct Limited {
    pods_alone: bool,
    of_pods: bool,
}

impl Limited {
    fn of(spec: &Value) -> Self {
        let all = |is_one: fn(&str) -> bool| {
            let mut names = entries(spec, "hard").map(|(name, _)| name.as_str());
            names.all(|name| !is_of_quota(name) || is_one(name))
        };
        Self {
            pods_alone: all(|name| name == "pods"),
            of_pods: all(|name| name == "pods" || OF_PODS.contains(&name)),
        }
    }

    fn suits(&self, scope: &str) -> bool {
        match scope {
            "BestEffort" => self.pods_alone,
            scope => self.of_pods || !SCOPES.contains(&scope),
        }
    }
}

fn check_scopes(e: &mut Errors, path: &Path, spec: &Value) {
    let (scopes, limited) = (get(spec, "scopes"), Limited::of(spec));
    let mut seen = BTreeSet::new();
    for scope in list(spec, "scopes") {
        let scope = scope.as_str().unwrap_or_default();
        // All are shown each time; so each is told of once.
        if !seen.insert(scope) {
            continue;
        }
        if !SCOPES.contains(&scope) {
            e.invalid(path, scopes, "unsupported scope");
            break;
        }
        if !limited.suits(scope) {
            e.invalid(path, scopes, "unsupported scope applied to resource");
        }
    }
    check_pairs(e, path, &seen, scopes);
}

fn check_pairs(e: &mut Errors, path: &Path, seen: &BTreeSet<&str>, scopes: &Value) {
    for (one, other) in PAIRS {
        if seen.contains(one) && seen.contains(other) {
            e.invalid(path, scopes, "conflicting scopes");
        }
    }
}

fn check_selector(e: &mut Errors, path: &Path, spec: &Value) {
    let (selector, limited) = (get(spec, "scopeSelector"), Limited::of(spec));
    let mut seen = BTreeSet::new();
    for expression in list(selector, "matchExpressions") {
        let (scope, operator) = (text(expression, "scopeName"), text(expression, "operator"));
        if !SCOPES.contains(&scope) {
            e.invalid(&path.child("scopeName"), scope, "unsupported scope");
        }
        // The whole selector is shown; so each scope is told of once.
        if !limited.suits(scope) && !seen.contains(scope) {
            e.invalid(path, selector, "unsupported scope applied to resource");
        }
        let at = path.child("operator");
        let alone = SCOPES.contains(&scope) && scope != "PriorityClass";
        if alone && operator != "Exists" {
            e.invalid(&at, operator, "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity");
        }
        let values = get(expression, "values");
        let empty = list(expression, "values").is_empty();
        match operator {
            "In" | "NotIn" if empty => e.required(
                &path.child("values"),
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            ),
            "Exists" | "DoesNotExist" if !empty => e.invalid(
                &path.child("values"),
                values,
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            ),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => e.invalid(&at, other, "not a valid selector operator"),
        }
        seen.insert(scope);
    }
    check_pairs(e, path, &seen, get(spec, "scopes"));
}
