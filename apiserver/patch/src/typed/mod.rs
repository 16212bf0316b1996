//! Objects seen through their schema: which fields they set, how two of them
//! differ, merge, and lose fields.
//!
//! Where the schema says nothing (unknown fields that are kept, free-form
//! JSON) maps are taken as granular and lists as atomic.

mod compare;
mod merge;
mod remove;
mod set;
mod validate;
mod zero;

pub(crate) use compare::{Comparison, compare};
pub(crate) use merge::merge;
pub(crate) use remove::remove;
pub(crate) use set::{ensure_named, to_set};
pub(crate) use validate::validate;
pub(crate) use zero::Zeros;

use crate::fields::PathElement;
use hardway_resources::schema::{ListType, Schema, Type};
use serde_json::Value;

/// How a value takes part in ownership and merging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As a whole.
    Leaf,
    /// Entry by entry.
    Map,
    /// Element by element, each its own identity.
    Set,
    /// Element by element, identified by these keys.
    Keyed(Vec<String>),
}

impl Shape {
    fn is_list(&self) -> bool {
        matches!(self, Self::Set | Self::Keyed(_))
    }
}

/// The shape of a value under a schema. A value of another type than the
/// schema's is a leaf.
pub(crate) fn shape(schema: Option<&Schema>, value: &Value) -> Shape {
    let Some(node) = schema.map(Schema::node) else {
        return free_shape(value);
    };
    match (node.ty, value) {
        (Type::Any, _) => free_shape(value),
        (Type::Object, Value::Object(_)) if !node.atomic_map => Shape::Map,
        (Type::Array, Value::Array(_)) => match node.list_type {
            ListType::Atomic => Shape::Leaf,
            ListType::Set => Shape::Set,
            ListType::Map => Shape::Keyed(node.list_map_keys.clone()),
        },
        _ => Shape::Leaf,
    }
}

fn free_shape(value: &Value) -> Shape {
    match value {
        Value::Object(_) => Shape::Map,
        _ => Shape::Leaf,
    }
}

/// The schema of a field, if there is one.
pub(crate) fn field(schema: Option<&Schema>, name: &str) -> Option<Schema> {
    schema?.field(name)
}

/// Whether the schema names this field (rather than it being a map's entry).
pub(crate) fn names_field(schema: Option<&Schema>, name: &str) -> bool {
    schema.is_some_and(|s| s.node().fields.contains_key(name))
}

/// The identity of a list's element. Keys it omits take the schema's default;
/// `Err` names the key that has none.
pub(crate) fn identity(
    shape: &Shape,
    items: Option<&Schema>,
    element: &Value,
) -> Result<PathElement, String> {
    let Shape::Keyed(names) = shape else {
        return Ok(PathElement::Value(element.clone()));
    };
    let Some(object) = element.as_object() else {
        return Err(match element {
            Value::Null => "associative list with keys may not have a null element".into(),
            _ => "associative list with keys may not have non-map elements".into(),
        });
    };
    let mut keys = Vec::with_capacity(names.len());
    for name in names {
        let default = || field(items, name).and_then(|s| s.node().default.clone());
        match object
            .get(name)
            .filter(|v| !v.is_null())
            .cloned()
            .or_else(default)
        {
            Some(value) => keys.push((name.clone(), value)),
            None => {
                return Err(format!(
                    "associative list with keys has an element that omits key field {name:?} (and doesn't have default value)"
                ));
            }
        }
    }
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(PathElement::Key(keys))
}

/// The elements of a list with their identities. An element without one
/// (stored before the key was required) is known by its value.
pub(crate) fn identified<'a>(
    shape: &Shape,
    items: Option<&Schema>,
    list: &'a [Value],
) -> Vec<(PathElement, &'a Value)> {
    let name = |element: &Value| {
        identity(shape, items, element).unwrap_or_else(|_| PathElement::Value(element.clone()))
    };
    list.iter()
        .map(|element| (name(element), element))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use hardway_resources::schema::Node;

    fn node(ty: Type) -> Node {
        Node {
            ty,
            ..Node::default()
        }
    }

    /// Builds arenas from a small notation, so that tests read well:
    /// `{"f": …}` an object, `["keys,…", element]` an associative list,
    /// `["set", …]`, `["atomic", …]`, `{"*": …}` a map, `"string"` …
    pub(crate) fn schema(notation: Value) -> Schema {
        fn build(notation: &Value, arena: &mut Vec<Node>) -> usize {
            let id = arena.len();
            match notation {
                Value::String(ty) => {
                    let (ty, default) = match ty.split_once('=') {
                        Some((ty, default)) => (ty, Some(Value::from(default))),
                        None => (ty.as_str(), None),
                    };
                    arena.push(Node {
                        default,
                        ..node(match ty {
                            "string" => Type::String,
                            "integer" => Type::Integer,
                            "boolean" => Type::Boolean,
                            _ => Type::Any,
                        })
                    });
                }
                Value::Array(list) => {
                    arena.push(node(Type::Array));
                    let items = build(&list[1], arena);
                    let keys = list[0].as_str().unwrap();
                    let n = &mut arena[id];
                    n.items = Some(items);
                    match keys {
                        "atomic" => {}
                        "set" => {
                            n.list_type = ListType::Set;
                            n.patch_merge = true;
                        }
                        keys => {
                            n.list_type = ListType::Map;
                            n.list_map_keys = keys.split(',').map(Into::into).collect();
                            n.patch_merge = true;
                            n.patch_merge_key = n.list_map_keys.first().cloned();
                        }
                    }
                }
                Value::Object(object) => {
                    arena.push(node(Type::Object));
                    for (name, below) in object {
                        match name.as_str() {
                            "!atomic" => arena[id].atomic_map = true,
                            "!retainKeys" => arena[id].patch_retain_keys = true,
                            "*" => {
                                let child = build(below, arena);
                                arena[id].additional = Some(child);
                            }
                            name => {
                                let child = build(below, arena);
                                let (name, required) = match name.strip_suffix('!') {
                                    Some(name) => (name, true),
                                    None => (name, false),
                                };
                                arena[id].fields.insert(name, child);
                                if required {
                                    arena[id].required.push(name.into());
                                }
                            }
                        }
                    }
                }
                other => panic!("no schema: {other}"),
            }
            id
        }
        let mut arena = Vec::new();
        let root = build(&notation, &mut arena);
        Schema::from_nodes(arena.into(), root)
    }

    /// Enough of a Deployment for tests.
    pub(crate) fn deployment() -> Schema {
        let meta = serde_json::json!({
            "name": "string", "namespace": "string", "uid": "string", "resourceVersion": "string",
            "creationTimestamp": "string",
            "labels": {"*": "string"}, "annotations": {"*": "string"},
            "finalizers": ["set", "string"], "managedFields": "any"});
        schema(serde_json::json!({
            "apiVersion": "string", "kind": "string", "metadata": meta,
            "spec": {
                "replicas": "integer", "minReadySeconds": "integer", "paused": "boolean",
                "selector!": {"!atomic": true, "matchLabels": {"*": "string"}},
                "strategy": {"!retainKeys": true, "type": "string", "rollingUpdate": {"maxSurge": "any"}},
                "template!": {"metadata": meta, "spec": {
                    "nodeSelector": {"!atomic": true, "*": "string"},
                    "tolerations": ["atomic", {"key": "string"}],
                    "containers!": ["name", {
                        "name": "string", "image": "string", "command": ["atomic", "string"],
                        "env": ["name", {"name": "string", "value": "string"}],
                        "resources": {"limits": {"*": "any"}},
                        "ports": ["containerPort,protocol", {
                            "containerPort": "integer", "protocol": "string=TCP", "name": "string"}]}]}}},
            "status": {"replicas": "integer", "conditions": ["type", {"type": "string", "status": "string"}]}
        }))
    }
}
