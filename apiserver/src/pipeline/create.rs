//! create.

use super::admission::Sent;
use super::quota_turn::TRIES;
use super::write::Change;
use super::{Object, Pipeline, Request, Target, decode, metadata, present};
use crate::store::{StoreError, Write};
use hardway_access::Operation;
use hardway_access::admission::Validators;
use hardway_proto::{Status, names};
use hardway_resources::rules::meta;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// How often a generated name that is taken is replaced by another.
const NAMES_TRIED: usize = 8;

impl Pipeline {
    /// Creates the object in the body.
    pub(super) async fn create(&self, request: &Request) -> Result<Object, Status> {
        let object = decode::object(request)?;
        self.create_object(request, object, false).await
    }

    /// Creates an object; an applied one has its managedFields already.
    pub(super) async fn create_object(
        &self,
        request: &Request,
        mut object: Value,
        applied: bool,
    ) -> Result<Object, Status> {
        let target = &request.target;
        metadata::place(&mut object, target)?;
        let name = metadata::text(&object, "name").to_owned();
        if !target.name.is_empty() && !name.is_empty() && name != target.name {
            return Err(name_mismatch(&name, &target.name));
        }
        // A name that was asked for, and permitted, is not replaced by one
        // that is made up.
        let name = match name.is_empty() && target.subresource.is_empty() {
            true => target.name.clone(),
            false => name,
        };
        if !name.is_empty() {
            metadata::of(&mut object).insert("name".into(), name.as_str().into());
        }
        if !matches!(metadata::text(&object, "resourceVersion"), "" | "0") {
            return Err(Status::failure(
                500,
                "",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let target = &target.named(&target.namespace, &name);
        let object = self.mutate_new(request, target, object, applied).await?;
        // Admission may give it a name, or another one.
        let name = metadata::text(&object, "name");
        let target = &target.named(&target.namespace, name);
        let base = metadata::text(&object, "generateName").to_owned();
        if !name.is_empty() || base.is_empty() {
            return self.create_once(request, target, object).await;
        }
        let mut outcome = Err(target.not_found());
        for _ in 0..NAMES_TRIED {
            let name = names::generate_name(&base);
            let target = &target.named(&target.namespace, &name);
            let mut object = object.clone();
            metadata::of(&mut object).insert("name".into(), name.into());
            outcome = self.create_once(request, target, object).await;
            if !matches!(&outcome, Err(status) if status.is_already_exists()) {
                break;
            }
        }
        outcome
    }

    /// The object as it is kept, changed by whoever may, but for what is filled in last.
    async fn mutate_new(
        &self,
        request: &Request,
        target: &Target,
        mut object: Value,
        applied: bool,
    ) -> Result<Value, Status> {
        let rules = &target.resource.rules;
        metadata::wipe_system_fields(&mut object);
        target.resource.default_version(&mut object);
        let mut object = present::to_stored(target, object);
        rules.prepare_create(&mut object);
        target.resource.default(&mut object);
        // What admission adds belongs to nobody.
        if !applied {
            self.own(request, &mut object, None, Timestamp::now())
                .await?;
        }
        let write = self.written(request, target, Operation::Create, Sent::Object);
        if self.mutate(&write, Some(&mut object), None).await? {
            metadata::place(&mut object, target)?;
            metadata::wipe_system_fields(&mut object);
        }
        Ok(object)
    }

    /// Checks and stores an object that has its name.
    async fn create_once(
        &self,
        request: &Request,
        target: &Target,
        mut object: Value,
    ) -> Result<Object, Status> {
        let rules = &target.resource.rules;
        metadata::fill_system_fields(&mut object, rules.has_generation(), Timestamp::now());
        // Once more, now that it has a UID, and for what admission may have set.
        rules.prepare_create(&mut object);
        target.resource.default(&mut object);
        rules.complete_create(&mut object);
        let mut causes = meta::validate(&object, &**rules);
        causes.extend(rules.validate(&object));
        let mut services = self.services.change(target, &mut object, None, &mut causes);
        target.check(causes)?;
        for warning in rules.warnings(&object, None) {
            request.warn(warning);
        }
        let write = self.written(request, target, Operation::Create, Sent::Object);
        let takes_turns = self.takes_turns(target, &object);
        let first = match takes_turns {
            true => Validators::BeforeTurn,
            false => Validators::All,
        };
        self.validate_by(first, &write, Some(&object), None).await?;
        let mut object = Arc::new(object);
        for _ in 0..TRIES {
            let mut turn = None;
            if takes_turns {
                turn = Some(self.quota_turn(target).await?);
                self.validate_by(Validators::InTurn, &write, Some(&*object), None)
                    .await?;
            }
            if request.options.dry_run {
                self.cache.fresh().await?;
                if self.cache_of(target)?.get(&target.key()).is_some() {
                    return Err(target.already_exists());
                }
                let object = Arc::unwrap_or_clone(object);
                return Ok(Object::of(&present::to_served(target, object)).created());
            }
            let closed = self.close(target, &object).await?;
            loop {
                let claims = services.claims(Arc::make_mut(&mut object))?;
                let stored = closed.as_ref().map_or(&object, |closed| &closed.stored);
                let change = Change {
                    target,
                    object: stored.clone(),
                    served: closed.as_ref().and_then(|closed| closed.served.as_ref()),
                    write: Write {
                        key: target.store_key(),
                        expires: target.resource.strategy.expires,
                        claims: claims.take,
                        releases: claims.give_back,
                        turn: turn.as_ref().map(|mine| mine.turn.clone()),
                        ..Write::default()
                    },
                };
                match self.commit(request, change).await {
                    Ok(stored) => return Ok(stored.created()),
                    Err(StoreError::Changed(_)) => return Err(target.already_exists()),
                    Err(StoreError::Claimed(keys)) => services.claimed(target, &keys)?,
                    // What else was created may have used the quota up.
                    Err(StoreError::OutOfTurn) => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Err(StoreError::OutOfTurn.into())
    }
}

pub(super) fn name_mismatch(body: &str, url: &str) -> Status {
    Status::bad_request(format!(
        "the name of the object ({body}) does not match the name on the URL ({url})"
    ))
}
