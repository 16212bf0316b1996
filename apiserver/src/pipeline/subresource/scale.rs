//! The subresource scale: replicas, in the same shape for every kind that has them.

use super::other_kind;
use crate::pipeline::part::{Main, ObjectPart};
use crate::pipeline::patch::Patch;
use crate::pipeline::{Object, Request, Target, metadata};
use hardway_proto::Status;
use hardway_proto::status::Cause;
use hardway_resources::resource::api_version;
use hardway_resources::rules::{Findings, KindRules};
use hardway_resources::schema::builtin;
use hardway_resources::{Schema, scale};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

pub(super) struct Scale;

impl ObjectPart for Scale {
    fn read(&self, request: &Request) -> Result<Value, Status> {
        let target = &request.target;
        let (group, version) = scale::version(&target.resource, &target.version);
        let body = other_kind(request, group, &[version], "Scale")?;
        check(target, &body)?;
        Ok(body)
    }

    fn applied_kind(&self, target: &Target) -> Option<(Schema, String, String)> {
        let (group, version) = scale::version(&target.resource, &target.version);
        let schema = builtin::kind(group, version, "Scale")?;
        Some((schema, api_version(group, version), "Scale".to_owned()))
    }

    fn configuration(&self, target: &Target, applied: Value) -> Result<Value, Status> {
        check(target, &applied)?;
        // Whatever else a Scale's metadata says is its own and kept nowhere.
        let mut metadata = Map::new();
        for field in ["name", "namespace", "uid", "resourceVersion"] {
            if let Some(value) = applied["metadata"].get(field) {
                metadata.insert(field.to_owned(), value.clone());
            }
        }
        let mut object = json!({
            "apiVersion": target.api_version(),
            "kind": target.resource.kind,
            "metadata": metadata,
        });
        if applied["spec"]["replicas"].is_i64() {
            scale::write(&target.resource, &target.version, &mut object, &applied);
        }
        Ok(object)
    }

    fn place_applied(&self, target: &Target, _old: &Value, mut new: Value) -> Value {
        // A Scale without replicas is one of none, who applied them before or not.
        if let Some(scale) = scale::read(&target.resource, &target.version, &new) {
            scale::write(&target.resource, &target.version, &mut new, &scale);
        }
        new
    }

    fn patch(&self, request: &Request, old: &Value, patch: &Patch<'_>) -> Result<Value, Status> {
        let target = &request.target;
        let before = scale::read(&target.resource, &target.version, old)
            .ok_or_else(|| target.not_found())?;
        Ok(self.place(target, old, Cow::Owned(patch.apply(request, &before)?)))
    }

    fn place(&self, target: &Target, old: &Value, sent: Cow<'_, Value>) -> Value {
        let mut object = old.clone();
        scale::write(&target.resource, &target.version, &mut object, &sent);
        metadata::carry_version(&mut object, &sent);
        object
    }

    fn is_main(&self) -> bool {
        Main.is_main()
    }

    fn prepare(&self, target: &Target, new: &mut Value, old: &Value, applied: bool) {
        Main.prepare(target, new, old, applied);
    }

    fn validate(&self, rules: &dyn KindRules, new: &Value, old: &Value) -> Findings {
        Main.validate(rules, new, old)
    }
}

/// # Errors
/// 422, if replicas are negative.
fn check(target: &Target, body: &Value) -> Result<(), Status> {
    let replicas = &body["spec"]["replicas"];
    if replicas.as_i64().is_none_or(|count| count >= 0) {
        return Ok(());
    }
    let cause = Cause {
        reason: "FieldValueInvalid".into(),
        message: format!("Invalid value: {replicas}: must be greater than or equal to 0"),
        field: "spec.replicas".into(),
    };
    let (group, _) = scale::version(&target.resource, &target.version);
    Err(Status::invalid(group, "Scale", &target.name, vec![cause]))
}

/// The scale of an object.
pub(super) fn of(target: &Target, object: &Object) -> Result<Object, Status> {
    let value: Value = serde_json::from_slice(&object.json)
        .map_err(|error| Status::internal(format!("{}: {error}", target.name)))?;
    scale::read(&target.resource, &target.version, &value)
        .map(|scale| Object::of(&scale))
        .ok_or_else(Status::no_such_resource)
}
