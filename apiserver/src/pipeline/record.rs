//! What the audit log is told of a request.

use super::{Answer, Body};
use crate::trace::{self, AuditId};
use hardway_access::admission::AuditAnnotation;
use hardway_access::{Attributes, Decision, User, audit};
use hardway_client::serving::ConnectionLoad;
use hardway_proto::Status;
use parking_lot::Mutex;
use std::sync::Arc;

/// Where a request comes from, for the audit log.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The request's name in all logs.
    pub audit_id: AuditId,
    /// Path and query.
    pub uri: String,
    /// The client's address.
    pub address: String,
    /// Its user agent.
    pub agent: String,
    /// Whether it has shown a client certificate.
    pub certified: bool,
    /// Who it really is, if it acts as somebody else.
    pub impersonator: Option<User>,
    /// Whether much is asked for on the connection.
    pub load: Arc<ConnectionLoad>,
}

impl Origin {
    /// A request as the audit log knows it.
    fn describe<'a>(&'a self, asked: &'a Attributes<'a>) -> audit::Request<'a> {
        audit::Request {
            audit_id: &self.audit_id.0,
            user: self.impersonator.as_ref().unwrap_or(asked.user),
            impersonated: self.impersonator.as_ref().map(|_| asked.user),
            verb: asked.verb,
            uri: &self.uri,
            source_ips: std::slice::from_ref(&self.address),
            user_agent: &self.agent,
            group: asked.group,
            version: asked.version,
            resource: asked.resource,
            subresource: asked.subresource,
            namespace: asked.namespace,
            name: asked.name,
        }
    }

    /// Notes a request that went no further than to the question who asks:
    /// nobody could be told (and what they tried), or one who may not act as
    /// somebody else.
    pub fn record_stranger(
        &self,
        log: Option<&Arc<audit::Log>>,
        asked: &Attributes,
        tried: &str,
        status: &Status,
    ) {
        let Some(log) = log else {
            return;
        };
        let described = self.describe(asked);
        if status.code == 401 {
            log.unauthenticated(&described, tried);
        } else if let Ok(Some(entry)) = log.begin(&described) {
            entry.complete(status.code, &status.reason, &status.message);
        }
    }
}

/// The audit log's record of one request: a handle that everybody has who works on it.
/// The first outcome that is noted ends it, or the last handle that is dropped. What comes
/// after the end, or is noted where the policy wants no record, goes nowhere.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Option<audit::Entry>>>);

impl Record {
    /// Begins the record of a request that has come in. An error means that it can't be
    /// written, and that the request must not go on without.
    pub fn begin(
        &self,
        log: Option<&Arc<audit::Log>>,
        origin: &Origin,
        asked: &Attributes,
    ) -> Result<(), Status> {
        trace::asked(asked);
        if let Some(log) = log {
            let entry = log.begin(&origin.describe(asked));
            *self.0.lock() = entry.map_err(Status::internal)?;
        }
        Ok(())
    }

    /// Notes what was decided about permission.
    pub(super) fn decided(&self, decision: &Decision) {
        if let Some(entry) = &mut *self.0.lock() {
            entry.decided(decision);
        }
    }

    /// Notes that the version asked for is none of this release of Kubernetes any more.
    pub(super) fn outdated(&self, removed: &str) {
        if let Some(entry) = &mut *self.0.lock() {
            entry.outdated(removed);
        }
    }

    /// Notes what admission had to tell.
    pub(super) fn annotated(&self, annotations: &mut Vec<AuditAnnotation>) {
        let annotations = annotations.drain(..);
        if let Some(entry) = &mut *self.0.lock() {
            annotations.for_each(|annotation| entry.annotate(annotation));
        }
    }

    /// Keeps the request's body, if the policy wants it.
    pub(super) fn brought(&self, body: &Body) {
        if let Some(entry) = &mut *self.0.lock()
            && let Body::Json(body) = body
            && entry.wants_request()
            && let Ok(object) = serde_json::from_slice(body)
        {
            entry.request_object(&object);
        }
    }

    /// Ends with what the pipeline answers. A watch's goes on with its events.
    pub(super) fn answered(&self, outcome: &mut Result<Answer, Status>) {
        match outcome {
            Ok(Answer::Watch(watch)) => {
                if let Some(running) = self.started(200) {
                    watch.record(running);
                }
            }
            Ok(Answer::Object(object)) => {
                if let Some(entry) = &mut *self.0.lock()
                    && entry.wants_response()
                    && let Ok(object) = serde_json::from_slice(&object.json)
                {
                    entry.response_object(&object);
                }
                self.completed(if object.created { 201 } else { 200 });
            }
            Ok(Answer::List(_)) => self.completed(200),
            Err(status) => self.failed(status),
        }
    }

    /// Ends with this code.
    pub fn completed(&self, code: u16) {
        if let Some(entry) = self.end() {
            entry.complete(code, "", "");
        }
    }

    /// Ends with a failure.
    pub fn failed(&self, status: &Status) {
        if let Some(entry) = self.end() {
            entry.complete(status.code, &status.reason, &status.message);
        }
    }

    /// Ends with a panic that said this.
    pub fn panicked(&self, panic: &str) {
        if let Some(entry) = self.end() {
            entry.panicked(panic);
        }
    }

    /// The response's head is out, with this code; the record ends when what this gives
    /// is dropped.
    pub fn started(&self, code: u16) -> Option<audit::Running> {
        self.end().map(|entry| entry.response_started(code))
    }

    fn end(&self) -> Option<audit::Entry> {
        self.0.lock().take()
    }
}
