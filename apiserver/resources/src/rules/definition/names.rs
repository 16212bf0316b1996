//! The names of a definition's resource.

use crate::rules::field::{Errors, Path};
use crate::rules::json::{list, text};
use hardway_proto::names::is_dns1035_label;
use serde_json::Value;

/// What comes before the complaint about a name that is written in mixed case.
const MIXED_CASE: &str = "may have mixed case, but should otherwise match: ";

/// The names in a spec: some have to be there.
pub(super) fn check_all(e: &mut Errors, path: &Path, names: &Value) {
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(names, field).is_empty() {
            e.required(&path.child(field), "");
        }
    }
    check(e, path, names);
}

/// The names in a spec or a status, as far as they are there.
pub(super) fn check(e: &mut Errors, path: &Path, names: &Value) {
    for (field, before) in [
        ("plural", ""),
        ("singular", ""),
        ("kind", MIXED_CASE),
        ("listKind", MIXED_CASE),
    ] {
        let name = text(names, field);
        let checked = match before {
            "" => name.to_owned(),
            _ => name.to_lowercase(),
        };
        if !name.is_empty() {
            e.joined(
                &path.child(field),
                name,
                before,
                &is_dns1035_label(&checked),
            );
        }
    }
    each(e, path, names, "shortNames");
    let list_kind = text(names, "listKind");
    if !list_kind.is_empty() && text(names, "kind") == list_kind {
        e.invalid(
            &path.child("listKind"),
            list_kind,
            "kind and listKind may not be the same",
        );
    }
    each(e, path, names, "categories");
}

fn each(e: &mut Errors, path: &Path, names: &Value, field: &str) {
    for (i, name) in list(names, field).iter().enumerate() {
        let name = name.as_str().unwrap_or_default();
        e.joined(
            &path.child(field).index(i),
            name,
            "",
            &is_dns1035_label(name),
        );
    }
}
