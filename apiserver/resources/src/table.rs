//! `meta.k8s.io/v1` Table: what `kubectl get` shows.

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

/// An object's metadata alone, as `PartialObjectMetadata`.
pub fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}
