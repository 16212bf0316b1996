//! Values of what objects hold: by their schema, or as JSON has them.

use super::{List, Map, Value};
use crate::Error;
use crate::schema::{Form, Format, Schema};
use crate::standard::{parse_duration, parse_timestamp};
use base64::Engine;
use serde_json::Value as Json;

impl<'a> Value<'a> {
    /// The value of JSON without a schema: whole numbers are `int`s.
    pub fn of_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Self::Int(number),
                (_, Some(number)) => Self::Uint(number),
                _ => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::string(text.as_str()),
            Json::Array(items) => Self::List(List::of_json(items, None)),
            Json::Object(fields) => Self::Map(Map::of_json(fields, None)),
        }
    }

    /// The value of JSON with a schema.
    ///
    /// # Errors
    ///
    /// The JSON is not of the schema, in Kubernetes' words.
    pub fn of_schema(json: &'a Json, schema: &'a Schema) -> Result<Self, Error> {
        let invalid = |words: &str| Err(Error::function(format!("invalid data, {words}")));
        if json.is_null() {
            return match schema.nullable {
                true => Ok(Self::Null),
                false => invalid("got null for schema with nullable=false"),
            };
        }
        match &schema.form {
            Form::IntOrString => match json {
                Json::String(text) => Ok(Self::string(text.as_str())),
                Json::Number(number) if number.is_i64() => Ok(Self::of_json(json)),
                _ => invalid("expected XIntOrString value to be either a string or integer"),
            },
            Form::Object { .. } | Form::Map(_) => match json {
                Json::Object(fields) => Ok(Self::Map(Map::of_json(fields, Some(schema)))),
                _ => invalid("expected a map for the provided schema with type=object"),
            },
            Form::List { .. } => match json {
                Json::Array(items) => Ok(Self::List(List::of_json(items, Some(schema)))),
                _ => invalid("expected an array for the provided schema with type=array"),
            },
            Form::String(format) => match json {
                Json::String(text) => of_text(text, *format),
                other => invalid(&format!("expected string, got {}", go_type(other))),
            },
            Form::Double => match json.as_f64() {
                Some(number) => Ok(Self::Double(number)),
                None => invalid(&format!("expected float, got {}", go_type(json))),
            },
            // 1.0 is an integer to a schema.
            Form::Int => match (json.as_i64(), json.as_f64()) {
                (Some(number), _) => Ok(Self::Int(number)),
                (None, Some(number)) if number.fract() == 0.0 => Ok(Self::Int(number as i64)),
                _ => invalid(&format!("expected int, got {}", go_type(json))),
            },
            Form::Bool => match json {
                Json::Bool(truth) => Ok(Self::Bool(*truth)),
                other => invalid(&format!("expected bool, got {}", go_type(other))),
            },
        }
    }
}

/// Go's name for what JSON becomes.
fn go_type(json: &Json) -> &'static str {
    match json {
        Json::Null => "<nil>",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float64",
        Json::Number(_) => "int64",
        Json::String(_) => "string",
        Json::Array(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
    }
}

fn of_text(text: &str, format: Format) -> Result<Value<'_>, Error> {
    let invalid =
        |what: &str, why: String| Err(Error::function(format!("Invalid {what} {text}: {why}")));
    match format {
        Format::None => Ok(Value::string(text)),
        Format::Byte => match base64::engine::general_purpose::STANDARD.decode(text) {
            Ok(bytes) => Ok(Value::Bytes(bytes.into())),
            Err(error) => invalid("byte formatted string", error.to_string()),
        },
        Format::Duration => match parse_duration(text) {
            Ok(duration) => Ok(Value::Duration(duration)),
            Err(error) => invalid("duration", error.to_string()),
        },
        Format::DateTime => match parse_timestamp(text) {
            Ok(time) => Ok(Value::Timestamp(time)),
            Err(error) => invalid("date-time formatted string", error.to_string()),
        },
        Format::Date => match parse_timestamp(&format!("{text}T00:00:00Z")) {
            Ok(time) => Ok(Value::Timestamp(time)),
            Err(error) => invalid("date formatted string", error.to_string()),
        },
    }
}
