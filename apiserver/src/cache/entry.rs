//! One cached object: its bytes and the little that selectors need.

use super::row::KeptRow;
use crate::pipeline::metadata;
use crate::protobuf::{self, Encoded, Unencodable};
use crate::store::splice::{self, Versioned};
use crate::store::{StoreError, Stored, Written};
use bytes::Bytes;
use hardway_proto::quota::Counted;
use hardway_resources::resource::{Printer, Resource};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// A cached object.
#[derive(Debug)]
pub struct Entry {
    /// `namespace/name`, or the name alone.
    pub key: String,
    /// The final JSON, resource version included.
    json: Versioned,
    /// Revision of its last change.
    pub revision: i64,
    /// Its UID.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it has in the fields that its kind can be selected by, in their order.
    pub fields: Box<[String]>,
    /// The object in protobuf, once somebody asks for it.
    encoded: OnceLock<Box<Result<Encoded, Unencodable>>>,
    row: KeptRow,
    /// What quotas see of it, once somebody counts it.
    counted: OnceLock<Arc<Counted>>,
}

impl Entry {
    /// Reads what etcd has, and shows it to `look` while it is parsed. It fails
    /// if that is no object.
    pub fn read(
        resource: &Resource,
        key: &str,
        stored: &Stored,
        look: impl FnOnce(&Value),
    ) -> Result<Self, StoreError> {
        let mut value = stored.object()?;
        // A version is etcd's to say; somebody else has written one.
        let version = metadata::of(&mut value).remove("resourceVersion");
        let changed = resource.rules.default_stored(&mut value) || version.is_some();
        let json = match changed {
            false => Versioned::new(&stored.value, stored.revision),
            true => Versioned::new(&splice::encode(&value), stored.revision),
        };
        let json = json.ok_or_else(|| StoreError::Malformed {
            key: stored.key.clone(),
            reason: "it has no metadata".to_owned(),
        })?;
        look(&value);
        Ok(Self::new(resource, key, &value, json, stored.revision))
    }

    /// What this apiserver has written itself; `None` if it has no metadata.
    pub fn written(
        resource: &Resource,
        key: &str,
        written: &Written,
        revision: i64,
    ) -> Option<Self> {
        let json = Versioned::new(&written.json, revision)?;
        Some(Self::new(resource, key, &written.object, json, revision))
    }

    fn new(resource: &Resource, key: &str, value: &Value, json: Versioned, revision: i64) -> Self {
        let metadata = &value["metadata"];
        let labels = metadata["labels"].as_object().into_iter().flatten();
        Self {
            key: key.to_owned(),
            json,
            revision,
            uid: metadata["uid"].as_str().unwrap_or_default().to_owned(),
            labels: labels
                .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            fields: resource.rules.selectable_values(value).into(),
            encoded: OnceLock::new(),
            row: KeptRow::default(),
            counted: OnceLock::new(),
        }
    }

    /// The same at the same revision, as another version has it; `None` if that has no
    /// metadata.
    pub fn as_another_version(&self, resource: &Resource, value: &Value) -> Option<Self> {
        let json = Versioned::new(&splice::encode(value), self.revision)?;
        Some(Self::new(resource, &self.key, value, json, self.revision))
    }

    /// Whether it is an object of this `apiVersion`.
    pub fn is_in(&self, api_version: &str) -> bool {
        splice::api_version(self.bytes()) == Some(api_version)
    }

    /// The final JSON.
    pub fn bytes(&self) -> &Bytes {
        &self.json.bytes
    }

    /// The JSON as it is sent when the object goes: at the revision of that.
    pub fn bytes_at(&self, revision: i64) -> Bytes {
        self.json.at_revision(revision)
    }

    /// The object in protobuf, written once for all who ask.
    ///
    /// # Errors
    /// If its kind has no message, or it is not as the kind's schema says.
    pub fn encoded(&self) -> Result<&Encoded, &Unencodable> {
        let encode = || {
            let encoded = Encoded::from_json(self.bytes());
            Box::new(encoded.inspect_err(|error| tracing::warn!(key = self.key, %error)))
        };
        self.encoded.get_or_init(encode).as_ref().as_ref()
    }

    /// Writes the cells of its row in a Table, as they are at a time.
    ///
    /// # Errors
    /// If it is no object.
    pub fn write_cells(
        &self,
        out: &mut Vec<u8>,
        printer: &Arc<dyn Printer>,
        now: Timestamp,
    ) -> serde_json::Result<()> {
        self.row.write(out, printer, self.bytes(), now)
    }

    /// What quotas see of the object, which is of this resource; found out once.
    pub fn counted(&self, group: &str, resource: &str) -> Arc<Counted> {
        let count = || Arc::new(Counted::of(group, resource, &self.value()));
        self.counted.get_or_init(count).clone()
    }

    /// The object, parsed.
    pub fn value(&self) -> Value {
        serde_json::from_slice(self.bytes()).unwrap_or_default()
    }

    /// Its namespace, or `""`.
    pub fn namespace(&self) -> &str {
        self.key
            .split_once('/')
            .map_or("", |(namespace, _)| namespace)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.key.split_once('/').map_or(&self.key, |(_, name)| name)
    }
}

/// What a watcher is told about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It appeared (among those selected).
    Added,
    /// It changed.
    Modified,
    /// It is gone (from those selected).
    Deleted,
}

impl Change {
    /// As watch events name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One change of one object, shared by all who watch it.
#[derive(Debug)]
pub struct Event {
    /// The revision it happened at.
    pub revision: i64,
    /// The object afterwards; `None` if it is gone.
    pub entry: Option<Arc<Entry>>,
    /// The object before; `None` if it is new.
    pub previous: Option<Arc<Entry>>,
    /// When it was seen.
    pub seen: std::time::Instant,
    /// What it costs to keep.
    size: usize,
    encoded: OnceLock<Box<EncodedFrames>>,
}

/// The frames of an event in protobuf, by change.
type EncodedFrames = [OnceLock<Result<Bytes, Unencodable>>; 3];

impl Event {
    pub(super) fn new(
        revision: i64,
        entry: Option<Arc<Entry>>,
        previous: Option<Arc<Entry>>,
    ) -> Self {
        let kept = previous.as_ref();
        let kept = kept.map_or(0, |entry| entry.bytes().len() + entry.row.size());
        Self {
            revision,
            entry,
            previous,
            seen: std::time::Instant::now(),
            size: kept + 256,
            encoded: OnceLock::new(),
        }
    }

    /// The same change of the object as another version has it.
    pub fn showing(&self, entry: Option<Arc<Entry>>, previous: Option<Arc<Entry>>) -> Self {
        Self {
            seen: self.seen,
            ..Self::new(self.revision, entry, previous)
        }
    }

    /// What it is to somebody who sees only objects for which `matches` holds.
    pub fn change(&self, matches: impl Fn(&Entry) -> bool) -> Option<Change> {
        let before = self.previous.as_deref().is_some_and(&matches);
        let after = self.entry.as_deref().is_some_and(&matches);
        match (before, after) {
            (false, true) => Some(Change::Added),
            (true, true) => Some(Change::Modified),
            (true, false) => Some(Change::Deleted),
            (false, false) => None,
        }
    }

    /// The object to send with that change.
    pub fn object(&self, change: Change) -> Bytes {
        match (change, &self.entry, &self.previous) {
            (Change::Deleted, _, Some(previous)) => previous.bytes_at(self.revision),
            (_, Some(entry), _) | (_, None, Some(entry)) => entry.bytes().clone(),
            (_, None, None) => Bytes::new(),
        }
    }

    /// The line of a JSON watch. Whoever sends it copies it once: to keep it would double what
    /// the history takes.
    pub fn frame(&self, change: Change) -> Bytes {
        frame(change.as_str(), &self.object(change))
    }

    /// The frame of a watch in protobuf, made once for all watchers.
    ///
    /// # Errors
    /// If its kind has no message, or it is not as the kind's schema says.
    pub fn encoded_frame(&self, change: Change) -> Result<Bytes, Unencodable> {
        let frames = self.encoded.get_or_init(Box::default);
        frames[change as usize]
            .get_or_init(|| {
                let fresh;
                let encoded = match (change, &self.entry) {
                    (Change::Added | Change::Modified, Some(entry)) => {
                        entry.encoded().map_err(Clone::clone)?
                    }
                    _ => {
                        fresh = Encoded::from_json(&self.object(change))?;
                        &fresh
                    }
                };
                Ok(protobuf::watch_event(change.as_str(), encoded))
            })
            .clone()
    }

    /// What it costs to keep.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

/// One line of a JSON watch.
pub fn frame(kind: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + 40);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_resources::Registry;

    fn entry(revision: i64) -> Arc<Entry> {
        let maps = Registry::new().resource("", "configmaps").unwrap();
        let object =
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"d"}}"#;
        let stored = Stored {
            key: "configmaps/d/a".into(),
            value: object.into(),
            revision,
            stale: false,
        };
        Arc::new(Entry::read(&maps, "d/a", &stored, |_| {}).unwrap())
    }

    #[test]
    fn an_object_is_looked_into_once_for_all_who_count_it() {
        let map = entry(70);
        let counted = map.counted("", "configmaps");
        assert!(Arc::ptr_eq(&counted, &map.counted("", "configmaps")));
        let amount = counted.amount("configmaps", Timestamp::now());
        assert_eq!(amount.unwrap().to_string(), "1");
    }

    #[test]
    fn what_was_written_is_what_would_be_read() {
        let objects = [
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"d","uid":"u",
                "resourceVersion":"5","labels":{"app":"web","tier":"front"},
                "managedFields":[{"manager":"m"}]},
                "spec":{"nodeName":"n","containers":[{"name":"c"}]},"status":{"phase":"Running"}}"#,
            r#"{"kind":"Secret","metadata":{"namespace":"d","name":"a"},"type":"Opaque",
                "data":{"a":"\u00e9\n"}}"#,
            r#"{"metadata":{}}"#,
        ];
        for (plural, object) in ["pods", "secrets", "configmaps"].into_iter().zip(objects) {
            let row = Registry::new().resource("", plural).unwrap();
            let object: Arc<Value> = Arc::new(serde_json::from_str(object).unwrap());
            let json = Bytes::from(splice::encode(&object));
            let stored = Stored {
                key: format!("{plural}/d/a"),
                value: json.clone(),
                revision: 71,
                stale: false,
            };
            let written = Written {
                sealed: json.clone(),
                json,
                object,
            };
            let read = Entry::read(&row, "d/a", &stored, |_| {}).unwrap();
            let known = Entry::written(&row, "d/a", &written, 71).unwrap();
            assert_eq!(format!("{known:?}"), format!("{read:?}"));
        }
    }

    fn has(bytes: &[u8], revision: &str) -> bool {
        let version = [&[0x32, revision.len() as u8], revision.as_bytes()].concat();
        bytes.windows(version.len()).any(|part| part == version)
    }

    #[test]
    fn an_object_is_encoded_once_and_when_somebody_asks() {
        let (before, after) = (entry(70), entry(71));
        let changed = Event::new(71, Some(after.clone()), Some(before.clone()));
        changed.frame(Change::Modified);
        assert!(changed.encoded.get().is_none() && after.encoded.get().is_none());

        let encoded = after.encoded().unwrap().bytes();
        assert_eq!(encoded.as_ptr(), after.encoded().unwrap().bytes().as_ptr());
        let frame = changed.encoded_frame(Change::Modified).unwrap();
        let again = changed.encoded_frame(Change::Modified).unwrap();
        assert_eq!(frame.as_ptr(), again.as_ptr());
        assert!(has(encoded, "71") && has(&frame, "71"));

        // Gone, it is told at the revision of that.
        let gone = Event::new(72, None, Some(after));
        let frame = gone.encoded_frame(Change::Deleted).unwrap();
        assert!(has(&frame, "72") && !has(&frame, "71"));
    }
}
