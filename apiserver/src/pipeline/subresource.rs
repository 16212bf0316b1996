//! What subresources share, and which action each of them is.

mod binding;
pub(super) mod part;
mod rollback;
mod scale;
mod token;

use super::modify::{Part, Plan};
use super::{Body, Object, Pipeline, Request, decode, metadata};
use hardway_proto::Status;
use hardway_resources::rows::{Action, Handler};
use serde_json::Value;

/// What is sent to a pod's subresource must not name another pod.
pub(super) fn check_name(request: &Request, body: &Value, kind: &str) -> Result<(), Status> {
    let name = metadata::text(body, "name");
    match name.is_empty() || name == request.target.name {
        true => Ok(()),
        false => Err(Status::bad_request(format!(
            "name in URL does not match name in {kind} object"
        ))),
    }
}

impl Pipeline {
    /// Does what a subresource is created for.
    pub(super) async fn create_subresource(&self, request: &Request) -> Result<Object, Status> {
        match request.target.handler() {
            Some(Handler::Action(Action::Bind)) => self.bind(request).await,
            Some(Handler::Action(Action::Evict)) => self.evict(request).await,
            Some(Handler::Action(Action::IssueToken)) => self.issue_token(request).await,
            Some(Handler::Action(Action::RollBack)) => self.roll_back(request).await,
            _ => Err(Status::method_not_allowed()),
        }
    }

    pub(super) async fn special(
        &self,
        request: &Request,
        part: Part,
        edit: &(dyn Fn(&Value) -> Result<Value, Status> + Send + Sync),
    ) -> Result<Object, Status> {
        let plan = Plan {
            part,
            edit,
            applied: false,
        };
        let object = self.modify(request, plan).await?;
        object.ok_or_else(|| request.target.not_found())
    }

    /// The body as a kind that isn't the target's.
    pub(super) fn body(
        &self,
        request: &Request,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Value, Status> {
        let api_version = hardway_resources::resource::api_version(group, version);
        if let Some(row) = self.registry.lookup_kind(group, version, kind)
            && let Some(row) = row.version(version)
        {
            return decode::typed(request, &row.schema, &api_version, kind);
        }
        let json = match &request.body {
            Body::Value(value) => return Ok(value.clone()),
            Body::Yaml(bytes) => decode::yaml_to_json(bytes, kind)?,
            Body::Json(bytes) | Body::Patch(_, bytes) => bytes.to_vec(),
            Body::Empty => b"{}".to_vec(),
        };
        let mut value: Value = serde_json::from_slice(&json)
            .map_err(|error| Status::bad_request(format!("the body is no {kind}: {error}")))?;
        decode::identify(&mut value, &api_version, kind)?;
        Ok(value)
    }
}
