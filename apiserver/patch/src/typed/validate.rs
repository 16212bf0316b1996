//! What keeps an applied configuration from being read through its schema.

use super::{Shape, field, identity, shape};
use crate::fields::{PathElement, path_to_string};
use crate::go_format::{go_format, go_syntax, go_type};
use hardway_resources::schema::{Node, Schema, Type};
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
    if let Some(problem) = mistyped(node, value) {
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

/// What is wrong with the type of a value, as `validateScalar`, `listValue` and `mapValue` of
/// structured-merge-diff's `typed` tell it. Strings of a format aren't told from other
/// scalars there.
fn mistyped(node: &Node, value: &Value) -> Option<String> {
    let plain = ["", "byte"].contains(&node.format.as_str());
    let expected = match (node.ty, value) {
        (_, Value::Null) | (Type::Any, _) => return None,
        (Type::Object, Value::Object(_)) | (Type::Array, Value::Array(_)) => return None,
        (Type::String | Type::IntOrString, Value::String(_)) => return None,
        (Type::Integer | Type::Number | Type::IntOrString, Value::Number(_)) => return None,
        (Type::Boolean, Value::Bool(_)) => return None,
        (Type::Integer | Type::Number, _) => {
            let got = go_type(value);
            return Some(format!("expected numeric (int or float), got {got}"));
        }
        (Type::String, _) if plain => {
            let got = go_syntax(value);
            return Some(format!(
                "expected string, got &value.valueUnstructured{{Value:{got}}}"
            ));
        }
        (Type::Object, _) => "map",
        (Type::Array, _) => "list",
        (Type::Boolean, _) => "boolean",
        (Type::String | Type::IntOrString, _) => "any scalar",
    };
    Some(format!(
        "expected {expected}, got &{{{}}}",
        go_format(value)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_another_type() {
        let of = |ty, format: &str, value: Value| {
            let node = Node {
                ty,
                format: format.into(),
                ..Node::default()
            };
            mistyped(&node, &value).unwrap_or_default()
        };
        for (ty, format, value, expected) in [
            (
                Type::String,
                "",
                json!(1),
                "expected string, got &value.valueUnstructured{Value:1}",
            ),
            (
                Type::String,
                "",
                json!({"a": ["b"]}),
                r#"expected string, got &value.valueUnstructured{Value:map[string]interface {}{"a":[]interface {}{"b"}}}"#,
            ),
            (
                Type::Boolean,
                "",
                json!("yes"),
                "expected boolean, got &{yes}",
            ),
            (Type::Array, "", json!("a"), "expected list, got &{a}"),
            (
                Type::Object,
                "",
                json!([1, 2]),
                "expected map, got &{[1 2]}",
            ),
            (
                Type::Integer,
                "int32",
                json!("1"),
                "expected numeric (int or float), got string",
            ),
            (
                Type::Number,
                "",
                json!({}),
                "expected numeric (int or float), got map[string]interface {}",
            ),
            (
                Type::IntOrString,
                "int-or-string",
                json!(["a"]),
                "expected any scalar, got &{[a]}",
            ),
            (
                Type::IntOrString,
                "quantity",
                json!({"a": null}),
                "expected any scalar, got &{map[a:<nil>]}",
            ),
            (
                Type::String,
                "date-time",
                json!([]),
                "expected any scalar, got &{[]}",
            ),
            (Type::IntOrString, "quantity", json!(1), ""),
            (Type::String, "", json!(null), ""),
            (Type::Any, "", json!([1]), ""),
        ] {
            assert_eq!(of(ty, format, value.clone()), expected, "{ty:?} {value}");
        }
    }
}
