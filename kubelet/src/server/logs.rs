//! `/containerLogs`: the logs of one container.

use super::query::Query;
use super::{Body, Refusal};
use crate::context::Context;
use crate::logs::{self, Options};
use crate::pod;
use crate::worker::observed::{Instance, State, observe};
use futures_util::TryStreamExt;
use hardway_proto::Kind;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

/// How much waits for a slow reader.
const BUFFER: usize = 64 << 10;
/// How often we look whether a followed container has ended.
const LOOK: Duration = Duration::from_secs(1);

fn options(query: &Query) -> Result<Options, Refusal> {
    let since = match (query.number("sinceSeconds"), query.get("sinceTime")) {
        (Ok(Some(seconds)), _) => {
            let span = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            Timestamp::now().checked_sub(span).ok()
        }
        (Ok(None), Some(text)) if !text.is_empty() => {
            let time = text.parse();
            Some(time.map_err(|e| Refusal::bad_request(format!("sinceTime: {e}")))?)
        }
        (Ok(None), _) => None,
        (Err(error), _) => return Err(Refusal::bad_request(error)),
    };
    let stream = query.get("stream").map(str::to_lowercase);
    Ok(Options {
        follow: query.is_on("follow"),
        since,
        timestamps: query.is_on("timestamps"),
        tail: query.number("tailLines").map_err(Refusal::bad_request)?,
        limit_bytes: query.number("limitBytes").map_err(Refusal::bad_request)?,
        stream: stream.filter(|s| !s.is_empty() && s != "all"),
    })
}

/// Answers with the log, as it grows if that is wanted.
pub async fn answer(
    context: Arc<Context>,
    pod: &Pod,
    name: &str,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let options = options(query)?;
    if pod::container(pod, name).is_none() {
        return Err(Refusal::bad_request(format!(
            "container {name} is not valid for pod {}",
            pod.name()
        )));
    }
    let instance = find(&context, pod, name, query.is_on("previous")).await?;
    let path = PathBuf::from(&instance.log_path);
    let root = context.places.logs.clone();
    let (mut sink, source) = tokio::io::duplex(BUFFER);
    let id = instance.id.clone();
    // Readers go without a word while nothing is written: what they hold tells.
    let reader = CancellationToken::new();
    let gone = reader.clone();
    let held = reader.drop_guard();
    tokio::spawn(async move {
        let ended = ended(&context, &id);
        let copy = logs::read(&root, &path, &options, ended, &mut sink);
        if let Some(Err(error)) = gone.run_until_cancelled(copy).await {
            tracing::debug!(path = %path.display(), %error, "cannot copy a log");
        }
    });
    let frames = ReaderStream::new(source).map_ok(move |bytes| {
        let _reader_is_there = &held;
        Frame::data(bytes)
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain"),
    );
    Ok(response)
}

async fn find(
    context: &Context,
    pod: &Pod,
    name: &str,
    previous: bool,
) -> Result<Instance, Refusal> {
    let observed = observe(context.runtime.as_ref(), pod.uid())
        .await
        .map_err(Refusal::internal)?;
    let mut lives = observed.containers.into_iter();
    let mut lives = lives.by_ref().filter(|c| c.name == name);
    if previous {
        let newest = lives.next();
        let ended = newest.filter(|i| i.state == State::Exited && waits(context, pod, name));
        return ended.or_else(|| lives.next()).ok_or_else(|| {
            Refusal::bad_request(format!(
                "previous terminated container {name:?} in pod {:?} not found",
                pod.name()
            ))
        });
    }
    let begun = lives.find(|i| i.state != State::Created);
    begun.ok_or_else(|| {
        let reason = waiting_reason(context, pod, name);
        let reason = waits_for(reason.as_deref().unwrap_or("ContainerCreating"));
        Refusal(
            StatusCode::BAD_REQUEST,
            format!(
                "container {name:?} in pod {:?} is waiting to start: {reason}",
                pod.name()
            ),
        )
    })
}

/// A reason to wait, in the words of log requests.
fn waits_for(reason: &str) -> &str {
    match reason {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        other => other,
    }
}

fn waiting_reason(context: &Context, pod: &Pod, name: &str) -> Option<String> {
    let status = context.statuses.get(pod.uid())?;
    let main = status.container_statuses.unwrap_or_default();
    let init = status.init_container_statuses.unwrap_or_default();
    let ephemeral = status.ephemeral_container_statuses.unwrap_or_default();
    let mut all = main.into_iter().chain(init).chain(ephemeral);
    let found = all.find(|s| s.name == name)?;
    found.state?.waiting?.reason
}

/// Whether the newest life has ended and the next is still to come: then it
/// is the previous one.
fn waits(context: &Context, pod: &Pod, name: &str) -> bool {
    waiting_reason(context, pod, name).is_some()
}

async fn ended(context: &Context, id: &str) {
    loop {
        match context.runtime.container_status(id).await {
            Ok(status) if status.finished_at == 0 => {}
            Err(error) if !error.is_not_found() => {}
            _ => return,
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_to_wait_are_told_in_full() {
        assert_eq!(waits_for("ErrImagePull"), "image can't be pulled");
        assert_eq!(
            waits_for("ImagePullBackOff"),
            "trying and failing to pull image"
        );
        assert_eq!(waits_for("PodInitializing"), "PodInitializing");
    }

    #[test]
    fn parameters_are_those_of_kubernetes() {
        let query = Query::parse("follow=true&tailLines=5&timestamps=true&stream=Stderr");
        let read = options(&query).unwrap();
        assert!(read.follow && read.timestamps);
        assert_eq!(read.tail, Some(5));
        assert_eq!(read.stream.as_deref(), Some("stderr"));
        let since = options(&Query::parse("sinceTime=2026-01-01T00%3A00%3A00Z")).unwrap();
        assert_eq!(since.since, "2026-01-01T00:00:00Z".parse().ok());
        assert!(options(&Query::parse("sinceTime=x")).is_err());
    }
}
