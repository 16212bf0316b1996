//! Requests that another server answers: they are let in like all others, and passed on.

use super::body::{self, Body};
use super::path::ResourcePath;
use super::{Caller, tell};
use crate::aggregation::remote::{Remote, own_headers};
use crate::fairness;
use crate::metrics;
use crate::pipeline::{Pipeline, pairs};
use hardway_access::{Attributes, audit};
use hardway_proto::Status;
use hardway_streams::{Held, wanted_upgrade};
use http::{Request, Response};
use hyper::body::Incoming;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// A request that lasts: it is counted, and the audit log is told of its end.
struct Lasting {
    _counted: Option<metrics::LongRunning>,
    recorded: OnceLock<audit::Running>,
}

/// Passes a request on if its sender may do this. What is refused for want of a server is
/// told in Kubernetes' words, as text.
pub(super) async fn answer(
    pipeline: &Pipeline,
    remote: Arc<Remote>,
    request: Request<Incoming>,
    asked: &Attributes<'_>,
    resource: Option<&ResourcePath>,
    caller: &Caller<'_>,
) -> Result<Response<Body>, Status> {
    let start = Instant::now();
    let path = request.uri().path().to_owned();
    // Whoever posts to an object makes something of it.
    let verb = match asked.verb {
        "post" if resource.is_some() => "create",
        verb => verb,
    };
    let asked = Attributes { verb, ..*asked };
    pipeline.permit(&asked, &caller.record)?;
    let (digest, details) = match resource {
        Some(_) => fairness::remote_digest(&asked, &path),
        None => fairness::path_digest(&caller.user, verb, &path),
    };
    let (classified, seat) = pipeline
        .seats
        .take_one(&caller.user, &digest, details)
        .await;
    let seat = seat?;
    if !remote.state().is_available {
        return Ok(unavailable("service unavailable"));
    }
    let lasts = lasts(&request, verb, resource);
    let lasting = Arc::new(Lasting {
        _counted: lasts
            .then(|| metrics::long_running(if verb == "watch" { "WATCH" } else { "CONNECT" })),
        recorded: OnceLock::new(),
    });
    let held: Held = lasting.clone();
    // What lasts gives its seat back at once: a server that never answers would keep it for
    // as long as it likes.
    let seat = (!lasts).then_some(seat);
    let asking = remote.clone().forward(request, caller.user.clone(), held);
    let asked_for = asking.await;
    drop(seat);
    let mut answer = match asked_for {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(%error, path, "an aggregated server could not be asked");
            return Ok(unavailable(&format!(
                "error trying to reach service: {error}"
            )));
        }
    };
    own_headers(answer.headers_mut());
    tell(&mut answer, classified.as_ref());
    record(&asked, resource, answer.status().as_u16(), start, lasts);
    if !lasts {
        return Ok(answer);
    }
    if let Some(running) = caller.record.started(answer.status().as_u16()) {
        let _ = lasting.recorded.set(running);
    }
    Ok(answer.map(|body| body::holding(body, lasting)))
}

/// Whether the answer goes on for as long as both like.
fn lasts(request: &Request<Incoming>, verb: &str, resource: Option<&ResourcePath>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let follows = pairs(query).any(|(name, value)| name == "follow" && value == "true");
    let connects = resource.is_some_and(|of| {
        let streams = ["attach", "exec", "log", "portforward", "proxy"];
        streams.contains(&of.subresource.as_str())
    });
    verb == "watch" || follows || connects || wanted_upgrade(request.headers()).is_some()
}

fn unavailable(text: &str) -> Response<Body> {
    body::text(503, format!("{text}\n"))
}

fn record(
    asked: &Attributes<'_>,
    resource: Option<&ResourcePath>,
    code: u16,
    start: Instant,
    lasts: bool,
) {
    let Some(of) = resource else {
        return;
    };
    let labels = metrics::Labels {
        verb: &asked.verb.to_ascii_uppercase(),
        group: &of.group,
        version: &of.version,
        resource: &of.resource,
        subresource: &of.subresource,
        scope: match (of.name.is_empty(), of.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        },
    };
    metrics::request(&labels, code, (!lasts).then(|| start.elapsed()));
}
