//! A value held against its schema: types checked, unknown fields dropped.

use crate::schema::{Schema, Type};
use base64::Engine;
use serde_json::Value;

/// Where the walk is: the path with indexes (for unknown fields), without
/// (as Go's decoder tells it), and the struct that holds the field.
struct Place<'a> {
    path: String,
    field: String,
    holder: &'a str,
    /// Whether types are checked; not so in a custom resource's own fields.
    typed: bool,
}

impl Place<'_> {
    fn join(prefix: &str, name: &str) -> String {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}.{name}")
        }
    }
}

/// Checks and prunes in place; unknown fields are added to `unknown`.
pub fn walk(schema: &Schema, value: &mut Value, unknown: &mut Vec<String>) -> Result<(), String> {
    let place = Place {
        path: String::new(),
        field: String::new(),
        holder: "",
        typed: !schema.node().name.is_empty(),
    };
    visit(schema, value, &place, unknown)
}

fn visit(
    schema: &Schema,
    value: &mut Value,
    place: &Place<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let node = schema.node();
    let typed = place.typed || !node.name.is_empty();
    if typed {
        scalar(schema, value, place)?;
    }
    match value {
        Value::Object(map) if matches!(node.ty, Type::Object) => {
            let keep_null = |field: &Schema| !typed && field.node().nullable;
            let open = node.additional.is_some();
            map.retain(|name, value| match schema.field(name) {
                Some(field) => !value.is_null() || open || keep_null(&field),
                None if node.preserve_unknown => true,
                None => {
                    let path = Place::join(&place.path, name);
                    unknown.push(format!("unknown field {path:?}"));
                    false
                }
            });
            for (name, value) in map {
                let Some(field) = schema.field(name) else {
                    continue;
                };
                let is_map = open && !node.fields.contains_key(name);
                let inner = Place {
                    path: Place::join(&place.path, name),
                    // Go's decoder doesn't tell the keys of maps.
                    field: if is_map {
                        place.field.clone()
                    } else {
                        Place::join(&place.field, name)
                    },
                    holder: if is_map {
                        place.holder
                    } else {
                        schema.struct_name()
                    },
                    typed,
                };
                visit(&field, value, &inner, unknown)?;
            }
        }
        Value::Array(list) => {
            if let Some(items) = schema.items() {
                for (index, value) in list.iter_mut().enumerate() {
                    let inner = Place {
                        path: format!("{}[{index}]", place.path),
                        field: place.field.clone(),
                        holder: place.holder,
                        typed,
                    };
                    visit(&items, value, &inner, unknown)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn scalar(schema: &Schema, value: &Value, place: &Place<'_>) -> Result<(), String> {
    let node = schema.node();
    if value.is_null() {
        return Ok(());
    }
    let fits = match node.ty {
        Type::Any => true,
        Type::Object => value.is_object(),
        Type::Array => value.is_array(),
        Type::Boolean => value.is_boolean(),
        Type::Number => value.is_number(),
        Type::Integer => match (node.format.as_str(), value.as_i64()) {
            ("int32", Some(n)) => i32::try_from(n).is_ok(),
            (_, n) => n.is_some(),
        },
        Type::String => value.is_string(),
        Type::IntOrString if node.format == "quantity" => return quantity(value),
        Type::IntOrString => {
            value.is_string() || value.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
        }
    };
    if !fits {
        return Err(mismatch(schema, value, place));
    }
    match (node.format.as_str(), value.as_str()) {
        ("date-time", Some(text)) => time(text),
        ("byte", Some(text)) => bytes(text),
        _ => Ok(()),
    }
}

/// In the words of Go's decoder.
fn mismatch(schema: &Schema, value: &Value, place: &Place<'_>) -> String {
    let found = match value {
        Value::Bool(_) => "bool".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
        Value::Number(n) if matches!(schema.node().ty, Type::Integer) => format!("number {n}"),
        _ => "number".to_owned(),
    };
    let wanted = go_type(schema);
    if place.holder.is_empty() {
        return format!("json: cannot unmarshal {found} into Go value of type {wanted}");
    }
    format!(
        "json: cannot unmarshal {found} into Go struct field {}.{} of type {wanted}",
        place.holder, place.field
    )
}

fn go_type(schema: &Schema) -> String {
    let node = schema.node();
    match node.ty {
        Type::Object if !node.name.is_empty() => node.name.clone(),
        Type::Object => match schema.field("") {
            Some(value) => format!("map[string]{}", go_type(&value)),
            None => "map[string]interface {}".into(),
        },
        Type::Array => match schema.items() {
            Some(items) => format!("[]{}", go_type(&items)),
            None => "[]interface {}".into(),
        },
        Type::String if node.format == "byte" => "[]uint8".into(),
        Type::String if node.format == "date-time" => "v1.Time".into(),
        Type::String => "string".into(),
        Type::Boolean => "bool".into(),
        Type::Integer if node.format == "int32" => "int32".into(),
        Type::Integer => "int64".into(),
        Type::Number => "float64".into(),
        Type::IntOrString if node.format == "quantity" => "resource.Quantity".into(),
        Type::IntOrString => "intstr.IntOrString".into(),
        Type::Any => "interface {}".into(),
    }
}

const BAD_QUANTITY: &str = "quantities must match the regular expression \
    '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

fn quantity(value: &Value) -> Result<(), String> {
    match value {
        Value::Number(_) => Ok(()),
        Value::String(text) if is_quantity(text) => Ok(()),
        _ => Err(BAD_QUANTITY.to_owned()),
    }
}

/// A signed decimal number with a binary or decimal suffix or an exponent.
fn is_quantity(text: &str) -> bool {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = number
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(number.len());
    let (digits, suffix) = number.split_at(end);
    let dots = digits.bytes().filter(|b| *b == b'.').count();
    if dots > 1 || digits.len() == dots {
        return false;
    }
    const SUFFIXES: &[&str] = &[
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let exponent = || {
        suffix
            .strip_prefix(['e', 'E'])
            .is_some_and(|e| e.parse::<i32>().is_ok())
    };
    SUFFIXES.contains(&suffix) || exponent()
}

fn time(text: &str) -> Result<(), String> {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(());
    }
    Err(format!(
        "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
    ))
}

fn bytes(text: &str) -> Result<(), String> {
    use base64::DecodeError;
    // Go's decoder passes over line breaks.
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match base64::engine::general_purpose::STANDARD.decode(&text) {
        Ok(_) => Ok(()),
        Err(DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _)) => {
            Err(format!("illegal base64 data at input byte {at}"))
        }
        Err(_) => Err(format!(
            "illegal base64 data at input byte {}",
            text.len() / 4 * 4
        )),
    }
}
