//! Custom resources are written in the version asked for, and stored in their definition's
//! storage version: what lies between reading, changing and storing them.

use super::{Pipeline, Request, Selection, Target, present};
use crate::cache::Entry;
use hardway_proto::Status;
use hardway_resources::Schema;
use hardway_resources::registry::Snapshot;
use hardway_resources::resource::api_version;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;

/// An object that was read in order to change it.
pub(super) struct Opened {
    /// As the rules of its kind look at it: a custom resource in the version asked for, any
    /// other as it is stored.
    pub value: Value,
    /// Whether it is stored in another version than it would be stored in now.
    pub outdated: bool,
}

/// An object that is about to be stored.
pub(super) struct Closed {
    /// As it is stored.
    pub stored: Arc<Value>,
    /// As it is answered, if that doesn't follow from it.
    pub served: Option<Value>,
}

impl Pipeline {
    /// Objects of the cache as a target shows them.
    pub(super) async fn shown(
        &self,
        target: &Target,
        entries: Vec<Arc<Entry>>,
    ) -> Result<Vec<Arc<Entry>>, Status> {
        let (resource, version) = (&target.resource, &target.version);
        self.conversion.entries(resource, entries, version).await
    }

    /// The same, if a selection needs to see what is in them.
    pub(super) async fn shown_to(
        &self,
        selection: &Selection,
        target: &Target,
        entries: Vec<Arc<Entry>>,
    ) -> Result<Vec<Arc<Entry>>, Status> {
        match selection.looks_inside() {
            true => self.shown(target, entries).await,
            false => Ok(entries),
        }
    }

    /// An object as it is stored, to be changed.
    pub(super) async fn open(&self, target: &Target, stored: Value) -> Result<Opened, Status> {
        let resource = &target.resource;
        if !has_versions(target) {
            return Ok(Opened {
                value: stored,
                outdated: false,
            });
        }
        let kept = resource.api_version(resource.kept_version());
        let outdated = stored["apiVersion"] != kept.as_str();
        let mut values = self
            .conversion
            .objects(resource, vec![stored], &target.version)
            .await?;
        let value = values.pop().unwrap_or_default();
        let value = present::to_served(target, value);
        Ok(Opened { value, outdated })
    }

    /// The same of an object in the cache.
    pub(super) async fn open_cached(
        &self,
        target: &Target,
        entry: Arc<Entry>,
    ) -> Result<Opened, Status> {
        let (resource, version) = (&target.resource, &target.version);
        if resource.webhook.is_none() {
            return self.open(target, entry.value()).await;
        }
        let kept = resource.api_version(resource.kept_version());
        let outdated = !entry.is_in(&kept);
        let value = self.conversion.entry(resource, entry, version).await?;
        Ok(Opened {
            value: value.value(),
            outdated,
        })
    }

    /// A changed object as it will be stored; `None` if it is stored as it is.
    pub(super) async fn close(
        &self,
        target: &Target,
        object: &Value,
    ) -> Result<Option<Closed>, Status> {
        let resource = &target.resource;
        if !has_versions(target) {
            return Ok(None);
        }
        if resource.webhook.is_none() {
            return Ok(Some(Closed {
                stored: Arc::new(resource.to_storage(object.clone())),
                served: None,
            }));
        }
        let convert = async |object: Value, version: &str| {
            let converted = self
                .conversion
                .objects(resource, vec![object], version)
                .await?;
            Ok::<_, Status>(converted.into_iter().next().unwrap_or_default())
        };
        let stored = convert(object.clone(), resource.kept_version()).await?;
        let served = convert(stored.clone(), &target.version).await?;
        Ok(Some(Closed {
            stored: Arc::new(stored),
            served: Some(served),
        }))
    }

    /// Does something that looks at objects in other versions than the one asked for, whose
    /// managers know them so. What of that takes a webhook is asked for, and it is done again.
    pub(super) async fn seeing_versions<T>(
        &self,
        request: &Request,
        mut attempt: impl FnMut() -> Result<T, Status>,
    ) -> Result<T, Status> {
        loop {
            let outcome = attempt();
            let missing = std::mem::take(&mut *request.versions.missing.lock());
            if missing.is_empty() {
                return outcome;
            }
            let resource = &request.target.resource;
            for (object, wanted) in missing {
                let version = wanted.rsplit('/').next().unwrap_or_default();
                let converted = self
                    .conversion
                    .objects(resource, vec![object.clone()], version)
                    .await?;
                let converted = converted.into_iter().next().unwrap_or_default();
                request
                    .versions
                    .known
                    .lock()
                    .push((object, wanted, converted));
            }
        }
    }
}

/// Whether a target's objects are changed in another version than they may be stored in.
fn has_versions(target: &Target) -> bool {
    target.resource.custom && target.resource.has_other_versions
}

/// Objects in other versions, as far as a request has come to know them.
#[derive(Default)]
pub struct Versions {
    known: Mutex<Vec<(Value, String, Value)>>,
    missing: Mutex<Vec<(Value, String)>>,
}

impl Versions {
    /// An object in another version. If it isn't known yet it is noted as missing, and what is
    /// made of the answer is of no use.
    fn of(&self, object: &Value, wanted: &str) -> Value {
        let known = self.known.lock();
        let mut known = known.iter();
        match known.find(|(of, version, _)| version == wanted && of == object) {
            Some((.., converted)) => converted.clone(),
            None => {
                let missing = (object.clone(), wanted.to_owned());
                self.missing.lock().push(missing);
                object.clone()
            }
        }
    }
}

/// How managers of other versions see objects of a resource.
pub(super) fn in_versions<'a>(
    table: &'a Snapshot,
    request: &'a Request,
) -> impl Fn(&Value, &str, &str) -> Option<(Schema, Value)> + 'a {
    move |object, from, to| {
        let of = &request.target.resource;
        if of.webhook.is_none() {
            return table.convert(of, object, from, to);
        }
        let mut versions = of.versions.iter();
        let there = versions.find(|version| api_version(&of.group, &version.name) == to)?;
        Some((there.schema.clone(), request.versions.of(object, to)))
    }
}
