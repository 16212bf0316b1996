//! One request in the log: a span with its audit ID, who asks and for what. Clients
//! may bring an ID of their own, as in Kubernetes; hardway's components do. The
//! answer tells it, and what is logged meanwhile carries it.

use crate::pipeline::metadata;
use hardway_access::Attributes;
use hardway_client::trace::AUDIT_ID;
use hardway_proto::Status;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use std::time::Duration;
use tracing::Span;
use tracing::field::Empty;

/// Requests that take longer are told of in the log.
const SLOW: Duration = Duration::from_secs(1);

/// The name of a request in all logs.
#[derive(Clone, Debug, Default)]
pub struct AuditId(pub String);

impl AuditId {
    /// The one that a client brings, or a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        let brought = headers.get(AUDIT_ID).and_then(|value| value.to_str().ok());
        match brought.map(str::trim) {
            None | Some("") => Self(metadata::uid()),
            Some(id) => Self(id.to_owned()),
        }
    }

    /// The span of the request.
    pub fn span(&self) -> Span {
        tracing::info_span!(
            "request",
            audit_id = self.0,
            user = Empty,
            verb = Empty,
            resource = Empty,
            name = Empty
        )
    }

    /// Tells the client.
    pub fn tell<B>(&self, response: &mut Response<B>) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            let name = HeaderName::from_static(AUDIT_ID);
            response.headers_mut().insert(name, value);
        }
    }
}

/// Puts into the span of the request what it asks for.
pub fn asked(asked: &Attributes<'_>) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    span.record("user", &asked.user.name);
    span.record("verb", asked.verb);
    if !asked.is_resource {
        span.record("resource", asked.path);
        return;
    }
    let resource = hardway_proto::status::qualified(asked.group, asked.resource);
    match asked.subresource {
        "" => span.record("resource", resource),
        subresource => span.record("resource", format!("{resource}/{subresource}")),
    };
    match (asked.namespace, asked.name) {
        ("", name) => span.record("name", name),
        (namespace, name) => span.record("name", format!("{namespace}/{name}")),
    };
}

/// Tells the log how a request ended, and aloud if somebody should look.
pub fn ended(failure: Option<&Status>, took: Duration) {
    match failure {
        Some(status) if status.code >= 500 => {
            tracing::warn!(%status, ?took, "the request failed");
        }
        Some(status) => tracing::debug!(%status, ?took, "refused"),
        None if took >= SLOW => tracing::info!(?took, "answered slowly"),
        None => tracing::debug!(?took, "answered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_may_name_their_requests() {
        let mut headers = HeaderMap::new();
        assert_eq!(AuditId::of(&headers).0.len(), 36);
        headers.insert("Audit-ID", HeaderValue::from_static("mine"));
        let id = AuditId::of(&headers);
        assert_eq!(id.0, "mine");
        let mut response = Response::new(());
        id.tell(&mut response);
        assert_eq!(response.headers()["audit-id"], "mine");
        // What is no text can't be told to anybody.
        let odd = HeaderValue::from_bytes(b"\xff").unwrap();
        headers.insert("Audit-ID", odd);
        assert_eq!(AuditId::of(&headers).0.len(), 36);
    }
}
