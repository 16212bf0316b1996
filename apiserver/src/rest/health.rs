//! /livez, /readyz, /healthz, with `?verbose`, `?exclude=` and one path per
//! check.

use super::body::{self, Body};
use crate::pipeline::{Pipeline, pairs};
use crate::store::Store;
use hardway_client::{expiry, unreadable};
use hardway_proto::Status;
use http::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How long etcd may take to be called healthy.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a request waits for a server that has just started.
const WARMING_UP: Duration = Duration::from_secs(5);

/// What the checks look at.
#[derive(Default)]
pub struct Startup {
    /// What must exist has been made sure of.
    pub bootstrapped: AtomicBool,
    /// The watch cache is filled and custom resources are served: the server
    /// knows what there is.
    pub definitions: watch::Sender<bool>,
    /// It knows as well what other servers serve.
    pub aggregation: watch::Sender<bool>,
    /// The configuration of priority and fairness is followed, or isn't to be.
    pub fairness: AtomicBool,
    /// The server is going down.
    pub stopping: AtomicBool,
}

impl Startup {
    /// Waits until the server knows what there is. Before, it would take
    /// tokens for invalid, permissions for missing and namespaces for absent;
    /// 503 if that takes long.
    pub async fn knowing(&self) -> Result<(), Status> {
        if *self.aggregation.borrow() {
            return Ok(());
        }
        // It comes after the definitions.
        let mut aggregation = self.aggregation.subscribe();
        let known = tokio::time::timeout(WARMING_UP, aggregation.wait_for(|known| *known));
        if known.await.is_ok() {
            return Ok(());
        }
        let mut status = Status::unavailable(
            "the apiserver is starting and has not read from etcd what there is; try again once /readyz says ok",
        );
        status.details.get_or_insert_default().retry_after_seconds = 1;
        Err(status)
    }
}

/// Answers a health path; `None` for any other.
pub async fn respond(
    path: &str,
    query: &str,
    pipeline: &Pipeline,
    startup: &Arc<Startup>,
) -> Option<Response<Body>> {
    let path = path.trim_matches('/');
    let (endpoint, only) = path.split_once('/').unwrap_or((path, ""));
    if !matches!(endpoint, "livez" | "readyz" | "healthz") {
        return None;
    }
    let checks = run(endpoint, pipeline, startup).await;
    if !only.is_empty() {
        let check = checks.into_iter().find(|(name, _)| *name == only);
        return Some(match check {
            Some((_, Ok(()))) => body::text(200, "ok"),
            Some((name, Err(why))) => body::text(
                500,
                format!("internal server error: {name} check failed: {why}\n"),
            ),
            None => body::text(404, "404 page not found\n"),
        });
    }
    let mut verbose = false;
    let mut excluded = Vec::new();
    for (name, value) in pairs(query) {
        match name.as_str() {
            "verbose" => verbose = true,
            "exclude" => excluded.push(value),
            _ => {}
        }
    }
    let mut healthy = true;
    let mut report = String::new();
    for (name, outcome) in checks {
        if excluded.iter().any(|excluded| excluded == name) {
            report.push_str(&format!("[+]{name} excluded: ok\n"));
            continue;
        }
        match outcome {
            Ok(()) => report.push_str(&format!("[+]{name} ok\n")),
            Err(why) => {
                healthy = false;
                report.push_str(&format!("[-]{name} failed: {why}\n"));
            }
        }
    }
    if endpoint == "readyz" {
        // No reason to take the server out of service: the rest is served.
        report.push_str(&unreadable::report());
        report.push_str(&expiry::report());
        report.push_str(&pipeline.space.report());
    }
    Some(match (healthy, verbose) {
        (true, false) => body::text(200, "ok"),
        (true, true) => body::text(200, format!("{report}{endpoint} check passed\n")),
        (false, _) => body::text(500, format!("{report}{endpoint} check failed\n")),
    })
}

/// Whether the server is ready, for who can't ask over the network.
///
/// # Errors
/// With the first check that fails.
pub async fn verdict(pipeline: &Pipeline, startup: &Startup) -> Result<(), String> {
    for (name, outcome) in run("readyz", pipeline, startup).await {
        outcome.map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

type Check = (&'static str, Result<(), String>);

async fn run(endpoint: &str, pipeline: &Pipeline, startup: &Startup) -> Vec<Check> {
    let flag = |flag: &AtomicBool, why: &str| match flag.load(Ordering::Acquire) {
        true => Ok(()),
        false => Err(why.to_owned()),
    };
    let mut checks = vec![("ping", Ok(()))];
    if endpoint != "livez" {
        checks.push(("etcd", etcd(&pipeline.store).await));
    }
    if endpoint == "readyz" {
        let filled = match pipeline.cache.revision() {
            0 => Err("the watch cache is not filled yet".to_owned()),
            _ => Ok(()),
        };
        checks.push(("informer-sync", filled));
        let stopping = startup.stopping.load(Ordering::Acquire);
        let shutdown = if stopping {
            Err("process is shutting down".into())
        } else {
            Ok(())
        };
        checks.push(("shutdown", shutdown));
    }
    checks.push((
        "poststarthook/hardway/bootstrap",
        flag(&startup.bootstrapped, "not finished"),
    ));
    checks.push((
        "poststarthook/crd-informer-synced",
        match *startup.definitions.borrow() {
            true => Ok(()),
            false => Err("not finished".to_owned()),
        },
    ));
    checks.push((
        "poststarthook/apiservice-discovery-controller",
        match *startup.aggregation.borrow() {
            true => Ok(()),
            false => Err("not finished".to_owned()),
        },
    ));
    checks.push((
        "poststarthook/priority-and-fairness-config-consumer",
        flag(&startup.fairness, "not finished"),
    ));
    checks
}

async fn etcd(store: &Store) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, store.check()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
