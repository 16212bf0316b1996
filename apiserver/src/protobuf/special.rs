//! What is something simpler in JSON than a message: times, quantities, raw JSON.

use super::decode;
use super::encode::{self, Unencodable};
use super::table::{Message, TABLE, Type};
use super::wire::{self, Field, Malformed, fields, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

/// Kubernetes writes no times before the year 0 or after 9999.
const YEARS: std::ops::RangeInclusive<i16> = 0..=9999;

/// Reads a message of a type that has no fields in JSON.
pub(super) fn read(ty: Type, bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    Ok(match ty {
        Type::Time => time(bytes, "%Y-%m-%dT%H:%M:%SZ")?,
        Type::MicroTime => time(bytes, "%Y-%m-%dT%H:%M:%S.%6fZ")?,
        Type::Quantity => match bytes_of(bytes, 1)? {
            Some(number) if !number.is_empty() => text(number).into(),
            _ => "0".into(),
        },
        Type::Json => match bytes_of(bytes, 1)? {
            Some(raw) if !raw.is_empty() => serde_json::from_slice(raw).map_err(|_| Malformed)?,
            _ => Value::Null,
        },
        Type::IntOrString => int_or_string(bytes)?,
        Type::Texts => texts(bytes, 1)?.into(),
        Type::SchemaOrArray | Type::SchemaOrTexts => {
            let many = match ty {
                Type::SchemaOrTexts => texts(bytes, 2)?,
                _ => schemas(bytes, 2, depth)?,
            };
            match (many.is_empty(), schemas(bytes, 1, depth)?.pop()) {
                (true, one) => one.unwrap_or_default(),
                (false, _) => many.into(),
            }
        }
        Type::SchemaOrBool => match schemas(bytes, 2, depth)?.pop() {
            Some(schema) => schema,
            None => flag(bytes)?.into(),
        },
        _ => return Err(Malformed),
    })
}

/// Writes a value of such a type as the content of a message.
pub(super) fn write(out: &mut Vec<u8>, ty: Type, value: &Value) -> Result<(), Unencodable> {
    match (ty, value) {
        (Type::Time | Type::MicroTime, Value::String(text)) => {
            let time: Timestamp = text.parse().map_err(|_| Unencodable::value(value))?;
            let nanos = time.as_nanosecond();
            let seconds = nanos.div_euclid(1_000_000_000) as i64;
            wire::put_number(out, 1, seconds as u64);
            // Of a second's parts `Time` has none, `MicroTime` those of JSON.
            let micros = nanos.rem_euclid(1_000_000_000) as u64 / 1_000;
            if ty == Type::MicroTime && micros > 0 {
                wire::put_number(out, 2, micros * 1_000);
            }
        }
        (Type::Quantity, Value::String(text)) => wire::put_bytes(out, 1, text.as_bytes()),
        (Type::Quantity, Value::Number(number)) => {
            wire::put_bytes(out, 1, number.to_string().as_bytes());
        }
        (Type::IntOrString, Value::String(text)) => {
            wire::put_number(out, 1, 1);
            wire::put_bytes(out, 3, text.as_bytes());
        }
        (Type::IntOrString, Value::Number(_)) => encode::field(out, 2, Type::Int, value)?,
        (Type::Json, Value::Null) => {}
        (Type::Json, value) => wire::put_bytes(out, 1, value.to_string().as_bytes()),
        (Type::Texts, Value::Array(items)) => encode::each(out, 1, Type::String, items)?,
        (Type::SchemaOrArray, Value::Array(items)) => encode::each(out, 2, schema(), items)?,
        (Type::SchemaOrTexts, Value::Array(items)) => encode::each(out, 2, Type::String, items)?,
        (Type::SchemaOrArray | Type::SchemaOrTexts, value) => {
            encode::field(out, 1, schema(), value)?;
        }
        (Type::SchemaOrBool, Value::Bool(allowed)) => {
            wire::put_number(out, 1, u64::from(*allowed));
        }
        (Type::SchemaOrBool, value) => {
            wire::put_number(out, 1, 1);
            encode::field(out, 2, schema(), value)?;
        }
        (_, value) => return Err(Unencodable::value(value)),
    }
    Ok(())
}

/// Bytes as JSON has them.
pub(super) fn base64(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

/// Bytes that JSON has as text.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// A definition's schemas hold schemas.
fn schema() -> Type {
    Type::Message(schema_message())
}

fn schema_message() -> Message {
    TABLE
        .named("apiextensions.v1.JSONSchemaProps")
        .expect("the table has it")
}

/// The bytes of a field that comes once.
fn bytes_of(bytes: &[u8], number: u64) -> Result<Option<&[u8]>, Malformed> {
    let mut found = None;
    for field in fields(bytes) {
        if let (of, Field::Bytes(content)) = field?
            && of == number
        {
            found = Some(content);
        }
    }
    Ok(found)
}

fn texts(bytes: &[u8], number: u64) -> Result<Vec<Value>, Malformed> {
    let mut items = Vec::new();
    for field in fields(bytes) {
        if let (of, Field::Bytes(item)) = field?
            && of == number
        {
            items.push(text(item).into());
        }
    }
    Ok(items)
}

fn schemas(bytes: &[u8], number: u64, depth: usize) -> Result<Vec<Value>, Malformed> {
    let mut items = Vec::new();
    for field in fields(bytes) {
        if let (of, Field::Bytes(item)) = field?
            && of == number
        {
            items.push(decode::read(schema_message(), item, depth + 1)?.into());
        }
    }
    Ok(items)
}

fn flag(bytes: &[u8]) -> Result<bool, Malformed> {
    let mut flag = false;
    for field in fields(bytes) {
        if let (1, Field::Number(number)) = field? {
            flag = number != 0;
        }
    }
    Ok(flag)
}

/// A time; the empty message is none.
fn time(bytes: &[u8], format: &str) -> Result<Value, Malformed> {
    let (mut seconds, mut nanos) = (0i64, 0i32);
    for field in fields(bytes) {
        match field? {
            (1, Field::Number(number)) => seconds = number as i64,
            (2, Field::Number(number)) => nanos = number as i32,
            _ => {}
        }
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let time = Timestamp::new(seconds, nanos).map_err(|_| Malformed)?;
    if !YEARS.contains(&time.to_zoned(jiff::tz::TimeZone::UTC).year()) {
        return Err(Malformed);
    }
    Ok(time.strftime(format).to_string().into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Malformed> {
    let (mut is_text, mut number, mut string) = (false, 0i64, String::new());
    for field in fields(bytes) {
        match field? {
            (1, Field::Number(kind)) => is_text = kind == 1,
            (2, Field::Number(value)) => number = value as i64,
            (3, Field::Bytes(value)) => string = text(value),
            _ => {}
        }
    }
    Ok(match is_text {
        true => string.into(),
        false => number.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is read, and that it is written the same.
    fn both(ty: Type, bytes: &[u8]) -> Value {
        let value = read(ty, bytes, 0).unwrap();
        let mut out = Vec::new();
        if !value.is_null() {
            write(&mut out, ty, &value).unwrap();
        }
        assert_eq!(out, bytes, "{value}");
        value
    }

    #[test]
    fn simple_in_json() {
        assert_eq!(both(Type::Time, &[8, 60]), "1970-01-01T00:01:00Z");
        assert_eq!(both(Type::Time, &[]), Value::Null);
        let micro = [8, 60, 16, 0x80, 0x89, 0x7a];
        assert_eq!(both(Type::MicroTime, &micro), "1970-01-01T00:01:00.002000Z");
        assert_eq!(both(Type::Quantity, b"\x0a\x04100m"), "100m");
        assert_eq!(both(Type::IntOrString, &[16, 80]), 80);
        assert_eq!(both(Type::IntOrString, b"\x08\x01\x1a\x0350%"), "50%");
        assert_eq!(both(Type::Json, b"\x0a\x07{\"a\":1}"), json!({"a": 1}));
        assert_eq!(both(Type::Texts, b"\x0a\x01x"), json!(["x"]));
        // Go writes what is zero, too.
        assert_eq!(read(Type::IntOrString, &[8, 0, 16, 80], 0).unwrap(), 80);
        assert_eq!(read(Type::Quantity, b"", 0).unwrap(), "0");
    }

    #[test]
    fn schemas_may_be_something_else() {
        let schema = json!({"type": "string"});
        let bytes = b"\x2a\x06string";
        let one = [&[0x0a, 8], &bytes[..]].concat();
        let second = [&[0x12, 8], &bytes[..]].concat();
        assert_eq!(both(Type::SchemaOrArray, &one), schema);
        assert_eq!(both(Type::SchemaOrArray, &second), json!([schema]));
        assert_eq!(both(Type::SchemaOrTexts, b"\x12\x01a"), json!(["a"]));
        assert_eq!(both(Type::SchemaOrBool, &[8, 1]), true);
        assert_eq!(both(Type::SchemaOrBool, &[8, 0]), false);
        let allowed = [&[8, 1], &second[..]].concat();
        assert_eq!(both(Type::SchemaOrBool, &allowed), schema);
    }

    #[test]
    fn times_are_those_that_json_has() {
        let distant = [&[8], &[0xff; 9][..], &[1]].concat();
        assert_eq!(
            read(Type::Time, &distant, 0).unwrap(),
            "1969-12-31T23:59:59Z"
        );
        // Seconds before the year 0, and after 9999.
        for seconds in [-62_167_219_201_i64, 253_402_300_800] {
            let mut bytes = Vec::new();
            wire::put_number(&mut bytes, 1, seconds as u64);
            assert_eq!(read(Type::Time, &bytes, 0), Err(Malformed));
        }
        let mut out = Vec::new();
        let early = json!("1969-12-31T23:59:59.5Z");
        write(&mut out, Type::MicroTime, &early).unwrap();
        assert_eq!(
            read(Type::MicroTime, &out, 0).unwrap(),
            "1969-12-31T23:59:59.500000Z"
        );
        assert!(write(&mut out, Type::Time, &json!("yesterday")).is_err());
    }
}
