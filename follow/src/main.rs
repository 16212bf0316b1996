//! The `hardway-follow` process.

use clap::Parser;
use hardway_follow::cli::Arguments;
use hardway_follow::follow::{End, follow};
use hardway_follow::output::printable;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match follow(&Arguments::parse()).await {
        Ok(End::Ready) => ExitCode::SUCCESS,
        Ok(End::Failed) => ExitCode::from(3),
        Ok(End::TimedOut) => ExitCode::from(4),
        Err(error) => {
            eprintln!("hardway-follow: {}", printable(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}
