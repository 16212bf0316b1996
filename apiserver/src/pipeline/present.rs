//! Between the version that is stored and the version that is asked for.

use super::Target;
use bytes::Bytes;
use serde_json::Value;

/// Whether objects may be stored in another form than the target asks for, and be shown in it
/// without asking anybody.
pub fn converts(target: &Target) -> bool {
    target.resource.converts()
}

/// A stored object as the target's version has it.
pub fn to_served(target: &Target, value: Value) -> Value {
    match converts(target) {
        true => target.resource.to_external(value, &target.version),
        false => value,
    }
}

/// The bytes of a stored object as the target's version has it.
pub fn serve(target: &Target, json: &Bytes) -> Bytes {
    if !converts(target) {
        return json.clone();
    }
    match serde_json::from_slice(json) {
        Ok(value) => to_bytes(&to_served(target, value)),
        Err(_) => json.clone(),
    }
}

/// An object of the target's version as the rules of its kind look at it: as it is stored, but
/// for custom resources, which have rules for each version.
pub fn to_stored(target: &Target, value: Value) -> Value {
    match target.resource.external.is_some() || converts(target) && !target.resource.custom {
        true => target.resource.to_storage(value),
        false => value,
    }
}

/// JSON text.
pub fn to_bytes(value: &Value) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}
