//! The operator's program.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Parser, Subcommand};
use hardway_operator::controller::{self, Context};
use hardway_operator::server::{self, Known, Served};
use hardway_operator::{api, trust};
use kube::Client;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// How often to see whether the certificate ends, or somebody forgot whom to believe.
const LOOK: Duration = Duration::from_secs(600);

#[derive(Parser)]
#[command(name = "hardway-operator", about = "Shows the pages of Websites")]
struct Arguments {
    /// Its own namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = api::OPERATOR)]
    namespace: String,
    /// Its own pod.
    #[arg(long, env = "POD_NAME", default_value = api::OPERATOR)]
    instance: String,
    /// Where the webhooks are served.
    #[arg(long, default_value_t = 8443)]
    port: u16,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the definition of websites, to be applied.
    Definition,
}

type Error = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .init();
    let done = match arguments.command {
        Some(Command::Definition) => print_definition(),
        None => run(arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the operator ends");
            ExitCode::FAILURE
        }
    }
}

fn print_definition() -> Result<(), Error> {
    print!("{}", serde_yaml::to_string(&api::definition()?)?);
    Ok(())
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::try_default().await?;
    let (controller, websites) = controller::controller(&client);
    let certificates = trust::certificates(&client, &arguments.namespace).await?;
    let served = Served::new(certificates.certified_key()?);
    let known = Known {
        websites,
        is_announced: Arc::new(AtomicBool::new(false)),
    };
    let listener = TcpListener::bind(("0.0.0.0", arguments.port)).await?;
    let router = server::router(known.clone());
    let context = Context::new(client.clone(), &arguments.namespace, &arguments.instance);
    tokio::select! {
        ended = server::serve(listener, served.clone(), router) => ended?,
        ended = announce(&client, &arguments.namespace, &served, &known.is_announced) => ended?,
        () = controller::run(controller, context) => {}
    }
    Ok(())
}

/// Keeps the certificate fresh, and known to the apiserver.
async fn announce(
    client: &Client,
    namespace: &str,
    served: &Served,
    is_announced: &AtomicBool,
) -> Result<(), trust::Error> {
    loop {
        let certificates = trust::certificates(client, namespace).await?;
        trust::announce(client, &certificates).await?;
        served.replace(certificates.certified_key()?);
        is_announced.store(true, Ordering::Relaxed);
        tokio::time::sleep(LOOK).await;
    }
}
