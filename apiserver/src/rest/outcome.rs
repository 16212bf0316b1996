//! What came of a request, as HTTP has it.

use super::body::Body;
use super::lists;
use super::objects::{self, Representation};
use crate::fairness::Classified;
use crate::metrics;
use crate::pipeline::{Answer, Request, Verb};
use crate::trace;
use hardway_proto::Status;
use http::{HeaderValue, Response, header};
use std::time::Instant;

/// The pipeline's outcome as HTTP has it.
pub(super) async fn respond(
    request: Request,
    outcome: Result<Answer, Status>,
    wanted: Representation,
    start: Instant,
) -> Response<Body> {
    record(&request, &outcome, start);
    let mut response = match outcome {
        Ok(Answer::Object(object)) => objects::object(&request.target, object, wanted).await,
        Ok(Answer::List(listing)) => lists::list(listing, wanted).await,
        Ok(Answer::Watch(watch)) => objects::watch(*watch, wanted),
        Err(status) => objects::failure(&status, wanted.form),
    };
    tell(&mut response, request.classified.get());
    for warning in request.warnings.into_inner() {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

/// Tells in headers where a request belongs.
pub(super) fn tell(response: &mut Response<Body>, classified: Option<&Classified>) {
    let Some(Classified { schema, level, .. }) = classified else {
        return;
    };
    for (name, uid) in [
        ("x-kubernetes-pf-flowschema-uid", schema),
        ("x-kubernetes-pf-prioritylevel-uid", level),
    ] {
        if let Ok(value) = HeaderValue::from_str(uid)
            && !uid.is_empty()
        {
            response.headers_mut().insert(name, value);
        }
    }
}

/// Counts a request that was answered.
pub(crate) fn record(request: &Request, outcome: &Result<Answer, Status>, start: Instant) {
    let target = &request.target;
    let (code, verb) = match outcome {
        Ok(Answer::Object(object)) if object.created => (201, request.verb),
        Ok(_) => (200, request.verb),
        Err(status) => (status.code, request.verb),
    };
    let labels = metrics::Labels {
        verb: &verb.as_str().to_ascii_uppercase(),
        group: target.group(),
        version: &target.version,
        resource: target.plural(),
        subresource: &target.subresource,
        scope: match (target.name.is_empty(), target.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        },
    };
    let took = start.elapsed();
    trace::ended(outcome.as_ref().err(), took);
    let took = (verb != Verb::Watch).then_some(took);
    metrics::request(&labels, code, took);
}
