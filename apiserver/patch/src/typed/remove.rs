//! Taking fields out of an object.

use super::{Shape, field, identified, shape};
use crate::fields::{FieldSet, PathElement};
use hardway_resources::schema::Schema;
use serde_json::Value;

/// The value without the members of `set`; `None` when nothing is left.
/// What is empty already, or owned as a whole, has nothing to take out.
pub(crate) fn remove(schema: Option<&Schema>, value: &Value, set: &FieldSet) -> Option<Value> {
    match (shape(schema, value), value) {
        (Shape::Map, Value::Object(object)) => {
            let mut out = serde_json::Map::new();
            for (name, below) in object {
                let step = PathElement::field(name);
                if set.members.contains(&step) {
                    continue;
                }
                let kept = match set.children.get(&step) {
                    Some(child) => remove(field(schema, name).as_ref(), below, child),
                    None => Some(below.clone()),
                };
                if let Some(kept) = kept {
                    out.insert(name.clone(), kept);
                }
            }
            (object.is_empty() || !out.is_empty()).then_some(Value::Object(out))
        }
        (list_shape, Value::Array(list)) if list_shape.is_list() => {
            let items = schema.and_then(Schema::items);
            let kept: Vec<Value> = identified(&list_shape, items.as_ref(), list)
                .into_iter()
                .filter(|(step, _)| !set.members.contains(step))
                .filter_map(|(step, element)| match set.children.get(&step) {
                    Some(child) => remove(items.as_ref(), element, child),
                    None => Some(element.clone()),
                })
                .collect();
            (list.is_empty() || !kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => Some(value.clone()),
    }
}
