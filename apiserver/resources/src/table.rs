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
    let cells = printer.cells(object);
    let cells: Vec<Value> = cells.iter().map(|cell| cell.at(now)).collect();
    let mut row = json!({"cells": cells});
    match include {
        Include::None => {}
        Include::Metadata => row["object"] = partial(object),
        Include::Object => row["object"] = object.clone(),
    }
    row
}

/// Writes the metadata alone of an object's JSON, as [`partial`] has it, in a version of
/// `meta.k8s.io`.
///
/// # Errors
/// If it is no object.
pub fn write_partial(out: &mut Vec<u8>, json: &[u8], meta_version: &str) -> serde_json::Result<()> {
    let excerpt = Excerpt::read(json, &Fields::none())?;
    begin_partial(out, meta_version);
    excerpt.write_metadata(out);
    out.push(b'}');
    Ok(())
}

/// Writes what stands before the metadata in an object that has nothing else.
pub fn begin_partial(out: &mut Vec<u8>, meta_version: &str) {
    out.extend_from_slice(b"{\"apiVersion\":\"meta.k8s.io/");
    out.extend_from_slice(meta_version.as_bytes());
    out.extend_from_slice(b"\",\"kind\":\"PartialObjectMetadata\",\"metadata\":");
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

    #[test]
    fn metadata_from_bytes_is_that_of_the_parsed_object() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"resourceVersion": "7", "name": "web", "uid": "u", "labels": {"a": "b"},
                "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}]},
            "spec": {"nodeName": "n"}});
        let mut out = Vec::new();
        write_partial(&mut out, pod.to_string().as_bytes(), "v1").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), partial(&pod).to_string());
    }
}
