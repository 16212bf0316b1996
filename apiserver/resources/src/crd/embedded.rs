//! Resources within a resource (`x-kubernetes-embedded-resource`): their type and
//! metadata have to be as those of any other. In the words of
//! `pkg/apiserver/schema/objectmeta` of k8s.io/apiextensions-apiserver.

use super::compiled::Validator;
use crate::rules::field::{Errors, Path};
use crate::rules::meta;
use hardway_proto::names;
use serde_json::{Map, Value};

/// The resources in a value that the schema says are there.
pub(super) fn check(e: &mut Errors, validator: &Validator, value: &Value, path: &Path) {
    if !validator.holds_embedded {
        return;
    }
    match value {
        Value::Object(map) => {
            if validator.embedded {
                resource(e, map, path);
            }
            for (name, value) in map {
                if let Some(field) = validator.fields.get(name) {
                    check(e, field, value, &path.child(name));
                } else if let Some(additional) = &validator.additional {
                    check(e, additional, value, &path.key(name));
                }
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                if let Some(items) = &validator.items {
                    check(e, items, value, &path.index(index));
                }
            }
        }
        _ => {}
    }
}

fn resource(e: &mut Errors, resource: &Map<String, Value>, path: &Path) {
    if let Some(version) = typed(e, resource, "apiVersion", path)
        && version.matches('/').count() > 1
    {
        let why = format!("unexpected GroupVersion string: {version}");
        e.invalid(&path.child("apiVersion"), version, &why);
    }
    if let Some(kind) = typed(e, resource, "kind", path) {
        let problems = names::is_dns1035_label(&kind.to_lowercase());
        let before = "may have mixed case, but should otherwise match: ";
        e.joined(&path.child("kind"), kind, before, &problems);
    }
    match resource.get("metadata") {
        None => {}
        Some(metadata) if metadata.is_object() => {
            meta::check_embedded(e, &path.child("metadata"), metadata);
        }
        Some(other) => e.invalid(&path.child("metadata"), other, "must be an object"),
    }
}

/// A field that has to be a text and not empty.
fn typed<'a>(
    e: &mut Errors,
    resource: &'a Map<String, Value>,
    field: &str,
    path: &Path,
) -> Option<&'a str> {
    let path = path.child(field);
    match resource.get(field) {
        None => e.required(&path, "must not be empty"),
        Some(Value::String(text)) if text.is_empty() => e.required(&path, "must not be empty"),
        Some(Value::String(text)) => return Some(text),
        Some(other) => e.invalid(&path, other, "must be a string"),
    }
    None
}
