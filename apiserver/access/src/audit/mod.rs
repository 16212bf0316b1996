//! The audit log: who did what when, one JSON line per stage of a request.

mod file;
mod log;
mod policy;

pub use file::Rotation;
pub use log::{Counts, Log, Mode};
pub use policy::{Level, Policy, PolicyError, Stage};

use crate::admission::{AnnotationLevel, AuditAnnotation};
use crate::{Decision, User};
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What is known of a request when it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Unique id, also sent as the `Audit-Id` header.
    pub audit_id: &'a str,
    /// Who asks.
    pub user: &'a User,
    /// Whom they act as, where they do.
    pub impersonated: Option<&'a User>,
    /// API verb, or the lower-case HTTP method for paths.
    pub verb: &'a str,
    /// Path and query.
    pub uri: &'a str,
    /// Client addresses, nearest last.
    pub source_ips: &'a [String],
    /// `User-Agent` header.
    pub user_agent: &'a str,
    /// API group; empty for the core group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural resource name; empty for paths that aren't resources.
    pub resource: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Namespace, or empty.
    pub namespace: &'a str,
    /// Object name, or empty.
    pub name: &'a str,
}

impl Request<'_> {
    /// The path without the query.
    pub fn path(&self) -> &str {
        self.uri.split('?').next().unwrap_or_default()
    }

    /// Bodies that hold credentials are never logged, whatever the policy.
    fn is_secret(&self) -> bool {
        matches!(
            (self.group, self.resource, self.subresource),
            ("", "secrets", _)
                | ("", "serviceaccounts", "token")
                | ("authentication.k8s.io", "tokenreviews", _)
        )
    }
}

/// A request can't be recorded, and must therefore not be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to store audit event")]
pub struct NotRecorded;

/// The record of one request under way. Dropping it records the end: what it was
/// answered or, where it got no answer, that the client is gone.
pub struct Entry {
    log: Arc<Log>,
    level: Level,
    omitted: Vec<Stage>,
    event: Map<String, Value>,
    annotations: Map<String, Value>,
    /// The last stage has been recorded.
    ended: bool,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if !self.event.contains_key("responseStatus") {
            // As `WithAudit` of Kubernetes' apiserver library has it.
            let gone = json!({"metadata": {}, "code": 200, "status": "Success",
                "message": "Connection closed early"});
            self.event.insert("responseStatus".into(), gone);
        }
        self.emit(Stage::ResponseComplete);
    }
}

impl Log {
    /// Begins the record of a request; `None` if the policy doesn't want it. An error
    /// means that the request must be refused: what can't be recorded must not be.
    pub fn begin(self: &Arc<Self>, request: &Request) -> Result<Option<Entry>, NotRecorded> {
        let Some(mut entry) = self.entry(request) else {
            return Ok(None);
        };
        entry.ended = !entry.emit(Stage::RequestReceived) && self.rejects();
        match entry.ended {
            true => Err(NotRecorded),
            false => Ok(Some(entry)),
        }
    }

    /// Records a request whose sender proved to be nobody, at the one stage
    /// where Kubernetes does.
    pub fn unauthenticated(self: &Arc<Self>, request: &Request, message: &str) {
        if let Some(mut entry) = self.entry(request) {
            let status = json!({"metadata": {}, "message": message, "code": 401});
            entry.event.insert("responseStatus".into(), status);
            entry.emit(Stage::ResponseStarted);
            entry.ended = true;
        }
    }

    fn entry(self: &Arc<Self>, request: &Request) -> Option<Entry> {
        let (mut level, omitted) = self.policy().decide(request);
        if level == Level::None {
            return None;
        }
        if request.is_secret() {
            level = Level::Metadata;
        }
        Some(Entry {
            log: self.clone(),
            level,
            omitted,
            event: describe(request, level),
            annotations: Map::new(),
            ended: false,
        })
    }
}

/// With what a client tried to prove who it is.
pub fn attempted(headers: &HeaderMap, certificate: bool) -> String {
    let authorization = headers.get(header::AUTHORIZATION);
    let scheme = authorization
        .and_then(|value| value.to_str().ok()?.trim().split_once(' '))
        .map(|(scheme, _)| scheme.to_ascii_lowercase())
        .filter(|scheme| matches!(scheme.as_str(), "basic" | "bearer"));
    let certificate = certificate.then(|| "x509".to_owned());
    let methods: Vec<String> = scheme.into_iter().chain(certificate).collect();
    match methods.is_empty() {
        true => "Authentication failed, no credentials provided".into(),
        false => format!("Authentication failed, attempted: {}", methods.join(", ")),
    }
}

/// A response that goes on, such as a watch. Dropping it records its end.
pub struct Running {
    _entry: Entry,
}

fn describe(request: &Request, level: Level) -> Map<String, Value> {
    let mut event = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": level.name(),
        "auditID": request.audit_id,
        "stage": "",
        "requestURI": request.uri,
        "verb": request.verb,
        "user": request.user.to_json(),
        "sourceIPs": request.source_ips,
        "userAgent": request.user_agent,
        "requestReceivedTimestamp": micros(jiff::Timestamp::now()),
    });
    if let Some(user) = request.impersonated {
        event["impersonatedUser"] = user.to_json();
    }
    if !request.resource.is_empty() {
        let parts = [
            ("resource", request.resource),
            ("namespace", request.namespace),
            ("name", request.name),
            ("apiGroup", request.group),
            ("apiVersion", request.version),
            ("subresource", request.subresource),
        ];
        event["objectRef"] = parts
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect();
    }
    match event {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn micros(time: jiff::Timestamp) -> String {
    format!("{time:.6}")
}

impl Entry {
    /// Whether the policy wants the request's body.
    pub fn wants_request(&self) -> bool {
        self.level >= Level::Request
    }

    /// Whether the policy wants the response's body.
    pub fn wants_response(&self) -> bool {
        self.level >= Level::RequestResponse
    }

    /// The request's body; kept only if the policy wants it.
    pub fn request_object(&mut self, object: &Value) {
        if self.wants_request() {
            self.event.insert("requestObject".into(), object.clone());
        }
    }

    /// The response's body; kept only if the policy wants it.
    pub fn response_object(&mut self, object: &Value) {
        if self.wants_response() {
            self.event.insert("responseObject".into(), object.clone());
        }
    }

    /// What was decided about permission, and why.
    pub fn decided(&mut self, decision: &Decision) {
        let word = match decision.is_allowed() {
            true => "allow",
            false => "forbid",
        };
        for (key, value) in [("decision", word), ("reason", decision.reason())] {
            let key = format!("authorization.k8s.io/{key}");
            self.annotations.insert(key, json!(value));
        }
    }

    /// A line of admission, if its level is that of the policy. What a key had first stays.
    pub fn annotate(&mut self, annotation: AuditAnnotation) {
        let AuditAnnotation { key, value, level } = annotation;
        if level == AnnotationLevel::Metadata || self.wants_request() {
            self.annotations.entry(key).or_insert(Value::String(value));
        }
    }

    /// The request named a version that a release of Kubernetes removed.
    pub fn outdated(&mut self, removed: &str) {
        for (key, value) in [("deprecated", "true"), ("removed-release", removed)] {
            self.annotations
                .insert(format!("k8s.io/{key}"), json!(value));
        }
    }

    /// The response's headers are out and its body will take long (watch,
    /// exec …): as long as what this gives is kept.
    pub fn response_started(mut self, code: u16) -> Running {
        self.respond(code, "", "");
        self.emit(Stage::ResponseStarted);
        Running { _entry: self }
    }

    /// The response is out; `reason` and `message` are those of a failure.
    pub fn complete(mut self, code: u16, reason: &str, message: &str) {
        self.respond(code, reason, message);
    }

    /// The server failed over the request.
    pub fn panicked(mut self, message: &str) {
        self.respond(
            500,
            "InternalError",
            &format!("APIServer panic'd: {message}"),
        );
        self.emit(Stage::Panic);
        self.ended = true;
    }

    fn respond(&mut self, code: u16, reason: &str, message: &str) {
        let mut status = json!({ "metadata": {}, "code": code });
        if !reason.is_empty() || !message.is_empty() {
            status["status"] = json!("Failure");
            status["reason"] = json!(reason);
            status["message"] = json!(message);
        }
        self.event.insert("responseStatus".into(), status);
    }

    /// Whether it is written, as far as it should be.
    fn emit(&self, stage: Stage) -> bool {
        if self.omitted.contains(&stage) {
            return true;
        }
        let mut event = self.event.clone();
        event.insert("stage".into(), json!(stage.name()));
        let now = micros(jiff::Timestamp::now());
        event.insert("stageTimestamp".into(), json!(now));
        if !self.annotations.is_empty() {
            event.insert("annotations".into(), json!(self.annotations));
        }
        self.log.write(Value::Object(event).to_string())
    }
}
