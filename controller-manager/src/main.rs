//! The `hardway-controller-manager` process.

use clap::Parser;
use hardway_client::{flags, health::Checks, leader::Elector, signals, task, watchdog};
use hardway_controller_manager::context::{Context, Settings, at_least_a_second};
use hardway_controller_manager::{account_tokens, horizontal_pod_autoscaler};
use ipnetwork::IpNetwork;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tikv_jemallocator::Jemalloc;

/// Gives memory back that a burst of objects took.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Runs the controllers that keep the cluster as its objects say.
#[derive(Parser)]
#[command(
    name = "hardway-controller-manager",
    version,
    args_override_self = true
)]
struct Flags {
    #[command(flatten)]
    common: flags::Common,
    /// Take turns with other instances through a Lease.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    leader_elect: bool,
    /// Range that nodes' pod subnets are allocated from; without it none are.
    #[arg(long, value_name = "CIDR")]
    cluster_cidr: Option<IpNetwork>,
    /// Prefix length of a node's subnet.
    #[arg(long, default_value_t = 24, value_name = "BITS")]
    node_cidr_mask_size: u8,
    /// CA certificate to publish in every namespace as kube-root-ca.crt.
    #[arg(long, value_name = "FILE")]
    root_ca_file: Option<PathBuf>,
    /// Key that signs the tokens of service accounts that are kept in Secrets.
    #[arg(long, value_name = "FILE")]
    service_account_private_key_file: Option<PathBuf>,
    /// CA certificate to sign certificate requests with.
    #[arg(long, value_name = "FILE", requires = "cluster_signing_key_file")]
    cluster_signing_cert_file: Option<PathBuf>,
    /// Private key of that CA.
    #[arg(long, value_name = "FILE", requires = "cluster_signing_cert_file")]
    cluster_signing_key_file: Option<PathBuf>,
    /// How long a signed certificate is valid at most, e.g. `8760h`.
    #[arg(long, default_value = "8760h", value_name = "DURATION", value_parser = at_least_a_second)]
    cluster_signing_duration: Duration,
    /// Approves what nodes ask to serve with, if it is for their own names and addresses only.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    approve_kubelet_serving: bool,
    /// Seconds a node may be silent before it counts as unreachable.
    #[arg(long, default_value_t = 50, value_name = "SECONDS")]
    node_monitor_grace_period: u64,
    /// Finished pods that stay before the oldest are deleted; zero or less: all stay.
    #[arg(
        long,
        default_value_t = 12_500,
        allow_negative_numbers = true,
        value_name = "NUMBER"
    )]
    terminated_pod_gc_threshold: i32,
    #[command(flatten)]
    autoscaling: horizontal_pod_autoscaler::Settings,
}

impl Flags {
    fn settings(&self) -> Result<Settings, String> {
        if let Some(range) = self.cluster_cidr
            && self.node_cidr_mask_size < range.prefix()
        {
            return Err(format!(
                "--node-cidr-mask-size {} must not be smaller than the prefix of --cluster-cidr {range}",
                self.node_cidr_mask_size
            ));
        }
        if let Some(path) = &self.service_account_private_key_file {
            account_tokens::read_key(path).map_err(|error| error.to_string())?;
        }
        Ok(Settings {
            cluster_cidr: self.cluster_cidr,
            node_cidr_mask_size: self.node_cidr_mask_size,
            root_ca_file: self.root_ca_file.clone(),
            service_account_private_key_file: self.service_account_private_key_file.clone(),
            signing: self
                .cluster_signing_cert_file
                .clone()
                .zip(self.cluster_signing_key_file.clone()),
            signing_duration: self.cluster_signing_duration,
            approve_kubelet_serving: self.approve_kubelet_serving,
            node_monitor_grace_period: Duration::from_secs(self.node_monitor_grace_period),
            terminated_pod_gc_threshold: self.terminated_pod_gc_threshold,
            autoscaling: self.autoscaling.clone(),
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hardway-controller-manager: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    flags.common.init_logging()?;
    watchdog::start()?;
    let settings = Arc::new(flags.settings()?);
    let client = flags.common.client("hardway-controller-manager")?;
    let address = flags.common.serve_health(Checks::default()).await?;
    tracing::info!(%address, "serving health and metrics");
    let context = Context {
        client: client.clone(),
        settings,
    };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let identity = format!("{}_{}", host.trim(), std::process::id());
    let elector = match flags.leader_elect {
        true => Some(Elector::new(&client, "kube-controller-manager", &identity)?),
        false => None,
    };
    let stop = async {
        tokio::select! {
            stop = signals::shutdown() => Ok(stop?),
            failure = task::failed() => Err(failure.into()),
        }
    };
    let lead = || async {
        hardway_controller_manager::run(context.clone()).await;
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
