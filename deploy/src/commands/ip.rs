//! `hardway ip`: a host's address.

use anstream::println;

use crate::failure::Result;
use crate::lab::Lab;

/// What `ip` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The host [default: the control plane's]
    #[arg(short, long)]
    pub node: Option<String>,
}

/// Prints it.
pub fn run(lab: &Lab, options: &Options) -> Result<()> {
    let host = match &options.node {
        Some(name) => lab.host(name)?,
        None => lab.plan.control_plane(),
    };
    println!("{}", host.address);
    Ok(())
}
