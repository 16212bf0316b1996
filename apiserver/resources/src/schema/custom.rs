//! The shape of a custom resource, from its `openAPIV3Schema`.

use super::{ListType, Node, Schema, Type, builtin};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Turns a structural schema into a [`Schema`] whose `metadata` has the shape
/// it has everywhere. Without a schema everything is kept.
pub fn from_open_api(schema: Option<&Value>) -> Schema {
    let mut arena = Arena::default();
    let root = match schema {
        Some(schema) => arena.add(schema, true),
        None => arena.push(anything()),
    };
    Schema::from_nodes(arena.into_nodes(), root)
}

/// Nodes, each different from all others: what is said of a container is kept once,
/// though a definition says it of every list of containers.
#[derive(Default)]
struct Arena {
    ids: HashMap<Node, usize>,
}

fn anything() -> Node {
    Node {
        preserve_unknown: true,
        nullable: true,
        ..Node::default()
    }
}

impl Arena {
    fn push(&mut self, node: Node) -> usize {
        let next = self.ids.len();
        *self.ids.entry(node).or_insert(next)
    }

    fn into_nodes(self) -> Arc<[Node]> {
        let mut nodes: Vec<(Node, usize)> = self.ids.into_iter().collect();
        nodes.sort_unstable_by_key(|(_, id)| *id);
        nodes.into_iter().map(|(node, _)| node).collect()
    }

    fn add(&mut self, schema: &Value, is_object: bool) -> usize {
        let text = |key: &str| schema[key].as_str().unwrap_or_default();
        let flag = |key: &str| schema[key].as_bool().unwrap_or_default();
        let texts = |key: &str| -> Vec<String> {
            let list = schema[key].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
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
        let mut fields: BTreeMap<Box<str>, usize> = BTreeMap::new();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            fields.insert(name.as_str().into(), self.add(schema, false));
        }
        if is_object || flag("x-kubernetes-embedded-resource") {
            for name in ["apiVersion", "kind"] {
                let id = self.push(Node {
                    ty: Type::String,
                    ..Node::default()
                });
                fields.insert(name.into(), id);
            }
            fields.insert("metadata".into(), self.graft(&builtin::object_meta()));
        }
        node.fields = fields.into();
        let additional = &schema["additionalProperties"];
        if additional.is_object() {
            node.additional = Some(self.add(additional, false));
        } else if *additional == true {
            node.additional = Some(self.push(anything()));
        }
        if schema["items"].is_object() {
            node.items = Some(self.add(&schema["items"], false));
        }
        self.push(node)
    }

    /// Copies a tree of another arena into this one.
    fn graft(&mut self, schema: &Schema) -> usize {
        let mut node = schema.node().clone();
        for id in node.fields.values_mut() {
            *id = self.graft(&schema.at(*id));
        }
        node.items = node.items.map(|id| self.graft(&schema.at(id)));
        node.additional = node.additional.map(|id| self.graft(&schema.at(id)));
        self.push(node)
    }
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
