//! `hardway certificates`: made for hosts, and renewed.

use crate::failure::Result;
use crate::lab::Lab;

pub mod make;
pub mod renew;

/// What can be done with certificates.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Make the certificates of a cluster on real hosts, a folder for each host
    Make(make::Options),
    /// Renew the control plane's certificates that are past two thirds of their life, and
    /// show them all; with --dir all certificates of that lab. Running processes take up
    /// the new ones
    Renew(renew::Options),
}

/// Does it; on a lab, if there is one.
pub fn run(action: &Action, lab: Option<&Lab>) -> Result<()> {
    match action {
        Action::Make(options) => make::run(options),
        Action::Renew(options) => renew::run(options, lab),
    }
}
