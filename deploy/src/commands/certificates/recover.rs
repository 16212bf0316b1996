//! `hardway certificates recover`: brings a cluster back whose certificates have ended, those of
//! its CAs among them.

use std::time::{Duration, SystemTime};

use anstream::println;
use jiff::Timestamp;
use serde_json::json;

use crate::commands::init;
use crate::failure::Result;
use crate::host::token::{self, Token};
use crate::host::{kubernetes, systemd};
use crate::lab::{self, Lab};
use crate::packaging::Package;
use crate::pki::{CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA};
use crate::progress::Progress;
use crate::rotation::gates::AUTHENTICATION;
use crate::rotation::place::Place;
use crate::{addons, shell};

/// How long processes may take to be ready.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the token is good that nodes come back with.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Brings it back, on a host of the control plane or in a lab.
///
/// # Errors
/// With what isn't there or doesn't answer; done again it goes on.
pub fn run(lab: Option<&Lab>) -> Result<()> {
    let place = Place::here(lab)?;
    let _lock = lab::wait_for_lock(&place.folder())?;
    let (pki, now, progress) = (place.pki(), SystemTime::now(), Progress::new());
    let replaced = pki.replace_ended(now)?;
    for name in &replaced {
        println!("  ✓ {name} had ended, and is made anew");
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
    progress.step("processes", || {
        systemd::start(
            Package::ControlPlane.units(),
            !replaced.is_empty(),
            PATIENCE,
        )
    })?;
    progress
        .step("the API answers", || init::wait_ready(layout, cluster))
        .map_err(|failure| failure.way_out(
            "where there are several control planes most of them must be back: copy the files ca, etcd-ca and front-proxy-ca (.crt and .key) of /etc/hardway/pki to the others, type  hardway certificates recover  there, then again here",
        ))?;
    let ca = shell::read_text(&pki.certificate(CLUSTER_CA))?;
    let mut api = place.api();
    progress.step("what those are told who join", || {
        addons::apply_all(&mut api, &kubernetes::objects(cluster, &ca)?)
    })?;
    let front_proxy = shell::read_text(&pki.certificate(FRONT_PROXY_CA))?;
    let bundles = json!({"client-ca-file": ca, "requestheader-client-ca-file": front_proxy});
    api.patch(AUTHENTICATION, &json!({"data": bundles}))?;
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
    api.create(token::PATH, &secret)?;
    println!(
        "on each node that doesn't come back by itself ({}):\n    {}",
        away.join(", "),
        token::join_command(&cluster.server(), &token, &ca)?
    );
    Ok(())
}
