//! Values as JSON, for what expressions make that is to be stored.

use super::{Key, Value};
use crate::Error;
use crate::standard::{duration_text, timestamp_text};
use base64::Engine;
use serde_json::{Map as JsonMap, Value as Json};

impl Value<'_> {
    /// The value as JSON: points in time and lengths of time as text, bytes as base64, and
    /// objects by the names of their fields.
    ///
    /// # Errors
    ///
    /// It, or a part of it, has no form in JSON.
    pub fn to_json(&self) -> Result<Json, Error> {
        Ok(match self {
            Self::Null | Self::Optional(None) => Json::Null,
            Self::Bool(truth) => (*truth).into(),
            Self::Int(number) => (*number).into(),
            Self::Uint(number) => (*number).into(),
            Self::Double(number) => match serde_json::Number::from_f64(*number) {
                Some(number) => number.into(),
                None => return Err(no_json(self)),
            },
            Self::String(text) => Json::String(text.to_string()),
            Self::Bytes(bytes) => base64::engine::general_purpose::STANDARD
                .encode(bytes)
                .into(),
            Self::Timestamp(time) => timestamp_text(*time).into(),
            Self::Duration(duration) => duration_text(*duration).into(),
            Self::List(list) => {
                let items = list.iter().map(|item| item?.to_json());
                Json::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Map(map) => {
                let mut fields = JsonMap::new();
                for (key, value) in map.entries()? {
                    let Key::String(name) = key else {
                        return Err(no_json(self));
                    };
                    fields.insert(name.to_string(), value.to_json()?);
                }
                Json::Object(fields)
            }
            Self::Struct(object) => {
                let fields = object.fields.iter();
                let fields = fields.map(|(name, value)| Ok((name.clone(), value.to_json()?)));
                Json::Object(fields.collect::<Result<_, Error>>()?)
            }
            Self::Optional(Some(value)) => value.to_json()?,
            Self::Type(_) | Self::Opaque(_) => return Err(no_json(self)),
        })
    }
}

fn no_json(value: &Value<'_>) -> Error {
    let kind = value.type_of();
    Error::function(format!(
        "type conversion error from '{kind}' to 'google.protobuf.Value'"
    ))
}
