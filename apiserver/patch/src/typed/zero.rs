//! The parts of a built-in kind that are always there.

use super::field;
use hardway_resources::schema::{Schema, Type};
use serde_json::{Map, Value};
use std::sync::LazyLock;

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

static EMPTY: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));

/// How an object is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zeros {
    /// With the empty structs and lists that Kubernetes writes for its kind even if nobody set
    /// them. Nobody can add what is always there, so nobody comes to own `spec` itself by
    /// filling it first.
    Filled,
    /// What isn't there isn't there.
    AsTheyAre,
}

impl Zeros {
    /// How a field is looked at: structs within those that are always there are so as well.
    pub(super) fn of_field(self, schema: Option<&Schema>, name: &str) -> Self {
        match always_there(schema, name, self) {
            Some(Value::Object(_)) => Self::Filled,
            _ => Self::AsTheyAre,
        }
    }
}

/// What a field is that nobody wrote, if it is always there.
pub(super) fn always_there(
    schema: Option<&Schema>,
    name: &str,
    zeros: Zeros,
) -> Option<&'static Value> {
    let node = schema.filter(|_| zeros == Zeros::Filled)?.node();
    if !node.fields.contains_key(name) {
        return None;
    }
    let required = node.required.iter().any(|required| required == name);
    if !required && !EMBEDDED.contains(&name) {
        return None;
    }
    let child = field(schema, name)?;
    match child.node().ty {
        Type::Object if !child.node().fields.is_empty() => Some(&*EMPTY),
        Type::Array if required => Some(&Value::Null),
        _ => None,
    }
}
