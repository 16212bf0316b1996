//! What all writes share.

use super::{Object, Pipeline, Request, Target, present};
use crate::store::splice::{self, Versioned};
use crate::store::{StoreError, Write};
use hardway_access::{Operation, Review};
use hardway_patch::{FieldSet, Writer, managed_fields};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

/// An object about to be stored.
pub(super) struct Change<'a> {
    /// What it is.
    pub target: &'a Target,
    /// The object in its stored form.
    pub object: &'a Value,
    /// The transaction; the value is filled in.
    pub write: Write,
}

impl Pipeline {
    /// Stores an object; gives it as it is served.
    pub(super) async fn commit(&self, change: Change<'_>) -> Result<Object, StoreError> {
        let json = splice::encode(change.object);
        let write = Write {
            value: Some(json.clone()),
            ..change.write
        };
        let revision = self.store.commit(write).await?;
        let json = Versioned::new(&json, revision)
            .map(|versioned| versioned.bytes)
            .unwrap_or_default();
        Ok(Object {
            json: present::serve(change.target, &json),
            created: false,
        })
    }
}

/// What admission is told about a write.
pub(super) fn review<'a>(
    request: &'a Request,
    target: &'a Target,
    operation: Operation,
) -> Review<'a> {
    Review {
        user: &request.user,
        operation,
        group: target.group(),
        version: &target.version,
        resource: target.plural(),
        kind: &target.resource.kind,
        subresource: &target.subresource,
        namespace: &target.namespace,
        name: &target.name,
        dry_run: request.options.dry_run,
        options: &Value::Null,
        warnings: Mutex::default(),
    }
}

/// Passes on the warnings of admission.
pub(super) fn take_warnings(request: &Request, review: Review) {
    for warning in review.warnings.into_inner() {
        request.warn(warning);
    }
}

/// Who writes, for managedFields.
pub(super) fn writer<'a>(
    request: &'a Request,
    manager: &'a str,
    api_version: &'a str,
    now: Timestamp,
) -> Writer<'a> {
    let target = &request.target;
    let ignored = match target.subresource.as_str() {
        "" if target.resource.rules.has_status() => FieldSet::of(&[&["status"]]),
        "status" => FieldSet::of(&[
            &["spec"],
            &["metadata", "labels"],
            &["metadata", "annotations"],
        ]),
        _ => FieldSet::default(),
    };
    Writer {
        manager,
        api_version,
        subresource: &target.subresource,
        ignored,
        now,
    }
}

/// Records who owns which fields after a write that is no apply.
pub(super) fn own(request: &Request, new: &mut Value, old: Option<&Value>, now: Timestamp) {
    let manager = request.manager();
    let stored_version = new["apiVersion"].as_str().unwrap_or_default().to_owned();
    let writer = writer(request, &manager, &stored_version, now);
    let schema = &request.target.resource.versions[0].schema;
    managed_fields::update(old, new, schema, &writer);
}
