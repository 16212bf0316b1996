//! Printer columns and subresources, whose paths are simple ones.

use crate::rules::field::{Errors, Path};
use crate::rules::json::{get, has, list, text};
use serde_json::Value;

const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const FORMATS: [&str; 8] = [
    "byte",
    "date",
    "date-time",
    "double",
    "float",
    "int32",
    "int64",
    "password",
];

/// The printer columns of a version.
pub(super) fn check(e: &mut Errors, path: &Path, version: &Value) {
    for (i, column) in list(version, "additionalPrinterColumns").iter().enumerate() {
        let path = path.child("additionalPrinterColumns").index(i);
        if text(column, "name").is_empty() {
            e.required(&path.child("name"), "");
        }
        let (at, kind) = (path.child("type"), text(column, "type"));
        let detail = format!("must be one of {}", TYPES.join(","));
        match kind {
            "" => e.required(&at, &detail),
            kind if !TYPES.contains(&kind) => e.invalid(&at, kind, &detail),
            _ => {}
        }
        let format = text(column, "format");
        if !format.is_empty() && !FORMATS.contains(&format) {
            let detail = format!("must be one of {}", FORMATS.join(","));
            e.invalid(&path.child("format"), format, &detail);
        }
        // Kubernetes names it as v1beta1 wrote it.
        let (at, json_path) = (path.child("JSONPath"), text(column, "jsonPath"));
        match json_path {
            "" => e.required(&at, ""),
            json_path => drop(is_simple(e, &at, json_path)),
        }
    }
}

/// The subresources of a version.
pub(super) fn subresources(e: &mut Errors, path: &Path, subresources: &Value) {
    if !has(subresources, "scale") {
        return;
    }
    let scale = get(subresources, "scale");
    for (field, part) in [
        ("specReplicasPath", "spec"),
        ("statusReplicasPath", "status"),
    ] {
        let (at, json_path) = (path.child("scale").child(field), text(scale, field));
        if json_path.is_empty() {
            e.required(&at, "");
        } else if is_simple(e, &at, json_path) && !json_path.starts_with(&format!(".{part}.")) {
            let detail = format!("should be a json path under .{part}");
            e.invalid(&at, json_path, &detail);
        }
    }
    let (at, selector) = (
        path.child("scale.labelSelectorPath"),
        text(scale, "labelSelectorPath"),
    );
    if !selector.is_empty()
        && is_simple(e, &at, selector)
        && !selector.starts_with(".spec.")
        && !selector.starts_with(".status.")
    {
        e.invalid(
            &at,
            selector,
            "should be a json path under either .spec or .status",
        );
    }
}

/// A path in dots; tells whether it is one.
fn is_simple(e: &mut Errors, path: &Path, text: &str) -> bool {
    let good = text.starts_with('.');
    if !good {
        e.invalid(path, text, "must be a simple json path starting with .");
    }
    good
}
