//! `hardway certificates`: made for hosts, and renewed.

use crate::failure::Result;
use crate::lab::Lab;

pub mod make;
pub mod recover;
pub mod renew;
pub mod rotate;
pub mod status;

/// What can be done with certificates.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Make the certificates of a cluster on real hosts, a folder for each host
    Make(make::Options),
    /// Renew the control plane's certificates that are past two thirds of their life, and
    /// show them all; with --dir all certificates of that lab. Running processes take up
    /// the new ones
    Renew(renew::Options),
    /// Replace CAs step by step, without a failed request; typed again, also on another control
    /// plane, it goes on where it was
    RotateCa(rotate::OfCa),
    /// Replace the key that signs tokens of service accounts, in the same way
    RotateServiceAccountKey(rotate::OfServiceAccounts),
    /// Show where the rotation of each CA and key is, and who isn't there yet
    Status(status::Options),
    /// Bring a cluster back whose certificates have ended, those of its CAs among them
    Recover(recover::Options),
}

/// Does it; on a lab, if there is one.
pub fn run(action: &Action, lab: Option<&Lab>) -> Result<()> {
    match action {
        Action::Make(options) => make::run(options),
        Action::Renew(options) => renew::run(options, lab),
        Action::RotateCa(options) => rotate::ca(options, lab),
        Action::RotateServiceAccountKey(options) => rotate::service_accounts(options, lab),
        Action::Status(options) => status::run(options, lab),
        Action::Recover(options) => recover::run(options, lab),
    }
}
