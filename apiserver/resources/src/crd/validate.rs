//! Validation of a custom resource against its OpenAPI v3 schema, in the words
//! of Kubernetes' validator.

use super::compiled::{Range, Shared, Validator};
use hardway_proto::status::Cause;
use regex::Regex;
use serde_json::{Map, Number, Value};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Of what is wrong with an object no more than this is told: nobody reads it, and
/// each may show a large part of the object.
const MOST_CAUSES: usize = 100;

/// Holds a value against its schema; paths begin at the value. What is wrong but was so in
/// what it replaces is let be, as far as the two can be laid side by side.
pub(super) fn value(
    validator: &Validator,
    value: &Value,
    old: Option<&Value>,
    errors: &mut Vec<Cause>,
) {
    check_change(validator, value, old, "", errors);
    errors.truncate(MOST_CAUSES);
}

fn check_change(
    validator: &Validator,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    errors: &mut Vec<Cause>,
) {
    let before = errors.len();
    check(validator, value, old, path, errors);
    if errors.len() > before && old == Some(value) {
        errors.truncate(before);
    }
}

fn check(
    validator: &Validator,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    errors: &mut Vec<Cause>,
) {
    if (value.is_null() && validator.nullable) || errors.len() > MOST_CAUSES {
        return;
    }
    if !type_fits(validator, value) {
        let wanted = validator.kind.as_deref().unwrap_or("integer,string");
        let found = type_name(value);
        let why = format!("{path} in body must be of type {wanted}: {found:?}");
        errors.push(Cause {
            reason: "FieldValueTypeInvalid".into(),
            ..invalid(path, &quote(found), &why)
        });
        return;
    }
    match value {
        Value::Object(map) => fields(validator, map, old, path, errors),
        Value::Array(list) => items(validator, list, old, path, errors),
        Value::String(text) => string(validator, text, path, errors),
        Value::Number(_) => number(validator, value, path, errors),
        _ => {}
    }
    allowed(validator, value, path, errors);
    combined(validator, value, path, errors);
}

fn type_fits(validator: &Validator, value: &Value) -> bool {
    if validator.int_or_string {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match validator.kind.as_deref() {
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
    validator: &Validator,
    map: &Map<String, Value>,
    old: Option<&Value>,
    path: &str,
    errors: &mut Vec<Cause>,
) {
    for name in validator
        .required
        .iter()
        .filter(|name| !map.contains_key(*name))
    {
        errors.push(Cause {
            reason: "FieldValueRequired".into(),
            message: "Required value".into(),
            field: join(path, name),
        });
    }
    size(&validator.properties, "properties", map.len(), path, errors);
    for (name, value) in map {
        let field = validator.fields.get(name);
        if let Some(field) = field.or(validator.additional.as_ref()) {
            let old = old.and_then(|old| old.get(name));
            check_change(field, value, old, &join(path, name), errors);
        }
    }
}

fn items(
    validator: &Validator,
    list: &[Value],
    old: Option<&Value>,
    path: &str,
    errors: &mut Vec<Cause>,
) {
    size(&validator.elements, "items", list.len(), path, errors);
    let unique = validator.unique.as_ref();
    let keys = unique.filter(|keys| !keys.is_empty());
    let known = keys.map(|keys| (keys, by_keys(keys, old)));
    let mut seen: HashSet<Vec<&Value>> = HashSet::new();
    for (index, value) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if let Some(items) = &validator.items {
            let before = known.as_ref().and_then(|(keys, known)| {
                let found = known.get(&identity(keys, value));
                found.copied()
            });
            check_change(items, value, before, &path, errors);
        }
        let Some(keys) = unique else {
            continue;
        };
        let key = match keys.is_empty() {
            true => vec![value],
            false => identity(keys, value),
        };
        if !seen.insert(key) && errors.len() <= MOST_CAUSES {
            errors.push(Cause {
                reason: "FieldValueDuplicate".into(),
                message: format!("Duplicate value: {value}"),
                field: path,
            });
        }
    }
}

/// The elements of the old list by their keys; of those with the same ones the first.
fn by_keys<'a>(keys: &[String], old: Option<&'a Value>) -> HashMap<Vec<&'a Value>, &'a Value> {
    let mut known = HashMap::new();
    for item in old.and_then(Value::as_array).into_iter().flatten() {
        known.entry(identity(keys, item)).or_insert(item);
    }
    known
}

/// The values of an element's keys; one that is missing is as `null`.
fn identity<'a>(keys: &[String], item: &'a Value) -> Vec<&'a Value> {
    keys.iter().map(|key| &item[key]).collect()
}

fn size(range: &Range<u64>, what: &str, found: usize, path: &str, errors: &mut Vec<Cause>) {
    let found = found as u64;
    if let Some(least) = range.least.filter(|least| found < *least) {
        let text = format!("{} in body should have at least {least} {what}", path);
        errors.push(invalid(path, &found.to_string(), &text));
    }
    if let Some(most) = range.most.filter(|most| found > *most) {
        errors.push(Cause {
            reason: "FieldValueTooMany".into(),
            message: format!("Too many: {found}: must have at most {most} items"),
            field: shown(path),
        });
    }
}

fn string(validator: &Validator, text: &str, path: &str, errors: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    let range = &validator.length;
    if let Some(least) = range.least.filter(|least| length < *least) {
        let why = format!("{} in body should be at least {least} chars long", path);
        errors.push(invalid(path, &quote(text), &why));
    }
    if let Some(most) = range.most.filter(|most| length > *most) {
        errors.push(Cause {
            reason: "FieldValueTooLong".into(),
            message: format!("Too long: may not be more than {most} bytes"),
            field: shown(path),
        });
    }
    if let Some(pattern) = validator.pattern.as_ref().filter(|p| !p.matches(text)) {
        let why = format!("{} in body should match '{}'", path, pattern.text);
        errors.push(invalid(path, &quote(text), &why));
    }
    if let Some(format @ ("date-time" | "ipv4" | "ipv6" | "cidr" | "uuid" | "byte")) =
        validator.format.as_deref()
        && !format_fits(format, text)
    {
        let why = format!("{} in body must be of type {format}: {}", path, quote(text));
        errors.push(invalid(path, &quote(text), &why));
    }
}

static UUID: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$").ok()
});

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
        _ => UUID.as_ref().is_some_and(|uuid| uuid.is_match(text)),
    }
}

fn number(validator: &Validator, value: &Value, path: &str, errors: &mut Vec<Cause>) {
    let found = value.as_f64().unwrap_or_default();
    let mut refuse = |words: &str, limit: &Number| {
        let why = format!("{} in body should be {words} {limit}", path);
        errors.push(invalid(path, &value.to_string(), &why));
    };
    let as_float = |number: &Number| number.as_f64().unwrap_or_default();
    let (open_below, open_above) = validator.exclusive;
    if let Some(least) = &validator.value.least {
        match open_below {
            true if found <= as_float(least) => refuse("greater than", least),
            false if found < as_float(least) => refuse("greater than or equal to", least),
            _ => {}
        }
    }
    if let Some(most) = &validator.value.most {
        match open_above {
            true if found >= as_float(most) => refuse("less than", most),
            false if found > as_float(most) => refuse("less than or equal to", most),
            _ => {}
        }
    }
    if let Some(step) = validator
        .multiple_of
        .as_ref()
        .filter(|step| as_float(step) > 0.0)
        && (found / as_float(step)).fract() != 0.0
    {
        refuse("a multiple of", step);
    }
}

fn allowed(validator: &Validator, value: &Value, path: &str, errors: &mut Vec<Cause>) {
    let list = &validator.allowed;
    if !list.is_empty() && !list.contains(value) {
        let texts = list.iter().map(|value| match value {
            Value::String(text) => quote(text),
            other => quote(&other.to_string()),
        });
        let texts: Vec<String> = texts.collect();
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

fn combined(validator: &Validator, value: &Value, path: &str, errors: &mut Vec<Cause>) {
    let fits = |part: &Shared| {
        let mut found = Vec::new();
        check(part, value, None, path, &mut found);
        found.is_empty()
    };
    for part in &validator.all_of {
        check(part, value, None, path, errors);
    }
    let mut refuse = |words: &str| {
        let why = format!("{} in body must validate {words}", quote(path));
        errors.push(invalid(path, &value.to_string(), &why));
    };
    let (any, one) = (&validator.any_of, &validator.one_of);
    if !any.is_empty() && !any.iter().any(fits) {
        refuse("at least one schema (anyOf)");
    }
    if !one.is_empty() && one.iter().filter(|part| fits(part)).count() != 1 {
        refuse("one and only one schema (oneOf)");
    }
    if validator.not.as_ref().is_some_and(fits) {
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
