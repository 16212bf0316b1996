//! What keeps an applied configuration from being read through its schema.

use super::{Shape, field, identity, shape};
use crate::fields::{PathElement, path_to_string};
use hardway_resources::schema::{Schema, Type};
use serde_json::Value;
use std::collections::BTreeSet;

/// The problems, one line each, in Kubernetes' words; empty if there are none.
pub(crate) fn validate(schema: &Schema, value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    walk(Some(schema), value, &mut Vec::new(), &mut problems);
    problems
}

fn walk(
    schema: Option<&Schema>,
    value: &Value,
    path: &mut Vec<PathElement>,
    problems: &mut Vec<String>,
) {
    let Some(node) = schema.map(Schema::node) else {
        return;
    };
    // Quantities are written as numbers, too.
    let scalar = node.format == "quantity" && value.is_number();
    if !scalar && let Some(problem) = mistyped(node.ty, value) {
        problems.push(format!("{}: {problem}", path_to_string(path)));
        return;
    }
    match (shape(schema, value), value) {
        (_, Value::Object(object)) if node.ty == Type::Object => {
            let closed =
                !node.fields.is_empty() && node.additional.is_none() && !node.preserve_unknown;
            for (name, below) in object {
                path.push(PathElement::field(name));
                match field(schema, name) {
                    Some(child) => walk(Some(&child), below, path, problems),
                    None if closed => problems.push(format!(
                        "{}: field not declared in schema",
                        path_to_string(path)
                    )),
                    None => {}
                }
                path.pop();
            }
        }
        (list_shape, Value::Array(list)) if node.ty == Type::Array => {
            let items = schema.and_then(Schema::items);
            let mut seen = BTreeSet::new();
            for (index, element) in list.iter().enumerate() {
                let step = if list_shape == Shape::Leaf {
                    PathElement::Index(index as i64)
                } else {
                    match identity(&list_shape, items.as_ref(), element) {
                        Ok(step) => step,
                        Err(problem) => {
                            let place = format!("{}: element {index}", path_to_string(path));
                            problems.push(format!("{place}: {problem}"));
                            continue;
                        }
                    }
                };
                if !seen.insert(step.clone()) {
                    problems.push(format!(
                        "{}: duplicate entries for key {step}",
                        path_to_string(path)
                    ));
                }
                path.push(step);
                walk(items.as_ref(), element, path, problems);
                path.pop();
            }
        }
        _ => {}
    }
}

fn mistyped(ty: Type, value: &Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let expected = match (ty, value) {
        (Type::Object, Value::Object(_)) | (Type::Array, Value::Array(_)) => return None,
        (Type::String, Value::String(_)) | (Type::Boolean, Value::Bool(_)) => return None,
        (Type::Integer | Type::Number, Value::Number(_)) | (Type::Any, _) => return None,
        (Type::IntOrString, Value::String(_) | Value::Number(_)) => return None,
        (Type::Object, _) => "map",
        (Type::Array, _) => "list",
        (Type::String, _) => "string",
        (Type::Boolean, _) => "boolean",
        (Type::Integer | Type::Number, _) => "numeric (int or float)",
        (Type::IntOrString, _) => "string or numeric (int or float)",
    };
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    };
    Some(format!("expected {expected}, got {got}"))
}
