//! The `hardway-flannel-lite` process.

use clap::Parser;
use hardway_client::events::Recorder;
use hardway_client::kubeconfig::Kubeconfig;
use hardway_client::{flags, health::Checks, host, signals, task, watchdog};
use hardway_flannel_lite::cni::Cni;
use hardway_flannel_lite::{Agent, DataPath, Netlink, Settings, Uplink, requirements};
use ipnetwork::Ipv4Network;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Connects this node's pods with those of the other nodes.
#[derive(Parser)]
#[command(name = "hardway-flannel-lite", version, args_override_self = true)]
struct Flags {
    #[command(flatten)]
    common: flags::Common,
    /// Wait until the kubeconfig is there, which the kubelet of a node that joins writes.
    #[arg(long)]
    await_kubeconfig: bool,
    /// Name of this node, if it isn't the host's.
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// This node's address for the others; else the first one of --iface, else the Node's InternalIP.
    #[arg(long, value_name = "IP")]
    public_ip: Option<Ipv4Addr>,
    /// Interface that leads to the other nodes; else (also if this is empty) the one that has the
    /// address, else that of the default route.
    #[arg(long, value_name = "NAME")]
    iface: Option<String>,
    /// Range of all pods' addresses; without it, the nodes' subnets together are the range.
    #[arg(long, value_name = "CIDR")]
    cluster_cidr: Option<Ipv4Network>,
    /// Where the container runtime looks for CNI configuration.
    #[arg(long, default_value = "/etc/cni/net.d", value_name = "DIR")]
    cni_conf_dir: PathBuf,
    /// Where the CNI plugin host-local keeps addresses given away.
    #[arg(long, default_value = "/var/lib/cni/networks", value_name = "DIR")]
    cni_data_dir: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hardway-flannel-lite: {error}");
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
    let client = flags.common.client("hardway-flannel-lite")?;
    let node_name = match flags.node_name {
        Some(name) => name,
        None => std::fs::read_to_string("/proc/sys/kernel/hostname")?
            .trim()
            .to_owned(),
    };
    let (netlink, connection) = Netlink::open()?;
    let cni = Cni {
        conf_dir: flags.cni_conf_dir,
        data_dir: flags.cni_data_dir,
    };
    let settings = Settings {
        node_name,
        cluster_cidr: flags.cluster_cidr,
        uplink: Uplink {
            // A unit's variable that nobody has set.
            iface: flags.iface.filter(|name| !name.is_empty()),
            address: flags.public_ip,
        },
    };
    let name = &settings.node_name;
    let recorder = Recorder::new(client.clone(), "hardway-flannel-lite", Some(name));
    let host = host::watch(requirements::ALL, host::tell_node(recorder, name));
    let agent = Agent::start(client, settings, DataPath::new(netlink, cni));
    let status = agent.status();
    let checks = Checks::default().ready("lease", move || status.check());
    let checks = checks.host(&host);
    let address = flags.common.serve_health(checks).await?;
    tracing::info!(%address, "serving health and metrics");
    tokio::select! {
        () = agent.run() => Ok(()),
        _ = connection => Err("the netlink connection was lost; a restart opens a new one".into()),
        // The data path stays: pods go on while the agent is away.
        stop = signals::shutdown() => Ok(stop?),
        failure = task::failed() => Err(failure.into()),
    }
}
