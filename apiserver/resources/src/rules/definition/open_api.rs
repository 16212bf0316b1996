//! What each schema says, part by part: which of OpenAPI there is, and that
//! Kubernetes' own extensions fit together.

use super::lenience::Lenience;
use super::structural;
use crate::rules::FieldErrors;
use crate::rules::field::{Errors, Path};
use crate::rules::json::{entries, flag, get, has, is_zero, list, text};
use hardway_cel::field_path;
use serde_json::Value;
use std::collections::BTreeSet;

/// The types there are.
pub(super) const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const LIST_TYPE: &str = "x-kubernetes-list-type";
const MAP_KEYS: &str = "x-kubernetes-list-map-keys";
const MAP_TYPE: &str = "x-kubernetes-map-type";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const RULES: &str = "x-kubernetes-validations";
const REASONS: [&str; 4] = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];
/// Parts of OpenAPI that definitions can't use.
const UNSUPPORTED: [&str; 6] = [
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
];

/// What is wrong with a schema and those below it.
pub(super) fn check(schema: &Value, path: &Path, lenience: &Lenience) -> FieldErrors {
    let place = Place {
        lenience,
        root: true,
        in_metadata: false,
        no_defaults: None,
    };
    Errors::collect(|e| visit(e, schema, path, &place))
}

/// Where a schema stands.
#[derive(Clone)]
struct Place<'a> {
    lenience: &'a Lenience,
    root: bool,
    /// Within `metadata`, `kind` or `apiVersion` of a resource.
    in_metadata: bool,
    /// Why there may be no defaults.
    no_defaults: Option<String>,
}

fn visit(e: &mut Errors, schema: &Value, path: &Path, place: &Place) {
    supported(e, schema, path, place);
    if flag(schema, "uniqueItems") {
        e.forbidden(
            &path.child("uniqueItems"),
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        );
    }
    below(e, schema, path, place);
    if get(schema, PRESERVE) == &Value::Bool(false) {
        e.invalid(
            &path.child(PRESERVE),
            &Value::Bool(false),
            "must be true or undefined",
        );
    }
    merges_as(e, schema, path, MAP_TYPE, "object", &["atomic", "granular"]);
    merges_as(
        e,
        schema,
        path,
        LIST_TYPE,
        "array",
        &["atomic", "set", "map"],
    );
    if !place.lenience.sets && is_set_of_structures(schema) {
        let items = get(schema, "items");
        let field = match text(items, "type") {
            "array" => LIST_TYPE,
            _ => MAP_TYPE,
        };
        e.invalid(
            &path.child("items").child(field),
            get(items, field),
            "must be atomic as item of a list with x-kubernetes-list-type=set",
        );
    }
    map_keys(e, schema, path);
    if !place.lenience.map_keys {
        e.extend(keys_are_there(schema, path));
    }
    for (i, rule) in list(schema, RULES).iter().enumerate() {
        check_rule(e, schema, rule, &path.child(RULES).index(i));
    }
}

fn supported(e: &mut Errors, schema: &Value, path: &Path, place: &Place) {
    let kind = text(schema, "type");
    if !place.lenience.types {
        e.one_of(&path.child("type"), kind, &TYPES);
    }
    if has(schema, "default")
        && let Some(why) = &place.no_defaults
    {
        e.forbidden(&path.child("default"), &format!("must not be set {why}"));
    }
    for field in UNSUPPORTED {
        if !is_zero(get(schema, field)) {
            e.forbidden(&path.child(field), &format!("{field} is not supported"));
        }
    }
    if kind == "null" {
        e.forbidden(
            &path.child("type"),
            "type cannot be set to null, use nullable as an alternative",
        );
    }
    if !list(schema, "items").is_empty() {
        e.forbidden(
            &path.child("items"),
            "items must be a schema object and not an array",
        );
    }
    if place.in_metadata && flag(schema, EMBEDDED) {
        e.forbidden(
            &path.child(EMBEDDED),
            "must not be used inside of resource meta",
        );
    }
}

fn below(e: &mut Errors, schema: &Value, path: &Path, place: &Place) {
    let inner = Place {
        root: false,
        ..place.clone()
    };
    let additional = get(schema, "additionalProperties");
    let has_fields = entries(schema, "properties").next().is_some();
    if has_fields && (additional.is_object() || additional == &Value::Bool(false)) {
        e.forbidden(
            &path.child("additionalProperties"),
            "additionalProperties and properties are mutual exclusive",
        );
    }
    if additional.is_object() {
        let mut inner = inner.clone();
        if place.in_metadata {
            let why = "inside additionalProperties applying to object metadata";
            inner.no_defaults = Some(why.to_owned());
        }
        visit(e, additional, &path.child("additionalProperties"), &inner);
    }
    let resource = place.root || flag(schema, EMBEDDED);
    for (name, field) in entries(schema, "properties") {
        let path = path.child("properties").key(name);
        if !resource || !["metadata", "kind", "apiVersion"].contains(&name.as_str()) {
            visit(e, field, &path, &inner);
            continue;
        }
        let mut inner = inner.clone();
        inner.in_metadata = true;
        if place.root {
            inner.no_defaults = Some(format!("in top-level {name}"));
        }
        visit(e, field, &path, &inner);
    }
    for field in ["not", "items"] {
        if get(schema, field).is_object() {
            visit(e, get(schema, field), &path.child(field), &inner);
        }
    }
    for field in ["allOf", "oneOf", "anyOf", "items"] {
        for (i, part) in list(schema, field).iter().enumerate() {
            visit(e, part, &path.child(field).index(i), &inner);
        }
    }
    for field in ["definitions", "dependencies"] {
        for (name, part) in entries(schema, field).filter(|(_, part)| part.is_object()) {
            visit(e, part, &path.child(field).key(name), &inner);
        }
    }
}

/// `x-kubernetes-list-type` and `x-kubernetes-map-type`.
fn merges_as(
    e: &mut Errors,
    schema: &Value,
    path: &Path,
    field: &str,
    of: &str,
    supported: &[&str],
) {
    if !has(schema, field) {
        return;
    }
    let detail = format!("must be {of} if {field} is specified");
    match text(schema, "type") {
        "" => e.required(&path.child("type"), &detail),
        kind if kind != of => e.invalid(&path.child("type"), kind, &detail),
        _ => {}
    }
    let value = text(schema, field);
    if !supported.contains(&value) {
        e.not_supported(&path.child(field), value, supported);
    }
}

/// A set whose elements merge by their parts, so that they have no identity.
pub(super) fn is_set_of_structures(schema: &Value) -> bool {
    let items = get(schema, "items");
    if text(schema, LIST_TYPE) != "set" || text(schema, "type") != "array" {
        return false;
    }
    match text(items, "type") {
        "array" => has(items, LIST_TYPE) && text(items, LIST_TYPE) != "atomic",
        "object" => text(items, MAP_TYPE) != "atomic",
        _ => false,
    }
}

fn map_keys(e: &mut Errors, schema: &Value, path: &Path) {
    let (list_type, keys, items) = (
        text(schema, LIST_TYPE),
        list(schema, MAP_KEYS),
        get(schema, "items"),
    );
    if !keys.is_empty() && list_type != "map" {
        let (at, detail) = (
            path.child(LIST_TYPE),
            "must be map if x-kubernetes-list-map-keys is non-empty",
        );
        match has(schema, LIST_TYPE) {
            true => e.invalid(&at, list_type, detail),
            false => e.required(&at, detail),
        }
    }
    if list_type != "map" {
        return;
    }
    let at = path.child(MAP_KEYS);
    if keys.is_empty() {
        e.required(&at, "must not be empty if x-kubernetes-list-type is map");
    }
    let kind = text(items, "type");
    match items {
        Value::Null => {
            let detail = "must have a schema if x-kubernetes-list-type is map";
            return e.required(&path.child("items"), detail);
        }
        Value::Array(_) => {
            let detail = "must only have a single schema if x-kubernetes-list-type is map";
            return e.invalid(&path.child("items"), items, detail);
        }
        _ if kind != "object" => {
            let detail = "must be object if parent array's x-kubernetes-list-type is map";
            return e.invalid(&path.child("items.type"), kind, detail);
        }
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for key in keys.iter().filter_map(Value::as_str) {
        let field = get(get(items, "properties"), key);
        if !field.is_object() {
            let detail = "entries must all be names of item properties";
            e.invalid(&at, get(schema, MAP_KEYS), detail);
        } else if ["array", "object"].contains(&text(field, "type")) {
            let at = path.child("items.properties").key(key).child("type");
            let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            e.invalid(&at, kind, detail);
        }
        if !seen.insert(key) {
            e.invalid(
                &at,
                get(schema, MAP_KEYS),
                "must not contain duplicate entries",
            );
        }
    }
}

/// Elements that are told apart must have what they are told apart by.
pub(super) fn keys_are_there(schema: &Value, path: &Path) -> FieldErrors {
    let (list_type, items) = (text(schema, LIST_TYPE), get(schema, "items"));
    Errors::collect(|e| {
        if !items.is_object() || !["set", "map"].contains(&list_type) {
            return;
        }
        if flag(items, "nullable") {
            let detail = format!("cannot be nullable when {LIST_TYPE} is {list_type}");
            e.forbidden(&path.child("items.nullable"), &detail);
        }
        if list_type == "set" {
            return;
        }
        for key in list(schema, MAP_KEYS) {
            let name = key.as_str().unwrap_or_default();
            let field = get(get(items, "properties"), name);
            let at = path.child("items.properties").key(name);
            if !field.is_object() {
                continue;
            }
            if !list(items, "required").contains(key) && !has(field, "default") {
                e.required(
                    &at.child("default"),
                    "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
                );
            }
            if flag(field, "nullable") {
                e.forbidden(
                    &at.child("nullable"),
                    "this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
                );
            }
        }
    })
}

/// The texts of one of `x-kubernetes-validations`.
fn check_rule(e: &mut Errors, schema: &Value, rule: &Value, path: &Path) {
    let breaks = |text: &str| text.contains(['\n', '\r']);
    let (source, message) = (text(rule, "rule"), text(rule, "message"));
    let (said, at) = (message.trim(), path.child("message"));
    if source.trim().is_empty() {
        e.required(&path.child("rule"), "rule is not specified");
    } else if !message.is_empty() && said.is_empty() {
        e.invalid(&at, message, "message must be non-empty if specified");
    } else if breaks(said) {
        e.invalid(&at, message, "message must not contain line breaks");
    } else if breaks(source.trim()) && said.is_empty() {
        e.required(
            &at,
            "message must be specified if rule contains line breaks",
        );
    }
    let expression = text(rule, "messageExpression");
    if !expression.is_empty() && expression.trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        e.required(&path.child("messageExpression"), detail);
    }
    e.one_of_if_set(&path.child("reason"), get(rule, "reason"), &REASONS);
    let (field, at) = (text(rule, "fieldPath"), path.child("fieldPath"));
    if !field.is_empty() && field.trim().is_empty() {
        e.invalid(&at, field, "fieldPath must be non-empty if specified");
    }
    if breaks(field) {
        e.invalid(&at, field, "fieldPath must not contain line breaks");
    }
    if !field.is_empty()
        && structural::unsupported(schema).is_none()
        && field_path::follow(field, schema, true).is_err()
    {
        e.invalid(&at, field, "fieldPath must be a valid path");
    }
}
