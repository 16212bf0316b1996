//! Makes sure that what a cluster can't do without exists.

use crate::pipeline::{Body, Pipeline, Request, Target, Verb, metadata};
use crate::rest::health::Startup;
use hardway_access::bootstrap;
use hardway_proto::Status;
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long to wait before trying again, first and at most.
const RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Creates what is missing, brings default roles and bindings up to date, and
/// returns when all that can be done is: what is left is for [`retry`]. One object
/// that somebody has spoiled in etcd keeps no server from serving the others.
pub async fn run(pipeline: &Pipeline, startup: &Startup) -> Vec<Value> {
    pipeline.cache.loaded().await;
    let mut missing = ensure_all(pipeline, bootstrap::objects()).await;
    // Without etcd nothing can be there yet.
    while !missing.is_empty() && pipeline.store.revision().await.is_err() {
        tokio::time::sleep(RETRY).await;
        missing = ensure_all(pipeline, missing).await;
    }
    startup.bootstrapped.store(true, Ordering::Release);
    tracing::info!(missing = missing.len(), "bootstrap objects are there");
    missing
}

/// Goes on trying, ever more seldom, until nothing is missing.
pub async fn retry(pipeline: &Pipeline, mut missing: Vec<Value>) {
    let mut pause = RETRY;
    while !missing.is_empty() {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_RETRY);
        missing = ensure_all(pipeline, missing).await;
    }
}

/// Those that could not be brought about.
async fn ensure_all(pipeline: &Pipeline, objects: Vec<Value>) -> Vec<Value> {
    let mut missing = Vec::new();
    for object in objects {
        if let Err(status) = ensure(pipeline, &object).await {
            let name = metadata::text(&object, "name");
            tracing::warn!(kind = %object["kind"], name, %status, "bootstrap object, retrying");
            missing.push(object);
        }
    }
    missing
}

/// Where an object belongs, by its own account.
pub fn target_of(pipeline: &Pipeline, object: &Value) -> Result<Target, Status> {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = object["kind"].as_str().unwrap_or_default();
    let resource = pipeline
        .registry
        .lookup_kind(group, version, kind)
        .ok_or_else(|| Status::internal(format!("no resource serves {api_version} {kind}")))?;
    Ok(Target {
        resource,
        version: version.to_owned(),
        namespace: metadata::text(object, "namespace").to_owned(),
        name: metadata::text(object, "name").to_owned(),
        subresource: String::new(),
    })
}

async fn ensure(pipeline: &Pipeline, object: &Value) -> Result<(), Status> {
    let target = target_of(pipeline, object)?;
    if let Some(entry) = pipeline.cache_of(&target)?.get(&target.key()) {
        let found = entry.value();
        let Some(updated) = bootstrap::reconcile(&found, object) else {
            return Ok(());
        };
        let request = Request::internal(Verb::Update, target, Body::Value(updated));
        return pipeline.dispatch(&request).await.map(drop);
    }
    let request = Request::internal(Verb::Create, target, Body::Value(object.clone()));
    match pipeline.dispatch(&request).await {
        Err(status) if status.is_already_exists() => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Creates an object, or changes what is there.
pub async fn ensure_as(
    pipeline: &Pipeline,
    wanted: Value,
    change: impl Fn(&mut Value, &Value),
) -> Result<(), Status> {
    let target = target_of(pipeline, &wanted)?;
    let found = pipeline.cache_of(&target)?.get(&target.key());
    let request = match found {
        None => Request::internal(Verb::Create, target, Body::Value(wanted)),
        Some(entry) => {
            let mut object = entry.value();
            change(&mut object, &wanted);
            Request::internal(Verb::Update, target, Body::Value(object))
        }
    };
    match pipeline.dispatch(&request).await {
        Err(status) if status.is_already_exists() || status.is_conflict() => Ok(()),
        outcome => outcome.map(drop),
    }
}
