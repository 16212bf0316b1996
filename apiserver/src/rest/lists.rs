//! Lists as HTTP responses: the bytes that are kept, or each object in another shape or form.
//!
//! A list may be larger than all else in memory; so in no form of JSON is it ever there as a
//! whole. What is around its elements is made first, the elements as the client reads them.

use super::body::{self, Body};
use super::negotiate::{Form, Media, Shape};
use super::objects::{Representation, as_encoded, as_it_is, of_version, partial_list};
use crate::background;
use crate::cache::Entry;
use crate::pipeline::{Held, Listing, Target, present};
use crate::protobuf::{self, Encoded, Unencodable};
use bytes::{Bytes, BytesMut};
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
    if wanted.form.media == Media::Json {
        let content_type = "application/json";
        let parts = Elements::of(listing, wanted);
        return match is_short {
            true => body::whole(200, whole(parts), content_type, wanted.gzip),
            false => body::made(parts, content_type, wanted.gzip).await,
        };
    }
    let write = move || match as_encoded(wanted) {
        true => encoded(listing, size, wanted.gzip),
        false => parsed(listing, wanted),
    };
    match is_short {
        true => write(),
        false => background::compute(write).await,
    }
}

/// A list in protobuf: the messages that are kept of its items. If one has none, JSON.
fn encoded(listing: Listing, size: usize, gzip: bool) -> Response<Body> {
    let target = &listing.target;
    let items: Result<Vec<Encoded>, Unencodable> = listing
        .items
        .iter()
        .map(|entry| match present::converts(target) {
            true => Encoded::new(&present::to_served(target, entry.value())),
            false => entry.encoded().cloned().map_err(Clone::clone),
        })
        .collect();
    let (api_version, kind) = (target.api_version(), &target.resource.list_kind);
    let metadata = list_metadata(&listing);
    let list = items.and_then(|items| protobuf::list(&api_version, kind, &metadata, items));
    match list {
        Err(_) => joined(listing, size, gzip),
        Ok((parts, size)) => {
            let seat = listing.seat.filter(|_| gzip);
            let parts = parts.inspect(move |_| {
                let _until_written = &seat;
            });
            body::parts(parts, size, protobuf::MEDIA_TYPE, gzip)
        }
    }
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

/// A list of JSON, element by element, in pieces.
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
                if !self.is_first {
                    self.element.new_line(&mut self.piece, 1);
                }
                self.piece.extend_from_slice(&tail);
                break;
            };
            if !std::mem::take(&mut self.is_first) {
                self.piece.push(b',');
            }
            self.element.new_line(&mut self.piece, 2);
            self.element.write(&mut self.piece, entry.bytes());
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
                let table = table::render(printer, none, metadata, self.include, true, self.now);
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
        let (mut text, colon) = match self.form.pretty {
            true => (
                serde_json::to_string_pretty(&list).unwrap_or_default() + "\n",
                ": ",
            ),
            false => (list.to_string(), ":"),
        };
        // It stands nowhere else: within texts quotes are escaped.
        let empty = format!("\"{field}\"{colon}[]");
        let at = text
            .find(&empty)
            .map_or(text.len(), |at| at + empty.len() - 1);
        let tail = text.split_off(at);
        (text.into(), tail.into())
    }

    fn printer(&self) -> Option<&dyn Printer> {
        let version = self.target.resource.version(&self.target.version);
        version.map(|version| version.printer.as_ref())
    }

    /// Begins a line at a depth, if there are any.
    fn new_line(&self, out: &mut Vec<u8>, depth: usize) {
        if self.form.pretty {
            out.push(b'\n');
            out.extend(std::iter::repeat_n(b' ', 2 * depth));
        }
    }

    fn write(&self, out: &mut Vec<u8>, kept: &Bytes) {
        let json = present::serve(&self.target, kept);
        if !self.form.pretty {
            self.write_compact(out, &json);
            return;
        }
        let mut compact = Vec::new();
        self.write_compact(&mut compact, &json);
        let element: Value = serde_json::from_slice(&compact).unwrap_or_default();
        let pretty = serde_json::to_vec_pretty(&element).unwrap_or_default();
        // Within texts line ends are escaped.
        for (number, line) in pretty.split(|byte| *byte == b'\n').enumerate() {
            if number > 0 {
                self.new_line(out, 2);
            }
            out.extend_from_slice(line);
        }
    }

    fn write_compact(&self, out: &mut Vec<u8>, json: &[u8]) {
        let before = out.len();
        let meta_version = self.form.meta_version.as_str();
        let written = match (self.form.shape, self.printer()) {
            (Shape::Object, _) => {
                out.extend_from_slice(json);
                Ok(())
            }
            (Shape::Table, Some(printer)) => {
                table::write_row(out, printer, json, self.include, meta_version, self.now)
            }
            _ => table::write_partial(out, json, meta_version),
        };
        if let Err(error) = written {
            // What is kept was parsed when it came.
            tracing::error!(%error, "a kept object can't be read");
            out.truncate(before);
            out.extend_from_slice(b"null");
        }
    }
}

/// A list that has to be there as a whole: in YAML, and metadata in protobuf.
fn parsed(listing: Listing, wanted: Representation) -> Response<Body> {
    let target = &listing.target;
    let metadata = list_metadata(&listing);
    let list = match wanted.form.shape {
        Shape::Partial => {
            let mut fields = Fields::none();
            fields.add(["metadata"]);
            let read = |entry: &Arc<Entry>| {
                let json = present::serve(target, entry.bytes());
                Excerpt::read(&json, &fields).unwrap_or_default().object
            };
            let items: Vec<Value> = listing.items.iter().map(read).collect();
            partial_list(metadata, &items)
        }
        Shape::Table | Shape::Object => {
            let read = |entry: &Arc<Entry>| present::to_served(target, entry.value());
            let items: Vec<Value> = listing.items.iter().map(read).collect();
            match (wanted.form.shape, target.resource.version(&target.version)) {
                (Shape::Table, Some(version)) => table::render(
                    version.printer.as_ref(),
                    &items,
                    metadata,
                    wanted.include,
                    true,
                    Timestamp::now(),
                ),
                (Shape::Table, None) => partial_list(metadata, &items),
                _ => json!({
                    "kind": target.resource.list_kind,
                    "apiVersion": target.api_version(),
                    "metadata": metadata,
                    "items": items,
                }),
            }
        }
    };
    let list = match wanted.form.shape {
        Shape::Object => list,
        _ => of_version(list, wanted.form.meta_version),
    };
    body::value(200, &list, wanted.form, wanted.gzip)
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
