//! The subresource rollback, of Deployments in versions of before apps/v1.

use super::other_kind;
use crate::pipeline::part::Acted;
use crate::pipeline::{Object, Pipeline, Request, metadata};
use hardway_access::Operation;
use hardway_proto::Status;
use hardway_proto::status::Cause;
use serde_json::{Value, json};

impl Pipeline {
    /// Asks the Deployment's controller for an earlier revision, as versions
    /// do that have `spec.rollbackTo`.
    pub(in crate::pipeline) async fn roll_back(&self, request: &Request) -> Result<Object, Status> {
        let target = &request.target;
        let (group, version) = (target.group(), target.version.as_str());
        let mut body = other_kind(request, group, &[version], "DeploymentRollback")?;
        self.admit_body(request, Operation::Create, &mut body)
            .await?;
        let name = body["name"].as_str().unwrap_or_default();
        let revision = body["rollbackTo"]["revision"].as_i64().unwrap_or_default();
        let refuse = |reason: &str, message: &str, field: &str| {
            let cause = Cause {
                reason: reason.into(),
                message: message.into(),
                field: field.into(),
            };
            Status::invalid(group, "DeploymentRollback", name, vec![cause])
        };
        if name.is_empty() {
            let message = "Required value: name is required";
            return Err(refuse("FieldValueRequired", message, "name"));
        }
        if revision < 0 {
            let message = format!("Invalid value: {revision}: must be greater than or equal to 0");
            return Err(refuse("FieldValueInvalid", &message, "rollback.version"));
        }
        if name != target.name {
            return Err(Status::bad_request(
                "name in URL does not match name in DeploymentRollback object",
            ));
        }
        let edit = |old: &Value| {
            let mut object = old.clone();
            metadata::of(&mut object).remove("resourceVersion");
            object["spec"]["rollbackTo"] = json!({"revision": revision});
            for (key, value) in body["updatedAnnotations"].as_object().into_iter().flatten() {
                object["metadata"]["annotations"][key] = value.clone();
            }
            Ok(object)
        };
        self.change(request, &Acted, &edit).await?;
        let mut status = Status::success();
        status.message = format!("rollback request for deployment {name:?} succeeded");
        status.code = 200;
        Ok(Object::of(
            &serde_json::to_value(status).unwrap_or_default(),
        ))
    }
}
