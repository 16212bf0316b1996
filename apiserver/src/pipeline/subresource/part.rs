//! Subresources that are a field of spec or status: approval, finalize, ephemeral
//! containers.

use crate::pipeline::modify::Part;
use crate::pipeline::update::carry_version;
use crate::pipeline::{Object, Pipeline, Request, decode, metadata};
use hardway_proto::Status;
use hardway_proto::status::Cause;
use hardway_resources::rows::Handler;
use serde_json::Value;

/// An object with a part of another: a field below spec or status, and the metadata that
/// may change with it.
pub(in crate::pipeline) fn with_part(
    old: &Value,
    new: &Value,
    [outer, inner]: [&str; 2],
    kept: &[&str],
) -> Value {
    let mut object = old.clone();
    metadata::take_with_part(&mut object, new, kept);
    match new[outer].get(inner).filter(|value| !value.is_null()) {
        Some(value) => object[outer][inner] = value.clone(),
        None => drop(object[outer].as_object_mut().map(|map| map.remove(inner))),
    }
    carry_version(&mut object, new);
    object
}

/// Ephemeral containers come, but neither change nor go.
pub(in crate::pipeline) fn only_added(new: &Value, old: &Value) -> Vec<Cause> {
    let list = |pod: &Value| pod["spec"]["ephemeralContainers"].as_array().cloned();
    let now = list(new).unwrap_or_default();
    let before = list(old).unwrap_or_default();
    before
        .iter()
        .filter(|one| !now.contains(one))
        .map(|one| {
            let name = &one["name"];
            let fate = match now.iter().any(|other| other["name"] == *name) {
                true => "changed",
                false => "removed",
            };
            Cause {
                reason: "FieldValueForbidden".into(),
                message: format!(
                    "Forbidden: existing ephemeral containers {name} may not be {fate}\n"
                ),
                field: "spec.ephemeralContainers".into(),
            }
        })
        .collect()
}

impl Pipeline {
    /// Replaces the part of an object that a subresource is about.
    pub(in crate::pipeline) async fn update_special(
        &self,
        request: &Request,
    ) -> Result<Object, Status> {
        let Some(Handler::Field([outer, inner])) = request.target.handler() else {
            return Err(Status::method_not_allowed());
        };
        let body = decode::object(request)?;
        let kept = request.target.kept_metadata();
        let edit = |old: &Value| Ok(with_part(old, &body, [outer, inner], kept));
        self.special(request, Part::Special, &edit).await
    }
}
