//! Keeping a collection as the cluster has it: list, then watch from there.

use super::collection::{Collection, TooLarge};
use super::message::{Form, Selection};
use super::object::{self, Item, List};
use super::pause::Pause;
use crate::api;
use crate::failure::Failure;
use crate::metrics;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::StatusCode;
use http_body_util::BodyExt;
use kube::Client;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

/// How many objects a list is read at a time.
const PAGE: &str = "500";
/// How long one watch lasts, in seconds, before the next: at least, and how much more at most.
const LASTS: (f64, f64) = (300.0, 300.0);
/// How much longer than it should last a watch is waited for.
const GRACE: Duration = Duration::from_secs(30);
/// How long to wait where the API server says no, which seldom changes soon.
const REFUSED: Duration = Duration::from_secs(60);
/// The longest event: an object as large as etcd takes it, and some.
const LONGEST_EVENT: usize = 8 << 20;

/// Where the objects go.
pub trait Sink: Send + Sync {
    /// Changes the collection, and tells those who look at it.
    fn change<T>(&self, change: impl FnOnce(&mut Collection) -> T) -> T;
}

/// How a watch ended.
#[derive(Debug)]
enum End {
    /// In good order, after a resource version from which it can go on.
    At(String),
    /// What was there at its beginning is known no more (410): list again.
    Expired,
    /// In another way; it can be taken up at the resource version.
    Broken(String, Failure),
    /// There is more than is kept.
    TooLarge,
}

/// Keeps the collection for as long as it is polled.
pub async fn keep(client: &Client, selection: &Selection, sink: &impl Sink) {
    let mut pause = Pause::default();
    loop {
        sink.change(Collection::begin_list);
        match list(client, selection, sink).await {
            Ok(Some(version)) => {
                sink.change(Collection::end_list);
                pause.reset();
                if follow(client, selection, sink, version, &mut pause)
                    .await
                    .is_err()
                {
                    break;
                }
            }
            Ok(None) => break,
            Err(failure) => {
                let mut wait = pause.next(random());
                if failure.code() != StatusCode::GONE {
                    if failure.code().is_client_error() {
                        wait = wait.max(REFUSED);
                    }
                    sink.change(|collection| collection.set_error(Some(failure)));
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
    sink.change(|collection| {
        collection.clear();
        let message = "there are too many objects to show: choose a namespace or a selector";
        let failure = Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message);
        collection.set_error(Some(failure));
    });
    std::future::pending().await
}

/// Reads the list, page by page; gives where to watch from, or `None` if there is too much.
async fn list(
    client: &Client,
    selection: &Selection,
    sink: &impl Sink,
) -> Result<Option<String>, Failure> {
    metrics::LISTS.inc();
    let secret = object::is_of_secrets(&selection.path);
    let mut next = String::new();
    loop {
        let uri = selection.uri(&[("limit", PAGE), ("continue", &next)]);
        let body = api::get(client, &uri, selection.form.accept_list()).await?;
        let list: List = serde_json::from_slice(&body).map_err(nonsense)?;
        let columns = list
            .column_definitions
            .map(|it| Bytes::copy_from_slice(it.get().as_bytes()));
        let items = list.shown(selection.form, secret);
        let stored = sink.change(|collection| {
            if let Some(columns) = columns {
                collection.set_columns(columns);
            }
            items.into_iter().try_for_each(|item| collection.set(item))
        });
        if stored == Err(TooLarge) {
            return Ok(None);
        }
        if list.metadata.next.is_empty() {
            return Ok(Some(list.metadata.resource_version));
        }
        next = list.metadata.next;
    }
}

/// Watches from a resource version on, watch after watch, until the list has to be read anew.
async fn follow(
    client: &Client,
    selection: &Selection,
    sink: &impl Sink,
    mut version: String,
    pause: &mut Pause,
) -> Result<(), TooLarge> {
    loop {
        match watch(client, selection, sink, version).await {
            End::At(reached) => {
                pause.reset();
                version = reached;
            }
            End::Expired => {
                // An API server that says so at once, every time, is not asked without a pause.
                tokio::time::sleep(pause.next(random())).await;
                return Ok(());
            }
            End::Broken(reached, failure) => {
                tracing::debug!(
                    path = selection.path,
                    error = failure.message(),
                    "watch broken"
                );
                // Connections end; only what stays wrong is worth being shown.
                let wait = pause.next(random());
                if wait > Duration::from_secs(1) || !is_passing(&failure) {
                    sink.change(|collection| collection.set_error(Some(failure)));
                }
                tokio::time::sleep(wait).await;
                version = reached;
            }
            End::TooLarge => return Err(TooLarge),
        }
    }
}

fn is_passing(failure: &Failure) -> bool {
    failure.code().is_server_error()
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// One watch.
async fn watch(client: &Client, selection: &Selection, sink: &impl Sink, from: String) -> End {
    let lasts = LASTS.0 + LASTS.1 * random();
    let uri = selection.uri(&[
        ("watch", "true"),
        ("allowWatchBookmarks", "true"),
        ("resourceVersion", &from),
        ("timeoutSeconds", &format!("{lasts:.0}")),
    ]);
    let answer = match api::open(client, &uri, selection.form.accept_watch()).await {
        Ok(answer) => answer,
        Err(failure) if failure.code() == StatusCode::GONE => return End::Expired,
        Err(failure) => return End::Broken(from, failure),
    };
    sink.change(|collection| collection.set_error(None));
    let body = answer.into_body().into_data_stream();
    let reader = StreamReader::new(body.map_err(std::io::Error::other));
    let lines = FramedRead::new(reader, LinesCodec::new_with_max_length(LONGEST_EVENT));
    let mut lines = std::pin::pin!(lines);
    let mut version = from;
    let deadline = tokio::time::Instant::now() + Duration::from_secs_f64(lasts) + GRACE;
    loop {
        let line = match tokio::time::timeout_at(deadline, lines.next()).await {
            // Its time is over, and nobody said so.
            Err(_) | Ok(None) => return End::At(version),
            Ok(Some(Err(error))) => return End::Broken(version, Failure::unreachable(&error)),
            Ok(Some(Ok(line))) => line,
        };
        match apply(&line, selection, sink) {
            Ok(Applied::At(reached)) => version = reached,
            Ok(Applied::TooLarge) => return End::TooLarge,
            Err(failure) if failure.code() == StatusCode::GONE => return End::Expired,
            Err(failure) => return End::Broken(version, failure),
        }
    }
}

enum Applied {
    At(String),
    TooLarge,
}

/// Takes in one event.
fn apply(line: &str, selection: &Selection, sink: &impl Sink) -> Result<Applied, Failure> {
    let event: Event = serde_json::from_str(line).map_err(nonsense)?;
    if event.kind == "ERROR" {
        let code = StatusCode::INTERNAL_SERVER_ERROR;
        return Err(Failure::of_answer(code, event.object.get().as_bytes()));
    }
    let mut object = event.object.get();
    if selection.form == Form::Table {
        let table: List = serde_json::from_str(object).map_err(nonsense)?;
        object = table.rows.first().map_or(object, |row| row.get());
    }
    let version = object::version(object);
    if event.kind != "BOOKMARK" {
        let secret = object::is_of_secrets(&selection.path);
        let Some(item) = object::shown(object, &[], secret) else {
            return Ok(Applied::At(version));
        };
        let Item { uid, .. } = &item;
        let stored = match event.kind.as_str() {
            "DELETED" => {
                sink.change(|collection| collection.remove(uid));
                Ok(())
            }
            _ => sink.change(|collection| collection.set(item)),
        };
        if stored == Err(TooLarge) {
            return Ok(Applied::TooLarge);
        }
    }
    Ok(Applied::At(version))
}

fn nonsense(error: serde_json::Error) -> Failure {
    let message = format!("the API server's answer makes no sense: {error}");
    Failure::new(StatusCode::BAD_GATEWAY, message)
}

/// From 0 to 1.
fn random() -> f64 {
    let mut bytes = [0; 2];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_ne_bytes(bytes)) / f64::from(u16::MAX),
        Err(_) => 0.5,
    }
}
