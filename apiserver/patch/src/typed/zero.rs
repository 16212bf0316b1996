//! The parts of a built-in kind that are always there.

use hardway_resources::schema::{Schema, Type};
use serde_json::{Map, Value};

/// Structs that Kubernetes' types embed by value, so that they are present
/// even when empty. Required ones are so as well.
const EMBEDDED: [&str; 6] = [
    "metadata",
    "spec",
    "status",
    "strategy",
    "updateStrategy",
    "loadBalancer",
];

/// Adds the empty structs and lists that Kubernetes writes for this kind even
/// if nobody set them. Nobody can add what is always there, so nobody comes
/// to own `spec` itself by filling it first.
pub(crate) fn fill_zero(schema: &Schema, value: &mut Value) {
    let Some(object) = value.as_object_mut() else {
        return;
    };
    let node = schema.node();
    for name in node.fields.keys() {
        let required = node.required.iter().any(|required| required == name);
        let Some(child) = schema.field(name) else {
            continue;
        };
        let structure = child.node().ty == Type::Object && !child.node().fields.is_empty();
        if structure && (required || EMBEDDED.contains(&name)) {
            let slot = object
                .entry(name)
                .or_insert_with(|| Value::Object(Map::new()));
            fill_zero(&child, slot);
        } else if required && child.node().ty == Type::Array {
            object.entry(name).or_insert(Value::Null);
        }
    }
}
