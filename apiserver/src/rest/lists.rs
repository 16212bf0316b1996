//! Lists as HTTP responses: the bytes that are kept, or each object in another shape or form.
//!
//! A list may be larger than all else in memory; so in JSON and YAML it is never there as a whole.
//! What is around its elements is made first, the elements as the client reads them. In protobuf
//! the length of a list stands before it: so what is kept of its elements, or their metadata, is
//! there before the first is sent.

use super::body::{self, Body};
use super::negotiate::{Form, Media, Shape};
use super::objects::{Representation, as_it_is, of_version, partial_list};
use super::partial;
use crate::background;
use crate::cache::Entry;
use crate::pipeline::{Held, Listing, Target, present, yaml};
use crate::protobuf::{self, Encoded, Unencodable};
use bytes::{Bytes, BytesMut};
use hardway_resources::cell::CellsText;
use hardway_resources::excerpt::{Excerpt, Fields};
use hardway_resources::resource::Printer;
use hardway_resources::table::{self, Include};
use http::Response;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A list in the form that is wanted.
pub async fn list(listing: Listing, wanted: Representation) -> Response<Body> {
    let size = listing
        .items
        .iter()
        .map(|item| item.bytes().len() + 1)
        .sum::<usize>();
    let is_short = size < background::FROM;
    if as_it_is(wanted) {
        return joined(listing, size, wanted.gzip);
    }
    let content_type = match wanted.form.media {
        Media::Json => "application/json",
        Media::Yaml => "application/yaml",
        Media::Protobuf => {
            let write = move || encoded(listing, size, wanted);
            return match is_short {
                true => write(),
                false => background::compute(write).await,
            };
        }
    };
    let parts = Elements::of(listing, wanted);
    match is_short {
        true => body::whole(200, whole(parts), content_type, wanted.gzip),
        false => body::made(parts, content_type, wanted.gzip).await,
    }
}

/// A list in protobuf: of objects the messages that are kept of them. If one has none, JSON.
fn encoded(listing: Listing, size: usize, wanted: Representation) -> Response<Body> {
    let target = &listing.target;
    let items = listing.items.iter();
    let (api_version, kind, items): (_, _, Result<Vec<Encoded>, Unencodable>) =
        match wanted.form.shape {
            Shape::Object => (
                target.api_version(),
                target.resource.list_kind.as_str(),
                items.map(|entry| encoded_object(target, entry)).collect(),
            ),
            Shape::Table | Shape::Partial => (
                "meta.k8s.io/v1".to_owned(),
                "PartialObjectMetadataList",
                items.map(|entry| encoded_metadata(target, entry)).collect(),
            ),
        };
    let metadata = list_metadata(&listing);
    let list = items.and_then(|items| protobuf::list(&api_version, kind, &metadata, items));
    match list {
        Err(_) if wanted.form.shape == Shape::Object => joined(listing, size, wanted.gzip),
        Err(_) => {
            let form = Form {
                media: Media::Json,
                pretty: false,
                ..wanted.form
            };
            let parts = Elements::of(listing, Representation { form, ..wanted });
            body::whole(200, whole(parts), "application/json", wanted.gzip)
        }
        Ok((parts, size)) => {
            let seat = listing.seat.filter(|_| wanted.gzip);
            let parts = parts.inspect(move |_| {
                let _until_written = &seat;
            });
            body::parts(parts, size, protobuf::MEDIA_TYPE, wanted.gzip)
        }
    }
}

fn encoded_object(target: &Target, entry: &Entry) -> Result<Encoded, Unencodable> {
    match present::converts(target) {
        true => Encoded::new(&present::to_served(target, entry.value())),
        false => entry.encoded().cloned().map_err(Clone::clone),
    }
}

fn encoded_metadata(target: &Target, entry: &Entry) -> Result<Encoded, Unencodable> {
    let json = present::serve(target, entry.bytes());
    let fields = Fields::of(&["metadata"]);
    let excerpt = Excerpt::read(&json, &fields).unwrap_or_default();
    Encoded::new(&table::partial(&excerpt.object))
}

fn joined(listing: Listing, size: usize, gzip: bool) -> Response<Body> {
    let target = listing.target.clone();
    let head = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
        json!(target.resource.list_kind),
        json!(target.api_version()),
        list_metadata(&listing),
    );
    // Kept bytes are copied as fast as the client reads; only compressing and converting
    // them is work for which others would have to wait.
    let seat = listing.seat.filter(|_| gzip || present::converts(&target));
    let items = listing
        .items
        .into_iter()
        .enumerate()
        .flat_map(move |(index, entry)| {
            let _until_written = &seat;
            let comma = (index > 0).then(|| Bytes::from_static(b","));
            comma
                .into_iter()
                .chain([present::serve(&target, entry.bytes())])
        });
    let parts = std::iter::once(Bytes::from(head))
        .chain(items)
        .chain([Bytes::from_static(b"]}")]);
    body::parts(parts, size, "application/json", gzip)
}

/// A list in JSON or YAML, element by element, in pieces.
struct Elements<I> {
    items: I,
    element: Element,
    /// What is to be sent next.
    piece: Vec<u8>,
    is_first: bool,
    /// What follows the last one.
    tail: Option<Vec<u8>>,
    /// Kept until all is made.
    _seat: Option<Held>,
}

impl Elements<std::vec::IntoIter<Arc<Entry>>> {
    fn of(listing: Listing, wanted: Representation) -> Self {
        let element = Element {
            target: listing.target.clone(),
            form: wanted.form,
            include: wanted.include,
            now: Timestamp::now(),
        };
        let (head, tail) = element.around(list_metadata(&listing));
        Self {
            items: listing.items.into_iter(),
            element,
            piece: head,
            is_first: true,
            tail: Some(tail),
            _seat: listing.seat,
        }
    }
}

impl<I: Iterator<Item = Arc<Entry>>> Iterator for Elements<I> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while self.piece.len() < body::PIECE {
            let Some(entry) = self.items.next() else {
                let tail = self.tail.take()?;
                self.element.end(&mut self.piece, self.is_first);
                self.piece.extend_from_slice(&tail);
                break;
            };
            let is_first = std::mem::take(&mut self.is_first);
            self.element.write(&mut self.piece, &entry, is_first);
        }
        // The last element goes beyond a piece.
        let room = body::PIECE + body::PIECE / 4;
        Some(std::mem::replace(&mut self.piece, Vec::with_capacity(room)).into())
    }
}

fn whole(parts: impl Iterator<Item = Bytes>) -> Bytes {
    let mut whole = BytesMut::new();
    parts.for_each(|part| whole.extend_from_slice(&part));
    whole.freeze()
}

/// How an element of a list is written.
struct Element {
    target: Target,
    form: Form,
    include: Include,
    now: Timestamp,
}

impl Element {
    /// The list without elements, up to where they belong, and from there on.
    fn around(&self, metadata: Value) -> (Vec<u8>, Vec<u8>) {
        let target = &self.target;
        let (list, field) = match (self.form.shape, self.printer()) {
            (Shape::Table, Some(printer)) => {
                let none: [&Value; 0] = [];
                let (printer, include) = (printer.as_ref(), self.include);
                let table = table::render(printer, none, metadata, include, true, self.now);
                (table, "rows")
            }
            (Shape::Object, _) => {
                let list = json!({
                    "kind": target.resource.list_kind,
                    "apiVersion": target.api_version(),
                    "metadata": metadata,
                    "items": [],
                });
                (list, "items")
            }
            _ => (partial_list(metadata, []), "items"),
        };
        let list = match self.form.shape {
            Shape::Object => list,
            _ => of_version(list, self.form.meta_version),
        };
        // The empty list stands nowhere else: within texts quotes are escaped, and in YAML their
        // lines indented.
        let (text, before, empty) = match (self.form.media, self.form.pretty) {
            (Media::Yaml, _) => (yaml::write(&list), format!("\n{field}:"), " []\n"),
            (_, true) => (
                serde_json::to_string_pretty(&list).unwrap_or_default() + "\n",
                format!("\"{field}\": ["),
                "]",
            ),
            (_, false) => (list.to_string(), format!("\"{field}\":["), "]"),
        };
        let whole = format!("{before}{empty}");
        let at = text.find(&whole).map_or(text.len(), |at| at + before.len());
        let (head, tail) = text.split_at(at);
        let tail = match self.form.media {
            Media::Yaml => tail.strip_prefix(empty).unwrap_or_default(),
            _ => tail,
        };
        (head.into(), tail.into())
    }

    fn printer(&self) -> Option<&Arc<dyn Printer>> {
        let version = self.target.resource.version(&self.target.version);
        version.map(|version| &version.printer)
    }

    /// Begins a line at a depth, if there are any.
    fn new_line(&self, out: &mut Vec<u8>, depth: usize) {
        if self.form.pretty {
            out.push(b'\n');
            out.extend(std::iter::repeat_n(b' ', 2 * depth));
        }
    }

    /// Writes an element, with what stands between it and the one before.
    fn write(&self, out: &mut Vec<u8>, entry: &Entry, is_first: bool) {
        if self.form.media == Media::Yaml {
            if is_first {
                out.push(b'\n');
            }
            out.extend_from_slice(yaml::element(&self.parsed(entry)).as_bytes());
            return;
        }
        if !is_first {
            out.push(b',');
        }
        if !self.form.pretty {
            self.write_compact(out, entry);
            return;
        }
        self.new_line(out, 2);
        let pretty = serde_json::to_vec_pretty(&self.parsed(entry)).unwrap_or_default();
        // Within texts line ends are escaped.
        for (number, line) in pretty.split(|byte| *byte == b'\n').enumerate() {
            if number > 0 {
                self.new_line(out, 2);
            }
            out.extend_from_slice(line);
        }
    }

    /// Ends the list, which may have no element.
    fn end(&self, out: &mut Vec<u8>, is_empty: bool) {
        match (self.form.media, is_empty) {
            (Media::Yaml, true) => out.extend_from_slice(b" []\n"),
            (Media::Yaml, false) | (_, true) => {}
            (_, false) => self.new_line(out, 1),
        }
    }

    fn parsed(&self, entry: &Entry) -> Value {
        let mut compact = Vec::new();
        self.write_compact(&mut compact, entry);
        serde_json::from_slice(&compact).unwrap_or_default()
    }

    fn write_compact(&self, out: &mut Vec<u8>, entry: &Entry) {
        let before = out.len();
        let json = present::serve(&self.target, entry.bytes());
        let written = match (self.form.shape, self.printer()) {
            (Shape::Object, _) => {
                out.extend_from_slice(&json);
                Ok(())
            }
            (Shape::Table, Some(printer)) => self.write_row(out, entry, &json, printer),
            _ => partial::write(out, &json, self.form.meta_version.as_str()),
        };
        if let Err(error) = written {
            // What is kept was parsed when it came.
            tracing::error!(%error, "a kept object can't be read");
            out.truncate(before);
            out.extend_from_slice(b"null");
        }
    }

    /// Writes the row of an entry whose object is this JSON, as [`table::row`] has it.
    fn write_row(
        &self,
        out: &mut Vec<u8>,
        entry: &Entry,
        json: &[u8],
        printer: &Arc<dyn Printer>,
    ) -> serde_json::Result<()> {
        out.extend_from_slice(b"{\"cells\":");
        match present::converts(&self.target) {
            true => CellsText::read(printer.as_ref(), json)?.write(out, self.now),
            false => entry.write_cells(out, printer, self.now)?,
        }
        if self.include != Include::None {
            out.extend_from_slice(b",\"object\":");
        }
        match self.include {
            Include::None => {}
            Include::Metadata => partial::write(out, json, self.form.meta_version.as_str())?,
            Include::Object => {
                let object: Value = serde_json::from_slice(json)?;
                serde_json::to_writer(&mut *out, &object)?;
            }
        }
        out.push(b'}');
        Ok(())
    }
}

fn list_metadata(listing: &Listing) -> Value {
    let mut metadata = Map::new();
    metadata.insert(
        "resourceVersion".into(),
        listing.revision.to_string().into(),
    );
    if let Some(next) = &listing.next {
        metadata.insert("continue".into(), next.as_str().into());
    }
    if let Some(remaining) = listing.remaining {
        metadata.insert("remainingItemCount".into(), remaining.into());
    }
    metadata.into()
}

#[cfg(test)]
mod tests;
