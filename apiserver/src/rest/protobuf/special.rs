//! Messages that are something simpler in JSON: times, quantities, raw JSON.

use super::wire::{Field, Malformed, fields, text};
use base64::Engine;
use jiff::Timestamp;
use serde_json::Value;

/// Reads a message that JSON has no object for; `None` for any other.
pub(super) fn read(message: &str, bytes: &[u8]) -> Result<Option<Value>, Malformed> {
    Ok(Some(match message {
        "meta.v1.Time" | "meta.v1.Timestamp" => time(bytes, "%Y-%m-%dT%H:%M:%SZ")?,
        "meta.v1.MicroTime" => time(bytes, "%Y-%m-%dT%H:%M:%S.%6fZ")?,
        "resource.Quantity" => first_bytes(bytes)?.map_or(Value::Null, |b| text(b).into()),
        "meta.v1.FieldsV1" | "runtime.RawExtension" => match first_bytes(bytes)? {
            Some(raw) => serde_json::from_slice(raw).map_err(|_| Malformed)?,
            None => Value::Null,
        },
        "util.intstr.IntOrString" => int_or_string(bytes)?,
        _ if message.ends_with(".ExtraValue") || message == "meta.v1.Verbs" => {
            let mut items = Vec::new();
            for field in fields(bytes) {
                if let (1, Field::Bytes(item)) = field? {
                    items.push(Value::from(text(item)));
                }
            }
            items.into()
        }
        _ => return Ok(None),
    }))
}

/// Bytes as JSON has them.
pub(super) fn base64(bytes: &[u8]) -> Value {
    base64::engine::general_purpose::STANDARD
        .encode(bytes)
        .into()
}

fn first_bytes(bytes: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    for field in fields(bytes) {
        if let (1, Field::Bytes(found)) = field? {
            return Ok(Some(found));
        }
    }
    Ok(None)
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
    Ok(if is_text {
        string.into()
    } else {
        number.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn simple_in_json() {
        let read = |message: &str, bytes: &[u8]| read(message, bytes).unwrap().unwrap();
        assert_eq!(read("meta.v1.Time", &[8, 60]), "1970-01-01T00:01:00Z");
        assert_eq!(read("meta.v1.Time", &[]), Value::Null);
        assert_eq!(read("resource.Quantity", b"\x0a\x04100m"), "100m");
        assert_eq!(read("util.intstr.IntOrString", &[8, 0, 16, 80]), 80);
        assert_eq!(
            read("util.intstr.IntOrString", b"\x08\x01\x1a\x0350%"),
            "50%"
        );
        assert_eq!(
            read("meta.v1.FieldsV1", b"\x0a\x07{\"a\":1}"),
            json!({"a": 1})
        );
        assert_eq!(
            read("authorization.v1.ExtraValue", b"\x0a\x01x"),
            json!(["x"])
        );
        assert!(super::read("core.v1.Pod", b"").unwrap().is_none());
    }
}
