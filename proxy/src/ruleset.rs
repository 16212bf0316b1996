//! The fixed part of the table: sets, maps and the rules that look them up.

use crate::elements::{MASQUERADE, Picker, Set};
use crate::fields::{Data, Field, type_names};
use ipnetwork::Ipv4Network;
use std::fmt::Write;

/// Name of the table (family `ip`).
pub const TABLE: &str = "hardway-proxy";
/// Name of the map that remembers where clients went, which the rules fill.
pub const AFFINITY: &str = "affinity";

/// What the rules need to know of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Range of all pods' addresses.
    pub cluster_cidr: Ipv4Network,
}

const BY_ADDRESS: &str = "ip daddr . meta l4proto . th dport";
const BY_PORT: &str = "meta l4proto . th dport";
/// What a client is known by, and through which address it came.
const CLIENT: &str = "ip saddr . ip daddr . meta l4proto . th dport";

/// What a set or map is declared as: its kind and its type.
fn declaration(set: Set) -> (&'static str, String) {
    let key = type_names(set.key());
    // Of keys with ranges in them the kernel has to know before.
    let flags = match set.key().contains(&Field::Range) {
        true => "; flags interval",
        false => "",
    };
    match set.data() {
        Data::None => ("set", format!("{key}{flags}")),
        Data::Verdict => ("map", format!("{key} : verdict{flags}")),
        Data::Fields(fields) => ("map", format!("{key} : {}{flags}", type_names(fields))),
    }
}

const SETS: [Set; 14] = [
    Set::ClusterIps,
    Set::Hairpin,
    Set::Services,
    Set::ServicesInside,
    Set::NodePorts,
    Set::NodePortsInside,
    Set::Endpoints,
    Set::NodePortEndpoints,
    Set::Slots,
    Set::NodePortSlots,
    Set::NoEndpoints,
    Set::NodePortsNoEndpoints,
    Set::Guarded,
    Set::Sources,
];

/// The whole table without any Service, replacing what was there.
pub fn base(layout: &Layout) -> String {
    let mut text = format!("add table ip {TABLE}\ndelete table ip {TABLE}\nadd table ip {TABLE}\n");
    for set in SETS {
        let (kind, r#type) = declaration(set);
        writeln!(
            text,
            "add {kind} ip {TABLE} {} {{ type {type}; }}",
            set.name()
        )
        .ok();
    }
    let cidr = layout.cluster_cidr;
    let masquerade = MASQUERADE;
    let body = format!(
        r"
table ip {TABLE} {{
  map {AFFINITY} {{
    type ipv4_addr . ipv4_addr . inet_proto . inet_service : mark
    size 65536
    flags dynamic,timeout
  }}

  chain prerouting {{
    type nat hook prerouting priority -100; policy accept;
    jump dispatch
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    jump dispatch
  }}
  chain dispatch {{
    ip saddr {cidr} jump inside
    fib saddr type local jump inside
    {BY_ADDRESS} vmap @services
    fib daddr type local ip daddr != 127.0.0.0/8 {BY_PORT} vmap @node-ports
  }}
  chain inside {{
    {BY_ADDRESS} vmap @services-inside
    fib daddr type local ip daddr != 127.0.0.0/8 {BY_PORT} vmap @node-ports-inside
  }}

  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ct status & dnat == 0 return
    meta mark & {masquerade:#x} == {masquerade:#x} masquerade fully-random
    ip saddr . ip daddr @hairpin masquerade fully-random
    fib saddr type local masquerade fully-random
    ip saddr != {cidr} ct original ip daddr @cluster-ips masquerade fully-random
  }}

  chain guard-prerouting {{
    type filter hook prerouting priority -110; policy accept;
    ct state new jump guard
  }}
  chain guard-output {{
    type filter hook output priority -110; policy accept;
    ct state new jump guard
  }}
  chain guard {{
    {BY_ADDRESS} @guarded {BY_ADDRESS} . ip saddr != @sources drop
  }}

  chain filter-input {{
    type filter hook input priority -110; policy accept;
    ct state new jump refuse
  }}
  chain filter-forward {{
    type filter hook forward priority -110; policy accept;
    ct state new jump refuse
    ct state new ip daddr @cluster-ips reject
  }}
  chain filter-output {{
    type filter hook output priority -90; policy accept;
    ct state new jump refuse
    ct state new ip daddr @cluster-ips reject
  }}
  chain refuse {{
    {BY_ADDRESS} vmap @no-endpoints
    fib daddr type local {BY_PORT} vmap @node-ports-no-endpoints
  }}
  chain reject-it {{
    reject
  }}
}}
"
    );
    text.push_str(&body);
    text
}

/// A chain that picks an endpoint and sends the connection there.
pub fn picker(picker: &Picker) -> String {
    let chain = picker.chain();
    let (key, endpoints, slots) = if picker.node_port {
        (BY_PORT, Set::NodePortEndpoints, Set::NodePortSlots)
    } else {
        (BY_ADDRESS, Set::Endpoints, Set::Slots)
    };
    let mut rules = Vec::new();
    let draw = format!(
        "meta mark set numgen random mod {} offset {}",
        picker.count, picker.bits
    );
    let go = format!("dnat ip to {key} . meta mark map @{}", endpoints.name());
    match picker.affinity {
        None => rules.push(format!("{draw} {go}")),
        Some(seconds) => {
            let remember =
                format!("update @{AFFINITY} {{ {CLIENT} timeout {seconds}s : meta mark }}");
            // A client that was here before goes where it went, if that still
            // exists (else the lookup fails and the next rule draws anew).
            rules.push(format!(
                "meta mark set {CLIENT} map @{AFFINITY} {remember} {go}"
            ));
            rules.push(draw);
            rules.push(format!(
                "meta mark set {key} . meta mark map @{}",
                slots.name()
            ));
            rules.push(format!("{remember} {go}"));
        }
    }
    let mut text = format!("add chain ip {TABLE} {chain}\nflush chain ip {TABLE} {chain}\n");
    for rule in rules {
        writeln!(text, "add rule ip {TABLE} {chain} {rule}").ok();
    }
    text
}
