//! What a host is like before anything is changed on it.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use super::{Layout, systemd};
use crate::failure::{Failure, OrFail, Result};
use crate::shell;

/// What is found on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The host's name.
    pub name: String,
    /// Whether the tool may change everything.
    pub is_root: bool,
    /// Whether systemd is the first process.
    pub has_systemd: bool,
    /// Whether the host has the address it is to be reached at.
    pub has_address: bool,
    /// Whether its own name can be looked up.
    pub resolves_its_name: bool,
    /// TCP ports that somebody listens on.
    pub listening: BTreeSet<u16>,
    /// hardway's units that run, or start or stop just now.
    pub running: BTreeSet<String>,
    /// hardway's units that are installed.
    pub installed: BTreeSet<String>,
    /// Programs that are there.
    pub programs: BTreeSet<String>,
    /// Whether memory is swapped.
    pub has_swap: bool,
    /// Whether something keeps the clock right, if that can be said.
    pub is_clock_kept: Option<bool>,
    /// Whether bridges hand packets to netfilter.
    pub has_bridge_netfilter: bool,
    /// Files of a cluster that isn't hardway's.
    pub leftovers: Vec<String>,
}

/// Programs that units and pods need.
const PROGRAMS: &[&str] = &[
    "etcd",
    "containerd",
    "ctr",
    "runc",
    "nft",
    "conntrack",
    "iptables",
    "ip",
];

/// What kubeadm leaves where it has set up a node or a control plane.
const FOREIGN: &[&str] = &[
    "etc/kubernetes/kubelet.conf",
    "etc/kubernetes/admin.conf",
    "etc/kubernetes/manifests/kube-apiserver.yaml",
];

impl Facts {
    /// Looks around on this host.
    ///
    /// # Errors
    /// If it has no name.
    pub fn gather(layout: &Layout, address: Ipv4Addr, units: &[&str]) -> Result<Self> {
        let name = host_name()?;
        let of_units = |test: &dyn Fn(&str) -> bool| {
            let matching = units.iter().filter(|unit| test(unit));
            matching.map(|unit| (*unit).to_owned()).collect()
        };
        let installed = |unit: &str| layout.path("usr/lib/systemd/system").join(unit).exists();
        let sockets = ["/proc/net/tcp", "/proc/net/tcp6"];
        Ok(Self {
            is_root: nix::unistd::geteuid().is_root(),
            has_systemd: layout.path("run/systemd/system").is_dir(),
            has_address: UdpSocket::bind((address, 0)).is_ok(),
            resolves_its_name: (name.as_str(), 0)
                .to_socket_addrs()
                .is_ok_and(|mut found| found.next().is_some()),
            listening: sockets
                .iter()
                .flat_map(|path| listening(&fs::read_to_string(path).unwrap_or_default()))
                .collect(),
            running: of_units(&systemd::has_processes),
            installed: of_units(&installed),
            programs: PROGRAMS
                .iter()
                .filter(|program| shell::find_program(program).is_some())
                .map(|program| (*program).to_owned())
                .collect(),
            // A line of titles, and one for each.
            has_swap: fs::read_to_string("/proc/swaps").is_ok_and(|it| it.lines().count() > 1),
            is_clock_kept: shell::run(
                "timedatectl",
                &["show", "--value", "--property=NTPSynchronized"],
            )
            .ok()
            .map(|said| said.trim() == "yes"),
            has_bridge_netfilter: fs::read_to_string(
                "/proc/sys/net/bridge/bridge-nf-call-iptables",
            )
            .is_ok_and(|value| value.trim() == "1"),
            leftovers: FOREIGN
                .iter()
                .map(|path| layout.path(path))
                .filter(|path| path.exists())
                .map(|path| path.display().to_string())
                .collect(),
            name,
        })
    }
}

/// The host's name.
///
/// # Errors
/// If it has none, or one that no text is.
pub fn host_name() -> Result<String> {
    let name = nix::unistd::gethostname().or_fail(|| "ask for the host's name")?;
    name.into_string()
        .map_err(|_| Failure::new("ask for the host's name", "it is no text"))
}

/// The address this host has in a connection to another one.
///
/// # Errors
/// If there is no way there.
pub fn address_towards(other: SocketAddr) -> Result<Ipv4Addr> {
    let what = || format!("find this host's address towards {}", other.ip());
    // Nothing is sent: the kernel only looks for the way.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).or_fail(what)?;
    socket.connect(other).or_fail(what)?;
    match socket.local_addr().or_fail(what)?.ip() {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(Failure::new(what(), "it isn't of IPv4")),
    }
}

/// Ports of the listening sockets in a table of /proc/net.
fn listening(table: &str) -> Vec<u16> {
    let port = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _, state) = (words.next()?, words.next()?, words.next()?);
        let (_, port) = local.rsplit_once(':')?;
        (state == "0A").then(|| u16::from_str_radix(port, 16).ok())?
    };
    table.lines().skip(1).filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_told_from_connections() {
        let table = "  sl  local_address rem_address   st tx_queue
   0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000
   1: 0A00580A:192B 0B00580A:D431 01 00000000:00000000 00:00000000
   2: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A 0";
        assert_eq!(listening(table), [2379, 6443]);
    }

    #[test]
    fn a_host_knows_its_way_to_itself() {
        let address = address_towards(([127, 0, 0, 1], 6443).into()).unwrap();
        assert_eq!(address, Ipv4Addr::LOCALHOST);
    }
}
