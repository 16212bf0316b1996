//! A Service port as elements of nftables sets and maps.
//!
//! The rules themselves are few and fixed (see [`crate::ruleset`]); what a
//! Service adds are elements, so a change costs what it changes. An endpoint
//! is chosen by writing a number into the packet's mark and looking address,
//! protocol, port and mark up in a map:
//!
//! - without affinity the number is drawn from `0..N`, and the endpoints are
//!   at 0, 1, 2 …;
//! - with affinity it is drawn the same way, then turned into a number that
//!   belongs to the endpoint (`slots`) and remembered for the client, so that
//!   it stays valid when other endpoints come or go.
//!
//! A bit in the number says that the packet is to be masqueraded, another
//! that it comes from inside the cluster to a Service that keeps outsiders'
//! traffic on the node.

use crate::service::{Endpoint, Port};
use ipnetwork::Ipv4Network;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Marks with this bit are masqueraded (kube-proxy's mark, too).
pub const MASQUERADE: u32 = 0x4000;
/// Marks with this bit belong to a `…-inside` entry.
pub const INSIDE: u32 = 0x2000;
/// Set in endpoint numbers of affinity, so that they differ from 0.
const STICKY: u32 = 0x1000_0000;

/// The sets and maps that Services fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Set {
    /// Cluster IPs.
    ClusterIps,
    /// Pairs of equal addresses: a pod that talks to itself through a Service.
    Hairpin,
    /// address . protocol . port : chain.
    Services,
    /// The same for traffic from inside, where it differs.
    ServicesInside,
    /// protocol . port : chain.
    NodePorts,
    /// The same for traffic from inside, where it differs.
    NodePortsInside,
    /// address . protocol . port . mark : endpoint.
    Endpoints,
    /// protocol . port . mark : endpoint.
    NodePortEndpoints,
    /// address . protocol . port . mark : mark.
    Slots,
    /// protocol . port . mark : mark.
    NodePortSlots,
    /// address . protocol . port : reject or drop.
    NoEndpoints,
    /// protocol . port : reject or drop.
    NodePortsNoEndpoints,
    /// address . protocol . port that only some may use.
    Guarded,
    /// address . protocol . port . who may use it.
    Sources,
}

impl Set {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Set::ClusterIps => "cluster-ips",
            Set::Hairpin => "hairpin",
            Set::Services => "services",
            Set::ServicesInside => "services-inside",
            Set::NodePorts => "node-ports",
            Set::NodePortsInside => "node-ports-inside",
            Set::Endpoints => "endpoints",
            Set::NodePortEndpoints => "node-port-endpoints",
            Set::Slots => "slots",
            Set::NodePortSlots => "node-port-slots",
            Set::NoEndpoints => "no-endpoints",
            Set::NodePortsNoEndpoints => "node-ports-no-endpoints",
            Set::Guarded => "guarded",
            Set::Sources => "sources",
        }
    }
}

/// A chain that picks one of some endpoints. Services share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Picker {
    /// Whether it looks up by port alone (node ports).
    pub node_port: bool,
    /// How many endpoints there are.
    pub count: usize,
    /// Bits of the mark.
    pub bits: u32,
    /// Seconds of affinity.
    pub affinity: Option<u32>,
}

impl Picker {
    /// The chain's name.
    pub fn chain(&self) -> String {
        let kind = if self.node_port { "node-pick" } else { "pick" };
        let mut name = format!("{kind}-{}", self.count);
        if self.bits != 0 {
            name.push_str(&format!("-{:x}", self.bits));
        }
        if let Some(seconds) = self.affinity {
            name.push_str(&format!("-sticky-{seconds}"));
        }
        name
    }
}

/// Elements with their data (empty for plain sets), and the chains they need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elements {
    /// Data by set and key.
    pub entries: BTreeMap<(Set, String), String>,
    /// Chains the entries go to.
    pub pickers: Vec<Picker>,
}

/// The sets of one way in: by address or by node port.
#[derive(Clone, Copy)]
struct Sets {
    services: Set,
    endpoints: Set,
    slots: Set,
    none: Set,
}

const BY_ADDRESS: Sets = Sets {
    services: Set::Services,
    endpoints: Set::Endpoints,
    slots: Set::Slots,
    none: Set::NoEndpoints,
};
const BY_NODE_PORT: Sets = Sets {
    services: Set::NodePorts,
    endpoints: Set::NodePortEndpoints,
    slots: Set::NodePortSlots,
    none: Set::NodePortsNoEndpoints,
};

/// A number that is an endpoint's own: its address and port, folded to the
/// bits that are free. Two endpoints of one Service that fold to the same
/// number share it, which costs balance and nothing else.
fn sticky_number(endpoint: &Endpoint) -> u32 {
    let ip = u32::from(endpoint.ip);
    let folded = ip.wrapping_mul(2_654_435_761) ^ u32::from(endpoint.port).wrapping_mul(40_503);
    STICKY | ((folded >> 4) & 0x0fff_0000) | (folded & 0x1fff)
}

impl Elements {
    fn put(&mut self, set: Set, key: impl Into<String>, data: impl Into<String>) {
        self.entries.insert((set, key.into()), data.into());
    }

    /// One way in: `key` leads to one of the endpoints.
    fn way(
        &mut self,
        sets: Sets,
        key: &str,
        endpoints: &[Endpoint],
        bits: u32,
        affinity: Option<u32>,
    ) {
        let picker = Picker {
            node_port: sets.services == Set::NodePorts || sets.services == Set::NodePortsInside,
            count: endpoints.len(),
            bits,
            affinity,
        };
        self.put(sets.services, key, format!("goto {}", picker.chain()));
        self.pickers.push(picker);
        for (at, endpoint) in endpoints.iter().enumerate() {
            let target = format!("{} . {}", endpoint.ip, endpoint.port);
            let at = at as u32 | bits;
            if affinity.is_some() {
                let number = sticky_number(endpoint) | bits;
                self.put(
                    sets.slots,
                    format!("{key} . {at:#x}"),
                    format!("{number:#x}"),
                );
                self.put(sets.endpoints, format!("{key} . {number:#x}"), target);
            } else {
                self.put(sets.endpoints, format!("{key} . {at:#x}"), target);
            }
        }
    }

    /// A way in from outside: masqueraded, unless it stays on the node.
    fn outside(&mut self, sets: Sets, inside: Set, key: &str, port: &Port) {
        if port.endpoints.is_empty() {
            self.put(sets.none, key, "goto reject-it");
        } else if !port.external_local {
            self.way(sets, key, &port.external, MASQUERADE, port.affinity);
        } else {
            if port.external.is_empty() {
                self.put(sets.none, key, "drop");
            } else {
                self.way(sets, key, &port.external, 0, port.affinity);
            }
            let sets = Sets {
                services: inside,
                ..sets
            };
            self.way(sets, key, &port.endpoints, INSIDE, port.affinity);
        }
    }
}

fn address_key(ip: Ipv4Addr, port: &Port) -> String {
    format!("{ip} . {} . {}", port.protocol.as_str(), port.port)
}

/// A range as nft shows it: a single address without its length.
fn range(range: Ipv4Network) -> String {
    match range.prefix() {
        32 => range.network().to_string(),
        length => format!("{}/{length}", range.network()),
    }
}

/// Everything a Service adds to the table.
pub fn of_service(ports: &[Port]) -> Elements {
    let mut elements = Elements::default();
    for port in ports {
        for &ip in &port.cluster_ips {
            elements.put(Set::ClusterIps, ip.to_string(), "");
            let key = address_key(ip, port);
            if port.endpoints.is_empty() {
                elements.put(Set::NoEndpoints, key, "goto reject-it");
            } else if port.internal.is_empty() {
                elements.put(Set::NoEndpoints, key, "drop");
            } else {
                elements.way(BY_ADDRESS, &key, &port.internal, 0, port.affinity);
            }
        }
        for &ip in &port.external_ips {
            elements.outside(
                BY_ADDRESS,
                Set::ServicesInside,
                &address_key(ip, port),
                port,
            );
        }
        for &ip in &port.guarded_ips {
            let key = address_key(ip, port);
            for source in &port.sources {
                elements.put(Set::Sources, format!("{key} . {}", range(*source)), "");
            }
            elements.put(Set::Guarded, key, "");
        }
        if let Some(number) = port.node_port {
            let key = format!("{} . {number}", port.protocol.as_str());
            elements.outside(BY_NODE_PORT, Set::NodePortsInside, &key, port);
        }
        for endpoint in port.endpoints.iter().filter(|e| e.local) {
            let ip = endpoint.ip;
            elements.put(Set::Hairpin, format!("{ip} . {ip}"), "");
        }
    }
    elements.pickers.sort_unstable();
    elements.pickers.dedup();
    elements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Protocol;

    fn endpoint(last: u8, local: bool) -> Endpoint {
        Endpoint {
            ip: Ipv4Addr::new(10, 244, 0, last),
            port: 3000,
            local,
        }
    }

    fn port(endpoints: Vec<Endpoint>) -> Port {
        Port {
            cluster_ips: vec![Ipv4Addr::new(10, 96, 0, 5)],
            external_ips: vec![],
            guarded_ips: vec![],
            sources: vec![],
            protocol: Protocol::Tcp,
            port: 80,
            node_port: Some(30080),
            affinity: None,
            internal: endpoints.clone(),
            external: endpoints.clone(),
            endpoints,
            external_local: false,
        }
    }

    fn get<'a>(elements: &'a Elements, set: Set, key: &str) -> Option<&'a str> {
        elements
            .entries
            .get(&(set, key.to_owned()))
            .map(String::as_str)
    }

    #[test]
    fn node_ports_are_masqueraded_and_cluster_ips_are_not() {
        let elements = of_service(&[port(vec![endpoint(2, true), endpoint(3, false)])]);
        assert_eq!(
            get(&elements, Set::Services, "10.96.0.5 . tcp . 80"),
            Some("goto pick-2")
        );
        assert_eq!(
            get(&elements, Set::Endpoints, "10.96.0.5 . tcp . 80 . 0x1"),
            Some("10.244.0.3 . 3000")
        );
        assert_eq!(
            get(&elements, Set::NodePorts, "tcp . 30080"),
            Some("goto node-pick-2-4000")
        );
        assert_eq!(
            get(&elements, Set::NodePortEndpoints, "tcp . 30080 . 0x4000"),
            Some("10.244.0.2 . 3000")
        );
        assert_eq!(
            get(&elements, Set::Hairpin, "10.244.0.2 . 10.244.0.2"),
            Some("")
        );
        assert_eq!(
            get(&elements, Set::Hairpin, "10.244.0.3 . 10.244.0.3"),
            None
        );
    }

    #[test]
    fn nobody_there_is_refused() {
        let elements = of_service(&[port(vec![])]);
        assert_eq!(
            get(&elements, Set::NoEndpoints, "10.96.0.5 . tcp . 80"),
            Some("goto reject-it")
        );
        assert_eq!(
            get(&elements, Set::NodePortsNoEndpoints, "tcp . 30080"),
            Some("goto reject-it")
        );
        assert!(elements.pickers.is_empty());
    }

    #[test]
    fn local_policy_drops_outsiders_but_serves_the_cluster() {
        let mut port = port(vec![endpoint(3, false)]);
        port.external_local = true;
        port.external = vec![];
        let elements = of_service(&[port]);
        assert_eq!(
            get(&elements, Set::NodePortsNoEndpoints, "tcp . 30080"),
            Some("drop")
        );
        assert_eq!(
            get(&elements, Set::NodePortsInside, "tcp . 30080"),
            Some("goto node-pick-1-2000")
        );
    }

    #[test]
    fn addresses_that_only_some_may_use_are_guarded() {
        let mut port = port(vec![endpoint(3, false)]);
        let ip = Ipv4Addr::new(192, 0, 2, 1);
        (port.external_ips, port.guarded_ips) = (vec![ip], vec![ip]);
        port.sources = ["10.1.2.3/8", "172.16.0.1/32"]
            .map(|it| it.parse().unwrap())
            .into();
        let elements = of_service(&[port]);
        assert_eq!(
            get(&elements, Set::Guarded, "192.0.2.1 . tcp . 80"),
            Some("")
        );
        for source in ["10.0.0.0/8", "172.16.0.1"] {
            let key = format!("192.0.2.1 . tcp . 80 . {source}");
            assert_eq!(get(&elements, Set::Sources, &key), Some(""), "{key}");
        }
        let service = get(&elements, Set::Services, "192.0.2.1 . tcp . 80");
        assert_eq!(service, Some("goto pick-1-4000"));
    }

    #[test]
    fn sticky_numbers_do_not_depend_on_the_position() {
        let mut before = port(vec![endpoint(2, true), endpoint(3, false)]);
        before.affinity = Some(60);
        let mut after = port(vec![endpoint(3, false)]);
        after.affinity = Some(60);
        let number = |elements: &Elements, at: &str| {
            get(
                elements,
                Set::Slots,
                &format!("10.96.0.5 . tcp . 80 . {at}"),
            )
            .map(str::to_owned)
        };
        let (before, after) = (of_service(&[before]), of_service(&[after]));
        assert_eq!(number(&before, "0x1"), number(&after, "0x0"));
        assert_ne!(number(&before, "0x0"), number(&before, "0x1"));
    }
}
