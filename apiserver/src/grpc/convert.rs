//! Objects and events as messages.

use crate::cache::{Change, Entry};
use crate::pipeline::{Target, WatchItem, bookmark, present};
use bytes::Bytes;
use hardway_proto::api;
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

/// An object in its envelope, which is read off its JSON.
pub(super) fn object_of(json: Bytes) -> api::Object {
    let identity: Identity = serde_json::from_slice(&json).unwrap_or_default();
    let metadata = identity.metadata;
    api::Object {
        json,
        namespace: metadata.namespace,
        name: metadata.name,
        uid: metadata.uid,
        resource_version: metadata.resource_version.parse().unwrap_or_default(),
    }
}

/// A cached object in its envelope.
pub(super) fn to_object(entry: &Entry, json: Bytes, revision: i64) -> api::Object {
    api::Object {
        json,
        namespace: entry.namespace().to_owned(),
        name: entry.name().to_owned(),
        uid: entry.uid.clone(),
        resource_version: revision,
    }
}

/// What a watch tells, as a message.
pub(super) fn event(target: &Target, item: WatchItem) -> api::WatchEvent {
    let (kind, object, end) = match item {
        WatchItem::Initial(entry) => {
            let json = present::serve(target, entry.bytes());
            let object = to_object(&entry, json, entry.revision);
            (api::EventType::Added, object, false)
        }
        WatchItem::Change(change, event) => {
            let json = present::serve(target, &event.object(change));
            let entry = match change {
                Change::Deleted => event.previous.as_ref(),
                _ => event.entry.as_ref(),
            };
            let kind = match change {
                Change::Added => api::EventType::Added,
                Change::Modified => api::EventType::Modified,
                Change::Deleted => api::EventType::Deleted,
            };
            let object = match entry {
                Some(entry) => to_object(entry, json, event.revision),
                None => object_of(json),
            };
            (kind, object, false)
        }
        WatchItem::Bookmark {
            revision,
            initial_end,
        } => {
            let object = api::Object {
                json: present::to_bytes(&bookmark(target, revision, initial_end)),
                resource_version: revision,
                ..api::Object::default()
            };
            (api::EventType::Bookmark, object, initial_end)
        }
        WatchItem::Error(status) => {
            let object = api::Object {
                json: serde_json::to_vec(&status).unwrap_or_default().into(),
                ..api::Object::default()
            };
            (api::EventType::Error, object, false)
        }
    };
    api::WatchEvent {
        r#type: kind.into(),
        object: Some(object),
        initial_events_end: end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_tell_who_the_object_is() {
        let json =
            r#"{"metadata":{"name":"a","namespace":"b","uid":"c","resourceVersion":"7"},"x":1}"#;
        let object = object_of(Bytes::from(json));
        assert_eq!(
            (object.name.as_str(), object.namespace.as_str()),
            ("a", "b")
        );
        assert_eq!((object.uid.as_str(), object.resource_version), ("c", 7));
        assert_eq!(object.json, json);
        assert_eq!(object_of(Bytes::from_static(b"[]")).resource_version, 0);
        let odd = r#"{"metadata":{"name":5,"namespace":null,"uid":"c"}}"#;
        assert_eq!(object_of(Bytes::from(odd)).uid, "c");
    }
}
