//! The wires: a bridge in the root namespace, which plays the outside world, and
//! for every host a network namespace with one link to the bridge.

use std::fmt::Write;
use std::path::Path;

use crate::failure::{Failure, Result};
use crate::plan::{Host, Plan};
use crate::shell::{run, run_with_input, succeeds};

/// Makes the bridge exist and pass packets between hosts.
pub fn ensure_bridge(plan: &Plan) -> Result<()> {
    let bridge = plan.bridge();
    if !Path::new("/sys/class/net").join(&bridge).exists() {
        run("ip", &["link", "add", &bridge, "type", "bridge"])?;
    }
    let mac = plan.bridge_mac();
    run("ip", &["link", "set", &bridge, "address", &mac])?;
    run(
        "ip",
        &[
            "address",
            "replace",
            &format!("{}/24", plan.gateway()),
            "dev",
            &bridge,
        ],
    )?;
    run("ip", &["link", "set", &bridge, "up"])?;
    allow_forwarding(&bridge)
}

/// Where another program set the machine to drop what it forwards (Docker does),
/// packets between hosts of the lab are let through.
fn allow_forwarding(bridge: &str) -> Result<()> {
    let drops = run("iptables", &["--list-rules", "FORWARD"])
        .is_ok_and(|rules| rules.lines().any(|rule| rule == "-P FORWARD DROP"));
    let rule = ["FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"];
    let with = |action| [&[action], rule.as_slice()].concat();
    if drops && !succeeds("iptables", &with("--check")) {
        run("iptables", &with("--insert"))?;
    }
    Ok(())
}

/// Lets the hosts reach the world beyond this machine, by its own address.
pub fn ensure_internet(plan: &Plan) -> Result<()> {
    let (table, network, bridge) = (table(plan), plan.network(), plan.bridge());
    let chain = "{ type nat hook postrouting priority 100 ; }";
    run("nft", &["add", "table", "ip", &table])?;
    run("nft", &["add", "chain", "ip", &table, "leave", chain])?;
    run("nft", &["flush", "chain", "ip", &table, "leave"])?;
    let rule = [
        "ip",
        "saddr",
        &network,
        "oifname",
        "!=",
        &bridge,
        "masquerade",
    ];
    run(
        "nft",
        &[&["add", "rule", "ip", &table, "leave"], rule.as_slice()].concat(),
    )?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
        .map_err(|error| Failure::new("let this machine forward packets", error))
}

fn table(plan: &Plan) -> String {
    format!("{}-internet", plan.bridge())
}

/// Makes a host's network namespace exist, linked to the bridge under its own
/// hardware address.
pub fn ensure_host(plan: &Plan, host: &Host) -> Result<()> {
    let (space, link, bridge) = (host.namespace.as_str(), host.link.as_str(), plan.bridge());
    if !Path::new("/run/netns").join(space).exists() {
        run("ip", &["netns", "add", space])?;
    }
    if !Path::new("/sys/class/net").join(link).exists() {
        run(
            "ip",
            &[
                "link", "add", link, "type", "veth", "peer", "name", "eth0", "address", &host.mac,
                "netns", space,
            ],
        )?;
    }
    run("ip", &["link", "set", link, "master", &bridge, "up"])?;
    run("ip", &["-n", space, "link", "set", "lo", "up"])?;
    run("ip", &["-n", space, "link", "set", "eth0", "up"])?;
    run(
        "ip",
        &[
            "-n",
            space,
            "address",
            "replace",
            &format!("{}/24", host.address),
            "dev",
            "eth0",
        ],
    )?;
    let gateway = plan.gateway().to_string();
    run(
        "ip",
        &["-n", space, "route", "replace", "default", "via", &gateway],
    )?;
    Ok(())
}

/// Sends packets for a subnet from one host to another.
pub fn ensure_route(from: &Host, subnet: &str, to: &Host) -> Result<()> {
    let (space, via) = (from.namespace.as_str(), to.address.to_string());
    run(
        "ip",
        &["-n", space, "route", "replace", subnet, "via", &via],
    )?;
    Ok(())
}

/// Takes a host's namespace away, and with it links, routes and rules inside.
pub fn remove_host(host: &Host) -> Result<()> {
    // The link goes with the namespace, but only when the kernel gets to it.
    if Path::new("/sys/class/net").join(&host.link).exists() {
        run("ip", &["link", "delete", &host.link])?;
    }
    if Path::new("/run/netns").join(&host.namespace).exists() {
        run("ip", &["netns", "delete", &host.namespace])?;
    }
    Ok(())
}

/// Takes the bridge away.
pub fn remove_bridge(plan: &Plan) -> Result<()> {
    let bridge = plan.bridge();
    while succeeds(
        "iptables",
        &[
            "--delete", "FORWARD", "-i", &bridge, "-o", &bridge, "-j", "ACCEPT",
        ],
    ) {}
    if succeeds("nft", &["list", "table", "ip", &table(plan)]) {
        run("nft", &["delete", "table", "ip", &table(plan)])?;
    }
    if Path::new("/sys/class/net").join(&bridge).exists() {
        run("ip", &["link", "delete", &bridge])?;
    }
    Ok(())
}

/// Pulls the plug of a host, or puts it back.
pub fn set_link(host: &Host, up: bool) -> Result<()> {
    run(
        "ip",
        &["link", "set", &host.link, if up { "up" } else { "down" }],
    )
    .map(|_| ())
}

/// What cuts a host off from some others, in its own namespace.
const CUTS: &str = "inet hardway-cuts";

/// Drops packets between a host and some others without a word to either: both ways, or only
/// what the others send.
pub fn cut(host: &Host, others: &[Host], one_way: bool) -> Result<()> {
    nft(host, &cut_rules(others, one_way))
}

/// Lets packets through again that [`cut`] has dropped.
pub fn undo_cuts(host: &Host) -> Result<()> {
    // What isn't there can't be deleted; what is there may be added.
    nft(host, &format!("add table {CUTS}\ndelete table {CUTS}\n"))
}

fn cut_rules(others: &[Host], one_way: bool) -> String {
    // Before anything else has seen the packet, and after everything else has.
    let mut text = format!("add table {CUTS}\n");
    let ways: &[_] = match one_way {
        true => &[("prerouting", "saddr")],
        false => &[("prerouting", "saddr"), ("postrouting", "daddr")],
    };
    for (hook, end) in ways {
        let chain = format!("{CUTS} {hook}");
        let _ = writeln!(
            text,
            "add chain {chain} {{ type filter hook {hook} priority -300 ; }}"
        );
        for other in others {
            let _ = writeln!(text, "add rule {chain} ip {end} {} drop", other.address);
        }
    }
    text
}

fn nft(host: &Host, rules: &str) -> Result<()> {
    let space = format!("--net=/run/netns/{}", host.namespace);
    run_with_input("nsenter", &[&space, "nft", "-f", "-"], rules).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_both_ways_unless_it_is_to_be_one() {
        let others = Plan::of_lab(0, 2).workers();
        let both = cut_rules(&others, false);
        for line in [
            "add rule inet hardway-cuts prerouting ip saddr 10.88.0.12 drop",
            "add rule inet hardway-cuts postrouting ip daddr 10.88.0.11 drop",
        ] {
            assert!(both.lines().any(|found| found == line), "{both}");
        }
        assert!(!cut_rules(&others, true).contains("postrouting"));
    }
}
