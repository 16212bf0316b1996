//! The subresource scale: replicas, in the same shape for every kind that has them.

use super::other_kind;
use crate::pipeline::part::{Main, ObjectPart};
use crate::pipeline::patch::Patch;
use crate::pipeline::{Object, Request, Target, metadata};
use hardway_proto::Status;
use hardway_proto::status::Cause;
use hardway_resources::rules::{FieldErrors, Rules};
use hardway_resources::scale;
use serde_json::Value;
use std::borrow::Cow;

pub(super) struct Scale;

impl ObjectPart for Scale {
    fn read(&self, request: &Request) -> Result<Value, Status> {
        let target = &request.target;
        let (group, version) = scale::version(&target.resource);
        let body = other_kind(request, group, version, "Scale")?;
        let replicas = &body["spec"]["replicas"];
        if replicas.as_i64().is_some_and(|count| count < 0) {
            let cause = Cause {
                reason: "FieldValueInvalid".into(),
                message: format!("Invalid value: {replicas}: must be greater than or equal to 0"),
                field: "spec.replicas".into(),
            };
            return Err(Status::invalid(group, "Scale", &target.name, vec![cause]));
        }
        Ok(body)
    }

    fn patch(&self, request: &Request, old: &Value, patch: &Patch<'_>) -> Result<Value, Status> {
        let target = &request.target;
        let before = scale::read(&target.resource, old).ok_or_else(|| target.not_found())?;
        Ok(self.place(target, old, Cow::Owned(patch.apply(request, &before)?)))
    }

    fn place(&self, target: &Target, old: &Value, sent: Cow<'_, Value>) -> Value {
        let mut object = old.clone();
        scale::write(&target.resource, &mut object, &sent);
        metadata::carry_version(&mut object, &sent);
        object
    }

    fn is_main(&self) -> bool {
        Main.is_main()
    }

    fn prepare(&self, target: &Target, new: &mut Value, old: &Value, applied: bool) {
        Main.prepare(target, new, old, applied);
    }

    fn validate(&self, rules: &dyn Rules, new: &Value, old: &Value) -> FieldErrors {
        Main.validate(rules, new, old)
    }
}

/// The scale of an object.
pub(super) fn of(target: &Target, object: &Object) -> Result<Object, Status> {
    let value: Value = serde_json::from_slice(&object.json)
        .map_err(|error| Status::internal(format!("{}: {error}", target.name)))?;
    scale::read(&target.resource, &value)
        .map(|scale| Object::of(&scale))
        .ok_or_else(Status::no_such_resource)
}
