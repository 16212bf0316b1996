//! Defaults that a custom resource's schema states.

use crate::schema::Schema;
use serde_json::Value;

/// What defaults may add to one object, in bytes. They stand in the definition once,
/// and in a long list as often as it has elements; with more than this the object
/// could not be stored anyway.
const MOST: usize = 8 << 20;

/// Sets fields that are missing (or null where null isn't allowed) to their
/// defaults, also within what was just set; tells whether there were any.
pub fn fill(schema: &Schema, value: &mut Value) -> bool {
    let mut left = MOST;
    fill_within(schema, value, &mut left);
    left < MOST
}

fn fill_within(schema: &Schema, value: &mut Value, left: &mut usize) {
    match value {
        Value::Object(map) => {
            for name in schema.node().fields.keys() {
                let Some(field) = schema.field(name) else {
                    continue;
                };
                let node = field.node();
                let absent = map.get(name).is_none_or(|v| v.is_null() && !node.nullable);
                if let (true, Some(default)) = (absent, &node.default) {
                    let Some(rest) = left.checked_sub(name.len() + size(default)) else {
                        return;
                    };
                    *left = rest;
                    map.insert(name.to_owned(), default.clone());
                }
            }
            for (name, value) in map {
                if let Some(field) = schema.field(name) {
                    fill_within(&field, value, left);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = schema.items() {
                list.iter_mut()
                    .for_each(|value| fill_within(&items, value, left));
            }
        }
        _ => {}
    }
}

/// About what a value takes in memory.
fn size(value: &Value) -> usize {
    let content = match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| name.len() + size(value))
            .sum(),
        _ => 0,
    };
    size_of::<Value>() + content
}
