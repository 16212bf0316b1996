//! The `hardway-dashboard` process.

use clap::Parser;
use hardway_client::{logging, tls, watchdog};
use hardway_dashboard::flags::{Flags, Way};
use hardway_dashboard::{add_on, local};
use std::process::ExitCode;

// One thread passes on more than a page asks for, and keeps it small.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hardway-dashboard: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    let level = flags.log_level.as_deref().unwrap_or(match &flags.way {
        Way::Local(_) => "warn",
        Way::Serve(_) => "info",
    });
    logging::init(level, flags.log_format)?;
    watchdog::start()?;
    tls::install_provider();
    match flags.way {
        Way::Local(flags) => local::run(flags).await,
        Way::Serve(flags) => add_on::run(flags).await,
    }
}
