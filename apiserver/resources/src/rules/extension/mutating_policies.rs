//! MutatingAdmissionPolicy, as `pkg/apis/admissionregistration/validation` checks it.

use super::super::FieldErrors;
use super::super::field::{Errors, Path};
use super::super::json::{get, has, list, text};
use super::super::kind::{Kind, PLAIN};
use super::match_resources;
use super::policies::{self, Policy};
use hardway_cel::admission::Returns;
use serde_json::Value;

const APPLY: &str = "ApplyConfiguration";
const JSON_PATCH: &str = "JSONPatch";

pub const MUTATING_POLICY: Kind = Kind {
    any_finalizer: true,
    generation: true,
    default: policies::default,
    validate: |policy| check(policy, None),
    validate_changed: Some(|new, old| check(new, Some(old))),
    ..PLAIN
};

fn check(policy: &Value, old: Option<&Value>) -> FieldErrors {
    Errors::collect(|e| {
        let (path, spec) = (Path::new("spec"), get(policy, "spec"));
        let mut policy = Policy::check(e, &path, policy, old);
        let at = path.child("matchConstraints");
        match_resources::check_mutated(e, &at, get(spec, "matchConstraints"));
        let (at, mutations) = (path.child("mutations"), list(spec, "mutations"));
        if mutations.is_empty() {
            e.required(&at, "mutations must contain at least one item");
        }
        for (i, mutation) in mutations.iter().enumerate() {
            check_mutation(e, &mut policy, &at.index(i), mutation);
        }
        let at = path.child("reinvocationPolicy");
        match text(spec, "reinvocationPolicy") {
            "" => e.required(&at, ""),
            policy => e.one_of(&at, policy, &["IfNeeded", "Never"]),
        }
    })
}

fn check_mutation(e: &mut Errors, policy: &mut Policy, path: &Path, mutation: &Value) {
    let kind = text(mutation, "patchType");
    let (field, other, returns) = match kind {
        APPLY => (
            "applyConfiguration",
            "jsonPatch",
            Returns::ApplyConfiguration,
        ),
        JSON_PATCH => ("jsonPatch", "applyConfiguration", Returns::JsonPatch),
        "" => return e.required(&path.child("patchType"), ""),
        kind => return e.not_supported(&path.child("patchType"), kind, &[APPLY, JSON_PATCH]),
    };
    if has(mutation, field) {
        let at = path.child(field).child("expression");
        match text(get(mutation, field), "expression").trim() {
            "" => e.required(&at, ""),
            expression => policy.check_expression(e, &at, expression, returns),
        }
    } else {
        let detail = format!("must be specified when patchType is {kind}");
        e.required(&path.child(field), &detail);
    }
    if has(mutation, other) {
        let detail = format!("must not be specified when patchType is {kind}");
        e.invalid(&path.child(other), format!("{{{other}}}").as_str(), &detail);
    }
}
