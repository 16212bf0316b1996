//! Boils the definitions down to what the server itself needs of a shape:
//! an array of nodes that refer to each other by index, without descriptions.
//! `src/schema.rs` reads it back; the short keys are explained there.

use crate::kinds::PREFIX;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

struct Arena<'a> {
    nodes: Vec<Value>,
    by_text: HashMap<String, usize>,
    names: HashMap<&'a str, usize>,
}

/// `{"nodes": [...], "roots": {definition: index}}`.
pub fn build(definitions: &Map<String, Value>) -> Value {
    let names: HashMap<&str, usize> = definitions
        .keys()
        .enumerate()
        .map(|(index, name)| (name.as_str(), index))
        .collect();
    let mut arena = Arena {
        nodes: vec![Value::Null; definitions.len()],
        by_text: HashMap::new(),
        names,
    };
    for (index, (name, schema)) in definitions.iter().enumerate() {
        arena.nodes[index] = arena.node(name, schema);
    }
    // A field that refers to a definition but merges in its own way is a copy
    // of that definition's node with these facts on top.
    for index in definitions.len()..arena.nodes.len() {
        if let Some(of) = arena.nodes[index]["of"].as_u64() {
            let mut copy = arena.nodes[of as usize].clone();
            merge(&mut copy, &arena.nodes[index]);
            arena.nodes[index] = copy;
        }
    }
    let roots: Map<String, Value> = definitions
        .iter()
        .enumerate()
        .filter(|(_, (_, schema))| schema.get("x-kubernetes-group-version-kind").is_some())
        .map(|(index, (name, _))| (name.clone(), json!(index)))
        .chain(
            std::iter::once("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
                .map(|name| (name.to_owned(), json!(arena.names[name]))),
        )
        .collect();
    json!({"nodes": arena.nodes, "roots": roots})
}

fn merge(copy: &mut Value, own: &Value) {
    if let (Some(copy), Some(own)) = (copy.as_object_mut(), own.as_object()) {
        for (key, value) in own.iter().filter(|(key, _)| *key != "of") {
            copy.insert(key.clone(), value.clone());
        }
    }
}

impl Arena<'_> {
    /// The index of a field's schema; equal ones share a node.
    fn index(&mut self, schema: &Value) -> usize {
        let reference = schema["$ref"]
            .as_str()
            .or(schema["allOf"][0]["$ref"].as_str());
        let target = reference.map(|r| self.names[r.trim_start_matches(PREFIX)]);
        let node = match target {
            Some(target) => {
                let facts = merge_facts(schema);
                if facts.is_empty() {
                    return target;
                }
                let mut node = Value::Object(facts);
                node["of"] = json!(target);
                node
            }
            None => self.node("", schema),
        };
        let text = node.to_string();
        if let Some(index) = self.by_text.get(&text) {
            return *index;
        }
        self.nodes.push(node);
        self.by_text.insert(text, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn node(&mut self, name: &str, schema: &Value) -> Value {
        let mut node = merge_facts(schema);
        let short = name.rsplit('.').next().unwrap_or_default();
        let (ty, format) = match short {
            "Quantity" => ("IntOrString", "quantity"),
            "IntOrString" => ("IntOrString", "int-or-string"),
            "MicroTime" => ("String", "micro-time"),
            "RawExtension" | "FieldsV1" | "Patch" => ("Any", ""),
            "JSONSchemaPropsOrArray" => ("Any", "schema-or-array"),
            "JSONSchemaPropsOrBool" => ("Any", "schema-or-bool"),
            "JSONSchemaPropsOrStringArray" => ("Any", "schema-or-strings"),
            _ => (
                match schema["type"].as_str() {
                    Some("object") => "Object",
                    Some("array") => "Array",
                    Some("string") => "String",
                    Some("integer") => "Integer",
                    Some("number") => "Number",
                    Some("boolean") => "Boolean",
                    _ => "Any",
                },
                schema["format"].as_str().unwrap_or_default(),
            ),
        };
        node.insert("t".into(), json!(ty));
        if !format.is_empty() {
            node.insert("f".into(), json!(format));
        }
        if let Some((schema, _)) = name
            .split_once("Or")
            .filter(|_| format.starts_with("schema-"))
        {
            node.insert("s".into(), json!(self.names[schema]));
        }
        if !name.is_empty() && ty == "Object" {
            node.insert("n".into(), json!(go_name(name)));
        }
        if let Some(fields) = schema["properties"].as_object() {
            let fields: Map<String, Value> = fields
                .iter()
                .map(|(field, schema)| (field.clone(), json!(self.index(schema))))
                .collect();
            node.insert("p".into(), Value::Object(fields));
        }
        if schema["additionalProperties"].is_object() {
            node.insert(
                "a".into(),
                json!(self.index(&schema["additionalProperties"])),
            );
        }
        if schema["items"].is_object() {
            node.insert("i".into(), json!(self.index(&schema["items"])));
        }
        if schema["required"].is_array() {
            node.insert("r".into(), schema["required"].clone());
        }
        Value::Object(node)
    }
}

/// `io.k8s.api.core.v1.PodSpec` → `v1.PodSpec`, as Go prints the type.
fn go_name(name: &str) -> String {
    let mut parts = name.rsplitn(3, '.');
    let kind = parts.next().unwrap_or_default();
    let package = parts.next().unwrap_or_default();
    format!("{package}.{kind}")
}

fn merge_facts(schema: &Value) -> Map<String, Value> {
    let mut facts = Map::new();
    let mut insert = |key: &str, value: Value| facts.insert(key.to_owned(), value);
    match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => drop(insert("lt", json!("Map"))),
        Some("set") => drop(insert("lt", json!("Set"))),
        _ => {}
    }
    if schema["x-kubernetes-list-map-keys"].is_array() {
        insert("lk", schema["x-kubernetes-list-map-keys"].clone());
    }
    if schema["x-kubernetes-map-type"] == "atomic" {
        insert("am", json!(true));
    }
    if schema["x-kubernetes-patch-merge-key"].is_string() {
        insert("mk", schema["x-kubernetes-patch-merge-key"].clone());
    }
    let strategy = schema["x-kubernetes-patch-strategy"]
        .as_str()
        .unwrap_or_default();
    for part in strategy.split(',') {
        match part {
            "merge" => drop(insert("pm", json!(true))),
            "retainKeys" => drop(insert("pr", json!(true))),
            _ => {}
        }
    }
    if let Some(default) = schema.get("default").filter(|d| !d.is_object()) {
        insert("d", default.clone());
    }
    facts
}
