//! `hardway certificates rotate-ca` and `rotate-service-account-key`: a key that others believe
//! in is replaced without a failed request. Typed again, also on another host, they go on where
//! they were.

use std::time::Duration;

use anstream::println;

use crate::failure::{Failure, Result};
use crate::host::shared_keys::{CertificateKey, secret};
use crate::host::token;
use crate::lab::{self, Lab};
use crate::rotation::material::{CAS, Kind};
use crate::rotation::options::HostByHost;
use crate::rotation::place::Place;
use crate::rotation::steps::Goal;
use crate::rotation::{Rotation, describe};

/// How the CAs are to be replaced.
#[derive(Debug, Clone, clap::Args)]
pub struct OfCa {
    /// Which of them; repeatable [default: all]
    #[arg(long, value_enum)]
    pub which: Vec<Kind>,
    /// How far to go
    #[arg(long, value_enum, default_value = "drop")]
    pub to_step: Goal,
    /// A node that isn't waited for, and that has to join again when it is back; repeatable
    #[arg(long = "without-node", value_name = "NODE")]
    pub without_nodes: Vec<String>,
    /// For how long nobody may have shown a certificate of the former CA before it is dropped
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = token::life)]
    pub unused_for: Duration,
    /// Go back to the former one, which is possible until it is dropped
    #[arg(long, conflicts_with_all = ["to_step", "upload"])]
    pub roll_back: bool,
    /// From host to host
    #[command(flatten)]
    pub common: HostByHost,
}

/// How the key of service accounts is to be replaced.
#[derive(Debug, Clone, clap::Args)]
pub struct OfServiceAccounts {
    /// How far to go. Tokens of the former key are good until they end, or until it is dropped
    #[arg(long, value_enum, default_value = "sign")]
    pub to_step: Goal,
    /// For how long nobody may have shown a token of the former key before it is dropped;
    /// kubelets replace those of pods within 48 minutes
    #[arg(long, value_name = "TIME", default_value = "65m", value_parser = token::life)]
    pub unused_for: Duration,
    /// Go back to the former one, which is possible until it is dropped
    #[arg(long, conflicts_with_all = ["to_step", "upload"])]
    pub roll_back: bool,
    /// From host to host
    #[command(flatten)]
    pub common: HostByHost,
}

/// Replaces CAs.
///
/// # Errors
/// With who isn't where it may go on, or what couldn't be done.
pub fn ca(options: &OfCa, lab: Option<&Lab>) -> Result<()> {
    let kinds = match options.which.is_empty() {
        true => CAS.to_vec(),
        false => options.which.clone(),
    };
    let rotation = Rotation {
        kinds,
        goal: goal(options.roll_back, options.to_step),
        begins: options.common.begins() && !options.roll_back,
        without: options.common.without(&options.without_nodes),
        unused_for: options.unused_for,
        patience: options.common.patience,
        command: "hardway certificates rotate-ca --resume",
    };
    run(&rotation, &options.common, lab)
}

/// Replaces the key of service accounts.
///
/// # Errors
/// With who isn't where it may go on, or what couldn't be done.
pub fn service_accounts(options: &OfServiceAccounts, lab: Option<&Lab>) -> Result<()> {
    let rotation = Rotation {
        kinds: vec![Kind::ServiceAccounts],
        goal: goal(options.roll_back, options.to_step),
        begins: options.common.begins() && !options.roll_back,
        without: options.common.without(&[]),
        unused_for: options.unused_for,
        patience: options.common.patience,
        command: match options.to_step {
            Goal::Drop => "hardway certificates rotate-service-account-key --resume --to-step drop",
            _ => "hardway certificates rotate-service-account-key --resume",
        },
    };
    run(&rotation, &options.common, lab)
}

fn goal(roll_back: bool, asked: Goal) -> Goal {
    match roll_back {
        true => Goal::Back,
        false => asked,
    }
}

fn run(rotation: &Rotation, common: &HostByHost, lab: Option<&Lab>) -> Result<()> {
    let place = Place::here(lab)?;
    let _lock = lab::wait_for_lock(&place.folder())?;
    if let Some(key) = &common.certificate_key {
        take_over(&place, rotation, key)?;
    }
    if common.upload {
        place.hand_over(rotation.command)?;
    }
    rotation.run(&place, || place.hand_over(rotation.command))?;
    for line in describe(&place, &rotation.kinds)? {
        println!("{line}");
    }
    Ok(())
}

/// Takes the next keys that another control plane has made.
fn take_over(place: &Place, rotation: &Rotation, key: &CertificateKey) -> Result<()> {
    let Place::Host(host) = place else {
        return Err(Failure::new(
            "take over keys",
            "the control planes of a lab share a folder",
        ));
    };
    let keys = secret::fetch_as(&place.api(), key)?;
    let names = rotation.kinds.iter().map(|kind| kind.file());
    keys.write_rotated(&host.0.etc(), names)
}
