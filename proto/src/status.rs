//! `metav1.Status`: how every failure is told, over REST and gRPC alike.
//!
//! Codes, reasons and message forms are those of Kubernetes'
//! `k8s.io/apimachinery/pkg/api/errors`, because clients match on them.

use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;

/// One detail of a failure, usually one field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// A machine-readable cause such as `FieldValueRequired`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What is wrong, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The path of the field, e.g. `spec.containers[0].image`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// The cause of a refused create in a namespace that is going away for good: trying it
/// again won't help (`NamespaceTerminatingCause` of `k8s.io/api/core/v1`).
pub const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";

/// What the failure is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// Name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Group of the resource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Plural resource name (or the kind, for `Invalid`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// UID of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One entry per cause.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Seconds after which a retry makes sense.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: i32,
}

fn is_zero(n: &i32) -> bool {
    *n == 0
}

/// A `metav1.Status`. Serialises with `kind` and `apiVersion`.
///
/// ```
/// use hardway_proto::Status;
///
/// let status = Status::not_found("apps", "deployments", "web");
/// assert_eq!(status.to_string(), "deployments.apps \"web\" not found");
/// assert_eq!(status.code, 404);
/// // Over gRPC it stays what it is.
/// assert_eq!(Status::from_grpc(&status.to_grpc()), status);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Always `Status`.
    pub kind: String,
    /// Always `v1`.
    pub api_version: String,
    /// Empty list metadata, as Kubernetes sends it.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// `Success` or `Failure`.
    pub status: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// For machines, e.g. `NotFound`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
    /// HTTP status code.
    pub code: u16,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            kind: "Status".into(),
            api_version: "v1".into(),
            metadata: Default::default(),
            status: "Failure".into(),
            message: String::new(),
            reason: String::new(),
            details: None,
            code: 0,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

/// `pods` in the core group, `deployments.apps` elsewhere: how error messages
/// name a resource.
pub fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    }
}

impl Status {
    /// A failure with its code, reason and message.
    pub fn failure(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            message: message.into(),
            ..Default::default()
        }
    }

    /// `Success`, as delete answers.
    pub fn success() -> Self {
        Self {
            status: "Success".into(),
            code: 200,
            ..Default::default()
        }
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        let details = self.details.get_or_insert_with(Default::default);
        details.group = group.into();
        details.kind = kind.into();
        details.name = name.into();
        self
    }

    /// 404: the object isn't there.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let what = qualified(group, resource);
        Self::failure(404, "NotFound", format!("{what} {name:?} not found"))
            .about(group, resource, name)
    }

    /// 404: no such path or resource.
    pub fn no_such_resource() -> Self {
        let mut status = Self::failure(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
        status.details = Some(Box::default());
        status
    }

    /// 409: an object of that name exists.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let what = qualified(group, resource);
        Self::failure(
            409,
            "AlreadyExists",
            format!("{what} {name:?} already exists"),
        )
        .about(group, resource, name)
    }

    /// 409: the write didn't apply to the object as it is.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(group, resource);
        Self::failure(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {what} {name:?}: {why}"),
        )
        .about(group, resource, name)
    }

    /// 409 with the text Kubernetes uses when a resource version is stale.
    pub fn stale(group: &str, resource: &str, name: &str) -> Self {
        Self::conflict(
            group,
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 403: authenticated but not allowed.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(group, resource);
        let message = match (resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (_, true) => format!("{what} is forbidden: {why}"),
            _ => format!("{what} {name:?} is forbidden: {why}"),
        };
        Self::failure(403, "Forbidden", message).about(group, resource, name)
    }

    /// 401: not authenticated.
    pub fn unauthorized() -> Self {
        Self::failure(401, "Unauthorized", "Unauthorized")
    }

    /// 400: the request can't be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", message)
    }

    /// 422: the object breaks its kind's rules; one cause per field.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        // The message tells each once, however many causes say it.
        let mut told = HashSet::new();
        let list: Vec<String> = causes
            .iter()
            .filter(|cause| told.insert((&cause.field, &cause.message)))
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let text = match list.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let what = qualified(group, kind);
        let mut status = Self::failure(
            422,
            "Invalid",
            format!("{what} {name:?} is invalid: {text}"),
        )
        .about(group, kind, name);
        if let Some(details) = &mut status.details {
            details.causes = causes;
        }
        status
    }

    /// 410: the resource version or continue token is too old.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, "Expired", message)
    }

    /// 405, as Kubernetes' router words it: it knows no more than the path.
    pub fn method_not_allowed() -> Self {
        let mut status = Self::failure(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        status.details = Some(Box::default());
        status
    }

    /// 415: the body's content type isn't understood.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::failure(415, "UnsupportedMediaType", message)
    }

    /// 413: the body is larger than the server takes.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::failure(413, "RequestEntityTooLarge", message)
    }

    /// 429: try again later, after so many seconds.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: i32) -> Self {
        let mut status = Self::failure(429, "TooManyRequests", message);
        status
            .details
            .get_or_insert_with(Default::default)
            .retry_after_seconds = retry_after_seconds;
        status
    }

    /// 500.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::failure(
            500,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
    }

    /// 500: the server failed over this request.
    pub fn panicked() -> Self {
        Self::failure(
            500,
            "InternalError",
            "This request caused apiserver to panic. Look in the logs for details.",
        )
    }

    /// 500 without a reason, as Kubernetes passes on etcd's silence: a write
    /// may or may not have been done. No code that clients repeat by
    /// themselves.
    pub fn outcome_unknown(why: impl fmt::Display) -> Self {
        let message = format!("{why}; it may or may not have been done, look before repeating it");
        Self::failure(500, "", message)
    }

    /// 503: a part the server needs is away.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, "ServiceUnavailable", message)
    }

    /// 504: the request took too long.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::failure(504, "Timeout", message)
    }

    /// 504: the time that a request was given is over.
    pub fn out_of_time() -> Self {
        Self::timeout("Timeout: request did not complete within the allotted timeout")
    }

    /// 504: the time is over that writes have, which may still be done.
    pub fn write_out_of_time() -> Self {
        Self::timeout(
            "Timeout: request did not complete within requested timeout - context deadline exceeded",
        )
    }

    /// Whether the reason is `NotFound`.
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }

    /// Whether the reason is `Conflict`.
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    /// Whether the reason is `AlreadyExists`.
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }

    /// Whether a list has to start anew (410).
    pub fn is_expired(&self) -> bool {
        self.code == 410
    }

    /// Whether one of its causes is of this type, e.g. [`NAMESPACE_TERMINATING`]: what
    /// `errors.HasStatusCause` asks in Kubernetes.
    pub fn has_cause(&self, reason: &str) -> bool {
        let causes = self.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| cause.reason == reason)
    }

    /// As a gRPC status: a matching code, the message, this Status as details.
    pub fn to_grpc(&self) -> tonic::Status {
        use tonic::Code;
        let code = match (self.code, self.reason.as_str()) {
            (401, _) => Code::Unauthenticated,
            (403, _) => Code::PermissionDenied,
            (404, _) => Code::NotFound,
            (409, "AlreadyExists") => Code::AlreadyExists,
            (409, _) => Code::Aborted,
            (410, _) => Code::OutOfRange,
            (429, _) => Code::ResourceExhausted,
            (503, _) => Code::Unavailable,
            (504, _) => Code::DeadlineExceeded,
            (400..=499, _) => Code::InvalidArgument,
            _ => Code::Internal,
        };
        let json = serde_json::to_vec(self).unwrap_or_default();
        tonic::Status::with_details(code, self.message.clone(), json.into())
    }

    /// From a gRPC status: its details where it carries a Status, otherwise
    /// (transport failures) a Status made of code and message.
    pub fn from_grpc(status: &tonic::Status) -> Self {
        use tonic::Code;
        if let Ok(parsed) = serde_json::from_slice(status.details()) {
            return parsed;
        }
        let (code, reason) = match status.code() {
            Code::Unauthenticated => (401, "Unauthorized"),
            Code::PermissionDenied => (403, "Forbidden"),
            Code::NotFound => (404, "NotFound"),
            Code::AlreadyExists => (409, "AlreadyExists"),
            Code::Aborted => (409, "Conflict"),
            Code::OutOfRange => (410, "Expired"),
            Code::ResourceExhausted => (429, "TooManyRequests"),
            Code::DeadlineExceeded => (504, "Timeout"),
            Code::InvalidArgument => (400, "BadRequest"),
            Code::Unimplemented => (405, "MethodNotAllowed"),
            Code::Internal => (500, "InternalError"),
            _ => (503, "ServiceUnavailable"),
        };
        Self::failure(code, reason, status.message())
    }
}

impl From<tonic::Status> for Status {
    fn from(status: tonic::Status) -> Self {
        Self::from_grpc(&status)
    }
}

impl From<Status> for tonic::Status {
    fn from(status: Status) -> Self {
        status.to_grpc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_kubernetes_messages() {
        assert_eq!(
            Status::not_found("apps", "deployments", "web").message,
            r#"deployments.apps "web" not found"#
        );
        assert_eq!(
            Status::forbidden("", "pods", "", "User \"jane\" cannot list").message,
            "pods is forbidden: User \"jane\" cannot list"
        );
        let cause = Cause {
            reason: "FieldValueRequired".into(),
            message: "Required value".into(),
            field: "spec.selector".into(),
        };
        let other = Cause {
            field: "spec.template".into(),
            ..cause.clone()
        };
        let status = Status::invalid("", "Pod", "a", vec![cause.clone(), other, cause]);
        assert_eq!(
            status.message,
            r#"Pod "a" is invalid: [spec.selector: Required value, spec.template: Required value]"#
        );
        assert_eq!(status.details.map(|details| details.causes.len()), Some(3));
    }

    #[test]
    fn causes_are_asked_by_type() {
        let mut status = Status::forbidden("", "pods", "a", "the namespace is going");
        assert!(!status.has_cause(NAMESPACE_TERMINATING));
        status.details.get_or_insert_default().causes.push(Cause {
            reason: NAMESPACE_TERMINATING.into(),
            ..Cause::default()
        });
        assert!(status.has_cause(NAMESPACE_TERMINATING) && !status.has_cause("DisruptionBudget"));
    }

    #[test]
    fn survives_the_trip_through_grpc() {
        let status = Status::stale("", "pods", "a");
        assert_eq!(Status::from_grpc(&status.to_grpc()), status);
    }
}
