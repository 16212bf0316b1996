//! The variable `request` of expressions.

use super::super::review::{GroupVersionKind, ResourceKind, Review};
use serde_json::{Map, Value, json};

/// An AdmissionRequest without the objects, which are variables of their own. Fields that are
/// empty are left out as Kubernetes leaves them out.
pub fn describe(review: &Review<'_>, shown_as: &ResourceKind, new: Option<&Value>) -> Value {
    let mut request = Map::new();
    let mut set = |name: &str, value: Value| {
        if value != "" {
            request.insert(name.to_owned(), value);
        }
    };
    set("kind", kind(&shown_as.kind));
    set("resource", resource(shown_as));
    set("subResource", review.subresource.into());
    set("requestKind", kind(&review.requested.kind));
    set("requestResource", resource(&review.requested));
    set("requestSubResource", review.subresource.into());
    set("name", review.name_of(new).into());
    set("namespace", review.namespace_of(new).into());
    set("operation", review.operation.as_str().into());
    set("userInfo", review.user.to_json());
    set("dryRun", review.dry_run.into());
    set("options", review.options.clone());
    Value::Object(request)
}

fn kind(kind: &GroupVersionKind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn resource(resource: &ResourceKind) -> Value {
    json!({
        "group": resource.group,
        "version": resource.version,
        "resource": resource.resource,
    })
}
