//! Requests and limits.

use super::super::field::{Errors, Path};
use super::super::json::{entries, get, list_mut, object_mut, set};
use super::containers;
use super::options::Options;
use hardway_proto::{names, quantity::Quantity};
use serde_json::{Map, Value, json};

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

/// How the name of a size of huge pages begins.
const HUGE_PAGES: &str = "hugepages-";

fn is_huge_page(name: &str) -> bool {
    name.starts_with(HUGE_PAGES)
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
pub fn check_overhead(e: &mut Errors, path: &Path, fixed: &Value, options: Options) {
    check(e, path, &json!({"limits": fixed}), options);
}

/// Whether a request is all that there may be: more can be used of what nodes have by
/// themselves alone, and not of huge pages.
fn is_exact(name: &str) -> bool {
    is_huge_page(name) || name.contains('/') && !name.contains("kubernetes.io/")
}

/// Whether an amount of huge pages is one of whole pages, of the size that the name says.
fn is_whole_pages(name: &str, amount: &Quantity) -> bool {
    let size = name.strip_prefix(HUGE_PAGES).unwrap_or_default();
    let size = size.parse::<Quantity>();
    size.is_ok_and(|size| {
        size.sign() > 0 && size.is_integer() && amount.value() % size.value() == 0
    })
}

fn check_pages(e: &mut Errors, path: &Path, name: &str, amount: &Quantity, options: Options) {
    if is_huge_page(name) && !options.parts_of_pages && !is_whole_pages(name, amount) {
        let amount = amount.to_string();
        let detail = format!("{amount} is not positive integer multiple of {name}");
        e.invalid(path, &amount, &detail);
    }
}

/// Whether containers of a pod, or its overhead, ask for parts of huge pages.
pub fn has_parts_of_pages(spec: &Value) -> bool {
    let in_parts = |amounts: &Value| {
        let mut amounts = amounts.as_object().into_iter().flatten();
        amounts.any(|(name, amount)| {
            let amount = Quantity::from_json(amount);
            is_huge_page(name) && amount.is_ok_and(|amount| !is_whole_pages(name, &amount))
        })
    };
    let mut containers = containers::all(&Path::default(), spec);
    containers.any(|(_, container)| {
        let resources = get(container, "resources");
        in_parts(get(resources, "limits")) || in_parts(get(resources, "requests"))
    }) || in_parts(get(spec, "overhead"))
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
pub fn check(e: &mut Errors, path: &Path, resources: &Value, options: Options) {
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
            if !is_limit {
                check_request(e, path, name, value, &quantity, limits);
            }
            check_pages(e, &at, name, &quantity, options);
        }
    }
    let names = || entries(resources, "limits").chain(entries(resources, "requests"));
    let named = |name: &str| requests.get(name).or(limits.get(name)).is_some();
    if names().any(|(name, _)| is_huge_page(name)) && !named("cpu") && !named("memory") {
        e.forbidden(path, "HugePages require cpu or memory");
    }
}

/// A request is within its limit.
fn check_request(
    e: &mut Errors,
    path: &Path,
    name: &str,
    value: &Value,
    quantity: &Quantity,
    limits: &Value,
) {
    let at = path.child("requests");
    match limits.get(name).map(Quantity::from_json) {
        Some(Ok(limit)) if is_exact(name) && *quantity != limit => {
            let detail = format!("must be equal to {name} limit of {limit}");
            e.invalid(&at, value, &detail);
        }
        Some(Ok(limit)) if *quantity > limit => {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            e.invalid(&at, value, &detail);
        }
        None if is_exact(name) => {
            let detail = "Limit must be set for non overcommitable resources";
            e.required(&path.child("limits"), detail);
        }
        _ => {}
    }
}
