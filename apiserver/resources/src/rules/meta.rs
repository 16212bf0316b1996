//! What every object's metadata has to obey.

use super::field::{Errors, Path};
use super::json::{entries, flag, get, int, list, text};
use super::{FieldErrors, KindRules, labels};
use hardway_proto::names;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};

/// What all annotations of an object together may weigh, in bytes.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// A check of a name, answering with what is wrong with it.
pub type NameRule<'a> = &'a dyn Fn(&str) -> Vec<String>;

/// Finalizers of Kubernetes' own, which name no domain.
pub(super) const STANDARD_FINALIZERS: [&str; 3] = ["foregroundDeletion", "kubernetes", "orphan"];

/// What is wrong with the metadata of an object about to be created, its
/// final name included.
pub fn validate(object: &Value, rules: &dyn KindRules) -> FieldErrors {
    Errors::collect(|e| {
        let (path, meta) = (Path::new("metadata"), get(object, "metadata"));
        check(e, &path, meta, &|name| rules.validate_name(name));
        known_finalizers(e, &path, meta, rules);
    })
}

/// Finalizers that name no domain must be Kubernetes' own (`validateKubeFinalizerName`
/// of `pkg/apis/core/validation`).
fn known_finalizers(e: &mut Errors, path: &Path, meta: &Value, rules: &dyn KindRules) {
    if rules.takes_any_finalizer() {
        return;
    }
    for (i, finalizer) in list(meta, "finalizers").iter().enumerate() {
        let name = finalizer.as_str().unwrap_or_default();
        if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
            e.invalid(
                &path.child("finalizers").index(i),
                name,
                "name is neither a standard finalizer name nor is it fully qualified",
            );
        }
    }
}

/// What is told of new finalizers of a custom resource, which may have any name
/// (`pkg/registry/customresource/validator.go` of the apiextensions apiserver).
pub(crate) fn of_finalizers(new: &Value, old: Option<&Value>) -> Vec<String> {
    let of = |object: &Value| -> BTreeSet<String> {
        let names = list(get(object, "metadata"), "finalizers").iter();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let before = old.map(of).unwrap_or_default();
    let added = of(new).into_iter().filter(|name| !before.contains(name));
    let unnamed =
        added.filter(|name| !name.contains('/') && !STANDARD_FINALIZERS.contains(&name.as_str()));
    let tell = |name| {
        format!(
            "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers"
        )
    };
    unnamed.map(tell).collect()
}

fn check(e: &mut Errors, path: &Path, meta: &Value, name_rule: NameRule) {
    let generate = text(meta, "generateName");
    if !generate.is_empty() {
        // What is generated ends in a letter or digit, so a trailing dash is fine.
        let probe = match generate.strip_suffix('-') {
            Some(head) if !head.is_empty() => format!("{head}a"),
            _ => generate.to_owned(),
        };
        e.each(&path.child("generateName"), generate, name_rule(&probe));
    }
    let name = text(meta, "name");
    if name.is_empty() {
        e.required(&path.child("name"), "name or generateName is required");
    } else {
        e.each(&path.child("name"), name, name_rule(name));
    }
    e.non_negative(&path.child("generation"), int(meta, "generation"));
    common(e, path, meta);
}

/// The metadata of a resource within another: its name may come later.
pub(crate) fn check_embedded(e: &mut Errors, path: &Path, meta: &Value) {
    for (field, rule) in [
        (
            "generateName",
            names::is_path_segment as fn(&str) -> Vec<String>,
        ),
        ("name", names::is_path_segment),
        ("namespace", names::is_dns1123_label),
    ] {
        let value = text(meta, field);
        if !value.is_empty() {
            e.each(&path.child(field), value, rule(value));
        }
    }
    e.non_negative(&path.child("generation"), int(meta, "generation"));
    common(e, path, meta);
}

/// What creation and update check alike.
fn common(e: &mut Errors, path: &Path, meta: &Value) {
    labels::check(e, &path.child("labels"), get(meta, "labels"));
    annotations(e, &path.child("annotations"), meta);
    owners(e, &path.child("ownerReferences"), meta);
    finalizers(e, &path.child("finalizers"), meta);
    for (i, entry) in list(meta, "managedFields").iter().enumerate() {
        let path = path.child("managedFields").index(i);
        let operation = text(entry, "operation");
        if !["Apply", "Update"].contains(&operation) {
            e.invalid(
                &path.child("operation"),
                operation,
                "must be `Apply` or `Update`",
            );
        }
        let fields_type = text(entry, "fieldsType");
        if !["", "FieldsV1"].contains(&fields_type) {
            e.invalid(&path.child("fieldsType"), fields_type, "must be `FieldsV1`");
        }
        if text(entry, "manager").len() > 128 {
            e.too_long(&path.child("manager"), 128);
        }
    }
}

/// Labels and annotations of a pod template.
pub(super) fn check_template(e: &mut Errors, path: &Path, meta: &Value) {
    labels::check(e, &path.child("labels"), get(meta, "labels"));
    annotations(e, &path.child("annotations"), meta);
}

/// The annotations in an object's metadata.
pub fn annotations(e: &mut Errors, path: &Path, meta: &Value) {
    let mut size = 0;
    for (key, value) in entries(meta, "annotations") {
        e.each(path, key, names::is_qualified_name(&key.to_lowercase()));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        e.too_long(path, ANNOTATIONS_LIMIT);
    }
}

fn owners(e: &mut Errors, path: &Path, meta: &Value) {
    let mut controller: Option<&str> = None;
    for owner in list(meta, "ownerReferences") {
        for (field, name) in [
            ("apiVersion", "version"),
            ("kind", "kind"),
            ("name", "name"),
            ("uid", "uid"),
        ] {
            if text(owner, field).is_empty() {
                let detail = format!("{name} must not be empty");
                e.invalid(&path.child(field), text(owner, field), &detail);
            }
        }
        if flag(owner, "controller") {
            if let Some(other) = controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {other} and {}",
                    text(owner, "name")
                );
                e.invalid(path, get(meta, "ownerReferences"), &detail);
            }
            controller = Some(text(owner, "name"));
        }
    }
}

fn finalizers(e: &mut Errors, path: &Path, meta: &Value) {
    let all: BTreeSet<&str> = list(meta, "finalizers")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for (i, finalizer) in list(meta, "finalizers").iter().enumerate() {
        let name = finalizer.as_str().unwrap_or_default();
        e.each(&path.index(i), name, names::is_qualified_name(name));
    }
    if all.contains("orphan") && all.contains("foregroundDeletion") {
        e.invalid(
            path,
            get(meta, "finalizers"),
            "finalizer orphan and foregroundDeletion cannot be both set",
        );
    }
}

/// What is wrong with a change of metadata.
pub fn validate_update(new: &Value, old: &Value, rules: &dyn KindRules) -> FieldErrors {
    Errors::collect(|e| {
        let path = Path::new("metadata");
        let (new, old) = (get(new, "metadata"), get(old, "metadata"));
        for field in ["name", "namespace", "uid", "creationTimestamp"] {
            e.immutable(&path.child(field), get(new, field), get(old, field));
        }
        if !get(old, "deletionTimestamp").is_null() {
            for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
                e.immutable(&path.child(field), get(new, field), get(old, field));
            }
            let before: HashSet<&Value> = list(old, "finalizers").iter().collect();
            let added: Vec<String> = list(new, "finalizers")
                .iter()
                .filter(|f| !before.contains(f))
                .map(|f| format!("{:?}", f.as_str().unwrap_or_default()))
                .collect();
            if !added.is_empty() {
                let detail = format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    added.join(", ")
                );
                e.forbidden(&path.child("finalizers"), &detail);
            }
        }
        if int(new, "generation") < int(old, "generation") {
            e.invalid(
                &path.child("generation"),
                int(new, "generation").unwrap_or_default(),
                "must not be decremented",
            );
        }
        common(e, &path, new);
        known_finalizers(e, &path, new, rules);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::kind::{Kind, PLAIN};
    use serde_json::json;

    fn messages(causes: FieldErrors) -> Vec<String> {
        causes
            .iter()
            .map(|c| format!("{}: {}", c.field, c.message))
            .collect()
    }

    #[test]
    fn names_labels_and_owners() {
        let object = json!({"metadata": {
            "name": "Bad", "labels": {"a b": "c"}, "finalizers": ["odd"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": ""}],
        }});
        let found = messages(validate(&object, &PLAIN));
        assert!(
            found[0].starts_with(
                r#"metadata.name: Invalid value: "Bad": a lowercase RFC 1123 subdomain"#
            )
        );
        assert!(
            found[1]
                .starts_with(r#"metadata.labels: Invalid value: "a b": name part must consist"#)
        );
        assert_eq!(
            found[2],
            r#"metadata.ownerReferences.uid: Invalid value: "": uid must not be empty"#
        );
        assert_eq!(
            found[3..],
            [
                r#"metadata.finalizers[0]: Invalid value: "odd": name is neither a standard finalizer name nor is it fully qualified"#
            ]
        );
        let any = Kind {
            any_finalizer: true,
            ..PLAIN
        };
        assert_eq!(messages(validate(&object, &any)), found[..3]);
        assert_eq!(
            of_finalizers(&object, None),
            [
                r#"metadata.finalizers: "odd": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers"#
            ]
        );
        assert_eq!(of_finalizers(&object, Some(&object)), [""; 0]);
        let nameless = validate(&json!({"metadata": {}}), &PLAIN);
        assert_eq!(
            messages(nameless),
            ["metadata.name: Required value: name or generateName is required"]
        );
    }

    #[test]
    fn what_may_not_change() {
        let old = json!({"metadata": {"name": "a", "uid": "1", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        let mut new = old.clone();
        new["metadata"]["uid"] = json!("2");
        new["metadata"]["finalizers"] = json!(["a.b/c"]);
        assert_eq!(
            messages(validate_update(&new, &old, &PLAIN)),
            [
                r#"metadata.uid: Invalid value: "2": field is immutable"#,
                r#"metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a.b/c"}"#,
            ]
        );
    }
}
