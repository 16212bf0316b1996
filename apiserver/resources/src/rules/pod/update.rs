//! What may change in a pod that exists.

mod gated;

use super::super::field::{Errors, Path};
use super::super::json::{get, int, list, remove, set, text};
use super::{affinity, containers};
use serde_json::Value;
use std::collections::HashSet;

const ALLOWED: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Compares the specs of a pod before and after an update (`ValidatePodUpdate`).
pub fn check(e: &mut Errors, new: &Value, old: &Value) {
    let path = Path::new("spec");
    for field in ["containers", "initContainers"] {
        let at = path.child(field);
        if list(new, field).len() != list(old, field).len() {
            e.forbidden(&at, "pod updates may not add or remove containers");
            return;
        }
        for (i, container) in list(new, field).iter().enumerate() {
            if text(container, "image").is_empty() {
                e.required(&at.index(i).child("image"), "");
            }
            containers::trimmed_image(e, &at.index(i), container);
        }
    }
    let deadline = path.child("activeDeadlineSeconds");
    if active_deadline(e, &deadline, new, old) == Go::Stop {
        return;
    }
    let at = path.child("tolerations");
    let after: HashSet<Value> = list(new, "tolerations").iter().map(bare).collect();
    if list(old, "tolerations")
        .iter()
        .all(|t| after.contains(&bare(t)))
    {
        affinity::check_tolerations(e, &at, list(new, "tolerations"));
    } else {
        e.forbidden(
            &at,
            "existing toleration can not be modified except its tolerationSeconds",
        );
    }
    gates(e, &path.child("schedulingGates"), new, old);
    let is_gated = !list(old, "schedulingGates").is_empty();
    if is_gated {
        gated::check(e, &path, new, old);
    }
    let munged = munge(new, old, is_gated);
    let old = without_nulls(old);
    if munged != old {
        let detail = format!("{ALLOWED}\n{}", difference(&munged, &old));
        e.forbidden(&path, &detail);
    }
}

/// Whether the checks go on.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    Stop,
}

fn active_deadline(e: &mut Errors, path: &Path, new: &Value, old: &Value) -> Go {
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
        (Some(after), _) if !(0..=i64::from(i32::MAX)).contains(&after) => {
            e.invalid(path, after, "must be between 0 and 2147483647, inclusive");
            return Go::Stop;
        }
        (Some(after), Some(before)) if after > before => {
            let detail = "must be less than or equal to previous value";
            e.invalid(path, after, detail);
            return Go::Stop;
        }
        _ => {}
    }
    Go::On
}

/// A toleration but for how long.
fn bare(toleration: &Value) -> Value {
    let mut toleration = toleration.clone();
    remove(&mut toleration, "tolerationSeconds");
    toleration
}

fn gates(e: &mut Errors, path: &Path, new: &Value, old: &Value) {
    let before: HashSet<&Value> = list(old, "schedulingGates").iter().collect();
    for (i, gate) in list(new, "schedulingGates").iter().enumerate() {
        if !before.contains(&gate) {
            let name = text(gate, "name");
            let detail =
                format!("only deletion is allowed, but found new scheduling gate '{name}'");
            e.forbidden(&path.index(i).child("name"), &detail);
        }
    }
}

/// The new spec with everything that may change taken from the old one.
fn munge(new: &Value, old: &Value, is_gated: bool) -> Value {
    let mut spec = new.clone();
    for field in ["containers", "initContainers"] {
        let old_list = list(old, field);
        let containers = spec.get_mut(field).and_then(Value::as_array_mut);
        for (container, before) in containers.into_iter().flatten().zip(old_list) {
            set(container, "image", get(before, "image").clone());
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        set(&mut spec, field, get(old, field).clone());
    }
    let grace = "terminationGracePeriodSeconds";
    if int(old, grace).is_some_and(|n| n < 0) && int(new, grace) == Some(1) {
        set(&mut spec, grace, get(old, grace).clone());
    }
    if is_gated {
        gated::munge(&mut spec, old);
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
