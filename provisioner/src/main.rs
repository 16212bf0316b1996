//! The `hardway-provisioner` process.

use clap::Parser;
use hardway_client::{
    Client, health::Checks, in_cluster, logging, pod_health, signals, steps, task, watchdog,
};
use hardway_provisioner::controller::Provisioner;
use hardway_provisioner::settings::Flags;
use std::net::SocketAddr;
use std::process::ExitCode;

// It waits most of the time; one thread keeps it small.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hardway-provisioner: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    logging::init(&flags.log_level, flags.log_format)?;
    watchdog::start()?;
    flags.check()?;
    let kubeconfig = in_cluster::or_kubeconfig(flags.kubeconfig.as_deref())?;
    let client = Client::new(&kubeconfig, "hardway-provisioner")?;
    steps::report(client.clone());
    let provisioner = Provisioner::start(client, &flags);
    let watched = provisioner.synced();
    let checks = Checks::default().ready("informer-sync", watched);
    let address = SocketAddr::new(flags.bind_address, flags.secure_port);
    let ca = &kubeconfig.certificate_authority;
    let health = pod_health::serve("hardway-provisioner", address, ca, checks).await?;
    tracing::info!(%health, node = flags.node_name, root = %flags.root.display(), "providing");
    task::spawn_critical("provisioner", provisioner.run());
    tokio::select! {
        stop = signals::shutdown() => stop?,
        failure = task::failed() => return Err(failure.into()),
    }
    Ok(())
}
