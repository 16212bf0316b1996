//! The `hardway-proxy` process.

use clap::Parser;
use hardway_client::events::Recorder;
use hardway_client::kubeconfig::Kubeconfig;
use hardway_client::{flags, health::Checks, host, signals, task, watchdog};
use hardway_proxy::conntrack::ConntrackTool;
use hardway_proxy::nft::Kernel;
use hardway_proxy::requirements;
use hardway_proxy::ruleset::Layout;
use hardway_proxy::syncer::Syncer;
use ipnetwork::Ipv4Network;
use std::process::ExitCode;

/// Makes Services reachable on this node.
#[derive(Parser)]
#[command(name = "hardway-proxy", version, args_override_self = true)]
struct Flags {
    #[command(flatten)]
    common: flags::Common,
    /// Wait until the kubeconfig is there, which the kubelet of a node that joins writes.
    #[arg(long)]
    await_kubeconfig: bool,
    /// Name of this node, if it isn't the host's.
    #[arg(long, value_name = "NAME")]
    hostname_override: Option<String>,
    /// Range of all pods' addresses; traffic from elsewhere to Services is masqueraded.
    #[arg(long, value_name = "CIDR")]
    cluster_cidr: Ipv4Network,
}

// One thread is plenty for what it does, and keeps it small.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hardway-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    flags.common.init_logging()?;
    watchdog::start()?;
    if flags.await_kubeconfig {
        tokio::select! {
            () = Kubeconfig::awaited(&flags.common.kubeconfig) => {}
            stop = signals::shutdown() => return Ok(stop?),
        }
    }
    let node = match flags.hostname_override {
        Some(name) => name,
        None => std::fs::read_to_string("/proc/sys/kernel/hostname")?
            .trim()
            .to_owned(),
    };
    let client = flags.common.client("hardway-proxy")?;
    let layout = Layout {
        cluster_cidr: flags.cluster_cidr,
    };
    let recorder = Recorder::new(client.clone(), "hardway-proxy", Some(&node));
    let host = host::watch(requirements::ALL, host::tell_node(recorder, &node));
    let syncer = Syncer::new(&client, node, layout, Kernel::default(), ConntrackTool);
    let health = syncer.health();
    let checks = Checks::default().ready("sync", move || health.check());
    let checks = checks.host(&host);
    let address = flags.common.serve_health(checks).await?;
    tracing::info!(%address, "serving health and metrics");
    tokio::select! {
        () = syncer.run() => {}
        stop = signals::shutdown() => stop?,
        failure = task::failed() => return Err(failure.into()),
    }
    Ok(())
}
