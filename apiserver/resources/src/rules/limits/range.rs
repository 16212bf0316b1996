//! LimitRanges, as `pkg/apis/core/validation` checks them.

use super::super::field::{Errors, Path};
use super::super::json::{entries, get, has, is_empty, list, text};
use super::names::resource_name;
use hardway_proto::names;
use hardway_proto::quantity::Quantity;
use serde_json::Value;
use std::collections::BTreeSet;

const TYPES: [&str; 3] = ["Container", "PersistentVolumeClaim", "Pod"];
const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// A range's `spec`.
pub fn check(e: &mut Errors, spec: &Value) {
    let mut seen = BTreeSet::new();
    for (i, limit) in list(spec, "limits").iter().enumerate() {
        let path = Path::new("spec.limits").index(i);
        let kind = text(limit, "type");
        check_type(e, &path.child("type"), kind);
        if !seen.insert(kind) {
            e.duplicate(&path.child("type"), kind);
        }
        check_limit(e, &path, limit, kind);
    }
}

fn check_type(e: &mut Errors, path: &Path, kind: &str) {
    let problems = names::is_qualified_name(kind);
    if !problems.is_empty() {
        return e.each(path, kind, problems);
    }
    if !kind.contains('/') && !TYPES.contains(&kind) {
        e.invalid(
            path,
            kind,
            "must be a standard limit type or fully qualified",
        );
    }
}

fn check_limit(e: &mut Errors, path: &Path, limit: &Value, kind: &str) {
    let mut resources = BTreeSet::new();
    for field in [
        "max",
        "min",
        "default",
        "defaultRequest",
        "maxLimitRequestRatio",
    ] {
        let at = path.child(field);
        let of_defaults = field.starts_with("default");
        if field == "maxLimitRequestRatio" && kind == "PersistentVolumeClaim" {
            let bounded = ["min", "max"].map(|bound| has(get(limit, bound), "storage"));
            if bounded == [false, false] {
                e.required(
                    &path.child("limits"),
                    "either minimum or maximum storage value is required, but neither was provided",
                );
            }
        }
        if of_defaults && kind == "Pod" {
            if !is_empty(get(limit, field)) {
                e.forbidden(&at, "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for (name, amount) in entries(limit, field) {
            let at = at.key(name);
            check_resource(e, &at, name, kind);
            if let Err(error) = Quantity::from_json(amount) {
                e.invalid(&at, amount, &error.to_string());
            }
            resources.insert(name.as_str());
        }
    }
    for name in resources {
        check_amounts(e, path, limit, name, kind == "Pod");
    }
}

fn check_resource(e: &mut Errors, path: &Path, name: &str, kind: &str) {
    resource_name(e, path, name);
    let known = OF_CONTAINERS.contains(&name) || name.starts_with("hugepages-");
    if ["Pod", "Container"].contains(&kind) && !name.contains('/') && !known {
        e.invalid(path, name, "must be a standard resource for containers");
    }
}

/// What is said of one resource must go together.
fn check_amounts(e: &mut Errors, path: &Path, limit: &Value, name: &str, of_pods: bool) {
    let of = |field: &str| get(limit, field).get(name);
    let amount = |field: &str| match field.starts_with("default") && of_pods {
        true => None,
        false => Quantity::from_json(of(field)?).ok(),
    };
    // Which is more than which, where that is told, and of which value.
    for (low, low_name, high, high_name, field, shown) in [
        ("min", "min", "max", "max", "min", "min"),
        (
            "min",
            "min",
            "defaultRequest",
            "default request",
            "defaultRequest",
            "defaultRequest",
        ),
        (
            "defaultRequest",
            "default request",
            "max",
            "max",
            "defaultRequest",
            "defaultRequest",
        ),
        (
            "defaultRequest",
            "default request",
            "default",
            "default limit",
            "defaultRequest",
            "defaultRequest",
        ),
        ("min", "min", "default", "default", "default", "min"),
        ("default", "default", "max", "max", "default", "max"),
    ] {
        if let (Some(a), Some(b)) = (amount(low), amount(high))
            && a > b
        {
            let detail = format!("{low_name} value {a} is greater than {high_name} value {b}");
            let value = of(shown).unwrap_or(&Value::Null);
            e.invalid(&path.child(field).key(name), value, &detail);
        }
    }
    let at = path.child("maxLimitRequestRatio").key(name);
    let Some(ratio) = amount("maxLimitRequestRatio") else {
        return;
    };
    let shown = of("maxLimitRequestRatio").unwrap_or(&Value::Null);
    if ratio.milli_value() < 1000 {
        e.invalid(&at, shown, &format!("ratio {ratio} is less than 1"));
    }
    if let (Some(low), Some(high)) = (amount("min"), amount("max")) {
        let most = high.as_f64() / low.as_f64();
        if ratio.as_f64() > most {
            let detail = format!("ratio {ratio} is greater than max/min = {most:.6}");
            e.invalid(&at, shown, &detail);
        }
    }
}
