//! What all writes share.

use super::versions::in_versions;
use super::{Object, Pipeline, Request, Target, metadata, present};
use crate::space::{Growth, LARGEST_LEASE, SLACK};
use crate::store::splice::{self, Versioned};
use crate::store::{StoreError, Write};
use bytes::Bytes;
use hardway_access::admission::matching::REGISTRATION_GROUP;
use hardway_patch::{FieldSet, Versions, Writer, managed_fields};
use hardway_proto::Status;
use hardway_resources::Schema;
use hardway_resources::rows::{Handler, Part};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

/// An object about to be stored.
pub(super) struct Change<'a> {
    /// What it is.
    pub target: &'a Target,
    /// The object in its stored form.
    pub object: Arc<Value>,
    /// As it is answered, if that doesn't follow from it.
    pub served: Option<&'a Value>,
    /// The transaction; the value is filled in.
    pub write: Write,
}

impl Pipeline {
    /// Stores an object; gives it as it is served.
    pub(super) async fn commit(
        &self,
        request: &Request,
        change: Change<'_>,
    ) -> Result<Object, StoreError> {
        let json = Bytes::from(splice::encode(&change.object));
        // Of a custom resource the cache has what is defaulted in its storage version, too.
        let is_whole = !change.target.resource.custom;
        let write = Write {
            value: Some(json.clone()),
            object: is_whole.then(|| change.object.clone()),
            ..change.write
        };
        let revision = self
            .carry_out(request, change.target, &change.object, write)
            .await?;
        let answer = change
            .served
            .map(|served| Bytes::from(splice::encode(served)));
        let json = Versioned::new(answer.as_ref().unwrap_or(&json), revision)
            .map(|versioned| versioned.bytes)
            .unwrap_or_default();
        Ok(Object {
            json: present::serve(change.target, &json),
            created: false,
            cached: None,
        })
    }

    /// Does a write of an object, which has no value if the object goes; gives its revision.
    pub(super) async fn carry_out(
        &self,
        request: &Request,
        target: &Target,
        object: &Value,
        write: Write,
    ) -> Result<i64, StoreError> {
        let (is_removed, begun) = (write.value.is_none(), Instant::now());
        let bytes = write.key.len() + write.value.as_ref().map_or(0, Bytes::len);
        self.space.check(|| self.growth(target, object, &write))?;
        let committed = self.store.commit(write).await;
        if let Err(StoreError::NoSpace(_)) = &committed {
            self.space.look_again();
        }
        let revision = committed?;
        self.space.wrote(bytes);
        request.story.stored(object, is_removed, revision, begun);
        self.put_in_force(target, revision).await;
        Ok(revision)
    }

    /// What a write means for the space in etcd.
    fn growth(&self, target: &Target, object: &Value, write: &Write) -> Growth {
        let Some(value) = &write.value else {
            return Growth::Removal;
        };
        let length = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        let found = self
            .cache_of(target)
            .ok()
            .and_then(|of| of.get(&target.key()));
        // With its version, which is stored elsewhere: some bytes too many.
        let before = found.map_or(value.len(), |entry| entry.bytes().len());
        let grown = length(value.len()) - length(before);
        // Only as much as that needs: who may change one such object could fill the rest with it.
        if metadata::is_terminating(object) && grown <= SLACK {
            return Growth::Leaving;
        }
        let is_lease = target.group() == "coordination.k8s.io" && target.plural() == "leases";
        if is_lease && value.len() <= LARGEST_LEASE {
            return Growth::Lease;
        }
        match write.expected {
            0 => Growth::New,
            _ => Growth::By(grown),
        }
    }

    /// What configures admission holds for every request that comes after it was written: the
    /// answer waits until the cache, out of which admission reads it, has it.
    async fn put_in_force(&self, target: &Target, revision: i64) {
        if target.group() != REGISTRATION_GROUP {
            return;
        }
        if let Err(status) = self.cache.wait_for(revision).await {
            tracing::warn!(%status, "admission does not know yet what was written");
        }
    }

    /// Records who owns which fields after a write that is no apply. Objects come as the
    /// rules of their kind look at them; fields are those of the version written in.
    ///
    /// # Errors
    /// If managers know the object in a version that it can't be converted to.
    pub(super) async fn own(
        &self,
        request: &Request,
        new: &mut Value,
        old: Option<&Value>,
        now: Timestamp,
    ) -> Result<(), Status> {
        if request.target.resource.webhook.is_none() {
            self.note_owners(request, new, old, now);
            return Ok(());
        }
        let written = new.clone();
        let attempt = || {
            let mut new = written.clone();
            self.note_owners(request, &mut new, old, now);
            Ok(new)
        };
        *new = self.seeing_versions(request, attempt).await?;
        Ok(())
    }

    fn note_owners(&self, request: &Request, new: &mut Value, old: Option<&Value>, now: Timestamp) {
        let target = &request.target;
        let manager = request.manager();
        let api_version = target.api_version();
        let table = self.registry.snapshot();
        let versions = in_versions(&table, request);
        let writer = writer(request, &manager, &api_version, &versions, now);
        if !present::converts(target) {
            return managed_fields::update(old, new, target.schema(), &writer);
        }
        let old = old.map(|old| present::to_served(target, old.clone()));
        let mut served = present::to_served(target, new.clone());
        managed_fields::update(old.as_ref(), &mut served, target.schema(), &writer);
        let metadata = metadata::of(new);
        match served["metadata"].get("managedFields") {
            Some(fields) => metadata.insert("managedFields".into(), fields.clone()),
            None => metadata.remove("managedFields"),
        };
    }
}

/// Who writes, for managedFields.
pub(super) fn writer<'a>(
    request: &'a Request,
    manager: &'a str,
    api_version: &'a str,
    versions: &'a InVersions<'a>,
    now: Timestamp,
) -> Writer<'a> {
    let target = &request.target;
    let ignored = match target.handler() {
        None if target.has_status() => FieldSet::of(&[&["status"]]),
        Some(Handler::Part(Part::Status)) => {
            let kept = target.kept_metadata().iter();
            let kept: Vec<[&str; 2]> = kept.map(|field| ["metadata", field]).collect();
            let mut fields: Vec<&[&str]> = vec![&["spec"]];
            fields.extend(kept.iter().map(|path| &path[..]));
            FieldSet::of(&fields)
        }
        _ => FieldSet::default(),
    };
    Writer {
        manager,
        api_version,
        subresource: &target.subresource,
        ignored,
        versions: Versions::by(versions),
        now,
    }
}

/// An object of a resource in another of its versions.
type InVersions<'a> = dyn Fn(&Value, &str, &str) -> Option<(Schema, Value)> + 'a;
