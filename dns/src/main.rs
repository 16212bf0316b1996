//! The `hardway-dns` process.

use clap::Parser;
use hardway_client::{
    Client, health::Checks, in_cluster, logging, pod_health, signals, steps, task, watchdog,
};
use hardway_dns::authority::Authority;
use hardway_dns::forward::Forwarder;
use hardway_dns::metrics;
use hardway_dns::records::Records;
use hardway_dns::resolver::Resolver;
use hardway_dns::server::Server;
use hardway_dns::settings::Flags;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

// One thread answers more questions than a cluster asks, and keeps it small.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hardway-dns: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    logging::init(&flags.log_level, flags.log_format)?;
    watchdog::start()?;
    let zone = flags.zone()?;
    let (scope, servers) = flags.scope()?;
    let kubeconfig = in_cluster::or_kubeconfig(flags.kubeconfig.as_deref())?;
    let client = Client::new(&kubeconfig, "hardway-dns")?;
    steps::report(client.clone());
    let server = Server::bind(flags.listen).await?;
    let records = Records::watch(&client, zone);
    let authority = Authority::new(records.clone(), scope);
    let resolver = Arc::new(Resolver::new(authority, Forwarder::new(&servers)));

    let stopping = Arc::new(AtomicBool::new(false));
    let stops = stopping.clone();
    let checks = Checks::default()
        .ready("kubernetes", move || records.check())
        .ready("lameduck", move || match stops.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err("stopping".into()),
        });
    let health = SocketAddr::new(flags.bind_address, flags.secure_port);
    let ca = &kubeconfig.certificate_authority;
    let health = pod_health::serve("hardway-dns", health, ca, checks).await?;
    metrics::BUILD
        .with_label_values(&[env!("CARGO_PKG_VERSION")])
        .set(1);
    tracing::info!(address = %server.address()?, %health, ?servers, "answering");

    let forwarder = resolver.forwarder().clone();
    task::spawn_job("loops", async move { forwarder.look_for_loops().await });
    task::spawn_critical("server", server.run(resolver));
    tokio::select! {
        stop = signals::shutdown() => stop?,
        failure = task::failed() => return Err(failure.into()),
    }
    stopping.store(true, Ordering::Relaxed);
    tracing::info!(
        seconds = flags.lameduck,
        "going on until clients have found others"
    );
    tokio::select! {
        () = tokio::time::sleep(flags.lameduck()) => {}
        // Question twice, it doesn't wait.
        again = signals::shutdown() => again?,
    }
    Ok(())
}
