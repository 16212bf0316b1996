//! Kubernetes' protobuf encoding (`application/vnd.kubernetes.protobuf`), which its own
//! components speak: bodies are read into the JSON they mean, answers are written from it.
//!
//! Messages and field numbers are data, see [`table`]. What surrounds them is in
//! `k8s.io/apimachinery/pkg/runtime/generated.proto`: every object comes as `k8s\0` and a
//! `runtime.Unknown`, which names its kind.

mod decode;
mod encode;
mod special;
mod table;
mod wire;

pub use encode::{Encoded, Unencodable, list, watch_event};

use hardway_proto::Status;
use table::TABLE;
use wire::{Field, Malformed, fields};

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// That of a watch: events, each after its length in four bytes, the highest first.
pub const WATCH_MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// What every object begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages within messages at most.
const MAX_DEPTH: usize = 64;

/// Reads a body; gives it as JSON.
///
/// # Errors
/// 400 if it is no object of a known kind.
pub fn to_json(body: &[u8]) -> Result<Vec<u8>, Status> {
    let refused = |why: &str| {
        Status::bad_request(format!(
            "the body is no Kubernetes object in protobuf: {why}"
        ))
    };
    let envelope = body
        .strip_prefix(MAGIC)
        .ok_or_else(|| refused("it does not begin with k8s\\0"))?;
    let (api_version, kind, raw) =
        read_envelope(envelope).map_err(|_| refused("the envelope is malformed"))?;
    let Some(message) = TABLE.of_kind(&api_version, &kind) else {
        return Err(refused(&format!(
            "{kind} of {api_version} is not known in this encoding; send JSON"
        )));
    };
    let mut object = decode::read(message, raw, 0).map_err(|_| refused("a field is malformed"))?;
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    serde_json::to_vec(&object).map_err(|error| refused(&error.to_string()))
}

/// API version, kind and message of a `runtime.Unknown`.
fn read_envelope(envelope: &[u8]) -> Result<(String, String, &[u8]), Malformed> {
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in fields(envelope) {
        match field? {
            (1, Field::Bytes(identity)) => {
                for field in fields(identity) {
                    match field? {
                        (1, Field::Bytes(text)) => api_version = wire::text(text),
                        (2, Field::Bytes(text)) => kind = wire::text(text),
                        _ => {}
                    }
                }
            }
            (2, Field::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    Ok((api_version, kind, raw))
}

#[cfg(test)]
mod tests;
