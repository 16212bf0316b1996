//! JSON written as messages.

use super::table::{Message, Shape, TABLE, Type};
use super::wire::{self, LENGTH_DELIMITED};
use super::{MAGIC, special};
use bytes::Bytes;
use serde_json::{Map, Value};

/// An object that can't be written in protobuf: of a kind without a message, or with a
/// value of another type than the kind has there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it can't be written in protobuf: {path}: {reason}; ask for JSON")]
pub struct Unencodable {
    path: String,
    reason: String,
}

impl Unencodable {
    /// A field can't have this value. Of it only the JSON type is named: it may be a
    /// secret, or large.
    pub(super) fn value(value: &Value) -> Self {
        let json_type = match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        Self {
            path: String::new(),
            reason: format!("its value, {json_type}, is none of the field's type"),
        }
    }

    fn kind(api_version: &str, kind: &str) -> Self {
        Self {
            path: kind.to_owned(),
            reason: format!("there is no such message of {api_version}"),
        }
    }

    fn within(mut self, name: &str) -> Self {
        self.path = match self.path.is_empty() {
            true => name.to_owned(),
            false => format!("{name}.{}", self.path),
        };
        self
    }
}

/// An object as it is sent; cheap to clone.
#[derive(Clone, Debug)]
pub struct Encoded {
    bytes: Bytes,
    message_at: usize,
}

impl Encoded {
    /// Writes an object, which names its API version and kind; or a list of them.
    ///
    /// # Errors
    /// If it is no object of a known kind.
    pub fn new(object: &Value) -> Result<Self, Unencodable> {
        let text = |name: &str| object[name].as_str().unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let mut out = Vec::new();
        let fields = object
            .as_object()
            .ok_or_else(|| Unencodable::value(object))?;
        match message_or_list(api_version, kind)? {
            (false, message) => write(&mut out, message, fields)?,
            (true, message) => {
                let items = object["items"].as_array().map_or(&[][..], Vec::as_slice);
                list_metadata(&mut out, &object["metadata"])?;
                each(&mut out, 2, Type::Message(message), items).map_err(|e| e.within("items"))?;
            }
        }
        let mut bytes = envelope(api_version, kind, out.len());
        let message_at = bytes.len();
        bytes.append(&mut out);
        Ok(Self {
            bytes: bytes.into(),
            message_at,
        })
    }

    /// The same of an object in JSON.
    ///
    /// # Errors
    /// If it is no object of a known kind.
    pub fn from_json(json: &[u8]) -> Result<Self, Unencodable> {
        let object: Value = serde_json::from_slice(json).unwrap_or_default();
        Self::new(&object)
    }

    /// What is sent.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The message alone, as lists have it.
    fn message(&self) -> Bytes {
        self.bytes.slice(self.message_at..)
    }
}

/// The pieces of a list of encoded objects, and their bytes altogether.
///
/// # Errors
/// If the metadata is none.
pub fn list(
    api_version: &str,
    kind: &str,
    metadata: &Value,
    items: Vec<Encoded>,
) -> Result<(impl Iterator<Item = Bytes> + Send + 'static, usize), Unencodable> {
    let mut first = Vec::new();
    list_metadata(&mut first, metadata)?;
    let key = |item: &Encoded| {
        let mut key = Vec::with_capacity(6);
        wire::put_key(&mut key, 2, LENGTH_DELIMITED);
        wire::put_varint(&mut key, (item.bytes.len() - item.message_at) as u64);
        Bytes::from(key)
    };
    let size = |item: &Encoded| key(item).len() + item.bytes.len() - item.message_at;
    let length = first.len() + items.iter().map(size).sum::<usize>();
    let mut head = envelope(api_version, kind, length);
    let size = head.len() + length;
    head.append(&mut first);
    let items = items
        .into_iter()
        .flat_map(move |item| [key(&item), item.message()]);
    Ok((std::iter::once(Bytes::from(head)).chain(items), size))
}

/// An event of a watch, its length before it (`LengthDelimitedFramer` in
/// `k8s.io/apimachinery/pkg/runtime/serializer/protobuf`): a `meta.v1.WatchEvent`, the
/// object in a `RawExtension`.
pub fn watch_event(kind: &str, object: &Encoded) -> Bytes {
    let mut out = vec![0; 4];
    out.reserve(object.bytes.len() + kind.len() + 16);
    wire::put_bytes(&mut out, 1, kind.as_bytes());
    let mut extension = Vec::with_capacity(6);
    wire::put_key(&mut extension, 1, LENGTH_DELIMITED);
    wire::put_varint(&mut extension, object.bytes.len() as u64);
    wire::put_key(&mut out, 2, LENGTH_DELIMITED);
    wire::put_varint(&mut out, (extension.len() + object.bytes.len()) as u64);
    out.append(&mut extension);
    out.extend_from_slice(&object.bytes);
    let length = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&length.to_be_bytes());
    out.into()
}

/// `k8s\0` and a `runtime.Unknown` up to where its message begins.
fn envelope(api_version: &str, kind: &str, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + api_version.len() + kind.len() + 32);
    out.extend_from_slice(MAGIC);
    wire::nested(&mut out, 1, |out| {
        wire::put_bytes(out, 1, api_version.as_bytes());
        wire::put_bytes(out, 2, kind.as_bytes());
    });
    wire::put_key(&mut out, 2, LENGTH_DELIMITED);
    wire::put_varint(&mut out, length as u64);
    out
}

/// The message of a kind; of a list that of its items, and `true`.
fn message_or_list(api_version: &str, kind: &str) -> Result<(bool, Message), Unencodable> {
    if let Some(message) = TABLE.of_kind(api_version, kind) {
        return Ok((false, message));
    }
    kind.strip_suffix("List")
        .and_then(|kind| TABLE.of_kind(api_version, kind))
        .map(|message| (true, message))
        .ok_or_else(|| Unencodable::kind(api_version, kind))
}

fn list_metadata(out: &mut Vec<u8>, metadata: &Value) -> Result<(), Unencodable> {
    let message = TABLE.named("meta.v1.ListMeta").expect("the table has it");
    field(out, 1, Type::Message(message), metadata).map_err(|error| error.within("metadata"))
}

/// Writes the fields of a message.
fn write(
    out: &mut Vec<u8>,
    message: Message,
    object: &Map<String, Value>,
) -> Result<(), Unencodable> {
    for row in TABLE.rows(message) {
        if let (Shape::Inline, Type::Message(inner)) = (row.shape, row.ty) {
            wire::nested(out, row.number, |out| write(out, inner, object))?;
            continue;
        }
        let Some(value) = object.get(row.name).filter(|value| !value.is_null()) else {
            continue;
        };
        let written = match (row.shape, value) {
            (Shape::List, Value::Array(items)) => each(out, row.number, row.ty, items),
            (Shape::Map, Value::Object(entries)) => entries.iter().try_for_each(|(key, value)| {
                wire::nested(out, row.number, |out| {
                    wire::put_bytes(out, 1, key.as_bytes());
                    field(out, 2, row.ty, value).map_err(|error| error.within(key))
                })
            }),
            (Shape::List | Shape::Map, value) => Err(Unencodable::value(value)),
            (_, value) => field(out, row.number, row.ty, value),
        };
        written.map_err(|error| error.within(row.name))?;
    }
    Ok(())
}

/// Writes the elements of a list.
pub(super) fn each(
    out: &mut Vec<u8>,
    number: u32,
    ty: Type,
    items: &[Value],
) -> Result<(), Unencodable> {
    items
        .iter()
        .try_for_each(|item| field(out, number, ty, item))
}

/// Writes one value.
pub(super) fn field(
    out: &mut Vec<u8>,
    number: u32,
    ty: Type,
    value: &Value,
) -> Result<(), Unencodable> {
    let no = || Unencodable::value(value);
    match (ty, value) {
        (Type::Int, value) => wire::put_number(out, number, value.as_i64().ok_or_else(no)? as u64),
        (Type::Bool, Value::Bool(flag)) => wire::put_number(out, number, u64::from(*flag)),
        (Type::Double, value) => wire::put_double(out, number, value.as_f64().ok_or_else(no)?),
        (Type::String, Value::String(text)) => wire::put_bytes(out, number, text.as_bytes()),
        (Type::Bytes, Value::String(text)) => {
            wire::put_bytes(out, number, &special::from_base64(text).ok_or_else(no)?);
        }
        (Type::Message(message), Value::Object(object)) => {
            wire::nested(out, number, |out| write(out, message, object))?;
        }
        (Type::Bool | Type::String | Type::Bytes | Type::Message(_), _) => return Err(no()),
        (ty, value) => wire::nested(out, number, |out| special::write(out, ty, value))?,
    }
    Ok(())
}
