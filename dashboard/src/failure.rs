//! What is answered when something fails: a Kubernetes `Status`, whoever refused.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde::Serialize;

/// A `Status` that is an error.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Failure(Box<Status>);

impl Failure {
    /// With a code, the reason that Kubernetes has for it, and a message.
    pub fn new(code: StatusCode, message: impl Into<String>) -> Self {
        let reason = match code {
            StatusCode::BAD_REQUEST => "BadRequest",
            StatusCode::UNAUTHORIZED => "Unauthorized",
            StatusCode::FORBIDDEN => "Forbidden",
            StatusCode::NOT_FOUND => "NotFound",
            StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
            StatusCode::GONE => "Expired",
            StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLarge",
            StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
            StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
            StatusCode::GATEWAY_TIMEOUT => "Timeout",
            _ => "InternalError",
        };
        Self(Box::new(Status {
            code: Some(i32::from(code.as_u16())),
            message: Some(message.into()),
            reason: Some(reason.to_owned()),
            status: Some("Failure".to_owned()),
            ..Status::default()
        }))
    }

    /// What an API server answered that is no success.
    pub fn of_answer(code: StatusCode, body: &[u8]) -> Self {
        match serde_json::from_slice::<Status>(body) {
            Ok(status) if status.code.is_some() => Self(Box::new(status)),
            _ => {
                let text = String::from_utf8_lossy(&body[..body.len().min(500)]);
                Self::new(
                    code,
                    format!("the API server answered {code}: {}", text.trim()),
                )
            }
        }
    }

    /// The API server could not be asked.
    pub fn unreachable(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let more = error.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = error.source();
        }
        let message = format!("the API server does not answer: {text}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// The code.
    pub fn code(&self) -> StatusCode {
        let code = self.0.code.and_then(|code| u16::try_from(code).ok());
        code.and_then(|code| StatusCode::from_u16(code).ok())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What it says.
    pub fn message(&self) -> &str {
        self.0.message.as_deref().unwrap_or_default()
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        Self::unreachable(&error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        json(self.code(), &self)
    }
}

/// An answer in JSON.
pub fn json(code: StatusCode, value: &impl Serialize) -> Response {
    let (code, body) = match serde_json::to_vec(value) {
        Ok(body) => (code, body),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            error.to_string().into_bytes(),
        ),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A value in JSON, for what is part of a longer text; `null` for what has no such form.
pub fn json_text<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_servers_own_words_are_kept() {
        let body = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
            "message":"pods is forbidden","reason":"Forbidden","code":403}"#;
        let failure = Failure::of_answer(StatusCode::FORBIDDEN, body);
        assert_eq!(failure.message(), "pods is forbidden");
        assert_eq!(failure.code(), StatusCode::FORBIDDEN);
        let failure = Failure::of_answer(StatusCode::BAD_GATEWAY, b"<html>no</html>");
        assert_eq!(failure.code(), StatusCode::BAD_GATEWAY);
        assert!(failure.message().contains("<html>no</html>"));
    }

    #[test]
    fn it_is_a_status_for_clients() {
        let failure = Failure::new(StatusCode::FORBIDDEN, "no");
        let value = serde_json::to_value(&failure).unwrap();
        assert_eq!(value["kind"], "Status");
        assert_eq!(value["reason"], "Forbidden");
        assert_eq!(value["code"], 403);
    }
}
