//! The `hardway-scheduler` process.

use clap::Parser;
use hardway_client::{flags, health::Checks, leader::Elector, signals, task, watchdog};
use hardway_scheduler::Scheduler;
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// Gives memory back that a backlog of pods took.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Finds a node for every pod that has none.
#[derive(Parser)]
#[command(name = "hardway-scheduler", version, args_override_self = true)]
struct Flags {
    #[command(flatten)]
    common: flags::Common,
    /// Take turns with other instances through a Lease.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    leader_elect: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hardway-scheduler: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    flags.common.init_logging()?;
    watchdog::start()?;
    let client = flags.common.client("hardway-scheduler")?;
    let scheduler = Scheduler::start(client.clone());
    let watched = scheduler.clone();
    let checks = Checks::default().ready("informer-sync", move || watched.synced());
    let address = flags.common.serve_health(checks).await?;
    tracing::info!(%address, "serving health and metrics");
    let identity = format!("{}_{}", hostname(), std::process::id());
    let elector = match flags.leader_elect {
        true => Some(Elector::new(&client, "kube-scheduler", &identity)?),
        false => None,
    };
    let stop = async {
        tokio::select! {
            stop = signals::shutdown() => Ok(stop?),
            failure = task::failed() => Err(failure.into()),
        }
    };
    let lead = || async {
        scheduler.run().await;
        Ok(())
    };
    match elector {
        // The lease is given up however it ends.
        Some(elector) => elector.run(lead, stop).await,
        None => tokio::select! {
            end = lead() => end,
            end = stop => end,
        },
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".into(), |name| name.trim().to_owned())
}
