//! The hosts of the control plane, those among them that are away: who is off just now has the
//! former keys still, and is waited for like any other.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::missing::{Missing, missing};
use super::observe::Node;
use crate::etcd::removal::majority;
use crate::host::apiserver_lease;
use crate::plan::API_PORT;

/// A host of the control plane, and by what it is known for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlane {
    /// Where its apiserver listens.
    pub apiserver: SocketAddr,
    /// The name of its member of etcd.
    pub member: Option<String>,
    /// Whether it is among the endpoints of `kubernetes`: it serves just now.
    pub is_listed: bool,
    /// Whether there is a Lease of its apiserver, however old.
    pub has_lease: bool,
    /// The name of its Node.
    pub node: Option<String>,
}

/// Who isn't waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Without {
    /// Nodes, by name.
    pub nodes: Vec<String>,
    /// Hosts of the control plane, by name or address.
    pub hosts: Vec<String>,
}

impl ControlPlane {
    fn at(apiserver: SocketAddr) -> Self {
        Self {
            apiserver,
            member: None,
            is_listed: false,
            has_lease: false,
            node: None,
        }
    }

    /// Whether somebody means it: by a name or its address.
    pub fn is_called(&self, name: &str) -> bool {
        let names = [&self.member, &self.node];
        self.apiserver.ip().to_string() == name
            || names.into_iter().flatten().any(|known| known == name)
    }

    /// Its name, or its address.
    pub fn name(&self) -> String {
        let name = self.member.clone().or_else(|| self.node.clone());
        name.unwrap_or_else(|| self.apiserver.ip().to_string())
    }

    /// Whether it isn't waited for. One that serves is, whatever was said: it has the former keys
    /// in use.
    pub fn is_left_out(&self, without: &Without) -> bool {
        !self.is_listed && without.hosts.iter().any(|name| self.is_called(name))
    }

    /// What to do if it can't be asked.
    pub fn way_out(&self) -> String {
        let mut gone = Vec::new();
        if let Some(member) = &self.member {
            gone.push(format!("hardway etcd remove {member}"));
        }
        if self.has_lease {
            let lease = apiserver_lease::name(self.apiserver.ip());
            gone.push(format!(
                "kubectl delete lease --namespace kube-system {lease}"
            ));
        }
        if let Some(node) = &self.node {
            gone.push(format!("kubectl delete node {node}"));
        }
        match self.is_listed {
            true => "bring it back".to_owned(),
            false => format!(
                "bring it back; or, if it is gone for good:  {}; or --without-host {}",
                gone.join("; "),
                self.name()
            ),
        }
    }
}

/// The hosts that any of these knows: the endpoints of `kubernetes`, apiservers' Leases, Nodes,
/// and etcd's members by address and name.
pub fn all(
    endpoints: &[SocketAddr],
    leases: &Value,
    nodes: &[Node],
    members: &[(IpAddr, String)],
) -> Vec<ControlPlane> {
    let mut all: BTreeMap<IpAddr, ControlPlane> = BTreeMap::new();
    for at in endpoints {
        let found = all.entry(at.ip()).or_insert(ControlPlane::at(*at));
        found.is_listed = true;
    }
    let mut host = |ip: IpAddr, note: &mut dyn FnMut(&mut ControlPlane)| {
        let new = ControlPlane::at(SocketAddr::new(ip, API_PORT));
        note(all.entry(ip).or_insert(new));
    };
    for ip in apiserver_lease::addresses(leases) {
        host(ip, &mut |found| found.has_lease = true);
    }
    for node in nodes.iter().filter(|node| node.is_control_plane) {
        if let Some(ip) = node.address {
            host(ip, &mut |found| found.node = Some(node.name.clone()));
        }
    }
    for (ip, name) in members {
        host(*ip, &mut |found| found.member = Some(name.clone()));
    }
    all.into_values().collect()
}

/// Names in `--without-host` that no host has.
pub fn unknown<'a>(hosts: &[ControlPlane], without: &'a Without) -> Vec<&'a str> {
    let names = without.hosts.iter().map(String::as_str);
    names
        .filter(|name| !hosts.iter().any(|host| host.is_called(name)))
        .collect()
}

/// Who of etcd's other voting members has to be well before one of them restarts: nobody where
/// the rest can agree without it. Of two the other one has to be there. Each with its name, and
/// what is wrong with it.
pub fn needed_for_restart(others: &[(String, Option<String>)]) -> Vec<Missing> {
    let members = others.len() + 1;
    let needed = majority(members).min(others.len());
    let well = others.iter().filter(|(_, trouble)| trouble.is_none());
    if well.count() >= needed {
        return Vec::new();
    }
    let away = others.iter().filter_map(|(name, trouble)| {
        let way_out =
            format!("bring it back, or, if it is gone for good: hardway etcd remove {name}");
        Some(missing(
            format!("the etcd member {name}"),
            trouble.clone()?,
            way_out,
        ))
    });
    away.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn hosts() -> Vec<ControlPlane> {
        let lease = |name: &str| json!({"metadata": {"name": name, "namespace": "kube-system"}});
        let leases = json!({"items": [lease("apiserver-10.0.0.1"), lease("apiserver-10.0.0.2"),
            lease("kube-scheduler")]});
        let node = |name: &str, last: u8, is_control_plane| Node {
            name: name.to_owned(),
            address: Some(ip(last)),
            kubelet: None,
            is_ready: false,
            is_control_plane,
        };
        all(
            &[SocketAddr::new(ip(1), 8443)],
            &leases,
            &[node("c", 3, true), node("w", 9, false)],
            &[(ip(1), "a".to_owned()), (ip(4), "d".to_owned())],
        )
    }

    #[test]
    fn hosts_that_are_off_are_found_by_whatever_knows_them() {
        let found: Vec<String> = hosts()
            .iter()
            .map(|host| format!("{} {}", host.name(), host.apiserver))
            .collect();
        assert_eq!(
            found,
            [
                "a 10.0.0.1:8443",
                "10.0.0.2 10.0.0.2:6443",
                "c 10.0.0.3:6443",
                "d 10.0.0.4:6443"
            ]
        );
    }

    #[test]
    fn who_is_gone_for_good_is_taken_out_or_named() {
        let hosts = hosts();
        assert_eq!(hosts[0].way_out(), "bring it back");
        assert!(hosts[1].way_out().contains(
            "kubectl delete lease --namespace kube-system apiserver-10.0.0.2; or --without-host 10.0.0.2"
        ));
        assert!(hosts[2].way_out().contains("kubectl delete node c"));
        assert!(hosts[3].way_out().contains("hardway etcd remove d"));
        let without = Without {
            hosts: ["a", "10.0.0.2", "d", "w"].map(str::to_owned).to_vec(),
            ..Without::default()
        };
        let left: Vec<String> = hosts
            .iter()
            .filter(|host| !host.is_left_out(&without))
            .map(ControlPlane::name)
            .collect();
        assert_eq!(left, ["a", "c"], "one that serves is waited for");
        assert_eq!(unknown(&hosts, &without), ["w"]);
    }

    #[test]
    fn a_member_restarts_when_the_others_can_spare_it() {
        for (others, is_fine) in [
            (vec![], true),
            (vec![true], true),
            (vec![false], false),
            (vec![true, true], true),
            (vec![true, false], false),
            (vec![true, true, true, false], true),
            (vec![true, true, false, false], false),
        ] {
            let others: Vec<_> = others
                .iter()
                .map(|well| ("m".to_owned(), (!well).then(|| "no answer".to_owned())))
                .collect();
            let found = needed_for_restart(&others);
            assert_eq!(found.is_empty(), is_fine, "{others:?}: {found:?}");
            assert!(found.iter().all(|it| it.why == "no answer"));
        }
    }
}
