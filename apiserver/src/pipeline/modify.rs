//! update and patch: read, change, compare and swap, again if need be.

use super::admission::Sent;
use super::part::ObjectPart;
use super::versions::in_versions;
use super::write::{Change, writer};
use super::{Object, Pipeline, Request, Target, create, metadata, present};
use crate::store::{StoreError, Stored, Write};
use hardway_access::Operation;
use hardway_proto::Status;
use hardway_proto::status::Cause;
use hardway_resources::rules::meta;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// How often a write that is no conflict of the client's is tried.
const TRIES: usize = 6;

/// What an object as it is (in the version asked for) shall become.
pub(super) type MakeNew<'a> = dyn Fn(&Value) -> Result<Value, Status> + Send + Sync + 'a;

/// A change of one object.
#[derive(Clone, Copy)]
pub(super) struct Edit<'a> {
    /// Of which part.
    pub part: &'a dyn ObjectPart,
    /// To what.
    pub make: &'a MakeNew<'a>,
    /// Whether that has its managedFields already.
    pub applied: bool,
}

/// An object as it was found.
struct Current {
    value: Value,
    revision: i64,
    /// It may be older than what etcd has.
    cached: bool,
    /// etcd has it encrypted otherwise, or in another version, than it would be today.
    stale: bool,
}

/// What a write comes to.
enum Step {
    /// Nothing changes.
    Nothing(Value),
    /// Store this.
    Put(Value),
    /// The last finalizer is gone: so goes the object.
    Remove(Value),
}

impl Pipeline {
    /// Changes a part of an object that must be there.
    pub(super) async fn change(
        &self,
        request: &Request,
        part: &dyn ObjectPart,
        make: &MakeNew<'_>,
    ) -> Result<Object, Status> {
        let edit = Edit {
            part,
            make,
            applied: false,
        };
        let object = self.modify(request, edit).await?;
        object.ok_or_else(|| request.target.not_found())
    }

    /// Changes an object. `None` if there is none.
    pub(super) async fn modify(
        &self,
        request: &Request,
        edit: Edit<'_>,
    ) -> Result<Option<Object>, Status> {
        let target = &request.target;
        let mut current = match self.cache_of(target)?.get(&target.key()) {
            Some(entry) => {
                let revision = entry.revision;
                let opened = self.open_cached(target, entry).await?;
                Current {
                    value: opened.value,
                    revision,
                    cached: true,
                    stale: opened.outdated,
                }
            }
            None => match self.stored(target).await? {
                Some(current) => current,
                None => return Ok(None),
            },
        };
        for _ in 0..TRIES {
            let step = match self.step(request, &edit, &current).await {
                Ok(step) => step,
                // It may have failed because the cache is behind.
                Err(status) if current.cached => match self.stored(target).await? {
                    Some(stored) if stored.revision != current.revision => {
                        current = stored;
                        continue;
                    }
                    Some(_) => return Err(status),
                    None => return Ok(None),
                },
                Err(status) => return Err(status),
            };
            let outcome = match step {
                Step::Nothing(_)
                    if current.cached && self.store.may_be_stale(&target.store_key()) =>
                {
                    match self.stored(target).await? {
                        Some(stored) => current = stored,
                        None => return Ok(None),
                    }
                    continue;
                }
                // So that writing everything as it is brings in a new key.
                Step::Nothing(value) if current.stale && !request.options.dry_run => {
                    self.put(request, &current, value).await?
                }
                Step::Nothing(value) => {
                    return self.unchanged(request, current, value).await.map(Some);
                }
                Step::Put(value) | Step::Remove(value) if request.options.dry_run => {
                    return Ok(Some(Object::of(&present::to_served(target, value))));
                }
                Step::Put(value) => self.put(request, &current, value).await?,
                Step::Remove(value) => self.remove(request, &current, &value).await?,
            };
            match outcome {
                Ok(object) => return Ok(Some(object)),
                Err(None) => return Ok(None),
                Err(Some(found)) => current = self.read(target, found).await?,
            }
        }
        Err(target.stale())
    }

    /// The object as etcd has it.
    async fn stored(&self, target: &Target) -> Result<Option<Current>, Status> {
        match self.store.get(&target.store_key()).await? {
            Some(stored) => self.read(target, stored).await.map(Some),
            None => Ok(None),
        }
    }

    async fn read(&self, target: &Target, stored: Stored) -> Result<Current, Status> {
        let mut value = stored.object()?;
        target.resource.rules.default_stored(&mut value);
        let version = stored.revision.to_string();
        metadata::of(&mut value).insert("resourceVersion".into(), version.into());
        let opened = self.open(target, value).await?;
        Ok(Current {
            value: opened.value,
            revision: stored.revision,
            cached: false,
            stale: stored.stale || opened.outdated,
        })
    }

    /// A write that changes nothing isn't stored; but the object must still be
    /// what it was.
    async fn unchanged(
        &self,
        request: &Request,
        current: Current,
        value: Value,
    ) -> Result<Object, Status> {
        let mut value = value;
        let mut revision = current.revision;
        if current.cached
            && let Some(entry) = {
                self.cache.fresh().await?;
                self.cache_of(&request.target)?.get(&request.target.key())
            }
        {
            revision = entry.revision;
            value = self.open_cached(&request.target, entry).await?.value;
        }
        metadata::of(&mut value).insert("resourceVersion".into(), revision.to_string().into());
        Ok(Object::of(&present::to_served(&request.target, value)))
    }

    /// Stores; or gives what was found instead.
    async fn put(
        &self,
        request: &Request,
        current: &Current,
        mut object: Value,
    ) -> Result<Result<Object, Option<Stored>>, Status> {
        let target = &request.target;
        let mut causes = Vec::new();
        let mut services =
            self.services
                .change(target, &mut object, Some(&current.value), &mut causes);
        target.check(causes)?;
        let closed = self.close(target, &object).await?;
        let mut object = Arc::new(object);
        loop {
            let claims = services.claims(Arc::make_mut(&mut object))?;
            let stored = closed.as_ref().map_or(&object, |closed| &closed.stored);
            let change = Change {
                target,
                object: stored.clone(),
                served: closed.as_ref().and_then(|closed| closed.served.as_ref()),
                write: Write {
                    key: target.store_key(),
                    expected: current.revision,
                    expires: target.resource.strategy.expires,
                    claims: claims.take,
                    releases: claims.give_back,
                    ..Write::default()
                },
            };
            match self.commit(request, change).await {
                Ok(object) => return Ok(Ok(object)),
                Err(StoreError::Changed(found)) => return Ok(Err(found)),
                Err(StoreError::Claimed(keys)) => services.claimed(target, &keys)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn remove(
        &self,
        request: &Request,
        current: &Current,
        object: &Value,
    ) -> Result<Result<Object, Option<Stored>>, Status> {
        let target = &request.target;
        let write = Write {
            key: target.store_key(),
            expected: current.revision,
            releases: self.services.held(target, &current.value),
            ..Write::default()
        };
        match self.carry_out(request, target, object, write).await {
            Ok(revision) => {
                let mut object = object.clone();
                metadata::of(&mut object)
                    .insert("resourceVersion".into(), revision.to_string().into());
                Ok(Ok(Object::of(&present::to_served(target, object))))
            }
            Err(StoreError::Changed(found)) => Ok(Err(found)),
            Err(error) => Err(error.into()),
        }
    }

    /// Everything between reading and storing.
    async fn step(
        &self,
        request: &Request,
        edit: &Edit<'_>,
        current: &Current,
    ) -> Result<Step, Status> {
        let target = &request.target;
        let rules = &target.resource.rules;
        let part = edit.part;
        let old = &current.value;
        let now = Timestamp::now();
        let mut new = self.edited(request, edit, current, now).await?;
        let write = self.written(request, target, Operation::Update, Sent::Object);
        if part.asks_admission() && self.mutate(&write, Some(&mut new), Some(old)).await? {
            metadata::place(&mut new, target)?;
            // Who drops them doesn't undo what this write makes its sender own.
            if new["metadata"].get("managedFields").is_none() {
                let owned = self.edited(request, edit, current, now).await?;
                metadata::take_owners(&mut new, &owned);
            }
            metadata::prepare_update(&mut new, old);
            part.prepare(target, &mut new, old, true);
            target.resource.default(&mut new);
        }
        target.resource.fill_zero(&mut new);
        if part.counts_generations() && rules.has_generation() {
            metadata::count_generation(&mut new, old, rules.counted_metadata());
        }
        if metadata::is_unchanged(&new, old) {
            // Who may refuse a change may refuse this, too, as in Kubernetes.
            if part.asks_admission() {
                self.validate(&write, Some(&new), Some(old)).await?;
            }
            return Ok(Step::Nothing(old.clone()));
        }
        let check = |old: &Value| {
            let mut found = part.validate(&**rules, &new, old);
            let of_metadata = meta::validate_update(&new, old, &**rules);
            found.causes.splice(0..0, of_metadata);
            found
        };
        let mut found = check(old);
        if !found.causes.is_empty() {
            // What got a default after the object was stored is no change of the client's.
            let mut before = old.clone();
            target.resource.default(&mut before);
            target.resource.fill_zero(&mut before);
            found = check(&before);
        }
        for warning in found.warnings {
            request.warn(warning);
        }
        target.check(found.causes)?;
        if part.is_main() {
            for warning in rules.warnings(&new, Some(old)) {
                request.warn(warning);
            }
        }
        if part.asks_admission() {
            self.validate(&write, Some(&new), Some(old)).await?;
        }
        Ok(match goes(target, &new) {
            true => Step::Remove(new),
            false => Step::Put(new),
        })
    }

    /// An object as a write makes it, with its sender among the owners, before anybody else is
    /// asked.
    async fn edited(
        &self,
        request: &Request,
        edit: &Edit<'_>,
        current: &Current,
        now: Timestamp,
    ) -> Result<Value, Status> {
        let target = &request.target;
        let part = edit.part;
        let old = &current.value;
        let served = match present::converts(target) {
            true => &present::to_served(target, old.clone()),
            false => old,
        };
        let make = || (edit.make)(served);
        let mut new = self.seeing_versions(request, make).await?;
        metadata::place(&mut new, target)?;
        let name = metadata::text(&new, "name");
        if name.is_empty() {
            metadata::of(&mut new).insert("name".into(), target.name.as_str().into());
        } else if name != target.name {
            return Err(create::name_mismatch(name, &target.name));
        }
        check_identity(target, &new, current)?;
        metadata::prepare_update(&mut new, old);
        if part.is_main() {
            target.resource.default_version(&mut new);
        }
        let mut new = present::to_stored(target, new);
        part.prepare(target, &mut new, old, edit.applied);
        target.resource.default(&mut new);
        // What admission adds belongs to nobody.
        if !edit.applied {
            self.own(request, &mut new, Some(old), now).await?;
        }
        Ok(new)
    }

    /// The name and version under which an apply owns fields.
    pub(super) fn apply(
        &self,
        request: &Request,
        live: Option<&Value>,
        applied: &Value,
    ) -> Result<Value, Status> {
        let target = &request.target;
        let manager = request.manager();
        let api_version = target.api_version();
        let table = self.registry.snapshot();
        let versions = in_versions(&table, request);
        let now = Timestamp::now();
        let writer = writer(request, &manager, &api_version, &versions, now);
        hardway_patch::apply(
            live,
            applied,
            target.schema(),
            &writer,
            request.options.force,
        )
    }
}

/// Whether an object that is being deleted has nothing left to wait for.
fn goes(target: &Target, object: &Value) -> bool {
    let grace = object["metadata"]["deletionGracePeriodSeconds"].as_i64();
    metadata::is_terminating(object)
        && !metadata::has_finalizers(object)
        && grace.unwrap_or_default() == 0
        && !is_held_namespace(target, object)
}

/// Whether a target is a namespace, and no custom resource of that name.
pub(super) fn is_namespace(target: &Target) -> bool {
    target.group().is_empty() && target.plural() == "namespaces"
}

/// A namespace is held by `spec.finalizers`, too.
pub(super) fn is_held_namespace(target: &Target, object: &Value) -> bool {
    is_namespace(target)
        && object["spec"]["finalizers"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
}

/// The UID and resource version in the new object, if any, must be those of
/// the old one.
fn check_identity(target: &Target, new: &Value, current: &Current) -> Result<(), Status> {
    let uid = metadata::text(new, "uid");
    let live = metadata::text(&current.value, "uid");
    if !uid.is_empty() && uid != live {
        return Err(target.conflict(&format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {live}"
        )));
    }
    match metadata::text(new, "resourceVersion") {
        "" | "0" if !target.resource.strategy.unconditional_update => Err(unversioned(target)),
        "" | "0" => Ok(()),
        version if version == current.revision.to_string() => Ok(()),
        version if version.parse::<u64>().is_err() => Err(Status::bad_request(format!(
            "metadata.resourceVersion: Invalid value: {version:?}: must be a number"
        ))),
        _ => Err(target.stale()),
    }
}

/// A PUT that names no version, of a kind that wants one. Kubernetes names the resource
/// here where it names the kind elsewhere, and the number zero as Go prints it.
fn unversioned(target: &Target) -> Status {
    let cause = Cause {
        reason: "FieldValueInvalid".into(),
        message: "Invalid value: 0x0: must be specified for an update".into(),
        field: "metadata.resourceVersion".into(),
    };
    Status::invalid(target.group(), target.plural(), &target.name, vec![cause])
}
