//! Starts pods on the cluster's nodes: how long it takes from asking for a pod until it is
//! ready, and how much of that the container runtime took.

mod runtime;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::json;

use super::node_pods::{self, IDLE, Life, Lives};
use crate::api::Call;
use crate::failure::{Failure, OrFail};
use crate::latency::Latencies;
use crate::report::Measurement;
use crate::workers;
use crate::workload::{Context, Workload};
use runtime::Operations;

/// See the module.
pub(super) struct Start;

impl Workload for Start {
    fn name(&self) -> &'static str {
        "start"
    }

    fn about(&self) -> &'static str {
        "starts --pod-starts pods on nodes, one after the other and all at once, until Ready"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    let nodes = node_pods::nodes(context.api(0)).await?;
    if nodes.is_empty() {
        let why = "no node is ready and takes every pod";
        return Ok(vec![context.left_out("start pods", why)]);
    }
    // What is seen must not wait behind what is written.
    let watcher = context.api(0).fresh();
    let (lives, watch) = Lives::follow(&watcher, &context.core("pods")).await?;
    tokio::select! {
        measured = measure(context, &lives, &nodes) => measured,
        failure = watch => Err(failure),
    }
}

async fn measure(
    context: &Context,
    lives: &Lives,
    nodes: &[String],
) -> Result<Vec<Measurement>, Failure> {
    fetch_image(context, lives, nodes).await?;
    let count = context.sizes.pod_starts.get();
    let mut measured = Vec::new();
    for (name, concurrency) in [
        (format!("start {count} pods, one by one"), 1),
        (format!("start {count} pods at once"), count),
    ] {
        measured.push(start(context, lives, nodes, &name, concurrency as usize).await?);
    }
    Ok(measured)
}

/// Runs a pod on each node, after which all have the image.
async fn fetch_image(context: &Context, lives: &Lives, nodes: &[String]) -> Result<(), Failure> {
    for (number, node) in nodes.iter().enumerate() {
        let mut pod = node_pods::pod(context, &format!("first-{number}"), IDLE);
        pod["spec"]["nodeName"] = json!(node);
        node_pods::run(context, lives, &pod).await?;
    }
    remove_all(context, lives).await
}

async fn remove_all(context: &Context, lives: &Lives) -> Result<(), Failure> {
    let path = context.core("pods");
    let deleted = context.api(0).send(&Call::delete(&path)).await;
    deleted.or_fail(|| format!("delete {path}"))?;
    lives.until_gone().await
}

/// Starts pods, so many at a time, and takes them away.
async fn start(
    context: &Context,
    lives: &Lives,
    nodes: &[String],
    name: &str,
    concurrency: usize,
) -> Result<Measurement, Failure> {
    let before = Operations::read(context.api(0), nodes).await;
    let count = context.sizes.pod_starts.get();
    let measuring = context.begin(name, count);
    let ended: Arc<Mutex<Vec<Result<Life, Failure>>>> = Arc::default();
    let work = {
        let (context, lives) = (context.clone(), lives.clone());
        let (ended, measuring) = (Arc::clone(&ended), Arc::clone(&measuring));
        move |worker: usize, turn: u64| {
            let pod = node_pods::pod(&context, &format!("start-{turn}"), IDLE);
            let context = Context {
                apis: vec![context.api(worker).clone()],
                ..context.clone()
            };
            let (lives, ended) = (lives.clone(), Arc::clone(&ended));
            let measuring = Arc::clone(&measuring);
            async move {
                let life = node_pods::run(&context, &lives, &pod).await;
                if let Ok(life) = &life {
                    measuring.done(life.done.unwrap_or_default());
                }
                ended.lock().push(life);
            }
        }
    };
    workers::each(count, concurrency, work).await;
    let mut measured = measuring.finish();
    let after = Operations::read(context.api(0), nodes).await;
    let ended = std::mem::take(&mut *ended.lock());
    let lives_of_all = ended.into_iter().collect::<Result<Vec<Life>, Failure>>()?;
    measured.figures.extend(times(&lives_of_all));
    match (before, after) {
        (Ok(before), Ok(after)) => beside_runtime(&mut measured, &after.since(&before)),
        (Err(why), _) | (_, Err(why)) => {
            let note = format!("the runtime's own time isn't known: {why}");
            measured.notes.push(note);
        }
    }
    remove_all(context, lives).await?;
    Ok(measured)
}

/// Parts of the time by the clock, and the whole by the pods' own status.
fn times(lives: &[Life]) -> Vec<(String, f64)> {
    let mut figures = Vec::new();
    let mut assigned = Latencies::default();
    let with_node = lives.iter().filter_map(|life| life.assigned);
    with_node.for_each(|took| assigned.record(took));
    if let Some(took) = assigned.percentiles() {
        figures.push(("until they have a node, p50 ms".to_owned(), took.p50));
    }
    let said: Vec<Duration> = lives.iter().filter_map(|life| life.by_status).collect();
    if !said.is_empty() {
        let sum: Duration = said.iter().sum();
        let mean = sum.as_secs_f64() / said.len() as f64;
        figures.push(("by their status (whole seconds), mean s".to_owned(), mean));
    }
    figures
}

/// What the runtime took for a pod, and what was taken beside it.
fn beside_runtime(measured: &mut Measurement, operations: &Operations) {
    let means = operations.means();
    let Some(means) = means else {
        let note = "the runtime's own time isn't known: the kubelets tell nothing of it";
        measured.notes.push(note.to_owned());
        return;
    };
    let whole: f64 = means.iter().map(|(_, mean)| mean).sum();
    let parts = means.into_iter();
    let parts = parts.map(|(name, mean)| (format!("runtime: {name}, mean ms"), mean));
    measured.figures.extend(parts);
    measured
        .figures
        .insert("runtime: all, mean ms".to_owned(), whole);
    if let Some(latency) = &measured.latency {
        let more = [
            ("more than the runtime, mean ms", latency.mean - whole),
            ("more than the runtime, p50 ms", latency.p50 - whole),
        ];
        let more = more.map(|(name, value)| (name.to_owned(), value));
        measured.figures.extend(more);
    }
}
