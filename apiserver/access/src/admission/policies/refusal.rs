//! The answer to a request that a policy refuses.

use super::super::review::Review;
use crate::text;
use hardway_proto::Status;
use hardway_proto::status::Cause;
use serde_json::Value;

/// The 403 of admission, with the object's name as far as it is known.
pub fn forbidden(review: &Review<'_>, new: Option<&Value>, why: &str) -> Status {
    let of = |pointer| new.map(|object| text(object, pointer)).unwrap_or_default();
    let names = [
        review.name,
        of("/metadata/name"),
        of("/metadata/generateName"),
        "Unknown",
    ];
    let name = names.into_iter().find(|name| !name.is_empty());
    let (group, resource) = (&review.requested.group, &review.requested.resource);
    Status::forbidden(group, resource, name.unwrap_or_default(), why)
}

/// Adds a cause that names no field.
pub fn add_cause(status: &mut Status, message: String) {
    let details = status.details.get_or_insert_default();
    details.causes.push(Cause {
        message,
        ..Cause::default()
    });
}
