//! Apply configurations of admission policies: merged into an object as server-side apply
//! does, but owned by nobody.

use crate::fields::{PathElement, path_to_string};
use crate::typed::{merge, validate};
use hardway_resources::schema::{ListType, Schema, Type};
use serde_json::Value;

/// An object with everything that a configuration sets.
///
/// # Errors
/// In Kubernetes' words: the configuration isn't of the schema's shape, or sets something
/// that can only be replaced as a whole, which would take away what it doesn't name.
pub fn merge_configuration(
    object: &Value,
    configuration: &Value,
    schema: &Schema,
) -> Result<Value, String> {
    let problems = validate(schema, configuration);
    if !problems.is_empty() {
        let problems = match problems.as_slice() {
            [one] => one.clone(),
            many => format!("errors:\n  {}", many.join("\n  ")),
        };
        return Err(format!(
            "failed to convert patch object to typed object: {problems}"
        ));
    }
    let mut atomics = Vec::new();
    find_atomics(schema, configuration, &mut Vec::new(), &mut atomics);
    if !atomics.is_empty() {
        return Err(format!(
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}",
            atomics.join(", ")
        ));
    }
    Ok(merge(Some(schema), object, configuration))
}

/// The paths of lists and maps that are replaced as a whole.
fn find_atomics(
    schema: &Schema,
    value: &Value,
    path: &mut Vec<PathElement>,
    found: &mut Vec<String>,
) {
    let node = schema.node();
    match value {
        Value::Object(map) => {
            let free = node.ty == Type::Any && !node.preserve_unknown;
            if node.atomic_map || free {
                found.push(path_to_string(path));
            }
            for (name, below) in map {
                if let Some(child) = schema
                    .field(name)
                    .filter(|_| node.fields.contains_key(name))
                {
                    path.push(PathElement::field(name));
                    find_atomics(&child, below, path, found);
                    path.pop();
                }
            }
        }
        Value::Array(list) => {
            if node.ty == Type::Any || node.list_type == ListType::Atomic {
                found.push(path_to_string(path));
            }
            let Some(items) = schema.items() else {
                return;
            };
            for (i, element) in list.iter().enumerate() {
                path.push(PathElement::Index(i as i64));
                find_atomics(&items, element, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed::tests::deployment;
    use serde_json::json;

    /// Cases of `patch/smd_test.go`.
    #[test]
    fn configurations_merge_by_the_schema() {
        let container = |name: &str, image: &str| json!({"name": name, "image": image});
        let pod =
            |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
        for (object, configuration, expected) in [
            (
                json!({"spec": {"replicas": 1, "paused": true}}),
                json!({"spec": {"replicas": 2}}),
                json!({"spec": {"replicas": 2, "paused": true}}),
            ),
            (
                json!({"metadata": {"labels": {"a": "1"}}}),
                json!({"metadata": {"labels": {"b": "2"}}}),
                json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            ),
            (
                pod(json!([container("a", "x")])),
                pod(json!([container("b", "y")])),
                pod(json!([container("a", "x"), container("b", "y")])),
            ),
        ] {
            let merged = merge_configuration(&object, &configuration, &deployment());
            assert_eq!(merged, Ok(expected));
        }
    }

    #[test]
    fn what_is_replaced_as_a_whole_is_refused() {
        let told = |configuration: Value| {
            merge_configuration(&json!({}), &configuration, &deployment())
                .err()
                .unwrap_or_default()
        };
        assert_eq!(
            told(
                json!({"spec": {"template": {"spec": {"nodeSelector": {"a": "b"},
                "containers": [{"name": "a", "command": ["b"]}]}}}})
            ),
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: \
             .spec.template.spec.containers[0].command, .spec.template.spec.nodeSelector"
        );
        assert_eq!(
            told(json!({"spec": {"odd": 1}})),
            "failed to convert patch object to typed object: .spec.odd: field not declared in schema"
        );
    }
}
