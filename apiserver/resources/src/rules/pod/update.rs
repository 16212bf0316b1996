//! What may change in a pod that exists.

use super::super::field::{Errors, Path};
use super::super::json::{get, int, list, remove, set, text};
use serde_json::Value;
use std::collections::HashSet;

const ALLOWED: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Annotations that are settled at birth: that a pod mirrors what a node runs
/// on its own (as in Kubernetes), and where a kubelet has it from. Kubelets and
/// the Node authorizer go by them.
const SETTLED: [(&str, &str); 2] = [
    ("kubernetes.io/config.mirror", "mirror pod"),
    ("kubernetes.io/config.source", "pod source"),
];

/// Compares the metadata of a pod before and after an update of it or of its
/// status.
pub fn check_annotations(e: &mut Errors, new: &Value, old: &Value) {
    let path = Path::new("metadata").child("annotations");
    let of = |pod: &Value, key: &str| {
        get(get(get(pod, "metadata"), "annotations"), key)
            .as_str()
            .map(str::to_owned)
    };
    for (key, name) in SETTLED {
        match (of(old, key), of(new, key)) {
            (before, after) if before == after => {}
            (Some(_), _) => e.forbidden(
                &path.key(key),
                &format!("may not remove or update {name} annotation"),
            ),
            (None, _) => e.forbidden(&path.key(key), &format!("may not add {name} annotation")),
        }
    }
}

/// Compares the specs of a pod before and after an update.
pub fn check(e: &mut Errors, new: &Value, old: &Value) {
    let path = Path::new("spec");
    for field in ["containers", "initContainers"] {
        if list(new, field).len() != list(old, field).len() {
            e.forbidden(
                &path.child(field),
                "pod updates may not add or remove containers",
            );
            return;
        }
    }
    if list(new, "ephemeralContainers") != list(old, "ephemeralContainers") {
        e.forbidden(
            &path.child("ephemeralContainers"),
            "may only be changed through the ephemeralcontainers subresource",
        );
    }
    active_deadline(e, &path.child("activeDeadlineSeconds"), new, old);
    let after: HashSet<Value> = list(new, "tolerations").iter().map(bare).collect();
    if !list(old, "tolerations")
        .iter()
        .all(|t| after.contains(&bare(t)))
    {
        e.forbidden(
            &path.child("tolerations"),
            "existing toleration can not be modified except its tolerationSeconds",
        );
    }
    gates(e, &path.child("schedulingGates"), new, old);
    let munged = munge(new, old);
    let old = without_nulls(old);
    if munged != old {
        let detail = format!("{ALLOWED}\n{}", difference(&munged, &old));
        e.forbidden(&path, &detail);
    }
}

fn active_deadline(e: &mut Errors, path: &Path, new: &Value, old: &Value) {
    let (after, before) = (
        int(new, "activeDeadlineSeconds"),
        int(old, "activeDeadlineSeconds"),
    );
    match (after, before) {
        (None, Some(_)) => {
            e.invalid(
                path,
                &Value::Null,
                "must not update from a positive integer to nil value",
            );
        }
        (Some(after), Some(before)) if after > before => {
            let detail = "must be less than or equal to previous value";
            e.invalid(path, after, detail);
        }
        _ => {}
    }
}

/// A toleration but for how long.
fn bare(toleration: &Value) -> Value {
    let mut toleration = toleration.clone();
    remove(&mut toleration, "tolerationSeconds");
    toleration
}

fn gates(e: &mut Errors, path: &Path, new: &Value, old: &Value) {
    let before: HashSet<&Value> = list(old, "schedulingGates").iter().collect();
    for gate in list(new, "schedulingGates") {
        if !before.contains(&gate) {
            let detail = format!(
                "only deletion is allowed, but found new scheduling gate '{}'",
                text(gate, "name")
            );
            e.forbidden(path, &detail);
        }
    }
}

/// The new spec with everything that may change taken from the old one.
fn munge(new: &Value, old: &Value) -> Value {
    let mut spec = new.clone();
    for field in ["containers", "initContainers"] {
        let old_list = list(old, field);
        let containers = spec.get_mut(field).and_then(Value::as_array_mut);
        for (container, before) in containers.into_iter().flatten().zip(old_list) {
            set(container, "image", get(before, "image").clone());
        }
    }
    for field in [
        "activeDeadlineSeconds",
        "tolerations",
        "schedulingGates",
        "ephemeralContainers",
    ] {
        set(&mut spec, field, get(old, field).clone());
    }
    let grace = "terminationGracePeriodSeconds";
    if int(old, grace).is_some_and(|n| n < 0) && int(new, grace) == Some(1) {
        set(&mut spec, grace, get(old, grace).clone());
    }
    // While gates are closed the pod may still be told where to go.
    if !list(old, "schedulingGates").is_empty() {
        set(&mut spec, "nodeSelector", get(old, "nodeSelector").clone());
        set(&mut spec, "affinity", get(old, "affinity").clone());
    }
    without_nulls(&spec)
}

/// Without fields that are null or empty, which mean the same as absent ones.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| (k.clone(), without_nulls(v)))
            .filter(|(_, v)| !v.is_null() && v.as_array().is_none_or(|l| !l.is_empty()))
            .collect(),
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// The fields that differ, one line each way.
fn difference(new: &Value, old: &Value) -> String {
    let mut lines = Vec::new();
    collect(&mut lines, &Path::default(), new, old);
    lines.join("\n")
}

fn collect(lines: &mut Vec<String>, path: &Path, new: &Value, old: &Value) {
    match (new, old) {
        _ if new == old => {}
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                collect(lines, &path.child(key), get(new, key), get(old, key));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (new, old)) in a.iter().zip(b).enumerate() {
                collect(lines, &path.index(i), new, old);
            }
        }
        _ => {
            for (sign, value) in [('-', old), ('+', new)] {
                if !value.is_null() {
                    lines.push(format!("{sign} {path}: {value}"));
                }
            }
        }
    }
}
