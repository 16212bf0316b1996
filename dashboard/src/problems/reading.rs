//! Reading what the engine asks for, once.

use super::paths::Paths;
use crate::api;
use crate::failure::Failure;
use crate::live::object::{hide, is_of_secrets};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use hardway_why::{FollowUp, Listing, LogRequest, Resource, Snapshot};
use http::StatusCode;
use jiff::Timestamp;
use kube::Client;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// How many requests are made at once.
const AT_ONCE: usize = 6;
/// How many objects a list is read at a time.
const PAGE: &str = "500";

/// Reads lists: of all namespaces, or of the one that matters as far as that will do.
///
/// # Errors
/// If none of them could be read because the API server does not answer, or knows nobody.
pub async fn lists(
    client: &Client,
    resources: impl IntoIterator<Item = &'static Resource>,
    namespace: Option<&str>,
) -> Result<Snapshot, Failure> {
    let read = resources.into_iter();
    let read = read.map(|resource| listed(client, resource, namespace).boxed());
    // On the heap, and of one type: closures that borrow can't be sent to other threads.
    let read: Vec<BoxFuture<_>> = read.collect();
    let mut read = stream::iter(read).buffer_unordered(AT_ONCE);
    let mut snapshot = Snapshot::new(Timestamp::now());
    let (mut some, mut failed) = (false, None);
    while let Some((resource, outcome)) = read.next().await {
        match outcome {
            Ok(objects) => {
                some = true;
                snapshot.put(resource, Listing::Read(objects));
            }
            Err(failure) => {
                snapshot.put(resource, unread(&failure));
                match failure.code() {
                    StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => some = true,
                    _ => failed = Some(failure),
                }
            }
        }
    }
    match failed.filter(|_| !some) {
        Some(failure) => Err(failure),
        None => Ok(snapshot),
    }
}

/// A list, and of what.
async fn listed(
    client: &Client,
    resource: &'static Resource,
    namespace: Option<&str>,
) -> (&'static Resource, Result<Vec<Arc<Value>>, Failure>) {
    let mut paths = Paths::new(resource, namespace);
    loop {
        let outcome = pages(client, paths.first()).await;
        match outcome
            .as_ref()
            .err()
            .and_then(|failure| paths.after(failure.code()))
        {
            Some(next) => paths = next,
            None => return (resource, outcome),
        }
    }
}

/// What the engine is told of a list that could not be read.
pub fn unread(failure: &Failure) -> Listing {
    match failure.code() {
        StatusCode::FORBIDDEN => Listing::Forbidden(failure.message().to_owned()),
        StatusCode::NOT_FOUND => Listing::NotServed,
        _ => Listing::Failed(failure.message().to_owned()),
    }
}

/// Reads what else is worth a request.
pub async fn further(client: &Client, snapshot: &mut Snapshot, requests: Vec<FollowUp>) {
    let asked = requests.into_iter();
    let asked: Vec<BoxFuture<_>> = asked
        .map(|request| answered(client, request).boxed())
        .collect();
    let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
    while let Some(got) = asked.next().await {
        match got {
            Got::Log(request, lines) => snapshot.put_log(request, lines),
            Got::Objects(Some((resource, listing))) => snapshot.put(&resource, listing),
            Got::Objects(None) => {}
        }
    }
}

/// What came of a further request.
enum Got {
    Log(LogRequest, Result<String, String>),
    Objects(Option<(Resource, Listing)>),
}

async fn answered(client: &Client, request: FollowUp) -> Got {
    match request {
        FollowUp::Log(request) => {
            let lines = log(client, &request).await;
            Got::Log(
                request,
                lines.map_err(|failure| failure.message().to_owned()),
            )
        }
        FollowUp::Objects {
            group,
            plural,
            namespace,
        } => Got::Objects(remaining(client, &group, &plural, &namespace).await),
    }
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    items: Vec<Value>,
}

/// All objects of a list, of Secrets without what is secret.
async fn pages(client: &Client, path: &str) -> Result<Vec<Arc<Value>>, Failure> {
    let secret = is_of_secrets(path);
    let mut objects = Vec::new();
    let mut next = String::new();
    loop {
        let on = utf8_percent_encode(&next, NON_ALPHANUMERIC);
        let list: List = api::read(client, &format!("{path}?limit={PAGE}&continue={on}")).await?;
        objects.extend(list.items.into_iter().map(|mut object| {
            if let Some(object) = object.as_object_mut().filter(|_| secret) {
                hide(object);
            }
            Arc::new(object)
        }));
        next = list.metadata["continue"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if next.is_empty() {
            return Ok(objects);
        }
    }
}

async fn log(client: &Client, request: &LogRequest) -> Result<String, Failure> {
    let uri = format!(
        "/api/v1/namespaces/{}/pods/{}/log?container={}&previous={}&tailLines={}&limitBytes=16384",
        request.namespace,
        request.pod,
        request.container,
        request.previous,
        LogRequest::LINES,
    );
    let text = api::get(client, &uri, "text/plain, */*").await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What is left of a resource in a namespace. Discovery says what it is.
async fn remaining(
    client: &Client,
    group: &str,
    plural: &str,
    namespace: &str,
) -> Option<(Resource, Listing)> {
    let version = match group {
        "" => "v1".to_owned(),
        group => {
            let found: Value = api::read(client, &format!("/apis/{group}")).await.ok()?;
            found
                .pointer("/preferredVersion/version")?
                .as_str()?
                .to_owned()
        }
    };
    let base = match group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{group}/{version}"),
    };
    let found: Value = api::read(client, &base).await.ok()?;
    let resources = found["resources"].as_array()?;
    let found = resources.iter().find(|it| it["name"] == plural)?;
    let resource = Resource::other(group, &version, plural, found["kind"].as_str()?, true);
    let listing = match pages(client, &resource.path(&version, Some(namespace))).await {
        Ok(objects) => Listing::Read(objects),
        Err(failure) => unread(&failure),
    };
    Some((resource, listing))
}
