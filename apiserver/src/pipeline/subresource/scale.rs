//! The subresource scale: replicas, in the same shape for every kind that has them.

use crate::pipeline::modify::Part;
use crate::pipeline::update::carry_version;
use crate::pipeline::{Object, Pipeline, Request, Target};
use hardway_proto::Status;
use hardway_proto::status::Cause;
use hardway_resources::scale;
use serde_json::Value;

impl Pipeline {
    /// The scale of an object.
    pub(in crate::pipeline) fn as_scale(
        &self,
        target: &Target,
        object: &Object,
    ) -> Result<Object, Status> {
        let value: Value = serde_json::from_slice(&object.json)
            .map_err(|error| Status::internal(format!("{}: {error}", target.name)))?;
        scale::read(&target.resource, &value)
            .map(|scale| Object::of(&scale))
            .ok_or_else(Status::no_such_resource)
    }

    /// Replaces the scale: its replicas become the object's.
    pub(in crate::pipeline) async fn update_scale(
        &self,
        request: &Request,
    ) -> Result<Object, Status> {
        let target = &request.target;
        let (group, version) = scale::version(&target.resource);
        let body = self.body(request, group, version, "Scale")?;
        let replicas = &body["spec"]["replicas"];
        if replicas.as_i64().is_some_and(|count| count < 0) {
            return Err(Status::invalid(
                group,
                "Scale",
                &target.name,
                vec![Cause {
                    reason: "FieldValueInvalid".into(),
                    message: format!(
                        "Invalid value: {replicas}: must be greater than or equal to 0"
                    ),
                    field: "spec.replicas".into(),
                }],
            ));
        }
        let edit = |old: &Value| {
            let mut object = old.clone();
            scale::write(&target.resource, &mut object, &body);
            carry_version(&mut object, &body);
            Ok(object)
        };
        let object = self.special(request, Part::Main, &edit).await?;
        self.as_scale(target, &object)
    }
}
