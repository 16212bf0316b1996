//! The fields an object sets.

use super::{Shape, field, identified, names_field, shape};
use crate::fields::{FieldSet, PathElement};
use hardway_resources::schema::Schema;
use serde_json::Value;
use std::collections::BTreeSet;

/// The paths of everything an applied configuration sets: leaves, elements of
/// lists, entries of maps, and empty maps.
pub(crate) fn to_set(schema: Option<&Schema>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    walk(schema, value, &mut Vec::new(), &mut set);
    set
}

fn walk(schema: Option<&Schema>, value: &Value, path: &mut Vec<PathElement>, set: &mut FieldSet) {
    match (shape(schema, value), value) {
        (Shape::Map, Value::Object(object)) => {
            for (name, below) in object {
                path.push(PathElement::field(name));
                walk(field(schema, name).as_ref(), below, path, set);
                let empty = below.is_null() || below.as_object().is_some_and(|o| o.is_empty());
                if empty || !names_field(schema, name) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        (list_shape, Value::Array(list)) if list_shape.is_list() => {
            let items = schema.and_then(Schema::items);
            let elements = identified(&list_shape, items.as_ref(), list);
            let mut seen = BTreeSet::new();
            let mut twice = BTreeSet::new();
            for (step, _) in &elements {
                if !seen.insert(step) {
                    twice.insert(step);
                }
            }
            for (step, element) in &elements {
                path.push(step.clone());
                // Elements that can't be told apart are owned as one leaf.
                if !twice.contains(step) && list_shape != Shape::Set {
                    walk(items.as_ref(), element, path, set);
                }
                set.insert(path);
                path.pop();
            }
        }
        _ => set.insert(path),
    }
}

/// The set with every named field on the way to a member made a member too:
/// what has to go for the members' containers to go with them.
pub(crate) fn ensure_named(set: &FieldSet, schema: Option<&Schema>) -> FieldSet {
    let mut out = FieldSet {
        members: set.members.clone(),
        ..FieldSet::default()
    };
    for (step, child) in &set.children {
        let below = match step {
            PathElement::Field(name) => {
                if names_field(schema, name) {
                    out.members.insert(step.clone());
                }
                field(schema, name)
            }
            _ => schema.and_then(Schema::items),
        };
        out.children
            .insert(step.clone(), ensure_named(child, below.as_ref()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed::tests::deployment;
    use serde_json::json;

    #[test]
    fn names_what_a_configuration_sets() {
        let set = to_set(
            Some(&deployment()),
            &json!({
                "metadata": {"labels": {"app": "a"}, "finalizers": ["x/y"]},
                "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "a"}}, "template": {"spec": {
                    "tolerations": [{"key": "a"}],
                    "containers": [{"name": "web", "command": ["a", "b"], "ports": [{"containerPort": 80}]}]}}}
            }),
        );
        assert_eq!(
            set.to_value(),
            json!({
                "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {"v:\"x/y\"": {}}},
                "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": {
                    "f:tolerations": {},
                    "f:containers": {"k:{\"name\":\"web\"}": {
                        ".": {}, "f:name": {}, "f:command": {},
                        "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}
            })
        );
    }
}
