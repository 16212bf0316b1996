//! The v2 document in protobuf (`openapi.v2.Document`), which kubectl up to
//! 1.27 insists on. Shared with the build script.
//!
//! Protobuf messages that are set end to end are merged, so documents of custom resources and
//! of other servers are appended to that of the built-in kinds. Of two definitions of one name
//! readers take the last.

use serde_json::{Map, Value};

/// A message as it is written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A string field; nothing if the value is no string.
    fn text(&mut self, field: u64, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u64, list: &Value) {
        for value in list.as_array().into_iter().flatten() {
            self.text(field, value);
        }
    }

    fn flag(&mut self, field: u64, value: &Value) {
        if value == true {
            self.varint(field << 3);
            self.varint(1);
        }
    }

    fn message(&mut self, field: u64, message: Message) {
        self.bytes(field, &message.0);
    }

    /// One entry of a map, as name and value.
    fn named(&mut self, field: u64, name: &str, value: Message) {
        let mut entry = Message::default();
        entry.bytes(1, name.as_bytes());
        entry.message(2, value);
        self.message(field, entry);
    }

    fn extensions(&mut self, field: u64, map: &Value) {
        for (name, value) in map.as_object().into_iter().flatten() {
            if name.starts_with("x-") {
                self.named(field, name, any(value));
            }
        }
    }
}

fn wrap(field: u64, message: Message) -> Message {
    let mut outer = Message::default();
    outer.message(field, message);
    outer
}

/// Any value, as YAML (which JSON is).
fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.bytes(2, value.to_string().as_bytes());
    message
}

/// A document of these definitions and paths, in v2 form.
pub fn document(definitions: &Map<String, Value>, paths: &Map<String, Value>) -> Vec<u8> {
    let mut info = Message::default();
    info.bytes(1, b"Kubernetes");
    info.bytes(2, b"v1.33.0");
    let mut document = Message::default();
    document.bytes(1, b"2.0");
    document.message(2, info);
    let mut all_paths = Message::default();
    for (path, operations) in paths {
        all_paths.named(2, path, path_item(operations));
    }
    let mut all_definitions = Message::default();
    for (name, definition) in definitions {
        all_definitions.named(1, name, schema(definition));
    }
    document.message(8, all_paths);
    document.message(9, all_definitions);
    document.0
}

/// Parameters that the paths of a document refer to, to be appended to it.
pub fn parameters(all: &Map<String, Value>) -> Vec<u8> {
    let mut parameters = Message::default();
    for (name, value) in all {
        parameters.named(1, name, parameter(value));
    }
    wrap(10, parameters).0
}

fn path_item(operations: &Value) -> Message {
    let mut item = Message::default();
    for (method, field) in [
        ("get", 2),
        ("put", 3),
        ("post", 4),
        ("delete", 5),
        ("patch", 8),
    ] {
        if operations[method].is_object() {
            item.message(field, operation(&operations[method]));
        }
    }
    for entry in operations["parameters"].as_array().into_iter().flatten() {
        item.message(9, parameters_item(entry));
    }
    item
}

fn operation(value: &Value) -> Message {
    let mut operation = Message::default();
    operation.texts(1, &value["tags"]);
    operation.text(3, &value["description"]);
    operation.text(5, &value["operationId"]);
    operation.texts(6, &value["produces"]);
    operation.texts(7, &value["consumes"]);
    for entry in value["parameters"].as_array().into_iter().flatten() {
        operation.message(8, parameters_item(entry));
    }
    let mut responses = Message::default();
    for (code, response) in value["responses"].as_object().into_iter().flatten() {
        let mut message = Message::default();
        message.text(1, &response["description"]);
        if response["schema"].is_object() {
            message.message(2, wrap(1, schema(&response["schema"])));
        }
        responses.named(1, code, wrap(1, message));
    }
    operation.message(9, responses);
    operation.texts(10, &value["schemes"]);
    operation.extensions(13, value);
    operation
}

/// A parameter, or where there is one.
fn parameters_item(value: &Value) -> Message {
    if value["$ref"].is_string() {
        let mut reference = Message::default();
        reference.text(1, &value["$ref"]);
        return wrap(2, reference);
    }
    wrap(1, parameter(value))
}

fn parameter(value: &Value) -> Message {
    let mut message = Message::default();
    let place = value["in"].as_str().unwrap_or_default();
    if place == "body" {
        message.text(1, &value["description"]);
        message.text(2, &value["name"]);
        message.text(3, &value["in"]);
        message.flag(4, &value["required"]);
        message.message(5, schema(&value["schema"]));
        wrap(1, message)
    } else {
        message.flag(1, &value["required"]);
        message.text(2, &value["in"]);
        message.text(3, &value["description"]);
        message.text(4, &value["name"]);
        let (kind, ty, format, unique) = match place {
            "path" => (4, 5, 6, 19),
            _ => (3, 6, 7, 20),
        };
        message.text(ty, &value["type"]);
        message.text(format, &value["format"]);
        message.flag(unique, &value["uniqueItems"]);
        wrap(2, wrap(kind, message))
    }
}

fn schema(value: &Value) -> Message {
    let mut message = Message::default();
    message.text(1, &value["$ref"]);
    message.text(2, &value["format"]);
    message.text(4, &value["description"]);
    if let Some(default) = value.get("default") {
        message.message(5, any(default));
    }
    message.texts(19, &value["required"]);
    for allowed in value["enum"].as_array().into_iter().flatten() {
        message.message(20, any(allowed));
    }
    if value["additionalProperties"].is_object() {
        message.message(21, wrap(1, schema(&value["additionalProperties"])));
    }
    if let Some(ty) = value["type"].as_str() {
        let mut item = Message::default();
        item.bytes(1, ty.as_bytes());
        message.message(22, item);
    }
    if value["items"].is_object() {
        message.message(23, wrap(1, schema(&value["items"])));
    }
    if let Some(fields) = value["properties"].as_object() {
        let mut properties = Message::default();
        for (name, field) in fields {
            properties.named(1, name, schema(field));
        }
        message.message(25, properties);
    }
    message.extensions(31, value);
    message
}
