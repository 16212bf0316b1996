//! Steps of all processes, as lines of JSON: `/debug/hardway/steps`.

use super::Caller;
use super::body::{self, Body};
use crate::metrics;
use crate::pipeline::{Pipeline, pairs};
use crate::steps::{self, Filter, Reader};
use hardway_proto::Status;
use http::Response;

pub(super) use steps::PATH;

/// As the lines are called, which come one by one (<https://github.com/ndjson/ndjson-spec>).
const LINES: &str = "application/x-ndjson";

/// Whether the answer lasts as long as both sides like.
pub(super) fn lasts(path: &str, query: &str) -> bool {
    path == PATH && Filter::of(pairs(query)).is_ok_and(|filter| filter.watches())
}

/// The steps that are asked for by who may read them.
pub(super) fn answer(
    pipeline: &Pipeline,
    query: &str,
    caller: &Caller<'_>,
) -> Result<Response<Body>, Status> {
    let filter = Filter::of(pairs(query))?;
    let user = caller.user.clone();
    let reader = Reader::new(&pipeline.steps, pipeline.authorizer.clone(), user, filter);
    let running = (metrics::long_running("WATCH"), caller.record.started(200));
    let lines = body::stream(reader.lines());
    Ok(body::respond(200, LINES, body::holding(lines, running)))
}
