//! The schema of a version as a whole.

use super::lenience::Lenience;
use super::{defaults, open_api, structural};
use crate::rules::field::{Errors, Path};
use crate::rules::json::{entries, flag, get, is_zero, list, text};
use hardway_cel::Validations;
use serde_json::Value;

/// What may stand at the root of a schema whose status is a subresource, and how
/// Kubernetes' message names it.
const AT_ROOT: [(&str, &str); 22] = [
    ("description", "Description"),
    ("type", "Type"),
    ("format", "Format"),
    ("title", "Title"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("required", "Required"),
    ("items", "Items"),
    ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    (
        "x-kubernetes-preserve-unknown-fields",
        "XPreserveUnknownFields",
    ),
    ("x-kubernetes-validations", "XValidations"),
];

/// An `openAPIV3Schema`; `status` tells whether its status is a subresource.
pub(super) fn check(
    e: &mut Errors,
    path: &Path,
    schema: &Value,
    status: bool,
    lenience: &Lenience,
) {
    let mut causes = Errors::collect(|e| {
        if status {
            root(e, path, schema);
        }
        if flag(schema, "nullable") {
            e.forbidden(
                &path.child("nullable"),
                "nullable cannot be true at the root",
            );
        }
    });
    let unsupported = match lenience.structure {
        true => None,
        false => structural::unsupported(schema),
    };
    if !lenience.structure && unsupported.is_none() {
        let mut found = structural::check(schema, path);
        if found.is_empty() {
            found = defaults::check(schema, path, !lenience.unknown_in_defaults);
        }
        causes.extend(found);
    }
    causes.extend(open_api::check(schema, path, lenience));
    // Rules are about values whose types are known.
    if !lenience.rules && causes.is_empty() && unsupported.is_none() {
        let (at, stored) = (path.to_string(), &lenience.expressions);
        causes.extend(Validations::faults(schema, &at, stored));
    }
    // What has no place is mostly told of already, where it stands.
    if causes.is_empty()
        && let Some(why) = unsupported
    {
        e.invalid(path, "", &why);
    }
    e.extend(causes);
}

fn root(e: &mut Errors, path: &Path, schema: &Value) {
    let kind = text(schema, "type");
    if !["", "object"].contains(&kind) {
        return e.invalid(
            &path.child("type"),
            kind,
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled",
        );
    }
    let mut fields = schema.as_object().into_iter().flatten();
    let allowed = |name: &str| AT_ROOT.iter().any(|(known, _)| *known == name);
    if fields.any(|(name, value)| !is_zero(value) && !allowed(name)) {
        let names: Vec<&str> = AT_ROOT.iter().map(|(_, name)| *name).collect();
        let detail = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            names.join(" ")
        );
        e.invalid(path, schema, &detail);
    }
}

/// The first thing that is found in a schema or one below it.
pub(super) fn find<T>(schema: &Value, look: &dyn Fn(&Value) -> Option<T>) -> Option<T> {
    look(schema).or_else(|| children(schema).find_map(|child| find(child, look)))
}

/// The schemas right below one.
fn children(schema: &Value) -> impl Iterator<Item = &Value> {
    let one = ["items", "additionalProperties", "not", "additionalItems"];
    let one = one.into_iter().map(|name| get(schema, name));
    let lists = ["items", "allOf", "anyOf", "oneOf"];
    let lists = lists.into_iter().flat_map(|name| list(schema, name));
    let maps = [
        "properties",
        "patternProperties",
        "definitions",
        "dependencies",
    ];
    let maps = maps.into_iter().flat_map(|name| entries(schema, name));
    let all = one.chain(lists).chain(maps.map(|(_, value)| value));
    all.filter(|value| value.is_object())
}
