//! hardway-apiserver: the Kubernetes API, served from etcd.

use clap::Parser;
use hardway_apiserver::flags::Flags;
use hardway_apiserver::server::Server;
use hardway_client::{logging, serving, signals, task, watchdog};
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// Gives memory back that a burst of writes or many slow readers took.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    if let Err(error) = logging::init(&flags.log_level, flags.log_format) {
        eprintln!("hardway-apiserver: {error}");
        return ExitCode::FAILURE;
    }
    if let Err(error) = watchdog::start() {
        tracing::error!(%error, "cannot start the watchdog");
        return ExitCode::FAILURE;
    }
    serving::raise_descriptors();
    let server = match Server::start(&flags).await {
        Ok(server) => server,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    if let Ok(address) = server.address() {
        tracing::info!(%address, "serving");
    }
    let stop = async {
        if let Err(error) = signals::shutdown().await {
            tracing::error!(%error, "cannot wait for signals, stopping");
        }
    };
    tokio::select! {
        () = server.run(stop) => ExitCode::SUCCESS,
        _ = task::failed() => ExitCode::FAILURE,
    }
}
