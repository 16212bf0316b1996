//! The envelope of an object, read off its JSON.

use crate::api::Object;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Identity {
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    #[serde(deserialize_with = "text")]
    namespace: String,
    #[serde(deserialize_with = "text")]
    name: String,
    #[serde(deserialize_with = "text")]
    uid: String,
    #[serde(deserialize_with = "text")]
    resource_version: String,
}

/// Anything but a text is none: the other fields count all the same.
fn text<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::String(text) => text,
        _ => String::new(),
    })
}

impl Object {
    /// An object in its envelope; what its JSON doesn't say stays empty.
    pub fn of_json(json: Bytes) -> Self {
        let identity: Identity = serde_json::from_slice(&json).unwrap_or_default();
        let metadata = identity.metadata;
        Self {
            json,
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            resource_version: metadata.resource_version.parse().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_tell_who_the_object_is() {
        let json =
            r#"{"metadata":{"name":"a","namespace":"b","uid":"c","resourceVersion":"7"},"x":1}"#;
        let object = Object::of_json(Bytes::from(json));
        assert_eq!(
            (object.name.as_str(), object.namespace.as_str()),
            ("a", "b")
        );
        assert_eq!((object.uid.as_str(), object.resource_version), ("c", 7));
        assert_eq!(object.json, json);
        let list = Object::of_json(Bytes::from_static(b"[]"));
        assert_eq!(list.resource_version, 0);
        let odd = r#"{"metadata":{"name":5,"namespace":null,"uid":"c"}}"#;
        assert_eq!(Object::of_json(Bytes::from(odd)).uid, "c");
    }
}
