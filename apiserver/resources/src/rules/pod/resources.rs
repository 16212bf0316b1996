//! Requests and limits.

use super::super::field::{Errors, Path};
use super::super::json::{entries, get, list_mut, object_mut, set};
use hardway_proto::{names, quantity::Quantity};
use serde_json::{Map, Value};

/// Rewrites a map of quantities in canonical form, in steps no finer than a
/// thousandth. What is no quantity stays for validation to name.
pub fn canonical_map(object: &mut Value, field: &str) {
    let Some(map) = object.get_mut(field).and_then(Value::as_object_mut) else {
        return;
    };
    for value in map.values_mut() {
        if let Ok(quantity) = Quantity::from_json(value) {
            *value = quantity.round_up_milli().to_string().into();
        }
    }
}

/// A container that names a limit but no request requests its limit.
pub fn default_requests(spec: &mut Value) {
    for field in ["containers", "initContainers"] {
        for container in list_mut(spec, field) {
            let Some(resources) = object_mut(container, "resources") else {
                continue;
            };
            let Some(limits) = get(resources, "limits").as_object().cloned() else {
                continue;
            };
            let mut requests: Map<String, Value> = get(resources, "requests")
                .as_object()
                .cloned()
                .unwrap_or_default();
            for (name, limit) in limits {
                requests.entry(name).or_insert(limit);
            }
            if !requests.is_empty() {
                set(resources, "requests", requests);
            }
        }
    }
}

fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn check_name(e: &mut Errors, path: &Path, name: &str) {
    let problems = names::is_qualified_name(name);
    let is_qualified = problems.is_empty();
    e.each(path, name, problems);
    if name.contains('/') {
        let native = name.contains("kubernetes.io/");
        if !native && (!is_qualified || !names::is_extended_resource(name)) {
            e.invalid(path, name, "doesn't follow extended resource name standard");
        }
        return;
    }
    if STANDARD.contains(&name) || is_huge_page(name) {
        return;
    }
    if is_qualified && !crate::rules::limits::is_standard(name) {
        let detail = "must be a standard resource type or fully qualified";
        e.invalid(path, name, detail);
    }
    e.invalid(path, name, "must be a standard resource for containers");
}

/// What containers ask for by a name without a domain.
const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// What a pod costs beside its containers: checked, and told of, as limits are.
pub fn check_overhead(e: &mut Errors, path: &Path, fixed: &Value) {
    for (name, amount) in fixed.as_object().into_iter().flatten() {
        let at = path.child("limits").key(name);
        check_name(e, &at, name);
        check_quantity(e, &at, amount);
    }
}

/// A quantity that may not be negative; tells what is wrong, or returns it.
pub fn check_quantity(e: &mut Errors, path: &Path, value: &Value) -> Option<Quantity> {
    match Quantity::from_json(value) {
        Ok(quantity) => {
            if quantity.sign() < 0 {
                e.invalid(path, value, "must be greater than or equal to 0");
            }
            Some(quantity)
        }
        Err(error) => {
            e.invalid(path, value, &error.to_string());
            None
        }
    }
}

/// A container's `resources`.
pub fn check(e: &mut Errors, path: &Path, resources: &Value) {
    let (limits, requests) = (get(resources, "limits"), get(resources, "requests"));
    for (kind, is_limit) in [("limits", true), ("requests", false)] {
        for (name, value) in entries(resources, kind) {
            let at = path.child(kind).key(name);
            check_name(e, &at, name);
            let Some(quantity) = check_quantity(e, &at, value) else {
                continue;
            };
            if names::is_extended_resource(name) && !quantity.is_integer() {
                e.invalid(&at, value, "must be an integer");
            }
            if is_limit {
                continue;
            }
            let whole = names::is_extended_resource(name) || is_huge_page(name);
            match limits.get(name).map(Quantity::from_json) {
                Some(Ok(limit)) if whole && quantity != limit => {
                    let detail = format!("must be equal to {name} limit of {limit}");
                    e.invalid(&path.child("requests"), value, &detail);
                }
                Some(Ok(limit)) if quantity > limit => {
                    let detail = format!("must be less than or equal to {name} limit of {limit}");
                    e.invalid(&path.child("requests"), value, &detail);
                }
                None if whole => {
                    e.required(
                        &path.child("limits"),
                        "Limit must be set for non overcommitable resources",
                    );
                }
                _ => {}
            }
        }
    }
    let named = |name: &str| requests.get(name).or(limits.get(name)).is_some();
    let huge = entries(resources, "limits").any(|(name, _)| is_huge_page(name));
    if huge && !named("cpu") && !named("memory") {
        e.forbidden(path, "HugePages require cpu or memory");
    }
}
