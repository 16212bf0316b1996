//! `hardway certificates recover`: brings a cluster back whose certificates have ended, those of
//! its CAs among them.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anstream::println;
use jiff::Timestamp;
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::host::cluster::Cluster;
use crate::host::shared_keys::{CertificateKey, file};
use crate::host::token::{self, Token};
use crate::host::{control_plane, departure, kubernetes, systemd};
use crate::lab::{self, Lab};
use crate::packaging::Package;
use crate::pki::{CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA};
use crate::progress::Progress;
use crate::rotation::gates::front_proxy_ca::AUTHENTICATION;
use crate::rotation::place::Place;
use crate::{addons, shell};

/// How long processes may take to be ready.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the token is good that nodes come back with.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Where CAs that have ended are made anew.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Take over the CAs that another control plane has made anew, from the file that it has
    /// written
    #[arg(long, value_name = "FILE", requires = "certificate_key")]
    pub keys: Option<PathBuf>,
    /// What opens that file; it was printed there
    #[arg(long, value_name = "KEY", requires = "keys")]
    pub certificate_key: Option<CertificateKey>,
    /// Write the file once more, and print what to type on other control planes
    #[arg(long, conflicts_with = "keys")]
    pub hand_over: bool,
}

/// Brings it back, on a host of the control plane or in a lab.
///
/// # Errors
/// With what isn't there or doesn't answer; done again it goes on.
pub fn run(options: &Options, lab: Option<&Lab>) -> Result<()> {
    let place = Place::here(lab)?;
    let _lock = lab::wait_for_lock(&place.folder())?;
    let (now, progress) = (SystemTime::now(), Progress::new());
    if let (Place::Lab(_), true) = (&place, options.hand_over || options.keys.is_some()) {
        return Err(Failure::new(
            "hand over CAs",
            "the control planes of a lab have the same",
        ));
    }
    let (replaced, what) = match (&options.keys, &options.certificate_key) {
        (Some(keys), Some(key)) => {
            let keys = file::read(keys, key)?;
            let taken = keys.write_authorities(&place.folder(), now)?;
            (taken, "is taken over")
        }
        _ => (
            place.pki().replace_ended(now)?,
            "had ended, and is made anew",
        ),
    };
    for name in &replaced {
        println!("  ✓ {name} {what}");
    }
    progress.step("certificates and kubeconfigs", || place.settle(now))?;
    let Place::Host(host) = &place else {
        if replaced.contains(&ETCD_CA) {
            progress.step("etcd, which reads its CA at its start", || {
                place.restart_stopped_etcd()
            })?;
        }
        return Ok(());
    };
    let (layout, cluster) = host.as_ref();
    let has_others = !departure::others(layout, cluster.address.into()).is_empty();
    let is_first = options.keys.is_none() && !replaced.is_empty() && has_others;
    if is_first || options.hand_over {
        if !replaced.is_empty() {
            progress.step("processes, which wait for other control planes", || {
                systemd::restart_later(Package::ControlPlane.units())
            })?;
        }
        return hand_over(&layout.etc());
    }
    progress
        .step("processes", || {
            systemd::start(
                Package::ControlPlane.units(),
                !replaced.is_empty(),
                PATIENCE,
            )
        })
        .and_then(|_| progress.step("the API answers", || control_plane::wait_ready(layout, cluster)))
        .map_err(|failure| match has_others {
            true => failure.way_out(
                "most control planes must be back, with the same CAs: type  hardway certificates recover  on the others as well; where CAs were made anew here,  hardway certificates recover --hand-over  writes them for the others",
            ),
            false => failure,
        })?;
    // Nobody needs it any more.
    shell::remove(&layout.etc().join(file::NAME))?;
    publish(&place, cluster, &progress)?;
    bring_nodes_back(&place, cluster)
}

/// Writes the CAs for other control planes, and says what to type there.
fn hand_over(etc: &Path) -> Result<()> {
    let key = file::write(etc)?;
    println!(
        "copy {} to each other control plane (it is encrypted), and type there:\n    hardway certificates recover --keys {} --certificate-key {key}\nwhen most are back, here once more:\n    hardway certificates recover",
        etc.join(file::NAME).display(),
        file::NAME
    );
    Ok(())
}

/// Says in the cluster whom to believe.
fn publish(place: &Place, cluster: &Cluster, progress: &Progress) -> Result<()> {
    let pki = place.pki();
    let ca = shell::read_text(&pki.certificate(CLUSTER_CA))?;
    let mut api = place.api();
    progress.step("what those are told who join", || {
        addons::apply_all(&mut api, &kubernetes::objects(cluster, &ca)?)
    })?;
    let front_proxy = shell::read_text(&pki.certificate(FRONT_PROXY_CA))?;
    let bundles = json!({"client-ca-file": ca, "requestheader-client-ca-file": front_proxy});
    api.patch(AUTHENTICATION, &json!({"data": bundles}))
        .map(drop)
}

/// Prints what to type on nodes that don't come back by themselves.
fn bring_nodes_back(place: &Place, cluster: &Cluster) -> Result<()> {
    let away = place.nodes_not_ready()?;
    if away.is_empty() {
        return Ok(());
    }
    let token = Token::random()?;
    let secret = token.secret(
        Timestamp::now(),
        Some(TOKEN_LIFE),
        "made by `hardway certificates recover`",
    );
    place.api().create(token::PATH, &secret)?;
    let ca = shell::read_text(&place.pki().certificate(CLUSTER_CA))?;
    println!(
        "on each node that doesn't come back by itself ({}):\n    {}",
        away.join(", "),
        token::join_command(&cluster.server(), &token, &ca)?
    );
    Ok(())
}
