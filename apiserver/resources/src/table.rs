//! `meta.k8s.io/v1` Table: what `kubectl get` shows.

use crate::excerpt::{Excerpt, Fields};
use crate::resource::Printer;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What of each object comes along with its row (`includeObject`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// Its metadata; the default.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    /// Reads the query parameter; `None` if it has no such value.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "Metadata" => Some(Self::Metadata),
            "None" => Some(Self::None),
            "Object" => Some(Self::Object),
            _ => None,
        }
    }
}

/// A table of objects. `metadata` is that of the list (or, for one object,
/// its resourceVersion). In a watch only the first event has columns.
pub fn render<'a>(
    printer: &dyn Printer,
    objects: impl IntoIterator<Item = &'a Value>,
    metadata: Value,
    include: Include,
    with_columns: bool,
    now: Timestamp,
) -> Value {
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| row(printer, object, include, now))
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": if with_columns { columns(printer) } else { Value::Null },
        "rows": rows,
    })
}

/// The column definitions.
pub fn columns(printer: &dyn Printer) -> Value {
    let columns = printer.columns().iter().map(|column| {
        json!({
            "name": column.name,
            "type": column.r#type,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        })
    });
    columns.collect()
}

/// One row, for tables that are streamed.
pub fn row(printer: &dyn Printer, object: &Value, include: Include, now: Timestamp) -> Value {
    let mut row = json!({"cells": printer.cells(object, now)});
    match include {
        Include::None => {}
        Include::Metadata => row["object"] = partial(object),
        Include::Object => row["object"] = object.clone(),
    }
    row
}

/// Writes one row for an object's JSON, as [`row`] has it, with metadata of a version of
/// `meta.k8s.io`. Of the object only that is read which the row is made of.
///
/// # Errors
/// If it is no object.
pub fn write_row(
    out: &mut Vec<u8>,
    printer: &dyn Printer,
    json: &[u8],
    include: Include,
    meta_version: &str,
    now: Timestamp,
) -> serde_json::Result<()> {
    let excerpt = Excerpt::read(json, printer.looks_at())?;
    out.extend_from_slice(b"{\"cells\":");
    serde_json::to_writer(&mut *out, &printer.cells(&excerpt.object, now))?;
    if include != Include::None {
        out.extend_from_slice(b",\"object\":");
    }
    match include {
        Include::None => {}
        Include::Metadata => write_metadata(out, &excerpt, meta_version),
        Include::Object => {
            let object: Value = serde_json::from_slice(json)?;
            serde_json::to_writer(&mut *out, &object)?;
        }
    }
    out.push(b'}');
    Ok(())
}

/// Writes the metadata alone of an object's JSON, as [`partial`] has it, in a version of
/// `meta.k8s.io`.
///
/// # Errors
/// If it is no object.
pub fn write_partial(out: &mut Vec<u8>, json: &[u8], meta_version: &str) -> serde_json::Result<()> {
    write_metadata(out, &Excerpt::read(json, &Fields::none())?, meta_version);
    Ok(())
}

fn write_metadata(out: &mut Vec<u8>, excerpt: &Excerpt<'_>, meta_version: &str) {
    out.extend_from_slice(b"{\"apiVersion\":\"meta.k8s.io/");
    out.extend_from_slice(meta_version.as_bytes());
    out.extend_from_slice(b"\",\"kind\":\"PartialObjectMetadata\",\"metadata\":");
    excerpt.write_metadata(out);
    out.push(b'}');
}

/// An object's metadata alone, as `PartialObjectMetadata`.
pub fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printers;

    #[test]
    fn what_is_written_from_bytes_is_what_is_made_of_the_parsed_object() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "labels": {"a": "b"},
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}]},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1"}});
        let now = "2026-01-01T00:10:00Z".parse().expect("a time");
        // The bytes of the cache begin otherwise.
        let bytes = pod.to_string().replacen(
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"creation"#,
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7","creation"#,
            1,
        );
        let mut pod = pod;
        pod["metadata"]["resourceVersion"] = "7".into();
        assert_ne!(bytes, pod.to_string());
        for kind in ["Pod", "Deployment", "Unknown"] {
            let printer = printers::for_kind("", "v1", kind);
            for include in [Include::None, Include::Metadata, Include::Object] {
                let mut out = Vec::new();
                write_row(
                    &mut out,
                    printer.as_ref(),
                    bytes.as_bytes(),
                    include,
                    "v1",
                    now,
                )
                .unwrap();
                let expected = row(printer.as_ref(), &pod, include, now).to_string();
                assert_eq!(
                    String::from_utf8(out).unwrap(),
                    expected,
                    "{kind} {include:?}"
                );
            }
        }
        let mut out = Vec::new();
        write_partial(&mut out, bytes.as_bytes(), "v1").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), partial(&pod).to_string());
    }
}
