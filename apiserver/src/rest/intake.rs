//! The body that a request brings.

use super::body;
use super::header_text;
use crate::pipeline::{Body, HeldBytes, PatchKind, Request, Verb};
use crate::protobuf;
use hardway_proto::Status;
use hardway_resources::rows::{Handler, Part};
use http::{header, request::Parts};
use hyper::body::Incoming;

/// Reads it, as far as it is held; what it is in, its content type says.
///
/// # Errors
/// If it is too large or too slow, or in a form that isn't known here.
pub(super) async fn read(
    parts: &Parts,
    incoming: Incoming,
    request: &Request,
    held: &mut HeldBytes,
) -> Result<Body, Status> {
    let (verb, target) = (request.verb, &request.target);
    let bytes = body::read(incoming, held).await?;
    let content_type = header_text(&parts.headers, header::CONTENT_TYPE);
    let media = content_type.split(';').next().unwrap_or_default().trim();
    if verb == Verb::Patch {
        let kind = match media {
            "application/json-patch+json" => PatchKind::Json,
            "application/merge-patch+json" => PatchKind::Merge,
            "application/strategic-merge-patch+json" => PatchKind::Strategic,
            "application/apply-patch+yaml" => PatchKind::Apply,
            _ => {
                return Err(Status::unsupported_media_type(
                    "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
                ));
            }
        };
        return Ok(Body::Patch(kind, bytes));
    }
    if bytes.is_empty() {
        return Ok(Body::Empty);
    }
    let deletes = matches!(verb, Verb::Delete | Verb::DeleteCollection);
    // Custom resources have no messages; a Scale and the options of a delete have.
    let scales = target.handler() == Some(Handler::Part(Part::Scale));
    let in_protobuf = !target.resource.custom || scales || deletes;
    match media {
        "" | "application/json" | "*/*" => Ok(Body::Json(bytes)),
        protobuf::MEDIA_TYPE if in_protobuf => Ok(Body::Json(protobuf::to_json(&bytes)?.into())),
        "application/yaml" | "application/x-yaml" | "text/yaml" => Ok(Body::Yaml(bytes)),
        _ => {
            let protobuf = match in_protobuf {
                true => ", application/vnd.kubernetes.protobuf",
                false => "",
            };
            Err(Status::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml{protobuf}"
            )))
        }
    }
}
