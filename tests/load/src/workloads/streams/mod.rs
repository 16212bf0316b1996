//! The streams of pods, through the API server and the kubelet: commands in a pod, and logs.

mod exec;
mod logs;
mod pattern;

use futures_util::future::BoxFuture;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::node_pods::{self, CONTAINER, IDLE, Lives};
use crate::failure::Failure;
use crate::report::Measurement;
use crate::workload::{Context, Workload};

/// The pod that commands run in.
const POD: &str = "streams";

/// See the module.
pub(super) struct Streams;

impl Workload for Streams {
    fn name(&self) -> &'static str {
        "streams"
    }

    fn about(&self) -> &'static str {
        "sends --stream-megabytes through a command in a pod and back, and lines; reads a log"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    if node_pods::nodes(context.api(0)).await?.is_empty() {
        let why = "no node is ready and takes every pod";
        return Ok(vec![context.left_out("streams", why)]);
    }
    let watcher = context.api(0).fresh();
    let (lives, watch) = Lives::follow(&watcher, &context.core("pods")).await?;
    let measured = async {
        let pod = node_pods::pod(context, POD, IDLE);
        node_pods::run(context, &lives, &pod).await?;
        let mut measured = exec::measure(context).await?;
        measured.extend(logs::measure(context, &lives).await?);
        Ok(measured)
    };
    tokio::select! {
        measured = measured => measured,
        failure = watch => Err(failure),
    }
}

/// The path of a command in the pod, whose input and output are taken.
fn command(context: &Context, words: &[&str]) -> String {
    let words: String = words
        .iter()
        .map(|word| format!("&command={}", utf8_percent_encode(word, NON_ALPHANUMERIC)))
        .collect();
    let pod = context.core("pods");
    format!("{pod}/{POD}/exec?container={CONTAINER}&stdin=true&stdout=true&stderr=true{words}")
}
