//! create.

use super::write::Change;
use super::{Object, Pipeline, Request, decode, metadata, present};
use crate::store::{StoreError, Write};
use hardway_access::Operation;
use hardway_proto::{Status, names};
use hardway_resources::rules::meta;
use jiff::Timestamp;
use serde_json::Value;

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
        let base = metadata::text(&object, "generateName").to_owned();
        let generated = name.is_empty() && !base.is_empty();
        let tries = if generated { NAMES_TRIED } else { 1 };
        let mut outcome = Err(target.not_found());
        let seen = self.cache.revision();
        let mut looked_again = false;
        let mut tried = 0;
        while tried < tries {
            let mut object = object.clone();
            if generated {
                let name = names::generate_name(&base);
                metadata::of(&mut object).insert("name".into(), name.into());
            }
            outcome = self.create_once(request, object, applied).await;
            match &outcome {
                Err(status) if generated && status.is_already_exists() => tried += 1,
                // Admission may not have seen the namespace, the service
                // account or the quota that was written a moment ago.
                Err(status)
                    if matches!(status.code, 403 | 404)
                        && !looked_again
                        && self.cache.fresh().await? > seen =>
                {
                    looked_again = true;
                }
                _ => return outcome,
            }
        }
        outcome
    }

    async fn create_once(
        &self,
        request: &Request,
        object: Value,
        applied: bool,
    ) -> Result<Object, Status> {
        let name = metadata::text(&object, "name").to_owned();
        let target = &request.target.named(&request.target.namespace, &name);
        let rules = &target.resource.rules;
        let mut object = object;
        let now = Timestamp::now();
        metadata::prepare_create(&mut object, rules.has_generation(), now);
        target.resource.default_version(&mut object);
        let mut object = present::to_stored(target, object);
        rules.prepare_create(&mut object);
        target.resource.default(&mut object);
        // What admission adds belongs to nobody.
        if !applied {
            self.own(request, &mut object, None, now);
        }
        let review = super::write::review(request, target, Operation::Create);
        self.admission.mutate(&review, &mut object)?;
        target.resource.default(&mut object);
        let mut causes = meta::validate(&object, &**rules);
        causes.extend(rules.validate(&object));
        let mut services = self.services.change(target, &mut object, None, &mut causes);
        target.check(causes)?;
        for warning in rules.warnings(&object, None) {
            request.warn(warning);
        }
        self.admission.validate(&review, Some(&object), None)?;
        super::write::take_warnings(request, review);
        if request.options.dry_run {
            self.cache.fresh().await?;
            if self.cache_of(target)?.get(&target.key()).is_some() {
                return Err(target.already_exists());
            }
            return Ok(Object::of(&present::to_served(target, object)).created());
        }
        loop {
            let claims = services.claims(&mut object)?;
            let change = Change {
                target,
                object: &object,
                write: Write {
                    key: target.store_key(),
                    value: None,
                    expires: target.resource.strategy.expires,
                    claims: claims.take,
                    releases: claims.give_back,
                    expected: 0,
                },
            };
            match self.commit(change).await {
                Ok(stored) => return Ok(stored.created()),
                Err(StoreError::Changed(_)) => return Err(target.already_exists()),
                Err(StoreError::Claimed(keys)) => services.claimed(target, &keys)?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

pub(super) fn name_mismatch(body: &str, url: &str) -> Status {
    Status::bad_request(format!(
        "the name of the object ({body}) does not match the name on the URL ({url})"
    ))
}
