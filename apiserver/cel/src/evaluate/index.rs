//! Fields, elements and entries of values.

use super::Outcome;
use crate::error::Error;
use crate::value::{Key, Value};

/// What is found in a value; `None` if it has no such key.
fn find<'a>(operand: &Value<'a>, key: &Key<'a>) -> Result<Option<Value<'a>>, Error> {
    match (operand, key) {
        (Value::Map(map), key) => map.get(key),
        (Value::Struct(object), Key::String(name)) => Ok(object.fields.get(&**name).cloned()),
        _ => Ok(None),
    }
}

fn missing(key: &Key) -> Error {
    Error::NoSuchKey(match key {
        Key::Bool(truth) => truth.to_string(),
        Key::Int(number) => number.to_string(),
        Key::Uint(number) => number.to_string(),
        Key::String(text) => text.to_string(),
    })
}

/// `operand.field`; of an optional operand what it has, or none.
pub(super) fn select<'a>(operand: &Value<'a>, field: &Key<'a>) -> Outcome<'a> {
    match operand {
        Value::Optional(None) => Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => find(inner, field).map(Value::optional),
        operand => find(operand, field)?.ok_or_else(|| missing(field)),
    }
}

/// `has(operand.field)`.
pub(super) fn has<'a>(operand: &Value<'a>, field: &Key<'a>) -> Result<bool, Error> {
    let operand = match operand {
        Value::Optional(None) => return Ok(false),
        Value::Optional(Some(inner)) => inner,
        operand => operand,
    };
    Ok(find(operand, field)?.is_some())
}

/// `operand[index]`.
pub(super) fn index<'a>(operand: &Value<'a>, index: &Value<'a>) -> Outcome<'a> {
    match operand {
        Value::Optional(None) => Ok(Value::Optional(None)),
        Value::Optional(Some(_)) => optional(operand, index),
        Value::List(list) => {
            let place = place(index)?;
            let found = usize::try_from(place).ok().map(|place| list.get(place));
            let found = found.transpose()?.flatten();
            found.ok_or(Error::IndexOutOfBounds(place))
        }
        Value::Map(_) | Value::Struct(_) => {
            let key = Key::of(index).ok_or(Error::NoSuchOverload)?;
            find(operand, &key)?.ok_or_else(|| missing(&key))
        }
        _ => Err(Error::NoSuchOverload),
    }
}

/// `operand[?index]`: what is there, or none.
pub(super) fn optional<'a>(operand: &Value<'a>, at: &Value<'a>) -> Outcome<'a> {
    let operand = match operand {
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => inner,
        operand => operand,
    };
    match index(operand, at) {
        Ok(found) => Ok(Value::optional(Some(found))),
        Err(Error::NoSuchKey(_) | Error::IndexOutOfBounds(_)) => Ok(Value::Optional(None)),
        Err(error) => Err(error),
    }
}

/// The place in a list that a number of any type says.
fn place(index: &Value) -> Result<i64, Error> {
    match Key::of(index) {
        Some(Key::Int(place)) => Ok(place),
        Some(Key::Uint(place)) => {
            i64::try_from(place).map_err(|_| Error::IndexOutOfBounds(i64::MAX))
        }
        _ => Err(Error::function(match index {
            Value::Double(number) => format!("unsupported index value {number} in list"),
            other => format!(
                "unsupported index type '{}' in list",
                other.type_of().name()
            ),
        })),
    }
}
