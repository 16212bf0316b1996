//! What an autoscaler goes by, and how fast: as `pkg/apis/autoscaling/validation` checks
//! it and `pkg/apis/autoscaling/v2` fills it in.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, list, object_mut, remove, set_default, text};
use hardway_proto::names;
use hardway_proto::quantity::Quantity;
use serde_json::{Value, json};

/// A metric's type and the field that it is described in.
const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];
/// Longest look back, and longest period of a policy, in seconds.
const LONGEST_WINDOW: i64 = 3600;
const LONGEST_PERIOD: i64 = 1800;

/// An object that is named by its kind and name alone.
pub fn check_reference(e: &mut Errors, path: &Path, reference: &Value) {
    for field in ["kind", "name"] {
        match text(reference, field) {
            "" => e.required(&path.child(field), ""),
            name => e.each(&path.child(field), name, names::is_path_segment(name)),
        }
    }
}

/// The metrics of an autoscaler.
pub fn check(e: &mut Errors, path: &Path, metrics: &[Value], min_replicas: i64) {
    for (i, metric) in metrics.iter().enumerate() {
        check_metric(e, &path.index(i), metric);
    }
    let scales_from_none = |metric: &Value| ["Object", "External"].contains(&text(metric, "type"));
    if min_replicas == 0 && !metrics.iter().any(scales_from_none) {
        e.forbidden(
            path,
            "must specify at least one Object or External metric to support scaling to zero replicas",
        );
    }
}

fn check_metric(e: &mut Errors, path: &Path, metric: &Value) {
    let kind = text(metric, "type");
    let kinds = SOURCES.map(|(kind, _)| kind);
    let at = path.child("type");
    if kind.is_empty() {
        e.required(&at, "must specify a metric source type");
    }
    if !kinds.contains(&kind) {
        e.not_supported(&at, kind, &kinds);
    }
    let mut present: Vec<&str> = [
        "object",
        "external",
        "pods",
        "resource",
        "containerResource",
    ]
    .into_iter()
    .filter(|field| has(metric, field))
    .collect();
    if let Some(field) = present.first() {
        check_source(e, &path.child(field), field, get(metric, field));
    }
    let count = present.len();
    match SOURCES.iter().find(|(name, _)| *name == kind) {
        Some((_, field)) => {
            if !has(metric, field) {
                let detail = "must populate information for the given metric source";
                e.required(&path.child(field), detail);
            }
            present.retain(|other| other != field);
        }
        None => e.not_supported(&at, kind, &kinds),
    }
    if count != 1 {
        for other in present {
            let detail = "must populate the given metric source only";
            e.forbidden(&path.child(other), detail);
        }
    }
}

fn check_source(e: &mut Errors, path: &Path, kind: &str, source: &Value) {
    let target = get(source, "target");
    let at = path.child("target");
    match kind {
        "object" => {
            let described = get(source, "describedObject");
            check_reference(e, &path.child("describedObject"), described);
            check_identifier(e, path, source);
            check_target(e, &at, target);
            if !has(target, "value") && !has(target, "averageValue") {
                let detail = "must set either a target value or averageValue";
                e.required(&at.child("averageValue"), detail);
            }
        }
        "external" => {
            check_identifier(e, path, source);
            check_target(e, &at, target);
            match (has(target, "value"), has(target, "averageValue")) {
                (false, false) => e.required(
                    &at.child("averageValue"),
                    "must set either a target value for metric or a per-pod target",
                ),
                (true, true) => e.forbidden(
                    &at.child("value"),
                    "may not set both a target value for metric and a per-pod target",
                ),
                _ => {}
            }
        }
        "pods" => {
            check_identifier(e, path, source);
            check_target(e, &at, target);
            if !is_positive(get(target, "averageValue")) {
                let detail = "must specify a positive target averageValue";
                e.required(&at.child("averageValue"), detail);
            }
        }
        _ => {
            if text(source, "name").is_empty() {
                e.required(&path.child("name"), "must specify a resource name");
            }
            if kind == "containerResource" {
                let at = path.child("container");
                match text(source, "container") {
                    "" => e.required(&at, "must specify a container"),
                    name => e.each(&at, name, names::is_dns1123_label(name)),
                }
            }
            check_target(e, &at, target);
            match (
                has(target, "averageUtilization"),
                has(target, "averageValue"),
            ) {
                (false, false) => e.required(
                    &at.child("averageUtilization"),
                    "must set either a target raw value or a target utilization",
                ),
                (true, true) => e.forbidden(
                    &at.child("averageValue"),
                    "may not set both a target raw value and a target utilization",
                ),
                _ => {}
            }
        }
    }
}

fn check_identifier(e: &mut Errors, path: &Path, source: &Value) {
    let at = path.child("metric.name");
    match text(get(source, "metric"), "name") {
        "" => e.required(&at, "must specify a metric name"),
        name => e.each(&at, name, names::is_path_segment(name)),
    }
}

fn is_positive(amount: &Value) -> bool {
    Quantity::from_json(amount).is_ok_and(|amount| amount.sign() > 0)
}

fn check_target(e: &mut Errors, path: &Path, target: &Value) {
    let kind = text(target, "type");
    if kind.is_empty() {
        e.required(&path.child("type"), "must specify a metric target type");
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind) {
        e.invalid(
            &path.child("type"),
            kind,
            "must be either Utilization, Value, or AverageValue",
        );
    }
    for field in ["value", "averageValue"] {
        if has(target, field) && !is_positive(get(target, field)) {
            e.invalid(&path.child(field), get(target, field), "must be positive");
        }
    }
    if let Some(percent) = int(target, "averageUtilization").filter(|percent| *percent < 1) {
        e.invalid(
            &path.child("averageUtilization"),
            percent,
            "must be greater than 0",
        );
    }
}

/// How fast it may go up and down.
pub fn check_behavior(e: &mut Errors, path: &Path, behavior: &Value) {
    for direction in ["scaleUp", "scaleDown"] {
        if has(behavior, direction) {
            check_rules(e, &path.child(direction), get(behavior, direction));
        }
    }
}

fn check_rules(e: &mut Errors, path: &Path, rules: &Value) {
    let at = path.child("stabilizationWindowSeconds");
    match int(rules, "stabilizationWindowSeconds").unwrap_or_default() {
        n if n < 0 => e.invalid(&at, n, "must be greater than or equal to zero"),
        n if n > LONGEST_WINDOW => {
            let detail = format!("must be less than or equal to {LONGEST_WINDOW}");
            e.invalid(&at, n, &detail);
        }
        _ => {}
    }
    if has(rules, "selectPolicy") {
        let policy = text(rules, "selectPolicy");
        let policies = ["Disabled", "Max", "Min"];
        if !policies.contains(&policy) {
            e.not_supported(&path.child("selectPolicy"), policy, &policies);
        }
    }
    let at = path.child("policies");
    if list(rules, "policies").is_empty() {
        e.required(&at, "must specify at least one Policy");
    }
    for (i, policy) in list(rules, "policies").iter().enumerate() {
        let path = at.index(i);
        let kind = text(policy, "type");
        if !["Percent", "Pods"].contains(&kind) {
            e.not_supported(&path.child("type"), kind, &["Percent", "Pods"]);
        }
        for field in ["value", "periodSeconds"] {
            let at = path.child(field);
            match int(policy, field).unwrap_or_default() {
                n if n <= 0 => e.invalid(&at, n, "must be greater than zero"),
                n if n > LONGEST_PERIOD && field == "periodSeconds" => {
                    let detail = format!("must be less than or equal to {LONGEST_PERIOD}");
                    e.invalid(&at, n, &detail);
                }
                _ => {}
            }
        }
    }
}

/// Who says something of how fast it goes says it all: what is left out is Kubernetes'.
pub fn default_behavior(spec: &mut Value) {
    let Some(behavior) = object_mut(spec, "behavior") else {
        return;
    };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    for (direction, policies) in [
        ("scaleUp", json!([pods, percent])),
        ("scaleDown", json!([percent])),
    ] {
        set_default(behavior, direction, json!({}));
        if let Some(rules) = object_mut(behavior, direction) {
            set_default(rules, "selectPolicy", "Max");
            set_default(rules, "policies", policies);
            // Kept only behind the gate HPAConfigurableTolerance, which 1.33 has closed
            // (`dropDisabledFields` in `pkg/registry/autoscaling/horizontalpodautoscaler`).
            remove(rules, "tolerance");
            if direction == "scaleUp" {
                set_default(rules, "stabilizationWindowSeconds", 0);
            }
        }
    }
}
