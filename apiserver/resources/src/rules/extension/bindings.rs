//! What binds a policy to resources and parameters.

use super::super::field::{Errors, Path};
use super::super::json::{get, object_mut, text};
use super::super::kind::{Kind, PLAIN};
use super::match_resources;
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;

const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];

pub const VALIDATING_BINDING: Kind = Kind {
    any_finalizer: true,
    generation: true,
    default: |binding| {
        if let Some(spec) = object_mut(binding, "spec") {
            match_resources::default(spec, "matchResources");
        }
    },
    validate: |binding| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(binding, "spec"));
            // Kubernetes names the field so.
            check(e, &path, spec, "matchResouces");
            let at = path.child("validationActions");
            check_actions(e, &at, get(spec, "validationActions"));
        })
    },
    ..PLAIN
};

pub const MUTATING_BINDING: Kind = Kind {
    validate: |binding| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(binding, "spec"));
            check(e, &path, spec, "matchResources");
            let at = path.child("matchResources");
            match_resources::check_mutated(e, &at, get(spec, "matchResources"));
        })
    },
    ..VALIDATING_BINDING
};

/// What both have.
fn check(e: &mut Errors, path: &Path, spec: &Value, resources: &str) {
    let (at, policy) = (path.child("policyName"), text(spec, "policyName"));
    match policy.is_empty() {
        true => e.required(&at, ""),
        false => e.each(&at, policy, names::is_dns1123_subdomain(policy)),
    }
    match_resources::check_param_ref(e, &path.child("paramRef"), get(spec, "paramRef"));
    match_resources::check(e, &path.child(resources), get(spec, "matchResources"));
}

fn check_actions(e: &mut Errors, path: &Path, actions: &Value) {
    let mut seen = BTreeSet::new();
    let listed = actions.as_array().map(Vec::as_slice).unwrap_or_default();
    for (i, action) in listed.iter().enumerate() {
        let action = action.as_str().unwrap_or_default();
        if !ACTIONS.contains(&action) {
            e.not_supported(&path.index(i), action, &ACTIONS);
        }
        if !seen.insert(action) {
            e.duplicate(&path.index(i), action);
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        e.invalid(path, actions, detail);
    }
    if seen.is_empty() {
        e.required(path, "at least one validation action is required");
    }
}
