//! Single objects, failures and watches as HTTP responses.

use super::body::{self, Body};
use super::negotiate::{Form, Media, MetaVersion, Shape};
use super::partial;
use crate::background;
use crate::cache::entry;
use crate::metrics;
use crate::pipeline::{Object, Target, Watch, WatchItem, bookmark, present};
use crate::protobuf::{self, Encoded, Unencodable};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use hardway_proto::Status;
use hardway_resources::printers;
use hardway_resources::resource::Printer;
use hardway_resources::rows::{Handler, Part};
use hardway_resources::table::{self, Include};
use http::{Response, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// How the client wants an answer.
#[derive(Clone, Copy)]
pub struct Representation {
    /// Form and shape.
    pub form: Form,
    /// What rows of tables carry.
    pub include: Include,
    /// Whether it takes gzip.
    pub gzip: bool,
}

/// An error, always as a plain Status.
pub fn failure(status: &Status, form: Form) -> Response<Body> {
    let bytes = serde_json::to_vec(status).unwrap_or_default();
    let mut response = body::json(status.code, bytes.into(), form, false);
    let retry = status
        .details
        .as_ref()
        .map_or(0, |details| details.retry_after_seconds);
    if retry > 0 {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, retry.into());
    }
    response
}

/// One object.
pub async fn object(target: &Target, object: Object, wanted: Representation) -> Response<Body> {
    let code = if object.created { 201 } else { 200 };
    if object.json.len() < background::FROM || as_it_is(wanted) && !wanted.gzip {
        return written(target, &object, code, wanted);
    }
    let target = target.clone();
    background::compute(move || written(&target, &object, code, wanted)).await
}

/// Whether the client takes the bytes that are kept.
pub(super) fn as_it_is(wanted: Representation) -> bool {
    let form = wanted.form;
    form.shape == Shape::Object && form.media == Media::Json && !form.pretty
}

/// Whether the client takes what is kept in protobuf.
fn as_encoded(wanted: Representation) -> bool {
    wanted.form.shape == Shape::Object && wanted.form.media == Media::Protobuf
}

fn written(target: &Target, object: &Object, code: u16, wanted: Representation) -> Response<Body> {
    if as_encoded(wanted)
        && let Some(entry) = &object.cached
        && let Ok(encoded) = entry.encoded()
    {
        let bytes = encoded.bytes().clone();
        return body::whole(code, bytes, protobuf::MEDIA_TYPE, wanted.gzip);
    }
    let reshaped = match wanted.form.shape {
        Shape::Object => None,
        shape => reshape_one(target, &object.json, shape, wanted.include),
    };
    match reshaped {
        Some(value) => {
            let value = of_version(value, wanted.form.meta_version);
            body::value(code, &value, wanted.form, wanted.gzip)
        }
        None => body::json(code, object.json.clone(), wanted.form, wanted.gzip),
    }
}

/// A Scale is shown by many resources, and is none of their kinds.
static SCALE: LazyLock<Arc<dyn Printer>> =
    LazyLock::new(|| printers::for_kind("autoscaling", "v1", "Scale"));

/// An object in another shape; `None` for what has none.
fn reshape_one(target: &Target, json: &[u8], shape: Shape, include: Include) -> Option<Value> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let kind = value["kind"].as_str()?;
    // Lists made on the spot: of what isn't stored, or was deleted.
    let is_list = kind == target.resource.list_kind;
    let is_scale = kind == "Scale" && matches!(target.handler(), Some(Handler::Part(Part::Scale)));
    if !is_list && !is_scale && kind != target.resource.kind {
        // A Status (of a deletion) or a review has no rows.
        return None;
    }
    let items: Vec<&Value> = match is_list {
        true => value["items"].as_array().into_iter().flatten().collect(),
        false => vec![&value],
    };
    let version = &value["metadata"]["resourceVersion"];
    let printer = match is_scale {
        true => Some(SCALE.as_ref()),
        false => target
            .resource
            .version(&target.version)
            .map(|row| row.printer.as_ref()),
    };
    Some(match (shape, printer) {
        (Shape::Table, Some(printer)) => table::render(
            printer,
            items,
            json!({"resourceVersion": version}),
            include,
            true,
            Timestamp::now(),
        ),
        _ if is_list => partial_list(value["metadata"].clone(), items),
        _ => table::partial(&value),
    })
}

pub(super) fn partial_list<'a>(
    metadata: Value,
    items: impl IntoIterator<Item = &'a Value>,
) -> Value {
    json!({
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "items": items.into_iter().map(table::partial).collect::<Vec<_>>(),
    })
}

/// A Table or metadata in the version asked for, with the metadata in it.
pub(super) fn of_version(mut value: Value, version: MetaVersion) -> Value {
    if version == MetaVersion::V1beta1 {
        set_beta(&mut value);
        for (list, field) in [("items", ""), ("rows", "/object")] {
            let items = value.get_mut(list).and_then(Value::as_array_mut);
            let objects = items.into_iter().flatten();
            objects
                .filter_map(|item| item.pointer_mut(field))
                .for_each(set_beta);
        }
    }
    value
}

fn set_beta(value: &mut Value) {
    if value["apiVersion"] == "meta.k8s.io/v1" {
        value["apiVersion"] = "meta.k8s.io/v1beta1".into();
    }
}

/// Several events are sent together up to this size.
const BATCH: usize = 32 << 10;

/// A watch, one JSON line (or frame in protobuf) per event.
pub fn watch(watch: Watch, wanted: Representation) -> Response<Body> {
    let running = metrics::long_running("WATCH");
    let writer = WatchWriter {
        watch,
        wanted,
        columns_sent: false,
    };
    let frames = stream::unfold((writer, running), |(mut writer, running)| async move {
        let item = writer.watch.next().await?;
        let first = writer.frame(item);
        let Some(item) = writer.watch.ready() else {
            return Some((first, (writer, running)));
        };
        let mut batch = BytesMut::from(&first[..]);
        let mut next = Some(item);
        while let Some(item) = next {
            let frame = writer.frame(item);
            batch.extend_from_slice(&frame);
            next = if batch.len() < BATCH {
                writer.watch.ready()
            } else {
                None
            };
        }
        Some((batch.freeze(), (writer, running)))
    });
    let content_type = match wanted.form.media {
        Media::Protobuf => protobuf::WATCH_MEDIA_TYPE,
        Media::Json | Media::Yaml => "application/json",
    };
    body::respond(200, content_type, body::stream(frames))
}

struct WatchWriter {
    watch: Watch,
    wanted: Representation,
    columns_sent: bool,
}

impl WatchWriter {
    /// The line, or frame, of one event.
    fn frame(&mut self, item: WatchItem) -> Bytes {
        let target = &self.watch.target;
        let plain = self.wanted.form.shape == Shape::Object && !present::converts(target);
        let in_protobuf = self.wanted.form.media == Media::Protobuf;
        let (kind, object) = match item {
            WatchItem::Change(change, event) if plain && in_protobuf => {
                return event.encoded_frame(change).unwrap_or_else(refusal);
            }
            WatchItem::Initial(entry) if plain && in_protobuf => {
                let frame = |encoded| protobuf::watch_event("ADDED", encoded);
                return entry
                    .encoded()
                    .map_or_else(|error| refusal(error.clone()), frame);
            }
            WatchItem::Change(change, event) if plain => return event.frame(change),
            WatchItem::Change(change, event) => (change.as_str(), event.object(change)),
            WatchItem::Initial(entry) => ("ADDED", entry.bytes().clone()),
            WatchItem::Bookmark {
                revision,
                initial_end,
            } => {
                let object = bookmark(target, revision, initial_end);
                return self.shaped("BOOKMARK", &object);
            }
            WatchItem::Error(status) => {
                let status = serde_json::to_value(&status).unwrap_or_default();
                return self.event("ERROR", &status);
            }
        };
        if plain {
            return entry::frame(kind, &object);
        }
        let form = self.wanted.form;
        if form.shape == Shape::Partial && !in_protobuf {
            let json = present::serve(target, &object);
            let mut metadata = Vec::new();
            let meta_version = form.meta_version.as_str();
            if partial::write(&mut metadata, &json, meta_version).is_ok() {
                return entry::frame(kind, &metadata);
            }
        }
        match serde_json::from_slice(&object) {
            Ok(value) => {
                let value = present::to_served(target, value);
                self.shaped(kind, &value)
            }
            Err(_) => entry::frame(kind, &object),
        }
    }

    /// An event in the form asked for.
    fn event(&self, kind: &str, object: &Value) -> Bytes {
        match self.wanted.form.media {
            Media::Protobuf => event_in_protobuf(kind, object).unwrap_or_else(refusal),
            Media::Json | Media::Yaml => entry::frame(kind, &present::to_bytes(object)),
        }
    }

    fn shaped(&mut self, kind: &str, object: &Value) -> Bytes {
        let target = &self.watch.target;
        let version = target.resource.version(&target.version);
        let shaped = match (self.wanted.form.shape, version) {
            (Shape::Table, Some(version)) => {
                let first = !std::mem::replace(&mut self.columns_sent, true);
                let rows = (kind != "BOOKMARK").then_some(object);
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                table::render(
                    version.printer.as_ref(),
                    rows,
                    metadata,
                    self.wanted.include,
                    first,
                    Timestamp::now(),
                )
            }
            (Shape::Partial, _) => table::partial(object),
            _ => object.clone(),
        };
        let shaped = match self.wanted.form.shape {
            Shape::Object => shaped,
            _ => of_version(shaped, self.wanted.form.meta_version),
        };
        self.event(kind, &shaped)
    }
}

fn event_in_protobuf(kind: &str, object: &Value) -> Result<Bytes, Unencodable> {
    Ok(protobuf::watch_event(kind, &Encoded::new(object)?))
}

/// What a watch in protobuf says instead of an object that isn't to be had so.
fn refusal(error: Unencodable) -> Bytes {
    let status = serde_json::to_value(Status::internal(error)).unwrap_or_default();
    event_in_protobuf("ERROR", &status).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_of_the_version_asked_for() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}});
        let row = |object: Value| json!({"cells": ["web"], "object": object});
        let table = json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "rows": [
            row(table::partial(&pod)), row(pod.clone()), {"cells": ["web"]}]});
        assert_eq!(of_version(table.clone(), MetaVersion::V1), table);
        let beta = of_version(table, MetaVersion::V1beta1);
        assert_eq!(beta["apiVersion"], "meta.k8s.io/v1beta1");
        let of_row = |row: usize| &beta["rows"][row]["object"]["apiVersion"];
        assert_eq!(
            (of_row(0), of_row(1)),
            (&json!("meta.k8s.io/v1beta1"), &json!("v1"))
        );
        let list = partial_list(json!({}), [&pod]);
        let beta = of_version(list, MetaVersion::V1beta1);
        assert_eq!(beta["items"][0]["apiVersion"], "meta.k8s.io/v1beta1");
    }
}
