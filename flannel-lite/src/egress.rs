//! Pods' way out of the cluster: the network outside doesn't know their
//! addresses, so they go by the node's.

use ipnetwork::Ipv4Network;

/// Name of the table (family `ip`).
pub const TABLE: &str = "hardway-flannel-lite";

/// The nftables ruleset, to be loaded in one transaction: it replaces the table
/// as a whole. Pods' traffic to addresses outside `inside` is masqueraded.
/// Forwarding needs no rule: a table can only add to what others drop.
pub fn ruleset(subnet: Ipv4Network, inside: &[Ipv4Network]) -> String {
    let inside: Vec<String> = inside.iter().map(ToString::to_string).collect();
    let inside = inside.join(", ");
    // Declared before it is deleted, so that deleting works the first time too.
    format!(
        "table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
  set inside {{
    type ipv4_addr
    flags interval
    auto-merge
    elements = {{ {inside} }}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} ip daddr != @inside ip daddr != 224.0.0.0/4 counter masquerade fully-random
  }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leaves_the_cluster_is_masqueraded() {
        let net = |text: &str| text.parse::<Ipv4Network>().unwrap();
        let text = ruleset(
            net("10.244.1.0/24"),
            &[net("10.244.1.0/24"), net("10.244.2.0/24")],
        );
        assert!(text.contains("elements = { 10.244.1.0/24, 10.244.2.0/24 }"));
        assert!(text.contains(
            "ip saddr 10.244.1.0/24 ip daddr != @inside ip daddr != 224.0.0.0/4 counter masquerade"
        ));
    }
}
