//! Objects and events as messages.

use crate::cache::{Change, Entry};
use crate::pipeline::{Target, WatchItem, bookmark, present};
use bytes::Bytes;
use hardway_proto::api;

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
                None => api::Object::of_json(json),
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
