//! The `hardway-load` process.

use std::process::ExitCode;

use clap::Parser;
use hardway_load::cli;
use hardway_load::options::Options;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main(&Options::parse()).await
}
