//! What a subresource is: a part of the object or an action, each in a file of its own.
//! Those that are streams are in `subresources/` of the crate.

mod approval;
mod binding;
mod ephemeral_containers;
mod eviction;
mod finalize;
mod resize;
mod rollback;
mod scale;
mod status;
mod token;

use super::part::{Main, ObjectPart};
use super::{Object, Pipeline, Request, Target, decode, metadata};
use hardway_proto::Status;
use hardway_resources::resource::api_version;
use hardway_resources::rows::{Action, Handler, Part};
use hardway_resources::schema::builtin;
use serde_json::Value;

/// The part of an object that a PUT or PATCH of a target is about.
pub(super) fn part_of(target: &Target) -> Result<&'static dyn ObjectPart, Status> {
    match target.handler() {
        None => Ok(&Main),
        Some(Handler::Part(part)) => Ok(match part {
            Part::Status => &status::StatusPart,
            Part::Scale => &scale::Scale,
            Part::Approval => &approval::Approval,
            Part::Finalizers => &finalize::Finalize,
            Part::EphemeralContainers => &ephemeral_containers::EphemeralContainers,
            Part::Resources => &resize::Resize,
        }),
        Some(_) => Err(Status::method_not_allowed()),
    }
}

/// An object as its target shows it.
pub(super) fn shown(target: &Target, object: Object) -> Result<Object, Status> {
    match target.handler() {
        Some(Handler::Part(Part::Scale)) => scale::of(target, &object),
        _ => Ok(object),
    }
}

/// What is sent to a pod's subresource must not name another pod.
fn check_name(request: &Request, body: &Value, kind: &str) -> Result<(), Status> {
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
    pub(super) async fn act(&self, request: &Request) -> Result<Object, Status> {
        let Some(Handler::Action(action)) = request.target.handler() else {
            return Err(Status::method_not_allowed());
        };
        match action {
            Action::Bind => self.bind(request).await,
            Action::Evict => self.evict(request).await,
            Action::IssueToken => self.issue_token(request).await,
            Action::RollBack => self.roll_back(request).await,
        }
    }
}

/// The body as a kind that isn't the target's, and has no row; of the first version, or of
/// others with the same fields.
///
/// # Errors
/// 400, as for the body of any object.
fn other_kind(
    request: &Request,
    group: &str,
    versions: &[&str],
    kind: &str,
) -> Result<Value, Status> {
    let first = versions.first().copied().unwrap_or_default();
    let schema = builtin::kind(group, first, kind)
        .ok_or_else(|| Status::internal(format!("{group}/{first} has no schema of a {kind}")))?;
    let full = |version: &&str| api_version(group, version);
    let full: Vec<String> = versions.iter().map(full).collect();
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    decode::typed(request, &schema, &full, kind)
}
