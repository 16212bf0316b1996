//! The AdmissionReview that a webhook is sent.

use super::super::review::{GroupVersionKind, ResourceKind, Review};
use super::configuration::ReviewVersion;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionReview<'a> {
    kind: &'static str,
    api_version: &'static str,
    request: AdmissionRequest<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionRequest<'a> {
    uid: &'a str,
    kind: Kind<'a>,
    resource: Resource<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    sub_resource: &'a str,
    request_kind: Kind<'a>,
    request_resource: Resource<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_sub_resource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    operation: &'static str,
    user_info: Value,
    object: Option<&'a Value>,
    old_object: Option<&'a Value>,
    dry_run: bool,
    options: &'a Value,
}

#[derive(Serialize)]
struct Kind<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

#[derive(Serialize)]
struct Resource<'a> {
    group: &'a str,
    version: &'a str,
    resource: &'a str,
}

impl<'a> Kind<'a> {
    fn of(kind: &'a GroupVersionKind) -> Self {
        Self {
            group: &kind.group,
            version: &kind.version,
            kind: &kind.kind,
        }
    }
}

impl<'a> Resource<'a> {
    fn of(resource: &'a ResourceKind) -> Self {
        Self {
            group: &resource.group,
            version: &resource.version,
            resource: &resource.resource,
        }
    }
}

/// The review of a request as a version of its resource, with its objects in that version.
pub(super) fn encode(
    review: &Review<'_>,
    version: ReviewVersion,
    uid: &str,
    shown_as: &ResourceKind,
    new: Option<&Value>,
    old: Option<&Value>,
) -> Bytes {
    let either = new.or(old);
    let review = AdmissionReview {
        kind: "AdmissionReview",
        api_version: version.api_version(),
        request: AdmissionRequest {
            uid,
            kind: Kind::of(&shown_as.kind),
            resource: Resource::of(shown_as),
            sub_resource: review.subresource,
            request_kind: Kind::of(&review.requested.kind),
            request_resource: Resource::of(&review.requested),
            request_sub_resource: review.subresource,
            name: review.name_of(either),
            namespace: review.namespace_of(either),
            operation: review.operation.as_str(),
            user_info: review.user.to_json(),
            object: new,
            old_object: old,
            dry_run: review.dry_run,
            options: review.options,
        },
    };
    serde_json::to_vec(&review).unwrap_or_default().into()
}
