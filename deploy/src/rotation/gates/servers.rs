//! The servers whose certificates and beliefs are looked at, and how each is asked.

use std::net::SocketAddr;
use std::time::SystemTime;

use super::{Gates, Unseen, no_key};
use crate::pki;
use crate::rotation::control_planes::ControlPlane;
use crate::rotation::material::Material;
use crate::rotation::missing::{Missing, missing};
use crate::rotation::observe::Cluster;
use crate::rotation::place::etcd_name;
use crate::rotation::probe::{Caller, Seen};
use crate::rotation::steps::Id;

/// One that is asked.
pub(super) struct Server {
    /// What it is called.
    pub who: String,
    /// Its address.
    pub at: SocketAddr,
    /// What to do if it can't be asked.
    pub way_out: String,
}

impl Server {
    /// Why it can't be seen what it shows, and whom it believes.
    pub fn away(&self, why: impl std::fmt::Display) -> Missing {
        let why = format!("can't be asked: {why}");
        missing(self.who.clone(), why, self.way_out.clone())
    }
}

/// The API servers of the control plane's hosts.
pub(super) fn apiservers(cluster: &Cluster) -> Vec<Server> {
    let hosts = cluster.control_planes.iter();
    let server = |host: &ControlPlane| Server {
        who: format!("apiserver {}", host.apiserver),
        at: host.apiserver,
        way_out: host.way_out(),
    };
    hosts.map(server).collect()
}

impl Gates<'_> {
    /// Somebody whom one of these CAs vouches for; or that its key isn't here.
    pub(super) fn caller(
        &self,
        material: &Material<'_>,
        of: &Id,
        now: SystemTime,
    ) -> std::result::Result<Caller, Unseen> {
        let key = material.key_of(of).ok_or_else(|| no_key(of))?;
        let shown = pki::of_nobody(&material.public_of(of)?, &key, now)?;
        let bundle = format!("{}{}", material.bundle()?, material.public_of(of)?);
        Caller::new(&bundle, &shown).map_err(|_| no_key(of))
    }

    /// Asks those who were not good before, and keeps those who are.
    pub(super) fn ask_each(
        &mut self,
        kind: &str,
        whom: impl IntoIterator<Item = Server>,
        caller: &Caller,
        complaint: impl Fn(&Seen) -> Option<Missing>,
    ) -> Vec<Missing> {
        let mut all = Vec::new();
        for server in whom {
            let who = server.who.clone();
            let key = format!("{kind} {who}");
            if self.good.contains(&key) {
                continue;
            }
            let found = match caller.ask(server.at) {
                Ok(seen) => complaint(&seen),
                Err(why) => Some(server.away(why)),
            };
            match found {
                None => drop(self.good.insert(key)),
                Some(complaint) => all.push(Missing { who, ..complaint }),
            }
        }
        all
    }

    /// The kubelets that can be asked, and the nodes that can't.
    pub(super) fn kubelets(&self, cluster: &Cluster) -> (Vec<Server>, Vec<Missing>) {
        let (mut there, mut away) = (Vec::new(), Vec::new());
        for node in &cluster.nodes {
            let who = format!("node {}", node.name);
            match node.kubelet.filter(|_| node.is_ready) {
                _ if self.without.nodes.contains(&node.name) => {}
                None if self.without.hosts.contains(&node.name) => {}
                Some(at) => there.push(Server {
                    who,
                    at,
                    way_out: String::new(),
                }),
                None => away.push(missing(
                    who,
                    "isn't Ready, so it can't be seen whom it believes",
                    format!(
                        "if it doesn't come back: kubectl delete node {0}, or --without-node {0}",
                        node.name
                    ),
                )),
            }
        }
        (there, away)
    }

    /// The members of etcd.
    pub(super) fn members(&self, cluster: &Cluster) -> Vec<Server> {
        let hosts = cluster.control_planes.iter();
        let members = hosts.filter(|host| host.member.is_some());
        let server = |host: &ControlPlane| {
            let at = self.place.etcd_at(host.apiserver.ip());
            Server {
                who: etcd_name(at),
                at,
                way_out: host.way_out(),
            }
        };
        members.map(server).collect()
    }
}
