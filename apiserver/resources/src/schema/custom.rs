//! The shape of a custom resource, from its `openAPIV3Schema`.

use super::{ListType, Node, Schema, Type, builtin};
use serde_json::Value;

/// Turns a structural schema into a [`Schema`] whose `metadata` has the shape
/// it has everywhere. Without a schema everything is kept.
pub fn from_open_api(schema: Option<&Value>) -> Schema {
    let mut nodes = Vec::new();
    let root = match schema {
        Some(schema) => add(&mut nodes, schema, true),
        None => push(&mut nodes, anything()),
    };
    Schema::from_nodes(nodes.into(), root)
}

fn push(nodes: &mut Vec<Node>, node: Node) -> usize {
    nodes.push(node);
    nodes.len() - 1
}

fn anything() -> Node {
    Node {
        preserve_unknown: true,
        nullable: true,
        ..Node::default()
    }
}

fn add(nodes: &mut Vec<Node>, schema: &Value, is_object: bool) -> usize {
    let text = |key: &str| schema[key].as_str().unwrap_or_default();
    let flag = |key: &str| schema[key].as_bool().unwrap_or_default();
    let texts = |key: &str| -> Vec<String> {
        let list = schema[key]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        list.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let preserve_unknown = flag("x-kubernetes-preserve-unknown-fields");
    let ty = match text("type") {
        _ if flag("x-kubernetes-int-or-string") => Type::IntOrString,
        "object" => Type::Object,
        "array" => Type::Array,
        "string" => Type::String,
        "integer" => Type::Integer,
        "number" => Type::Number,
        "boolean" => Type::Boolean,
        _ => Type::Any,
    };
    let mut node = Node {
        ty,
        format: text("format").to_owned(),
        required: texts("required"),
        allowed: schema["enum"].as_array().cloned().unwrap_or_default(),
        nullable: flag("nullable"),
        preserve_unknown,
        list_type: match text("x-kubernetes-list-type") {
            "map" => ListType::Map,
            "set" => ListType::Set,
            _ => ListType::Atomic,
        },
        list_map_keys: texts("x-kubernetes-list-map-keys"),
        atomic_map: text("x-kubernetes-map-type") == "atomic",
        default: schema.get("default").cloned(),
        ..Node::default()
    };
    if let Some(fields) = schema["properties"].as_object() {
        for (name, schema) in fields {
            let id = add(nodes, schema, false);
            node.fields.insert(name.clone(), id);
        }
    }
    if schema["additionalProperties"].is_object() {
        node.additional = Some(add(nodes, &schema["additionalProperties"], false));
    } else if schema["additionalProperties"] == true {
        node.additional = Some(push(nodes, anything()));
    }
    if schema["items"].is_object() {
        node.items = Some(add(nodes, &schema["items"], false));
    }
    if is_object || flag("x-kubernetes-embedded-resource") {
        for name in ["apiVersion", "kind"] {
            let id = push(
                nodes,
                Node {
                    ty: Type::String,
                    ..Node::default()
                },
            );
            node.fields.insert(name.into(), id);
        }
        let metadata = graft(nodes, &builtin::object_meta());
        node.fields.insert("metadata".into(), metadata);
    }
    push(nodes, node)
}

/// Copies a tree of another arena into this one.
fn graft(nodes: &mut Vec<Node>, schema: &Schema) -> usize {
    let mut node = schema.node().clone();
    for id in node.fields.values_mut() {
        *id = graft(nodes, &schema.at(*id));
    }
    node.items = node.items.map(|id| graft(nodes, &schema.at(id)));
    node.additional = node.additional.map(|id| graft(nodes, &schema.at(id)));
    push(nodes, node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn has_typed_metadata_and_own_fields() {
        let schema = from_open_api(Some(&json!({
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "required": ["size"],
                    "properties": {
                        "size": {"type": "integer", "default": 1},
                        "names": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                    },
                },
            },
        })));
        let spec = schema.field("spec").expect("spec");
        assert_eq!(spec.node().required, ["size"]);
        assert_eq!(
            spec.field("size").expect("size").node().default,
            Some(json!(1))
        );
        assert_eq!(
            spec.field("names").expect("names").node().list_type,
            ListType::Set
        );
        let metadata = schema.field("metadata").expect("metadata");
        assert_eq!(metadata.struct_name(), "ObjectMeta");
        let owners = metadata.field("ownerReferences").expect("ownerReferences");
        assert_eq!(owners.node().list_map_keys, ["uid"]);
    }
}
