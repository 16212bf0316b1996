//! Validation of a custom resource against its OpenAPI v3 schema, in the words
//! of Kubernetes' validator.

use hardway_proto::status::Cause;
use regex::Regex;
use serde_json::Value;

/// Validates everything but `metadata`, `apiVersion` and `kind`.
pub fn object(schema: &Value, object: &Value, errors: &mut Vec<Cause>) {
    check(schema, object, "", errors);
}

fn check(schema: &Value, value: &Value, path: &str, errors: &mut Vec<Cause>) {
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    if !type_fits(schema, value) {
        let wanted = schema["type"].as_str().unwrap_or("integer,string");
        let found = type_name(value);
        errors.push(invalid(
            path,
            &quote(found),
            &format!(
                "{} in body must be of type {wanted}: {}",
                path,
                quote(found)
            ),
        ));
        return;
    }
    match value {
        Value::Object(map) => fields(schema, map, path, errors),
        Value::Array(list) => items(schema, list, path, errors),
        Value::String(text) => string(schema, text, path, errors),
        Value::Number(_) => number(schema, value, path, errors),
        _ => {}
    }
    allowed(schema, value, path, errors);
    combined(schema, value, path, errors);
}

fn type_fits(schema: &Value, value: &Value) -> bool {
    if schema["x-kubernetes-int-or-string"] == true {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        _ => true,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn fields(
    schema: &Value,
    map: &serde_json::Map<String, Value>,
    path: &str,
    errors: &mut Vec<Cause>,
) {
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !map.contains_key(name) {
            errors.push(Cause {
                reason: "FieldValueRequired".into(),
                message: "Required value".into(),
                field: join(path, name),
            });
        }
    }
    size(
        schema,
        ("minProperties", "maxProperties", "properties"),
        map.len(),
        path,
        errors,
    );
    for (name, value) in map {
        if path.is_empty() && matches!(name.as_str(), "metadata" | "apiVersion" | "kind") {
            continue;
        }
        if let Some(field) = schema["properties"].get(name) {
            check(field, value, &join(path, name), errors);
        } else if schema["additionalProperties"].is_object() {
            check(
                &schema["additionalProperties"],
                value,
                &join(path, name),
                errors,
            );
        }
    }
}

fn items(schema: &Value, list: &[Value], path: &str, errors: &mut Vec<Cause>) {
    size(
        schema,
        ("minItems", "maxItems", "items"),
        list.len(),
        path,
        errors,
    );
    for (index, value) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if schema["items"].is_object() {
            check(&schema["items"], value, &path, errors);
        }
        let keys = schema["x-kubernetes-list-map-keys"].as_array();
        let same = |other: &Value| match keys {
            Some(keys) => keys
                .iter()
                .filter_map(Value::as_str)
                .all(|key| other[key] == value[key]),
            None => other == value,
        };
        let unique = matches!(
            schema["x-kubernetes-list-type"].as_str(),
            Some("set" | "map")
        ) || schema["uniqueItems"] == true;
        if unique && list[..index].iter().any(same) {
            errors.push(Cause {
                reason: "FieldValueDuplicate".into(),
                message: format!("Duplicate value: {value}"),
                field: path,
            });
        }
    }
}

fn size(
    schema: &Value,
    (least, most, what): (&str, &str, &str),
    found: usize,
    path: &str,
    errors: &mut Vec<Cause>,
) {
    let found = found as u64;
    if let Some(least) = schema[least].as_u64().filter(|least| found < *least) {
        let text = format!("{} in body should have at least {least} {what}", path);
        errors.push(invalid(path, &found.to_string(), &text));
    }
    if let Some(most) = schema[most].as_u64().filter(|most| found > *most) {
        errors.push(Cause {
            reason: "FieldValueTooMany".into(),
            message: format!("Too many: {found}: must have at most {most} items"),
            field: shown(path),
        });
    }
}

fn string(schema: &Value, text: &str, path: &str, errors: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
        let why = format!("{} in body should be at least {least} chars long", path);
        errors.push(invalid(path, &quote(text), &why));
    }
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        errors.push(Cause {
            reason: "FieldValueTooLong".into(),
            message: format!("Too long: may not be more than {most} bytes"),
            field: shown(path),
        });
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
    {
        let why = format!("{} in body should match '{pattern}'", path);
        errors.push(invalid(path, &quote(text), &why));
    }
    if let Some(format @ ("date-time" | "ipv4" | "ipv6" | "cidr" | "uuid" | "byte")) =
        schema["format"].as_str()
        && !format_fits(format, text)
    {
        let why = format!("{} in body must be of type {format}: {}", path, quote(text));
        errors.push(invalid(path, &quote(text), &why));
    }
}

fn format_fits(format: &str, text: &str) -> bool {
    use base64::Engine;
    match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "cidr" => text.contains('/') && text.parse::<ipnetwork::IpNetwork>().is_ok(),
        "byte" => base64::engine::general_purpose::STANDARD
            .decode(text)
            .is_ok(),
        _ => Regex::new("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$")
            .is_ok_and(|uuid| uuid.is_match(text)),
    }
}

fn number(schema: &Value, value: &Value, path: &str, errors: &mut Vec<Cause>) {
    let found = value.as_f64().unwrap_or_default();
    let mut refuse = |words: &str, limit: &Value| {
        let why = format!("{} in body should be {words} {limit}", path);
        errors.push(invalid(path, &value.to_string(), &why));
    };
    if let Some(least) = schema["minimum"].as_f64() {
        match schema["exclusiveMinimum"] == true {
            true if found <= least => refuse("greater than", &schema["minimum"]),
            false if found < least => refuse("greater than or equal to", &schema["minimum"]),
            _ => {}
        }
    }
    if let Some(most) = schema["maximum"].as_f64() {
        match schema["exclusiveMaximum"] == true {
            true if found >= most => refuse("less than", &schema["maximum"]),
            false if found > most => refuse("less than or equal to", &schema["maximum"]),
            _ => {}
        }
    }
    if let Some(step) = schema["multipleOf"].as_f64().filter(|step| *step > 0.0)
        && (found / step).fract() != 0.0
    {
        refuse("a multiple of", &schema["multipleOf"]);
    }
}

fn allowed(schema: &Value, value: &Value, path: &str, errors: &mut Vec<Cause>) {
    let Some(list) = schema["enum"].as_array() else {
        return;
    };
    if !list.contains(value) {
        let texts: Vec<String> = list.iter().map(Value::to_string).collect();
        errors.push(Cause {
            reason: "FieldValueNotSupported".into(),
            message: format!(
                "Unsupported value: {value}: supported values: {}",
                texts.join(", ")
            ),
            field: shown(path),
        });
    }
}

fn combined(schema: &Value, value: &Value, path: &str, errors: &mut Vec<Cause>) {
    let list = |key: &str| schema[key].as_array().cloned().unwrap_or_default();
    let fits = |schema: &Value| {
        let mut found = Vec::new();
        check(schema, value, path, &mut found);
        found.is_empty()
    };
    for part in list("allOf") {
        check(&part, value, path, errors);
    }
    let mut refuse = |words: &str| {
        let why = format!("{} in body must validate {words}", quote(path));
        errors.push(invalid(path, &value.to_string(), &why));
    };
    let any = list("anyOf");
    if !any.is_empty() && !any.iter().any(fits) {
        refuse("at least one schema (anyOf)");
    }
    let one = list("oneOf");
    if !one.is_empty() && one.iter().filter(|part| fits(part)).count() != 1 {
        refuse("one and only one schema (oneOf)");
    }
    if schema["not"].is_object() && fits(&schema["not"]) {
        let why = format!("{} in body must not validate the schema (not)", quote(path));
        errors.push(invalid(path, &value.to_string(), &why));
    }
}

fn invalid(path: &str, value: &str, why: &str) -> Cause {
    Cause {
        reason: "FieldValueInvalid".into(),
        message: format!("Invalid value: {value}: {why}"),
        field: shown(path),
    }
}

fn quote(text: &str) -> String {
    format!("{text:?}")
}

/// The path as the cause tells it.
fn shown(path: &str) -> String {
    if path.is_empty() {
        "<nil>".to_owned()
    } else {
        path.to_owned()
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
