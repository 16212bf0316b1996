//! The `hardway-metrics` process.

use clap::Parser;
use hardway_client::delegation::{Reviews, Tokens};
use hardway_client::health::Checks;
use hardway_client::serving::{self, Bounds, descriptors};
use hardway_client::tls::{self, ServerKey};
use hardway_client::{Client, Informer, in_cluster, logging, signals, steps, task, watchdog};
use hardway_metrics::api::Metrics;
use hardway_metrics::authentication::{Authentication, Configuration, NAME, NAMESPACE};
use hardway_metrics::flags::Flags;
use hardway_metrics::placed::Placed;
use hardway_metrics::registration::{self, Own};
use hardway_metrics::scrape::Scraper;
use hardway_metrics::server::{Server, Service};
use hardway_metrics::storage::Storage;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Notify;

// One thread is enough for what all kubelets tell, and keeps it small.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hardway-metrics: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    logging::init(&flags.log_level, flags.log_format)?;
    watchdog::start()?;
    let kubeconfig = in_cluster::or_kubeconfig(flags.kubeconfig.as_deref())?;
    let client = Client::new(&kubeconfig, "hardway-metrics")?;
    steps::report(client.clone());
    let registrar = Client::new(&flags.registration(&kubeconfig), "hardway-metrics")?;
    let storage = Arc::new(Storage::default());

    let changed = Arc::new(Notify::new());
    let wake = changed.clone();
    let nodes = Informer::new(client.all::<Node>())
        .on_change(move |_| wake.notify_one())
        .start();
    let pods = Informer::new(client.all::<Placed>())
        .fields("status.phase=Running")
        .start();
    let scraper = Scraper::new(
        &kubeconfig,
        storage.clone(),
        pods.clone(),
        flags.metric_resolution,
    )?;
    let other = Arc::new(Notify::new());
    let configuration = configuration(&client, other.clone()).await?;

    let key = ServerKey::of_its_own(&flags.server_name())?;
    let own = Own {
        service: flags.service(),
        certificate: String::from_utf8(key.certificate.read()?)?,
    };
    let authorities = configuration.authorities();
    let tls = tls::server(key, &authorities, false, &["h2", "http/1.1"])?;
    let listener = TcpListener::bind(flags.address()).await?;
    tracing::info!(address = %listener.local_addr()?, "answering");
    let (some, known) = (storage.clone(), (nodes.clone(), pods.clone()));
    let server = Server {
        authentication: Authentication::new(configuration, Tokens::new(client.clone()))?,
        reviews: Reviews::new(client.clone()),
        metrics: Metrics {
            storage,
            nodes: nodes.clone(),
            pods,
        },
        checks: Checks::default()
            .ready("nodes", move || known.0.check())
            .ready("pods", move || known.1.check())
            .ready("metric-storage-ready", move || match some.has_some() {
                true => Ok(()),
                false => Err("no metrics to serve".into()),
            }),
    };
    let listening = serving::Server::new(listener, tls, Bounds::of_descriptors(descriptors()));
    let serving = async move {
        listening
            .run(Service(Arc::new(server)), std::future::pending())
            .await;
    };
    task::spawn_critical("server", serving);
    task::spawn_critical("scraper", scraper.run(nodes, changed));
    task::spawn_critical("registration", registration::run(registrar, own));
    tokio::select! {
        stop = signals::shutdown() => stop?,
        failure = task::failed() => return Err(failure.into()),
        () = other.notified() => {
            return Err(format!("{NAMESPACE}/{NAME} says something else now: starting anew").into());
        }
    }
    Ok(())
}

/// How clients are known; tells when that changes.
async fn configuration(client: &Client, other: Arc<Notify>) -> Result<Configuration, String> {
    let maps = client.namespaced::<ConfigMap>(NAMESPACE);
    let first: Arc<std::sync::OnceLock<Configuration>> = Arc::default();
    let known = first.clone();
    let maps = Informer::new(maps)
        .fields(format!("metadata.name={NAME}"))
        .on_change(move |change| {
            let now = Configuration::of(change.object()).ok();
            if known.get().is_some_and(|first| now.as_ref() != Some(first)) {
                other.notify_one();
            }
        })
        .start();
    maps.wait_synced().await;
    let map = maps.get(&ObjectKey::new(NAMESPACE, NAME));
    let map = map.ok_or_else(|| format!("there is no ConfigMap {NAMESPACE}/{NAME}"))?;
    let configuration = Configuration::of(&map)?;
    let _ = first.set(configuration.clone());
    Ok(configuration)
}
