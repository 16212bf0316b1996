//! Defaults that a custom resource's schema states.

use crate::schema::Schema;
use serde_json::Value;

/// Sets fields that are missing (or null where null isn't allowed) to their
/// defaults, also within what was just set.
pub fn fill(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for name in schema.node().fields.keys() {
                let Some(field) = schema.field(name) else {
                    continue;
                };
                let node = field.node();
                let absent = map.get(name).is_none_or(|v| v.is_null() && !node.nullable);
                if let (true, Some(default)) = (absent, &node.default) {
                    map.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in map {
                if let Some(field) = schema.field(name) {
                    fill(&field, value);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = schema.items() {
                list.iter_mut().for_each(|value| fill(&items, value));
            }
        }
        _ => {}
    }
}
