//! Messages read into JSON.

use super::table::{Message, Row, Shape, TABLE, Type};
use super::wire::{self, Field, Malformed, fields};
use super::{MAX_DEPTH, special};
use serde_json::{Map, Value};

/// Reads a message.
pub(super) fn read(
    message: Message,
    bytes: &[u8],
    depth: usize,
) -> Result<Map<String, Value>, Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed);
    }
    let rows = TABLE.rows(message);
    let mut object = Map::new();
    for field in fields(bytes) {
        let (number, field) = field?;
        let Some(row) = rows.iter().find(|row| u64::from(row.number) == number) else {
            continue;
        };
        match row.shape {
            Shape::Inline => {
                if let Value::Object(inner) = one(row.ty, &field, depth)? {
                    object.extend(inner);
                }
            }
            Shape::Value | Shape::Pointer => {
                let value = one(row.ty, &field, depth)?;
                if !is_none(row, &value) {
                    object.insert(row.name.into(), value);
                }
            }
            Shape::List => {
                let list = object
                    .entry(row.name)
                    .or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(one(row.ty, &field, depth)?);
                }
            }
            Shape::Map => {
                let (key, value) = entry(row.ty, &field, depth)?;
                let map = object
                    .entry(row.name)
                    .or_insert_with(|| Value::Object(Map::new()));
                map[key] = value;
            }
        }
    }
    Ok(object)
}

pub(super) fn one(ty: Type, field: &Field<'_>, depth: usize) -> Result<Value, Malformed> {
    Ok(match (ty, field) {
        (Type::Int, Field::Number(number)) => (*number as i64).into(),
        (Type::Bool, Field::Number(number)) => (*number != 0).into(),
        (Type::Double, Field::Fixed64(bits)) => f64::from_bits(*bits).into(),
        (Type::String, Field::Bytes(bytes)) => wire::text(bytes).into(),
        (Type::Bytes, Field::Bytes(bytes)) => special::base64(bytes),
        (Type::Message(message), Field::Bytes(bytes)) => read(message, bytes, depth + 1)?.into(),
        (_, Field::Bytes(bytes)) => special::read(ty, bytes, depth)?,
        _ => return Err(Malformed),
    })
}

/// Key and value of a map's entry; protobuf leaves out what is zero.
fn entry(ty: Type, field: &Field<'_>, depth: usize) -> Result<(String, Value), Malformed> {
    let Field::Bytes(bytes) = field else {
        return Err(Malformed);
    };
    let mut key = String::new();
    let mut value = match ty {
        Type::Int => 0.into(),
        Type::Bool => false.into(),
        Type::String | Type::Bytes => "".into(),
        Type::Quantity => "0".into(),
        Type::Texts => Value::Array(Vec::new()),
        Type::Message(_) => Value::Object(Map::new()),
        _ => Value::Null,
    };
    for field in fields(bytes) {
        match field? {
            (1, Field::Bytes(text)) => key = wire::text(text),
            (2, field) => value = one(ty, &field, depth)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Whether a field says no more than its absence would: Go writes what is zero, too.
fn is_none(row: &Row, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => row.shape == Shape::Value && !flag,
        Value::String(text) => row.shape == Shape::Value && text.is_empty(),
        Value::Number(number) => row.shape == Shape::Value && number.as_f64() == Some(0.0),
        _ => false,
    }
}
