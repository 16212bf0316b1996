//! The `hardway-ingress` process.

use clap::Parser;
use hardway_client::leader::Elector;
use hardway_client::{
    Client, health::Checks, in_cluster, logging, pod_health, serving, signals, task, watchdog,
};
use hardway_ingress::certificates::Resolver;
use hardway_ingress::endpoint_turns::EndpointTurns;
use hardway_ingress::forward::Forwarder;
use hardway_ingress::server::Server;
use hardway_ingress::settings::Flags;
use hardway_ingress::status::Writer;
use hardway_ingress::upstream::Upstream;
use hardway_ingress::watching::Watching;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hardway-ingress: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    logging::init(&flags.log_level, flags.log_format)?;
    watchdog::start()?;
    serving::raise_descriptors();
    let kubeconfig = in_cluster::or_kubeconfig(flags.kubeconfig.as_deref())?;
    let client = Client::new(&kubeconfig, "hardway-ingress")?;
    let resolver = Resolver::new()?;
    let watching = Watching::start(&client, resolver.clone());

    let stopping = CancellationToken::new();
    let (synced, stops) = (watching.synced(), stopping.clone());
    let checks = Checks::default()
        .ready("informer-sync", synced)
        .ready("lameduck", move || match stops.is_cancelled() {
            false => Ok(()),
            true => Err("stopping".into()),
        });
    let health = SocketAddr::new(flags.bind_address, flags.secure_port);
    let ca = &kubeconfig.certificate_authority;
    let health = pod_health::serve("hardway-ingress", health, ca, checks).await?;

    let mut world = watching.world();
    task::spawn_critical("watching", watching.run());
    let forwarder = Arc::new(Forwarder::new(
        world.clone(),
        Upstream::new(flags.response_timeout()),
        EndpointTurns::new(flags.limits()),
    ));
    // Who knows no rules yet would answer that there are none.
    tokio::select! {
        known = world.changed() => known?,
        stop = signals::shutdown() => return Ok(stop?),
        failure = task::failed() => return Err(failure.into()),
    }
    let server = Server::bind(flags.http, flags.https, resolver).await?;
    let (http, https) = server.addresses()?;
    tracing::info!(%http, %https, %health, "answering");

    let stop = CancellationToken::new();
    let serving = task::spawn_job("server", server.run(forwarder, stop.clone(), flags.drain()));
    let writer = Writer::new(client.clone(), &flags.namespace, world);
    let elector = Elector::new(&client, "hardway-ingress", &flags.identity)?;
    let ends = stopping.clone();
    let writing = task::spawn_job("status", async move {
        elector.run(|| writer.lead(), ends.cancelled()).await;
    });
    tokio::select! {
        stop = signals::shutdown() => stop?,
        failure = task::failed() => return Err(failure.into()),
    }
    stopping.cancel();
    tracing::info!(
        seconds = flags.lameduck,
        "going on until clients have found others"
    );
    tokio::select! {
        () = tokio::time::sleep(flags.lameduck()) => {}
        // Asked twice, it doesn't wait.
        again = signals::shutdown() => again?,
    }
    stop.cancel();
    let (served, written) = tokio::join!(serving, writing);
    served?;
    Ok(written?)
}
