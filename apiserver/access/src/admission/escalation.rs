//! Roles and bindings grant no more than their author holds.

use super::{Context, Operation, Plugin, Review};
use crate::authz::{escalation, rbac};
use hardway_proto::Status;
use serde_json::Value;

/// Always on.
pub struct Escalation;

impl Plugin for Escalation {
    fn validate(
        &self,
        cx: &Context,
        review: &Review,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let writes = matches!(review.operation, Operation::Create | Operation::Update);
        match new {
            Some(new) if writes && review.group == rbac::GROUP => escalation::check(
                &cx.authorizer,
                review.user,
                review.resource,
                review.namespace,
                new,
                old,
            ),
            _ => Ok(()),
        }
    }
}
