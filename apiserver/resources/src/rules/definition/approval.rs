//! Groups of the Kubernetes community need a definition to say who approved it.

use crate::rules::field::{Errors, Path};
use crate::rules::json::{get, text};
use serde_json::Value;

const ANNOTATION: &str = "api-approved.kubernetes.io";
const SEE: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Approval {
    Invalid,
    Approved,
    Bypassed,
    Missing,
}

fn is_protected(definition: &Value) -> bool {
    let group = text(get(definition, "spec"), "group");
    ["k8s.io", "kubernetes.io"].iter().any(|domain| {
        let below = group.strip_suffix(domain);
        below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
    })
}

fn annotation(definition: &Value) -> &str {
    text(get(get(definition, "metadata"), "annotations"), ANNOTATION)
}

/// What a definition says, and the words for it.
fn of(definition: &Value) -> (Approval, String) {
    let said = annotation(definition);
    let has_host = said.split_once("://").is_some_and(|(scheme, rest)| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !scheme.is_empty() && !host.is_empty() && !said.contains(char::is_whitespace)
    });
    let must = format!("protected groups must have approval annotation {ANNOTATION:?}");
    match said {
        "" => (Approval::Missing, format!("{must}, {SEE}")),
        _ if said.starts_with("unapproved") => {
            (Approval::Bypassed, format!("not approved: {said:?}"))
        }
        _ if has_host => (Approval::Approved, format!("approved in {said}")),
        _ => {
            let either = "with either a URL or a reason starting with \"unapproved\"";
            (Approval::Invalid, format!("{must} {either}, {SEE}"))
        }
    }
}

/// The annotation of a definition; one that says the same as before may be wrong.
pub(super) fn check(e: &mut Errors, new: &Value, old: Option<&Value>) {
    let (approval, why) = of(new);
    if !is_protected(new) || old.is_some_and(|old| of(old).0 == approval) {
        return;
    }
    let path = Path::new("metadata.annotations").key(ANNOTATION);
    match approval {
        Approval::Invalid => e.invalid(&path, annotation(new), &why),
        Approval::Missing => e.required(&path, &why),
        Approval::Approved | Approval::Bypassed => {}
    }
}

/// Status, reason and message of the condition `KubernetesAPIApprovalPolicyConformant`,
/// which definitions of protected groups have.
pub(crate) fn condition(definition: &Value) -> Option<(&'static str, &'static str, String)> {
    if !is_protected(definition) {
        return None;
    }
    let (approval, message) = of(definition);
    let (status, reason) = match approval {
        Approval::Invalid => ("False", "InvalidAnnotation"),
        Approval::Missing => ("False", "MissingAnnotation"),
        Approval::Approved => ("True", "ApprovedAnnotation"),
        Approval::Bypassed => ("False", "UnapprovedAnnotation"),
    };
    Some((status, reason, message))
}
