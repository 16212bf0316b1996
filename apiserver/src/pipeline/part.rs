//! Which part of an object a write is about.

use super::patch::Patch;
use super::{Request, Target, decode, metadata};
use hardway_proto::Status;
use hardway_resources::Schema;
use hardway_resources::rules::{Findings, KindRules};
use serde_json::Value;
use std::borrow::Cow;

/// What a part of an object has of its own in a write, from the body to what is stored.
/// What all parts have in common is in `modify.rs` and `update.rs`.
pub(super) trait ObjectPart: Sync {
    /// The body of a PUT.
    fn read(&self, request: &Request) -> Result<Value, Status> {
        decode::object(request)
    }

    /// What comes of a patch: the object with the part that was patched.
    fn patch(&self, request: &Request, old: &Value, patch: &Patch<'_>) -> Result<Value, Status> {
        let target = &request.target;
        let kind = &target.resource.kind;
        let mut new = patch.apply(request, old)?;
        patch.check(request, old, &mut new)?;
        decode::identify(&mut new, &target.api_version(), kind)?;
        Ok(self.place(target, old, Cow::Owned(new)))
    }

    /// What is applied: its schema, version and kind.
    fn applied_kind(&self, target: &Target) -> Option<(Schema, String, String)> {
        let kind = target.resource.kind.to_string();
        Some((target.schema().clone(), target.api_version(), kind))
    }

    /// The configuration of the object that an applied one comes to.
    ///
    /// # Errors
    /// 422, if the part can't be so.
    fn configuration(&self, _target: &Target, applied: Value) -> Result<Value, Status> {
        Ok(applied)
    }

    /// An object with the part that applying has changed.
    fn place_applied(&self, target: &Target, old: &Value, new: Value) -> Value {
        self.place(target, old, Cow::Owned(new))
    }

    /// An object with the part that was sent, as [`read`](Self::read) gave it.
    fn place(&self, _target: &Target, _old: &Value, sent: Cow<'_, Value>) -> Value {
        sent.into_owned()
    }

    /// Whether it is what users write: it has the version's defaults, and is warned about.
    fn is_main(&self) -> bool {
        false
    }

    /// Whether admission is asked about the object. It isn't where it was asked about what
    /// brings the change.
    fn asks_admission(&self) -> bool {
        true
    }

    /// Whether its changes are counted as generations, where the kind counts them.
    fn counts_generations(&self) -> bool {
        self.is_main()
    }

    /// Keeps what such a write doesn't change, before the object is defaulted. Who applies
    /// brings its owners along.
    fn prepare(&self, _target: &Target, _new: &mut Value, _old: &Value, _applied: bool) {}

    /// What is wrong with the new object.
    fn validate(&self, _rules: &dyn KindRules, _new: &Value, _old: &Value) -> Findings {
        Findings::default()
    }
}

/// All but status.
pub(super) struct Main;

impl ObjectPart for Main {
    fn is_main(&self) -> bool {
        true
    }

    fn prepare(&self, target: &Target, new: &mut Value, old: &Value, _applied: bool) {
        target.resource.rules.prepare_update(new, old);
    }

    fn validate(&self, rules: &dyn KindRules, new: &Value, old: &Value) -> Findings {
        rules.validate_changed(new, old)
    }
}

/// What the apiserver itself changes, and answers for.
pub(super) struct Special;

impl ObjectPart for Special {}

/// What an action changes that was admitted as such.
pub(super) struct Acted;

impl ObjectPart for Acted {
    fn asks_admission(&self) -> bool {
        false
    }
}

/// An object with a field of another, below spec or status, and the metadata that may
/// change with it.
pub(super) fn with_field(
    target: &Target,
    old: &Value,
    new: &Value,
    [outer, inner]: [&str; 2],
) -> Value {
    let mut object = old.clone();
    metadata::take_with_part(&mut object, new, target.kept_metadata());
    metadata::take_owners(&mut object, new);
    match new[outer].get(inner).filter(|value| !value.is_null()) {
        Some(value) => object[outer][inner] = value.clone(),
        None => drop(object[outer].as_object_mut().map(|map| map.remove(inner))),
    }
    metadata::carry_version(&mut object, new);
    object
}
