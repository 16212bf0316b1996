//! `hardway tunnel`: addresses for Services of type LoadBalancer, as long as it runs.

use crate::failure::Result;
use crate::lab::Lab;
use crate::tunnel::open::Tunnel;

/// What is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Take back what a tunnel has left that was killed, and end
    #[arg(long)]
    cleanup: bool,
}

/// Opens the tunnel until Ctrl-C, or cleans up after one.
///
/// # Errors
/// If another process has it open, or something can't be taken back.
pub fn run(lab: &Lab, options: &Options) -> Result<()> {
    let tunnel = Tunnel::of(lab)?;
    match options.cleanup {
        true => tunnel.close(),
        false => tunnel.run(),
    }
}
