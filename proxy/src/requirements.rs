//! What Services need of the host.

use hardway_client::host::{Host, Requirement, What};

/// All of it.
pub const ALL: &[Requirement] = &[
    Requirement {
        what: What::Program {
            name: "nft",
            package: "nftables",
        },
        otherwise: "no Service is reachable",
        vital: true,
    },
    // Packets between two ports of a bridge pass the rules of nftables only so.
    Requirement {
        what: What::Sysctl {
            name: "net.bridge.bridge-nf-call-iptables",
            value: "1",
            module: Some("br_netfilter"),
        },
        otherwise: "pods don't get answers from Services, DNS among them, whose endpoint is on their own node",
        vital: true,
    },
    Requirement {
        what: What::Sysctl {
            name: "net.ipv4.ip_forward",
            value: "1",
            module: None,
        },
        otherwise: "pods reach nothing outside of their node, and node ports lead nowhere",
        vital: true,
    },
    // Nothing here is IPv6, but other programs' rules on the node may be.
    Requirement {
        what: What::Sysctl {
            name: "net.bridge.bridge-nf-call-ip6tables",
            value: "1",
            module: Some("br_netfilter"),
        },
        otherwise: "IPv6 rules don't see what pods of one node send to each other",
        vital: false,
    },
    Requirement {
        what: What::Program {
            name: "conntrack",
            package: "conntrack",
        },
        otherwise: "UDP clients, DNS among them, go on sending to endpoints that are gone",
        vital: false,
    },
    Requirement {
        what: What::Fact {
            name: "net.ipv4.conf.all.rp_filter",
            look: reverse_path,
        },
        otherwise: "the kernel drops, without a word, what comes in by another interface than its answer would leave by",
        vital: false,
    },
];

/// Loose filtering does no harm; the strict kind does on hosts with several
/// interfaces.
fn reverse_path(host: &dyn Host) -> Result<(), String> {
    const NAME: &str = "net.ipv4.conf.all.rp_filter";
    match host.read("/proc/sys/net/ipv4/conf/all/rp_filter") {
        Ok(text) if text.trim() == "1" => Err(format!(
            "{NAME} is 1 (strict); where this host has several interfaces run `sysctl -w {NAME}=2`, and write {NAME}=2 to /etc/sysctl.d/hardway.conf"
        )),
        _ => Ok(()),
    }
}
