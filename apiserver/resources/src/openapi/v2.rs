//! OpenAPI v3 pieces turned into v2 (swagger). Shared with the build script.

use super::paths::PREFIX;
use serde_json::{Map, Value, json};

/// A definition in v2 form.
pub fn definition(name: &str, schema: &Value) -> Value {
    let mut schema = schema.clone();
    convert(&mut schema);
    let short = name.rsplit('.').next().unwrap_or_default();
    if let (Some(map), "IntOrString" | "Quantity") = (schema.as_object_mut(), short) {
        map.remove("oneOf");
        map.insert("type".into(), "string".into());
    }
    schema
}

/// A path with its operations in v2 form.
pub fn path(operations: &Value) -> Value {
    let mut converted = Map::new();
    for (method, value) in operations.as_object().into_iter().flatten() {
        let value = if method == "parameters" {
            value
                .as_array()
                .into_iter()
                .flatten()
                .map(parameter)
                .collect()
        } else {
            operation(value)
        };
        converted.insert(method.clone(), value);
    }
    Value::Object(converted)
}

fn operation(v3: &Value) -> Value {
    let mut v2 = v3.clone();
    let Some(map) = v2.as_object_mut() else {
        return v2;
    };
    let parameters = v3["parameters"].as_array().into_iter().flatten();
    let mut parameters: Vec<Value> = parameters.map(parameter).collect();
    let mut consumes = vec![Value::from("*/*")];
    if let Some(body) = map.remove("requestBody") {
        let content = body["content"].as_object().cloned().unwrap_or_default();
        consumes = content.keys().map(|kind| kind.as_str().into()).collect();
        if let Some((_, first)) = content.into_iter().next() {
            let mut schema = first["schema"].clone();
            convert(&mut schema);
            let mut parameter = json!({"name": "body", "in": "body", "schema": schema});
            if body["required"] == true {
                parameter["required"] = true.into();
            }
            parameters.push(parameter);
        }
    }
    let mut responses = Map::new();
    for (code, response) in v3["responses"].as_object().into_iter().flatten() {
        let mut converted = json!({"description": response["description"]});
        let content = response["content"].as_object();
        if let Some((_, first)) = content.and_then(|content| content.iter().next()) {
            let mut schema = first["schema"].clone();
            convert(&mut schema);
            converted["schema"] = schema;
        }
        responses.insert(code.clone(), converted);
    }
    map.insert("consumes".into(), consumes.into());
    map.insert(
        "produces".into(),
        json!(["application/json", "application/yaml"]),
    );
    map.insert("schemes".into(), json!(["https"]));
    map.insert("parameters".into(), parameters.into());
    map.insert("responses".into(), Value::Object(responses));
    v2
}

fn parameter(v3: &Value) -> Value {
    let mut v2 = v3.clone();
    if let Some(map) = v2.as_object_mut()
        && let Some(Value::Object(schema)) = map.remove("schema")
    {
        map.extend(schema);
    }
    v2
}

/// References, and what stands beside them, in v2's way.
fn convert(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let only = map
                .get("allOf")
                .and_then(Value::as_array)
                .filter(|all| all.len() == 1);
            let reference = only
                .and_then(|all| all[0].get("$ref"))
                .filter(|r| r.is_string())
                .cloned();
            if let Some(reference) = reference {
                map.remove("allOf");
                map.insert("$ref".into(), reference);
            }
            if let Some(Value::String(reference)) = map.get_mut("$ref") {
                *reference = reference.replace(PREFIX, "#/definitions/");
            }
            map.values_mut().for_each(convert);
        }
        Value::Array(list) => list.iter_mut().for_each(convert),
        _ => {}
    }
}

/// Entries of a JSON object without its braces, to be spliced.
pub fn entries(map: &Map<String, Value>) -> String {
    let text = Value::Object(map.clone()).to_string();
    text[1..text.len() - 1].to_owned()
}

/// How a v2 document starts, up to its definitions. They come first and paths
/// last, so that those of custom resources can be spliced in.
pub const START: &str = r#"{"swagger":"2.0","definitions":{"#;
/// How it ends, after its paths.
pub const END: &str = "}}";

/// A document with more definitions and paths.
pub fn splice(
    document: &str,
    definitions: &Map<String, Value>,
    paths: &Map<String, Value>,
) -> String {
    let inner = document.trim_start_matches(START);
    let inner = inner.strip_suffix(END).unwrap_or(inner);
    format!(
        "{START}{},{inner},{}{END}",
        entries(definitions),
        entries(paths)
    )
}
