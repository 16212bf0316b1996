//! CustomResourceDefinitions. What is asked of them, and in which words, follows
//! `pkg/apis/apiextensions/validation` of k8s.io/apiextensions-apiserver, 1.33.

mod approval;
mod columns;
mod conversion;
mod defaults;
mod lenience;
mod names;
mod open_api;
mod schema;
mod selectable;
pub(crate) mod structural;

pub(crate) use approval::condition as approval_condition;

use super::FieldErrors;
use super::field::{Errors, Path};
use super::json::{
    default_text, ensure_object, flag, get, has, list, list_mut, object_mut, remove, set,
    set_default, text,
};
use super::kind::{Kind, WITH_STATUS};
use crate::crd::{FINALIZER, status};
use hardway_proto::names as rules_of_names;
use lenience::Lenience;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn default(definition: &mut Value) {
    let Some(spec) = object_mut(definition, "spec") else {
        return;
    };
    set_default(spec, "conversion", json!({"strategy": "None"}));
    if let Some(conversion) = object_mut(spec, "conversion") {
        let client = object_mut(conversion, "webhook").and_then(|w| object_mut(w, "clientConfig"));
        if let Some(service) = client.and_then(|c| object_mut(c, "service")) {
            set_default(service, "port", 443);
        }
    }
    if let Some(names) = object_mut(spec, "names") {
        let kind = text(names, "kind").to_owned();
        default_text(names, "singular", &kind.to_lowercase());
        if !kind.is_empty() {
            default_text(names, "listKind", &format!("{kind}List"));
        }
    }
    for version in list_mut(spec, "versions") {
        for column in list_mut(version, "additionalPrinterColumns") {
            if has(column, "jsonPath") {
                continue;
            }
            // v1 always says `jsonPath`; the older spelling is read too.
            if let Some(path) = remove(column, "JSONPath") {
                set(column, "jsonPath", path);
            }
        }
    }
}

/// The version that objects are stored in is one that they may have been stored in.
fn note_storage_version(definition: &mut Value) {
    let versions = list(get(definition, "spec"), "versions");
    let Some(storage) = versions.iter().find(|v| flag(v, "storage")) else {
        return;
    };
    let name = get(storage, "name").clone();
    if let Some(status) = ensure_object(definition, "status") {
        let mut stored = list(status, "storedVersions").to_vec();
        if !stored.contains(&name) {
            stored.push(name);
            set(status, "storedVersions", stored);
        }
    }
}

fn check(e: &mut Errors, definition: &Value, lenience: &Lenience) {
    let (path, spec) = (Path::new("spec"), get(definition, "spec"));
    let group = text(spec, "group");
    let expected = format!("{}.{group}", text(get(spec, "names"), "plural"));
    let name = text(get(definition, "metadata"), "name");
    if name != expected {
        e.invalid(
            &Path::new("metadata.name"),
            name,
            "must be spec.names.plural+\".\"+spec.group",
        );
    }
    let at = path.child("group");
    if group.is_empty() {
        e.required(&at, "");
    } else if !e.joined(&at, group, "", &rules_of_names::is_dns1123_subdomain(group))
        && !group.contains('.')
    {
        e.invalid(&at, group, "should be a domain with at least one dot");
    }
    one_of_two(
        e,
        &path.child("scope"),
        text(spec, "scope"),
        &["Cluster", "Namespaced"],
    );
    versions(e, &path, spec, lenience);
    names::check_all(e, &path.child("names"), get(spec, "names"));
    shared(e, &path, spec, lenience);
    conversion::check(
        e,
        &path.child("conversion"),
        get(spec, "conversion"),
        lenience,
    );
}

/// A text that is required, and of which there are a few only.
fn one_of_two(e: &mut Errors, path: &Path, value: &str, supported: &[&str]) {
    match value {
        "" => e.required(path, ""),
        value => e.one_of(path, value, supported),
    }
}

/// Whether all versions have the same in a field. Kubernetes keeps what they share
/// once, where v1beta1 had it, and tells what is wrong with it there.
fn is_shared(versions: &[Value], field: &str) -> bool {
    versions
        .windows(2)
        .all(|pair| get(&pair[0], field) == get(&pair[1], field))
}

fn schema_of(version: &Value) -> &Value {
    get(get(version, "schema"), "openAPIV3Schema")
}

fn has_status(version: &Value) -> bool {
    has(get(version, "subresources"), "status")
}

/// What each version has by itself.
fn versions(e: &mut Errors, path: &Path, spec: &Value, lenience: &Lenience) {
    let (at, versions) = (path.child("versions"), list(spec, "versions"));
    for (i, version) in versions.iter().enumerate() {
        if schema_of(version).is_null() && (!lenience.schemas || flag(version, "served")) {
            let detail = match lenience.schemas {
                true => "because otherwise all fields are pruned",
                false => "schemas are required",
            };
            e.required(&at.index(i).child("schema.openAPIV3Schema"), detail);
        }
    }
    let mut seen = BTreeSet::new();
    let mut unique = true;
    for (i, version) in versions.iter().enumerate() {
        let path = at.index(i);
        let name = text(version, "name");
        unique &= seen.insert(name);
        e.joined(
            &path.child("name"),
            name,
            "",
            &rules_of_names::is_dns1035_label(name),
        );
        deprecation(e, &path.child("deprecationWarning"), version);
        if !is_shared(versions, "schema") && !schema_of(version).is_null() {
            let path = path.child("schema.openAPIV3Schema");
            schema::check(e, &path, schema_of(version), has_status(version), lenience);
        }
        if !is_shared(versions, "subresources") {
            columns::subresources(e, &path.child("subresources"), get(version, "subresources"));
        }
        if !is_shared(versions, "additionalPrinterColumns") {
            columns::check(e, &path, version);
        }
        if !is_shared(versions, "selectableFields") {
            selectable::check(e, &path, version, lenience.selectable);
        }
    }
    let all = Value::Array(versions.to_vec());
    if !unique {
        e.invalid(&at, &all, "must contain unique version names");
    }
    if versions.iter().filter(|v| flag(v, "storage")).count() != 1 {
        e.invalid(
            &at,
            &all,
            "must have exactly one version marked as storage version",
        );
    }
}

/// What all versions share.
fn shared(e: &mut Errors, path: &Path, spec: &Value, lenience: &Lenience) {
    let versions = list(spec, "versions");
    let Some(first) = versions.first() else {
        return;
    };
    if is_shared(versions, "schema") && !schema_of(first).is_null() {
        let path = path.child("validation.openAPIV3Schema");
        let status = versions.iter().any(has_status);
        schema::check(e, &path, schema_of(first), status, lenience);
    }
    if is_shared(versions, "subresources") {
        columns::subresources(e, &path.child("subresources"), get(first, "subresources"));
    }
    if is_shared(versions, "additionalPrinterColumns") {
        columns::check(e, path, first);
    }
    if is_shared(versions, "selectableFields") {
        selectable::check(e, path, first, lenience.selectable);
    }
}

fn deprecation(e: &mut Errors, path: &Path, version: &Value) {
    let Some(warning) = get(version, "deprecationWarning").as_str() else {
        return;
    };
    if !flag(version, "deprecated") {
        return e.invalid(path, warning, "can only be set for deprecated versions");
    }
    if warning.len() > 256 {
        e.invalid(path, warning, "must be <= 256 characters long");
    }
    if warning.is_empty() {
        e.invalid(path, warning, "must not be an empty string");
    }
    if let Some((at, _)) = warning.char_indices().find(|(_, c)| c.is_control()) {
        let detail = format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {at}"
        );
        e.invalid(path, warning, &detail);
    }
}

fn stored_versions(e: &mut Errors, definition: &Value) {
    let (path, status) = (
        Path::new("status.storedVersions"),
        get(definition, "status"),
    );
    let stored = list(status, "storedVersions");
    if stored.is_empty() {
        return e.invalid(&path, &json!([]), "must have at least one stored version");
    }
    let versions = list(get(definition, "spec"), "versions");
    for version in versions.iter().filter(|v| flag(v, "storage")) {
        if !stored.contains(get(version, "name")) {
            let detail = format!("must have the storage version {}", text(version, "name"));
            e.invalid(&path, get(status, "storedVersions"), &detail);
        }
    }
    for (i, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| get(version, "name") == name) {
            let n = name.as_str().unwrap_or_default();
            let detail = format!(
                "missing from spec.versions; {n} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {n} and removes {n} from status.storedVersions"
            );
            e.invalid(&path.index(i), n, &detail);
        }
    }
}

/// Once objects kept everything; a definition can't go back to that.
fn preserve_unknown_fields(e: &mut Errors, new: &Value, old: Option<&Value>) {
    let of = |definition| flag(get(definition, "spec"), "preserveUnknownFields");
    if of(new) && !old.is_some_and(of) {
        e.invalid(
            &Path::new("spec.preserveUnknownFields"),
            &Value::Bool(true),
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        );
    }
}

fn validate(definition: &Value) -> FieldErrors {
    Errors::collect(|e| {
        check(e, definition, &Lenience::default());
        approval::check(e, definition, None);
        preserve_unknown_fields(e, definition, None);
    })
}

fn validate_changed(new: &Value, old: &Value) -> FieldErrors {
    Errors::collect(|e| {
        let (a, b) = (get(new, "spec"), get(old, "spec"));
        if a != b {
            check(e, new, &Lenience::of(a, old));
        }
        let path = Path::new("spec");
        let (new_names, old_names) = (get(a, "names"), get(b, "names"));
        // These are in the storage's paths, and in what is stored.
        if status::is(get(old, "status"), "Established") {
            e.immutable(&path.child("scope"), get(a, "scope"), get(b, "scope"));
            let at = path.child("names.kind");
            e.immutable(&at, get(new_names, "kind"), get(old_names, "kind"));
        }
        e.immutable(&path.child("group"), get(a, "group"), get(b, "group"));
        let at = path.child("names.plural");
        e.immutable(&at, get(new_names, "plural"), get(old_names, "plural"));
        stored_versions(e, new);
        approval::check(e, new, Some(old));
        preserve_unknown_fields(e, new, Some(old));
    })
}

/// Holds a definition that is deleted until its objects are gone
/// (`customresourcedefinition/etcd.go` of k8s.io/apiextensions-apiserver).
fn hold(definition: &mut Value, now: &str) {
    let mut finalizers = list(get(definition, "metadata"), "finalizers").to_vec();
    if finalizers.iter().all(|finalizer| finalizer != FINALIZER) {
        finalizers.push(FINALIZER.into());
        definition["metadata"]["finalizers"] = finalizers.into();
    }
    let mut told = get(definition, "status").clone();
    let pending = (
        "True",
        "InstanceDeletionPending",
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    );
    status::set_condition(&mut told, "Terminating", pending, now);
    definition["status"] = told;
}

/// Definitions.
pub(super) const DEFINITION: Kind = Kind {
    any_finalizer: true,
    default,
    prepare_create: note_storage_version,
    prepare_update: |new, _| note_storage_version(new),
    prepare_delete: hold,
    validate,
    validate_changed: Some(validate_changed),
    validate_status: |new, _| {
        Errors::collect(|e| {
            let accepted = get(get(new, "status"), "acceptedNames");
            names::check(e, &Path::new("status.acceptedNames"), accepted);
        })
    },
    ..WITH_STATUS
};

#[cfg(test)]
mod tests;
