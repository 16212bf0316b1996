//! Between the version that is stored and the version that is asked for.

use super::Target;
use bytes::Bytes;
use hardway_resources::events;
use serde_json::Value;

/// Whether objects may be stored in another form than the target asks for.
pub fn converts(target: &Target) -> bool {
    target.resource.alias_of.is_some() || target.resource.versions.len() > 1
}

/// An object as the target's version has it.
pub fn to_served(target: &Target, value: Value) -> Value {
    if target.resource.alias_of.is_some() {
        return events::from_core(value);
    }
    convert(target, value, &target.version)
}

/// The bytes of an object as the target's version has it.
pub fn serve(target: &Target, json: &Bytes) -> Bytes {
    if !converts(target) {
        return json.clone();
    }
    match serde_json::from_slice(json) {
        Ok(value) => to_bytes(&to_served(target, value)),
        Err(_) => json.clone(),
    }
}

/// An object as it is stored.
pub fn to_stored(target: &Target, value: Value) -> Value {
    if target.resource.alias_of.is_some() {
        return events::to_core(value);
    }
    convert(target, value, &target.resource.versions[0].name)
}

fn convert(target: &Target, value: Value, to: &str) -> Value {
    let from = value["apiVersion"].as_str().unwrap_or_default();
    let from = from.rsplit('/').next().unwrap_or_default().to_owned();
    if from == to || from.is_empty() {
        return value;
    }
    let mut value = target.resource.rules.convert(value, &from, to);
    value["apiVersion"] = target.resource.api_version(to).into();
    value
}

/// JSON text.
pub fn to_bytes(value: &Value) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}
