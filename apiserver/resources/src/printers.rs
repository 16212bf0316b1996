//! What `kubectl get` shows of each kind.
//!
//! A printer is a line that names the columns and a function that fills them.
//! In the line columns are parted by `|`; `:i`, `:b` and `:d` mark integers,
//! booleans and dates, a trailing `+` columns of `-o wide`.

mod access;
mod cells;
pub mod custom;
mod nodes;
mod pods;
mod services;
mod volumes;
mod workloads;

use crate::excerpt::Fields;
use crate::resource::{Column, Printer};
use cells::Cells;
use serde_json::Value;
use std::sync::Arc;

pub(crate) use cells::human;

/// A line of columns and what fills them.
type Spec = (&'static str, fn(&Value) -> Cells);

struct BuiltIn {
    columns: Vec<Column>,
    looks_at: Fields,
    fill: fn(&Value) -> Cells,
}

impl Printer for BuiltIn {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn looks_at(&self) -> &Fields {
        &self.looks_at
    }

    fn cells(&self, object: &Value) -> Cells {
        (self.fill)(object)
    }
}

/// The printer of a built-in kind.
pub fn for_kind(group: &str, version: &str, kind: &str) -> Arc<dyn Printer> {
    let (line, fill) = [
        pods::spec,
        services::spec,
        workloads::spec,
        nodes::spec,
        volumes::spec,
        access::spec,
    ]
    .iter()
    .find_map(|specs| specs(group, version, kind))
    .unwrap_or(DEFAULT);
    Arc::new(BuiltIn {
        columns: line.split('|').map(column).collect(),
        looks_at: match (group, kind) {
            ("", "Pod") => Fields::of(pods::LOOKS_AT),
            _ => Fields::unmanaged(),
        },
        fill,
    })
}

const DEFAULT: Spec = ("Name|Created At:d", |object| {
    let created = object["metadata"]["creationTimestamp"].clone();
    vec![cells::name(object), created.into()]
});

fn column(text: &str) -> Column {
    let (text, priority) = match text.strip_suffix('+') {
        Some(text) => (text, 1),
        None => (text, 0),
    };
    let (name, r#type) = match text.split_once(':') {
        Some((name, "i")) => (name, "integer"),
        Some((name, "b")) => (name, "boolean"),
        Some((name, _)) => (name, "date"),
        None => (text, "string"),
    };
    Column {
        name: name.to_owned(),
        r#type,
        // Kubernetes gives it to the attacher as well.
        format: match name {
            "Name" | "Attacher" => "name",
            _ => "",
        },
        description: describe(name),
        priority,
    }
}

fn describe(name: &str) -> String {
    match name {
        "Name" => "Name must be unique within a namespace.".to_owned(),
        "Age" | "Created At" => "Time since, or at which, the object was created.".to_owned(),
        _ => format!("{name} of the object."),
    }
}
