//! Fields that objects can be selected by.

use super::schema_of;
use crate::rules::field::{Errors, Path};
use crate::rules::json::{list, text};
use hardway_cel::field_path;
use serde_json::Value;
use std::collections::BTreeSet;

/// How many fields of a version can be selected.
const MOST: usize = 8;

/// The selectable fields of a version; `many` lets there be as many as there were.
pub(super) fn check(e: &mut Errors, path: &Path, version: &Value, many: bool) {
    let path = path.child("selectableFields");
    let fields = list(version, "selectableFields");
    let schema = schema_of(version);
    if schema.is_null() && !fields.is_empty() {
        // What Kubernetes means is the opposite.
        return e.invalid(
            &path,
            "",
            "selectableFields may only be set when version.schema.openAPIV3Schema is not included",
        );
    }
    let mut seen = BTreeSet::new();
    for (i, field) in fields.iter().enumerate() {
        let (path, json_path) = (path.index(i).child("jsonPath"), text(field, "jsonPath"));
        if json_path.is_empty() {
            e.required(&path, "");
            continue;
        }
        let (fields, found) = match field_path::follow(json_path, schema, false) {
            Ok(found) => found,
            Err(why) => {
                e.invalid(&path, json_path, &format!("is an invalid path: {why}"));
                continue;
            }
        };
        if fields
            .first()
            .is_some_and(|first| first.name() == "metadata")
        {
            e.invalid(&path, json_path, "must not point to fields in metadata");
        }
        if !["string", "boolean", "integer"].contains(&text(found, "type")) {
            e.invalid(
                &path,
                json_path,
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
            );
        }
        if !seen.insert(fields) {
            e.duplicate(&path, json_path);
        }
    }
    if seen.len() > MOST && !many {
        e.too_many(&path, seen.len(), MOST);
    }
}
