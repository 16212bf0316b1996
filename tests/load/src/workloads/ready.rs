//! How long an API server takes from the start of its program until it is ready. Only those
//! that this tool starts itself can be measured.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::make;
use crate::api::{Api, Call};
use crate::failure::{Failure, OrFail};
use crate::measure::Measuring;
use crate::reference::{self, Binaries, Side};
use crate::report::Measurement;
use crate::workload::{Context, Workload};

/// See the module.
pub(super) struct Ready;

impl Workload for Ready {
    fn name(&self) -> &'static str {
        "ready"
    }

    fn about(&self) -> &'static str {
        "starts API servers, on an etcd that is empty and on one with --pods pods, until /readyz"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    let Some(binaries) = &context.binaries else {
        let why = "only a server that is started for the run (--binaries, --reference)";
        return Ok(vec![context.left_out("start an API server", why)]);
    };
    let times = context.sizes.server_starts.get();

    let starting = context.begin("start, etcd is empty", times);
    let mut costs = Costs::default();
    let mut side = Side::start(binaries).await?;
    costs.take(&starting, side.ready());
    for _ in 1..times {
        // The former one ends before the next one begins.
        drop(side);
        side = Side::start(binaries).await?;
        costs.take(&starting, side.ready());
    }
    let empty = costs.finish(&starting);

    let again = restart(context, "start again", binaries, &mut side).await?;
    let pods = context.sizes.pods.get();
    fill(context, &side, pods).await?;
    let name = format!("start again with {pods} pods");
    let full = restart(context, &name, binaries, &mut side).await?;
    Ok(vec![empty, again, full])
}

/// Starts a server that was there before.
async fn restart(
    context: &Context,
    name: &str,
    binaries: &Binaries,
    side: &mut Side,
) -> Result<Measurement, Failure> {
    let times = context.sizes.server_starts.get();
    let starting = context.begin(name, times);
    let mut costs = Costs::default();
    for _ in 0..times {
        side.restart(binaries).await?;
        costs.take(&starting, side.ready());
    }
    Ok(costs.finish(&starting))
}

/// Makes pods at a server of the workload's own.
async fn fill(context: &Context, side: &Side, pods: u64) -> Result<(), Failure> {
    let api = Api::new(Arc::new(side.target().await?));
    let namespace = json!({"metadata": {"name": context.namespace}});
    let made = api
        .send(&Call::post("/api/v1/namespaces", &namespace))
        .await;
    made.or_fail(|| format!("make the namespace {}", context.namespace))?;
    let there = Context {
        apis: context.apis.iter().map(|_| api.fresh()).collect(),
        ..context.clone()
    };
    make::ready_pods(&there, pods).await.map(drop)
}

/// What the starts took together.
#[derive(Default)]
struct Costs {
    starts: u32,
    cpu_seconds: f64,
    resident: f64,
}

impl Costs {
    fn take(&mut self, measuring: &Measuring, ready: &reference::Ready) {
        measuring.done(ready.after);
        if let Some(cost) = &ready.cost {
            self.starts += 1;
            self.cpu_seconds += cost.cpu_seconds;
            self.resident += cost.resident as f64;
        }
    }

    /// What was measured, with the means of the servers that were started. Those of the run
    /// had nothing to do with it.
    fn finish(&self, measuring: &Measuring) -> Measurement {
        let mut measured = measuring.finish();
        measured.processes.clear();
        let mean = |sum: f64| sum / f64::from(self.starts.max(1));
        let mebibytes = mean(self.resident) / f64::from(1 << 20);
        let figures = [
            ("CPU until ready, ms", mean(self.cpu_seconds) * 1e3),
            ("memory when ready, MiB", mebibytes),
        ];
        let figures = figures.map(|(name, value)| (name.to_owned(), value));
        measured.figures.extend(figures);
        measured
    }
}
