//! ValidatingAdmissionPolicy, as `pkg/apis/admissionregistration/validation` checks it.

use super::super::FieldErrors;
use super::super::field::{Errors, Path};
use super::super::json::{get, has, is_empty, list, text};
use super::super::kind::{Kind, WITH_STATUS};
use super::policies::{self, Policy};
use hardway_cel::admission::Returns;
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;

/// How many audit annotations a policy may have.
const MAX_ANNOTATIONS: usize = 20;
/// How long the expression of one may be, in bytes.
const MAX_ANNOTATION_EXPRESSION: usize = 5 * 1024;
const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];

pub const VALIDATING_POLICY: Kind = Kind {
    any_finalizer: true,
    default: policies::default,
    validate: |policy| check(policy, None),
    validate_changed: Some(|new, old| check(new, Some(old))),
    validate_status: |new, _| Errors::collect(|e| check_status(e, get(new, "status"))),
    ..WITH_STATUS
};

fn check(policy: &Value, old: Option<&Value>) -> FieldErrors {
    Errors::collect(|e| {
        let (path, spec) = (Path::new("spec"), get(policy, "spec"));
        let mut policy = Policy::check(e, &path, policy, old);
        let (validations, annotations) = ("validations", "auditAnnotations");
        if is_empty(get(spec, validations)) && is_empty(get(spec, annotations)) {
            let detail = "validations or auditAnnotations must contain at least one item";
            e.required(&path.child(validations), detail);
            e.required(&path.child(annotations), detail);
            return;
        }
        for (i, validation) in list(spec, validations).iter().enumerate() {
            let at = path.child(validations).index(i);
            check_validation(e, &mut policy, &at, validation);
        }
        check_annotations(
            e,
            &mut policy,
            &path.child(annotations),
            get(spec, annotations),
        );
    })
}

fn check_validation(e: &mut Errors, policy: &mut Policy, path: &Path, validation: &Value) {
    let at = path.child("expression");
    let expression = text(validation, "expression");
    match expression.trim().is_empty() {
        true => e.required(&at, "expression is not specified"),
        false => policy.check_expression(e, &at, expression, Returns::Bool),
    }
    let (at, words) = (
        path.child("messageExpression"),
        text(validation, "messageExpression"),
    );
    if !words.is_empty() {
        match words.trim().is_empty() {
            true => e.invalid(&at, words, "must be non-empty if specified"),
            false => policy.check_expression(e, &at, words, Returns::Message),
        }
    }
    let (at, message) = (path.child("message"), text(validation, "message"));
    if !message.is_empty() && message.trim().is_empty() {
        e.invalid(&at, message, "message must be non-empty if specified");
    } else if message.trim().contains(['\n', '\r']) {
        e.invalid(&at, message, "message must not contain line breaks");
    }
    if has(validation, "reason") {
        let reason = text(validation, "reason");
        if !REASONS.contains(&reason) {
            e.not_supported(&path.child("reason"), reason, &REASONS);
        }
    }
}

fn check_annotations(e: &mut Errors, policy: &mut Policy, path: &Path, annotations: &Value) {
    let listed = annotations
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if listed.len() > MAX_ANNOTATIONS {
        let detail = format!("must not have more than {MAX_ANNOTATIONS} auditAnnotations");
        e.invalid(path, annotations, &detail);
    }
    let mut seen = BTreeSet::new();
    for (i, annotation) in listed.iter().enumerate() {
        let (path, key) = (path.index(i), text(annotation, "key"));
        let at = path.child("key");
        match policy.name.is_empty() {
            true => e.invalid(&at, key, "requires metadata.name be non-empty"),
            false => {
                let whole = format!("{}/{key}", policy.name);
                e.each(&at, &whole, names::is_qualified_name(&whole));
            }
        }
        let at_value = path.child("valueExpression");
        let expression = text(annotation, "valueExpression");
        match expression.trim().len() {
            0 => e.required(&at_value, "valueExpression is not specified"),
            1..=MAX_ANNOTATION_EXPRESSION => {
                policy.check_expression(e, &at_value, expression, Returns::Annotation)
            }
            _ => {
                let detail = format!("must not exceed {MAX_ANNOTATION_EXPRESSION} bytes in length");
                e.required(&at_value, &detail);
            }
        }
        if !seen.insert(key) {
            e.duplicate(&at, key);
        }
    }
}

fn check_status(e: &mut Errors, status: &Value) {
    let path = Path::new("status.typeChecking.expressionWarnings");
    let warnings = list(get(status, "typeChecking"), "expressionWarnings");
    for (i, warning) in warnings.iter().enumerate() {
        for field in ["warning", "fieldRef"] {
            if text(warning, field).trim().is_empty() {
                e.required(&path.index(i).child(field), "");
            }
        }
    }
}
