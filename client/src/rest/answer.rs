//! Refusals, as Kubernetes' apiserver and what stands before it write them.

use bytes::Bytes;
use hardway_proto::Status;
use hardway_proto::status::Details;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use tonic::body::Body;

/// Text of a refusal that isn't a `Status`: so much of it is passed on.
const LONGEST_TEXT: usize = 1024;

/// Largest answer taken, in bytes: a page of a list of large objects.
const LARGEST: usize = 256 << 20;

/// A whole body.
///
/// # Errors
/// 503, if it breaks off or doesn't end.
pub(super) async fn read(body: Body) -> Result<Bytes, Status> {
    match Limited::new(body, LARGEST).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) => Err(Status::unavailable(format!(
            "the apiserver's answer broke off: {error}"
        ))),
    }
}

/// A refusal: the `Status` in the body, or one made of code and text, with the
/// reason that Kubernetes' clients give to that code
/// (`NewGenericServerResponse` of `k8s.io/apimachinery/pkg/api/errors`).
pub(super) fn refusal(code: StatusCode, headers: &HeaderMap, body: &[u8]) -> Status {
    let status = serde_json::from_slice::<Status>(body).ok();
    let status = status.filter(|status| status.kind == "Status" && status.status == "Failure");
    let mut status = status.unwrap_or_else(|| generic(code, body));
    if status.code == 0 {
        status.code = code.as_u16();
    }
    let seconds = headers.get(header::RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(seconds) = seconds {
        let details: &mut Details = status.details.get_or_insert_with(Default::default);
        if details.retry_after_seconds == 0 {
            details.retry_after_seconds = seconds;
        }
    }
    status
}

fn generic(code: StatusCode, body: &[u8]) -> Status {
    let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST_TEXT)]);
    let message = match text.trim() {
        "" => format!("the apiserver answers {code}"),
        text => format!("the apiserver answers {code}: {text}"),
    };
    let reason = match code.as_u16() {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => return Status::no_such_resource(),
        405 => "MethodNotAllowed",
        406 => "NotAcceptable",
        409 => "Conflict",
        410 => "Gone",
        413 => "RequestEntityTooLarge",
        415 => "UnsupportedMediaType",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        500.. => "InternalError",
        _ => "",
    };
    Status::failure(code.as_u16(), reason, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, body: &str) -> Status {
        let code = StatusCode::from_u16(code).unwrap();
        refusal(code, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn a_status_is_kept_whole() {
        let body = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Pod \"a\" is invalid: spec.containers: Required value","reason":"Invalid","details":{"name":"a","kind":"Pod","causes":[{"reason":"FieldValueRequired","message":"Required value","field":"spec.containers"}]},"code":422}"#;
        let status = of(422, body);
        let details = status.details.as_ref().unwrap();
        assert_eq!(details.causes[0].field, "spec.containers");
        assert_eq!(serde_json::to_string(&status).unwrap(), body);
        // Through the in-process call it comes as it was.
        assert_eq!(Status::from_grpc(&status.to_grpc()), status);
    }

    #[test]
    fn texts_get_the_reason_of_their_code() {
        assert!(of(404, "404 page not found\n").is_not_found());
        let status = of(502, "<html>Bad Gateway</html>");
        assert_eq!(
            (status.code, status.reason.as_str()),
            (502, "InternalError")
        );
        assert!(status.message.contains("Bad Gateway"), "{status}");
        assert!(of(410, "").is_expired());
        assert_eq!(of(401, "").reason, "Unauthorized");
        let other = of(403, r#"{"kind":"Pod","status":{}}"#);
        assert_eq!(other.reason, "Forbidden", "an object is no Status");
    }

    #[test]
    fn when_to_come_again_may_be_in_the_head() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, "3".parse().unwrap());
        let text = b"Too many requests, please try again later.\n";
        let status = refusal(StatusCode::TOO_MANY_REQUESTS, &headers, text);
        assert_eq!(status.reason, "TooManyRequests");
        assert_eq!(status.details.unwrap().retry_after_seconds, 3);
    }
}
