//! Whether a host is fit for its role, told before anything on it is changed.

use anstream::println;

use super::cluster::is_subdomain;
use super::facts::Facts;
use crate::failure::{Failure, Result};
use crate::packaging::Package;

/// Something about a host that isn't as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it will do nevertheless.
    pub is_warning: bool,
    /// What it is.
    pub what: String,
    /// What to do about it.
    pub way_out: String,
}

/// Ports that must be free, and the unit that listens on each.
const CONTROL_PLANE_PORTS: &[(u16, &str)] = &[
    (2379, "hardway-etcd.service"),
    (2380, "hardway-etcd.service"),
    (6443, "hardway-apiserver.service"),
    (10257, "hardway-controller-manager.service"),
    (10259, "hardway-scheduler.service"),
];
const NODE_PORTS: &[(u16, &str)] = &[
    (10250, "hardway-kubelet.service"),
    (10256, "hardway-proxy.service"),
    (10258, "hardway-flannel-lite.service"),
];

/// What a role needs, and the Debian packages that bring it.
const CONTROL_PLANE_PROGRAMS: &[(&str, &str)] = &[("etcd", "etcd-server")];
const NODE_PROGRAMS: &[(&str, &str)] = &[
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
];

/// All that is wrong with a host that is to have a role.
pub fn findings(facts: &Facts, package: Package) -> Vec<Finding> {
    let (ports, programs) = match package {
        Package::Node => (NODE_PORTS, NODE_PROGRAMS),
        _ => (CONTROL_PLANE_PORTS, CONTROL_PLANE_PROGRAMS),
    };
    let mut all = Vec::new();
    let mut add = |is_warning, what: String, way_out: String| {
        all.push(Finding {
            is_warning,
            what,
            way_out,
        });
    };
    if !facts.is_root {
        add(false, "you are not root".into(), "run it with sudo".into());
    }
    if !facts.has_systemd {
        let way_out = "hardway's processes are systemd's units; for a try on one machine there is `cargo hardway up`";
        add(
            false,
            "systemd isn't this host's first process".into(),
            way_out.into(),
        );
    }
    let name = &facts.name;
    if !is_subdomain(&name.to_lowercase()) || name.parse::<std::net::IpAddr>().is_ok() {
        let way_out = "give it another one:  hostnamectl set-hostname NAME";
        add(
            false,
            format!("the host's name {name:?} can't be a node's"),
            way_out.into(),
        );
    }
    if name == "localhost" {
        let way_out = "give it a name of its own:  hostnamectl set-hostname NAME";
        add(
            false,
            "the host is called localhost, as all others are".into(),
            way_out.into(),
        );
    }
    if !facts.has_address {
        let way_out = "see which ones it has:  ip address; and name one with --address";
        add(
            false,
            "the host doesn't have the address it is to be reached at".into(),
            way_out.into(),
        );
    }
    for unit in package.units() {
        if !facts.installed.contains(*unit) {
            let way_out = format!("install the package {}", package.name());
            add(false, format!("{unit} isn't installed"), way_out);
        }
    }
    for (program, debian) in programs {
        if !facts.programs.contains(*program) {
            let way_out = format!("apt-get install {debian}");
            add(false, format!("the program {program} is missing"), way_out);
        }
    }
    for (port, unit) in ports {
        if facts.listening.contains(port) && !facts.running.contains(*unit) {
            let way_out = format!("see who it is, and stop it:  ss -ltnp 'sport = :{port}'");
            add(
                false,
                format!("somebody listens on port {port}, which {unit} needs"),
                way_out,
            );
        }
    }
    if !facts.leftovers.is_empty() {
        let way_out = "if it isn't in use any more:  kubeadm reset";
        let files = facts.leftovers.join(", ");
        add(
            false,
            format!("another Kubernetes is on this host: {files}"),
            way_out.into(),
        );
    }
    if package == Package::Node {
        if facts.has_swap {
            let way_out = "swapoff --all, and take it out of /etc/fstab";
            add(
                true,
                "memory is swapped: limits of pods don't mean what they say".into(),
                way_out.into(),
            );
        }
        if !facts.has_bridge_netfilter {
            let way_out = "modprobe br_netfilter; sysctl --load /usr/lib/sysctl.d/90-hardway.conf";
            add(
                false,
                "bridge-nf-call-iptables isn't set: Services would fail for pods of the same node"
                    .into(),
                way_out.into(),
            );
        }
    }
    if facts.is_clock_kept == Some(false) {
        let way_out = "apt-get install systemd-timesyncd";
        add(
            true,
            "nothing keeps the clock right: certificates and tokens go by it".into(),
            way_out.into(),
        );
    }
    if !facts.resolves_its_name {
        let way_out = format!("add it to /etc/hosts:  127.0.1.1 {name}");
        add(
            true,
            format!("the host's own name {name} can't be looked up"),
            way_out,
        );
    }
    all
}

/// Shows what was found.
///
/// # Errors
/// If there is more than warnings, unless they are to be ignored.
pub fn check(findings: &[Finding], ignore: bool) -> Result<()> {
    for finding in findings {
        let kind = if finding.is_warning {
            "warning"
        } else {
            "problem"
        };
        println!("  {kind}: {}\n    {}", finding.what, finding.way_out);
    }
    let problems = findings.iter().filter(|it| !it.is_warning).count();
    if problems == 0 || ignore {
        return Ok(());
    }
    Err(Failure::new(
        "check this host",
        format!("{problems} problems are named above; nothing was changed"),
    )
    .way_out("solve them, or go on in spite of them with --ignore-preflight-errors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(package: Package) -> Facts {
        let strings = |all: &[(&str, &str)]| all.iter().map(|it| it.0.to_owned()).collect();
        Facts {
            name: "node-1".to_owned(),
            is_root: true,
            has_systemd: true,
            has_address: true,
            resolves_its_name: true,
            listening: [22].into(),
            running: [].into(),
            installed: package.units().iter().map(|it| (*it).to_owned()).collect(),
            programs: strings(match package {
                Package::Node => NODE_PROGRAMS,
                _ => CONTROL_PLANE_PROGRAMS,
            }),
            has_swap: false,
            is_clock_kept: Some(true),
            has_bridge_netfilter: true,
            leftovers: Vec::new(),
        }
    }

    #[test]
    fn a_good_host_has_nothing_to_complain_of() {
        for package in [Package::ControlPlane, Package::Node] {
            assert_eq!(findings(&good(package), package), []);
        }
    }

    #[test]
    fn ports_of_our_own_processes_are_free() {
        let mut facts = good(Package::ControlPlane);
        facts.listening.extend([2379, 6443]);
        facts.running.insert("hardway-etcd.service".to_owned());
        let found = findings(&facts, Package::ControlPlane);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains("6443") && !found[0].is_warning);
    }

    #[test]
    fn everything_is_told_at_once_with_a_way_out() {
        let bad = Facts {
            name: "Ä".to_owned(),
            is_root: false,
            has_systemd: false,
            has_address: false,
            resolves_its_name: false,
            listening: NODE_PORTS.iter().map(|it| it.0).collect(),
            running: [].into(),
            installed: [].into(),
            programs: [].into(),
            has_swap: true,
            is_clock_kept: Some(false),
            has_bridge_netfilter: false,
            leftovers: vec!["/etc/kubernetes/kubelet.conf".to_owned()],
        };
        let found = findings(&bad, Package::Node);
        assert_eq!(found.len(), 4 + 4 + 7 + 3 + 1 + 4, "{found:?}");
        assert!(found.iter().all(|it| !it.way_out.is_empty()));
        assert_eq!(found.iter().filter(|it| it.is_warning).count(), 3);
        assert!(check(&found, false).is_err());
        check(&found, true).unwrap();
        let warnings: Vec<_> = found.into_iter().filter(|it| it.is_warning).collect();
        check(&warnings, false).unwrap();
    }
}
