//! The `hardway-kubelet` process.

use clap::Parser;
use hardway_kubelet::{app, flags::Flags};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    hardway_client::tls::install_provider();
    if let Err(error) = flags.common.init_logging() {
        eprintln!("hardway-kubelet: {error}");
        return ExitCode::FAILURE;
    }
    match app::run(flags).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot run");
            ExitCode::FAILURE
        }
    }
}
