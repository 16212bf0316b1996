//! Who isn't yet where a rotation may go on: who doesn't believe the next CA, and who still
//! counts on the former one. Each is seen from outside, and named with what is to be seen there.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use super::control_planes::Without;
use super::material::{Kind, Material};
use super::missing::{Missing, missing};
use super::observe::Cluster;
use super::place::Place;
use super::steps::{Gate, Id};
use crate::failure::{Failure, Result};

mod cluster_ca;
mod etcd_ca;
pub mod front_proxy_ca;
mod servers;
mod service_accounts;

/// The metric with the time when a process was started.
const STARTED: &str = "process_start_time_seconds";

/// Who keeps a gate shut, if that can be seen.
type Looked = std::result::Result<Vec<Missing>, Unseen>;

/// Why it can't be seen who keeps a gate shut.
enum Unseen {
    /// Since this isn't there.
    Missing(Missing),
    Failed(Failure),
}

impl From<Failure> for Unseen {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Looks whether a rotation may go on. What was found good once isn't asked again.
pub struct Gates<'a> {
    place: &'a Place,
    /// Who isn't waited for.
    without: &'a Without,
    /// For how long nobody may have shown anything of a former one.
    unused_for: Duration,
    good: HashSet<String>,
}

impl<'a> Gates<'a> {
    /// For a place.
    pub fn new(place: &'a Place, without: &'a Without, unused_for: Duration) -> Self {
        Self {
            place,
            without,
            unused_for,
            good: HashSet::new(),
        }
    }

    /// Who keeps a gate shut.
    ///
    /// # Errors
    /// If the cluster can't be asked, or files can't be read.
    pub fn missing(&mut self, kind: Kind, gate: &Gate) -> Result<Vec<Missing>> {
        let pki = self.place.pki();
        let material = Material::new(&pki, kind);
        let now = SystemTime::now();
        let looked = match gate {
            Gate::Open => Ok(Vec::new()),
            Gate::Believed(next) => self.who_believes_it_not(kind, &material, next, now),
            Gate::OnlyInUse(signs) => self.who_uses_another(kind, &material, signs, now),
        };
        match looked {
            Err(Unseen::Missing(missing)) => Ok(vec![missing]),
            Err(Unseen::Failed(failure)) => Err(failure),
            Ok(missing) => Ok(missing),
        }
    }

    fn who_believes_it_not(
        &mut self,
        kind: Kind,
        material: &Material<'_>,
        next: &Id,
        now: SystemTime,
    ) -> Looked {
        let cluster = self.cluster()?;
        let all = match kind {
            Kind::Ca => self.ca_is_believed(&cluster, material, next, now)?,
            Kind::EtcdCa => self.etcd_believes(&cluster, material, next, now)?,
            Kind::FrontProxyCa => self.front_proxy_is_published(material, next)?,
            Kind::ServiceAccounts => self.key_is_known(&cluster, next),
        };
        let state = material.state()?;
        let is_way_back = state.former.as_ref() == Some(next) && state.signs != *next;
        Ok(match is_way_back {
            true => all.into_iter().map(on_the_way_back).collect(),
            false => all,
        })
    }

    fn who_uses_another(
        &mut self,
        kind: Kind,
        material: &Material<'_>,
        signs: &Id,
        now: SystemTime,
    ) -> Looked {
        let cluster = self.cluster()?;
        match kind {
            Kind::Ca => self.only_ca_in_use(&cluster, material, signs, now),
            Kind::EtcdCa => self.etcd_shows(&cluster, material, signs, now),
            Kind::FrontProxyCa => Ok(self.front_proxies_show(&cluster, signs)?),
            Kind::ServiceAccounts => Ok(self.only_key_in_use(&cluster, signs, now)?),
        }
    }

    /// Who is in the cluster and is waited for; or that this can't be seen just now.
    fn cluster(&self) -> std::result::Result<Cluster, Unseen> {
        let found = self.place.cluster();
        let mut cluster = found.map_err(|failure| {
            Unseen::Missing(missing(
                "the cluster",
                failure.to_string(),
                "hardway doctor",
            ))
        })?;
        let without = self.without;
        let hosts = &mut cluster.control_planes;
        hosts.retain(|host| !host.is_left_out(without));
        Ok(cluster)
    }
}

fn no_key(of: &Id) -> Unseen {
    Unseen::Missing(missing(
        "this host",
        format!("doesn't have the key {of}"),
        "hardway certificates rotate-ca --resume --certificate-key KEY",
    ))
}

/// The same, for whoever would return to a key that somebody may have dropped.
fn on_the_way_back(missing: Missing) -> Missing {
    let see = "dropped there already, there is no way back: go on without --roll-back";
    Missing {
        see: match missing.see.is_empty() {
            true => see.to_owned(),
            false => format!("if the former one was {see}; else {}", missing.see),
        },
        ..missing
    }
}
