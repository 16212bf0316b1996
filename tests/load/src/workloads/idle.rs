//! What the cluster's processes take while nothing is asked of them.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::failure::Failure;
use crate::process::Cost;
use crate::report::Measurement;
use crate::workload::{Context, Workload};

/// How long is waited before: the workload's own namespace has just been made.
const SETTLING: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Idle;

impl Workload for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn about(&self) -> &'static str {
        "asks nothing for --idle seconds: CPU, wake-ups and memory of the processes"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    if context.sampler.watched().is_empty() {
        let why = "no processes are named (--processes, --processes-of)";
        return Ok(vec![context.left_out("idle", why)]);
    }
    tokio::time::sleep(SETTLING).await;
    let seconds = context.sizes.idle.get();
    let measuring = context.begin(format!("idle for {seconds} s"), 0);
    tokio::time::sleep(Duration::from_secs(seconds.into())).await;
    let mut measured = measuring.finish();
    measured.figures.extend(together(&measured.processes));
    Ok(vec![measured])
}

/// What all processes take together.
fn together(costs: &[Cost]) -> [(String, f64); 3] {
    let sum = |part: fn(&Cost) -> f64| costs.iter().map(part).sum::<f64>();
    [
        ("all: CPU, % of a core", sum(Cost::cpu_share) * 100.0),
        ("all: wake-ups/s", sum(Cost::wakeups_per_second)),
        (
            "all: MiB",
            sum(|cost| cost.resident as f64) / f64::from(1 << 20),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_the_sum() {
        let cost = |cpu_seconds, wakeups, resident| Cost {
            process: String::new(),
            seconds: 10.0,
            cpu_seconds,
            wakeups,
            resident,
            anonymous: 0,
            peak: 0,
        };
        let all = together(&[cost(0.1, 50, 3 << 20), cost(0.2, 30, 1 << 20)]);
        let values = all.map(|(_, value)| (value * 100.0).round() / 100.0);
        assert_eq!(values, [3.0, 8.0, 4.0]);
    }
}
