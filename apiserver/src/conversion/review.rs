//! What a conversion webhook is asked, and what of its answer is taken: the rules of
//! `k8s.io/apiextensions-apiserver`, `pkg/apiserver/conversion`.

use hardway_resources::crd::ConversionWebhook;
use hardway_resources::resource::Resource;
use hardway_resources::rules::field::{Errors, Path};
use hardway_resources::rules::{FieldErrors, labels, meta};
use hardway_resources::strict;
use serde_json::{Map, Value, json};

const GROUP: &str = "apiextensions.k8s.io";

/// Why objects could not be converted, as clients are told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// It takes no version of reviews that there is.
    #[error("no supported conversion review versions")]
    NoReview,
    /// It could not be asked.
    #[error("{0}")]
    Call(String),
    /// It failed, or its answer is none.
    #[error("{0}")]
    Answer(String),
    /// It answers with more or fewer objects than it was sent.
    #[error("returned {0} objects, expected {1}")]
    Count(usize, usize),
    /// An object of its answer is not that which was sent.
    #[error("returned {0}")]
    Object(String),
}

impl Error {
    /// What clients are told of the conversion of an object like this one.
    pub fn message(&self, original: &Value) -> String {
        let kind = kind(original);
        match self {
            Self::NoReview => format!("conversion for {kind} failed: {self}"),
            Self::Call(_) | Self::Answer(_) => {
                format!(
                    "conversion for {kind} failed: conversion webhook for {kind} failed: {self}"
                )
            }
            Self::Count(..) | Self::Object(_) => format!("conversion for {kind} {self}"),
        }
    }
}

/// The body of a review that asks for objects in a version.
///
/// # Errors
/// If the webhook takes no version of reviews that there is.
pub(super) fn request(
    webhook: &ConversionWebhook,
    uid: &str,
    objects: &[Value],
    api_version: &str,
) -> Result<Vec<u8>, Error> {
    let version = review_version(webhook)?;
    let review = json!({
        "kind": "ConversionReview",
        "apiVersion": format!("{GROUP}/{version}"),
        "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": objects},
    });
    serde_json::to_vec(&review).map_err(|error| Error::Call(error.to_string()))
}

/// The first version of reviews that the webhook takes and this server knows.
fn review_version(webhook: &ConversionWebhook) -> Result<&str, Error> {
    let versions = webhook.review_versions.iter().map(String::as_str);
    let mut known = versions.filter(|version| matches!(*version, "v1" | "v1beta1"));
    known.next().ok_or(Error::NoReview)
}

/// The objects of an answer, in the order of those that were sent.
///
/// # Errors
/// If it is none to this review, or it says that the conversion failed.
pub(super) fn answered(
    webhook: &ConversionWebhook,
    uid: &str,
    mut answer: Value,
) -> Result<Vec<Value>, Error> {
    let is_v1 = review_version(webhook)? == "v1";
    if is_v1
        && (answer["kind"] != "ConversionReview"
            || answer["apiVersion"] != "apiextensions.k8s.io/v1")
    {
        return Err(Error::Answer(format!(
            "expected webhook response of {GROUP}/v1, Kind=ConversionReview, got {}",
            kind(&answer)
        )));
    }
    let Some(response) = answer.get_mut("response").filter(|it| it.is_object()) else {
        return Err(Error::Answer("no response provided".into()));
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let got = text(&response["uid"]);
    // Reviews of v1beta1 never were held against this.
    if is_v1 && got != uid {
        let message = format!("expected response.uid={uid:?}, got {got:?}");
        return Err(Error::Answer(message));
    }
    let status = text(&response["result"]["status"]);
    if status != "Success" {
        let message = text(&response["result"]["message"]);
        return Err(Error::Answer(match message.is_empty() {
            true => format!("response.result.status was '{status}', not 'Success'"),
            false => message,
        }));
    }
    match response["convertedObjects"].take() {
        Value::Array(objects) => Ok(objects),
        _ => Ok(Vec::new()),
    }
}

/// What is taken over of the objects that came for those that were sent: all but metadata, of
/// which only labels and annotations are the webhook's to change.
///
/// # Errors
/// If one is not the object that was sent, or in another version.
pub(super) fn accepted(
    of: &Resource,
    version: &str,
    originals: Vec<Value>,
    converted: Vec<Value>,
) -> Result<Vec<Value>, Error> {
    if converted.len() != originals.len() {
        return Err(Error::Count(converted.len(), originals.len()));
    }
    let wanted = of.api_version(version);
    let schema = of.version(version).map(|version| &version.schema);
    let pairs = originals.into_iter().zip(converted).enumerate();
    pairs
        .map(|(index, (original, mut object))| {
            check(&original, &object, &wanted).map_err(|why| {
                Error::Object(format!("invalid converted object at index {index}: {why}"))
            })?;
            restore_metadata(original, &mut object).map_err(|why| {
                Error::Object(format!(
                    "invalid metadata in object at index {index}: {why}"
                ))
            })?;
            if let Some(schema) = schema {
                // What is no object of its schema is told to who writes it, not to who reads it.
                let _ = strict::prune(schema, &mut object);
            }
            Ok(object)
        })
        .collect()
}

/// Whether an object is the one that was sent, in another version.
fn check(original: &Value, converted: &Value, wanted: &str) -> Result<(), String> {
    let text = |object: &Value, pointer: &str| {
        let value = object.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let got = text(converted, "/apiVersion");
    if got != wanted {
        return Err(format!(
            "invalid groupVersion (expected {wanted}, received {got})"
        ));
    }
    let (expected, got) = (text(original, "/kind"), text(converted, "/kind"));
    if expected != got {
        return Err(format!(
            "invalid kind (expected {expected}, received {got})"
        ));
    }
    for (what, pointer) in [
        ("name", "/metadata/name"),
        ("namespace", "/metadata/namespace"),
        ("UID", "/metadata/uid"),
    ] {
        let (expected, got) = (text(original, pointer), text(converted, pointer));
        if expected != got {
            return Err(format!("must have the same {what}: {expected} != {got}"));
        }
    }
    Ok(())
}

/// Gives an object the metadata of the original, but for its labels and annotations.
fn restore_metadata(mut original: Value, converted: &mut Value) -> Result<(), String> {
    let given = match converted.get_mut("metadata").map(Value::take) {
        None => return Err("missing metadata in converted object".into()),
        Some(Value::Object(given)) => given,
        Some(other) => {
            let kind = go_type(&other);
            return Err(format!(
                "invalid metadata of type {kind} in converted object"
            ));
        }
    };
    let mut metadata = match original["metadata"].take() {
        Value::Object(metadata) => metadata,
        _ => Map::new(),
    };
    for field in ["labels", "annotations"] {
        take_over(&mut metadata, &given, field)?;
    }
    converted["metadata"] = metadata.into();
    Ok(())
}

/// Takes over labels or annotations, which must be good where they are new.
fn take_over(
    metadata: &mut Map<String, Value>,
    given: &Map<String, Value>,
    field: &str,
) -> Result<(), String> {
    let value = match given.get(field) {
        None | Some(Value::Null) => {
            metadata.remove(field);
            return Ok(());
        }
        Some(value) => value,
    };
    let Some(entries) = value.as_object() else {
        let kind = go_type(value);
        return Err(format!(
            "invalid metadata.{field} of type {kind} in converted object"
        ));
    };
    if let Some((key, value)) = entries.iter().find(|(_, value)| !value.is_string()) {
        let kind = go_type(value);
        return Err(format!(
            "metadata.{field}[{key}] must be a string, but is {kind} in converted object"
        ));
    }
    if metadata.get(field) != Some(value) {
        let wrong = Errors::collect(|e| match field {
            "labels" => labels::check(e, &Path::new("metadata.labels"), value),
            // Kubernetes names the field so.
            _ => meta::annotations(e, &Path::new("metadata.annotation"), &json!(given)),
        });
        if !wrong.is_empty() {
            return Err(all_of(wrong));
        }
    }
    metadata.insert(field.to_owned(), value.clone());
    Ok(())
}

/// Errors as Go prints an aggregate of them.
fn all_of(wrong: FieldErrors) -> String {
    let texts = wrong.iter();
    let texts: Vec<String> = texts
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    match &texts[..] {
        [one] => one.clone(),
        all => format!("[{}]", all.join(", ")),
    }
}

/// A value's type as Go names it.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// An object's kind as Go prints it: `example.com/v1, Kind=Knob`.
fn kind(object: &Value) -> String {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    format!("{}, Kind={}", text("apiVersion"), text("kind"))
}

#[cfg(test)]
mod tests;
