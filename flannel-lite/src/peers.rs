//! The other nodes, and what the kernel must know about each of them.

use crate::announce::Announcement;
use crate::lease::subnet_of;
use hardway_proto::Kind;
use ipnetwork::Ipv4Network;
use k8s_openapi::api::core::v1::Node;
use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// What a bridge that never had a port shows.
    pub const ZERO: Self = Self([0; 6]);

    /// One that no device was made with: locally administered, not multicast.
    pub fn local(mut random: [u8; 6]) -> Self {
        random[0] = (random[0] | 0b10) & !0b01;
        Self(random)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = text.split(':').map(|part| {
            (part.len() == 2)
                .then(|| u8::from_str_radix(part, 16).ok())
                .flatten()
        });
        let bytes: Vec<u8> = bytes.collect::<Option<_>>().ok_or(())?;
        let mac = Self(bytes.try_into().map_err(|_| ())?);
        // Neither nothing nor a group of stations.
        (mac != Self::ZERO && mac.0[0] & 1 == 0)
            .then_some(mac)
            .ok_or(())
    }
}

/// Another node of the overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Where its pods are.
    pub subnet: Ipv4Network,
    /// Where its end of the tunnel is.
    pub node_ip: Ipv4Addr,
    /// The Ethernet address of that end.
    pub vtep_mac: Mac,
}

/// One entry of the kernel's tables for the VXLAN device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// The tunnel's far end, by its address in the overlay.
    Neighbour {
        /// First address of the peer's subnet.
        ip: Ipv4Addr,
        /// The far end's Ethernet address.
        mac: Mac,
    },
    /// The node behind an Ethernet address.
    Forward {
        /// The far end's Ethernet address.
        mac: Mac,
        /// The node.
        node_ip: Ipv4Addr,
    },
    /// The way to the peer's pods.
    Route {
        /// The peer's subnet.
        subnet: Ipv4Network,
        /// Its first address; `None` only for routes that others made.
        via: Option<Ipv4Addr>,
    },
}

impl Entry {
    /// Adding an entry replaces one of the same place.
    fn same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Neighbour { ip: a, .. }, Self::Neighbour { ip: b, .. }) => a == b,
            (Self::Forward { mac: a, .. }, Self::Forward { mac: b, .. }) => a == b,
            (Self::Route { subnet: a, .. }, Self::Route { subnet: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// What to do so that the kernel has what is desired.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Gone first. Routes before what they lead over.
    pub remove: Vec<Entry>,
    /// Then set, replacing what is in the same place. Routes last.
    pub add: Vec<Entry>,
}

/// The peers of a node: all others that announced themselves. One that would
/// take addresses away from this node or from another peer is left out.
pub fn desired(nodes: &[Arc<Node>], own: &str) -> BTreeSet<Peer> {
    let mine = nodes.iter().find(|node| node.name() == own);
    let mine = mine.and_then(|node| subnet_of(node));
    let mut others: Vec<_> = nodes.iter().filter(|node| node.name() != own).collect();
    others.sort_by_key(|node| node.name());
    let mut peers = BTreeSet::<Peer>::new();
    for node in others {
        let Some((subnet, announced)) = subnet_of(node).zip(Announcement::of(node)) else {
            continue;
        };
        let clash = mine.is_some_and(|mine| mine.overlaps(subnet))
            || peers
                .iter()
                .any(|peer| peer.subnet.overlaps(subnet) || peer.vtep_mac == announced.vtep_mac);
        if clash {
            tracing::warn!(node = node.name(), %subnet, "left out: its subnet or VtepMAC is another node's too");
            continue;
        }
        peers.insert(Peer {
            subnet,
            node_ip: announced.public_ip,
            vtep_mac: announced.vtep_mac,
        });
    }
    peers
}

/// The entries that make peers reachable.
pub fn entries(peers: &BTreeSet<Peer>) -> BTreeSet<Entry> {
    let of = |peer: &Peer| {
        let (ip, mac) = (peer.subnet.network(), peer.vtep_mac);
        [
            Entry::Neighbour { ip, mac },
            Entry::Forward {
                mac,
                node_ip: peer.node_ip,
            },
            Entry::Route {
                subnet: peer.subnet,
                via: Some(ip),
            },
        ]
    };
    peers.iter().flat_map(of).collect()
}

/// How to get from the actual entries to the desired ones.
pub fn diff(desired: &BTreeSet<Entry>, actual: &BTreeSet<Entry>) -> Changes {
    let add: Vec<Entry> = desired.difference(actual).copied().collect();
    let replaced = |entry: &&Entry| add.iter().any(|new| new.same_place(entry));
    let stale = actual.difference(desired).filter(|entry| !replaced(entry));
    let mut remove: Vec<Entry> = stale.copied().collect();
    // The set's order is neighbours, forwarding, routes.
    remove.reverse();
    Changes { remove, add }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, subnet: &str, ip: &str, mac: &str) -> Arc<Node> {
        let data = format!(r#"{{"VNI":1,"VtepMAC":"{mac}"}}"#);
        let node = json!({
            "metadata": {"name": name, "annotations": {
                "flannel.alpha.coreos.com/backend-type": "vxlan",
                "flannel.alpha.coreos.com/backend-data": data,
                "flannel.alpha.coreos.com/public-ip": ip,
            }},
            "spec": {"podCIDR": subnet},
        });
        Arc::new(serde_json::from_value(node).unwrap())
    }

    const MAC_B: &str = "02:00:00:00:00:0b";
    const MAC_C: &str = "02:00:00:00:00:0c";

    fn peer(subnet: &str, ip: &str, mac: &str) -> Peer {
        Peer {
            subnet: subnet.parse().unwrap(),
            node_ip: ip.parse().unwrap(),
            vtep_mac: mac.parse().unwrap(),
        }
    }

    #[test]
    fn macs_are_read_and_written() {
        assert_eq!(MAC_B.parse::<Mac>().unwrap().to_string(), MAC_B);
        for bad in [
            "",
            "02:00:00:00:00",
            "00:00:00:00:00:00",
            "01:00:5e:00:00:01",
            "2:0:0:0:0:b",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
        assert_eq!(Mac::local([0xff; 6]).0[0], 0xfe);
    }

    #[test]
    fn peers_are_the_others_that_announced_themselves() {
        let silent = json!({"metadata": {"name": "d"}, "spec": {"podCIDR": "10.244.4.0/24"}});
        let nodes = [
            node("a", "10.244.1.0/24", "10.88.0.11", "02:00:00:00:00:0a"),
            node("b", "10.244.2.0/24", "10.88.0.12", MAC_B),
            Arc::new(serde_json::from_value(silent).unwrap()),
        ];
        let expected = peer("10.244.2.0/24", "10.88.0.12", MAC_B);
        assert_eq!(desired(&nodes, "a"), BTreeSet::from([expected]));
    }

    #[test]
    fn nobody_takes_anothers_addresses() {
        let nodes = [
            node("a", "10.244.1.0/24", "10.88.0.11", "02:00:00:00:00:0a"),
            node("b", "10.244.2.0/24", "10.88.0.12", MAC_B),
            node("c", "10.244.0.0/16", "10.88.0.13", MAC_C),
            node("d", "10.244.2.0/25", "10.88.0.14", MAC_C),
            node("e", "10.244.5.0/24", "10.88.0.15", MAC_B),
        ];
        let expected = peer("10.244.2.0/24", "10.88.0.12", MAC_B);
        assert_eq!(desired(&nodes, "a"), BTreeSet::from([expected]));
    }

    #[test]
    fn only_the_difference_is_changed() {
        let b = peer("10.244.2.0/24", "10.88.0.12", MAC_B);
        let c = peer("10.244.3.0/24", "10.88.0.13", MAC_C);
        let both = entries(&BTreeSet::from([b, c]));
        let only_b = entries(&BTreeSet::from([b]));
        assert_eq!(diff(&both, &both), Changes::default());
        let added = diff(&both, &only_b);
        assert!(added.remove.is_empty());
        assert_eq!(added.add.len(), 3);
        assert!(matches!(added.add[2], Entry::Route { .. }));
        let removed = diff(&only_b, &both);
        assert!(removed.add.is_empty());
        assert_eq!(removed.remove.len(), 3);
        assert!(matches!(removed.remove[0], Entry::Route { .. }));
    }

    #[test]
    fn a_peer_that_moves_or_is_made_anew_is_replaced_in_place() {
        let old = peer("10.244.2.0/24", "10.88.0.12", MAC_B);
        let moved = peer("10.244.2.0/24", "10.88.0.22", MAC_B);
        let was = entries(&BTreeSet::from([old]));
        let changes = diff(&entries(&BTreeSet::from([moved])), &was);
        assert!(changes.remove.is_empty());
        assert!(matches!(changes.add[..], [Entry::Forward { .. }]));
        let anew = peer("10.244.2.0/24", "10.88.0.12", MAC_C);
        let changes = diff(&entries(&BTreeSet::from([anew])), &was);
        let stale = Entry::Forward {
            mac: old.vtep_mac,
            node_ip: old.node_ip,
        };
        assert_eq!(changes.remove, [stale]);
        assert_eq!(changes.add.len(), 2);
    }
}
