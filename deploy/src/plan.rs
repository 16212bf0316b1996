//! The plan of the lab: which hosts there are, what they are called, and where.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Domain of the cluster's own names.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// Addresses of pods; every node gets a /24 of it.
pub const POD_CIDR: &str = "10.244.0.0/16";
/// Virtual addresses of services.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// Address of the service `kubernetes`, first of [`SERVICE_CIDR`].
pub const KUBERNETES_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// Address the cluster's DNS service has.
pub const CLUSTER_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// Name of the control plane's host, of the first one where there are several.
pub const CONTROL_PLANE: &str = "control-plane";
/// Most hosts that the control plane may have: more members make etcd slower, not safer.
pub const MOST_CONTROL_PLANES: u8 = 7;
/// Where the addresses of further control planes begin, beyond those of all workers.
const FURTHER_CONTROL_PLANES: u8 = 200;
/// Most hosts that only run pods.
pub const MOST_WORKERS: u8 = 99;
/// Port of the API.
pub const API_PORT: u16 = 6443;
/// Port of the image registry.
pub const REGISTRY_PORT: u16 = 5000;

/// The same as the units of real hosts are told.
pub fn cluster_variables() -> Vec<(String, String)> {
    [
        ("CLUSTER_CIDR", POD_CIDR.to_owned()),
        ("SERVICE_CIDR", SERVICE_CIDR.to_owned()),
        ("CLUSTER_DNS", CLUSTER_DNS.to_string()),
        ("CLUSTER_DOMAIN", CLUSTER_DOMAIN.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// What a host is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs etcd, registry, apiserver, controller manager and scheduler.
    ControlPlane,
    /// Runs pods.
    Worker,
    /// Does both: a cluster may have no other host.
    ControlPlaneAndWorker,
}

impl Role {
    /// Whether the control plane's processes run there.
    pub fn is_control_plane(self) -> bool {
        self != Role::Worker
    }

    /// Whether pods run there: then it is a node.
    pub fn runs_pods(self) -> bool {
        self != Role::ControlPlane
    }
}

/// One host: a network namespace with a mount, process and name space on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Host name, also the name of the Node.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// Its address on the bridge.
    pub address: Ipv4Addr,
    /// Its hardware address. It stays the same when the host is switched off and on, as
    /// that of a real machine does: whoever remembers it finds the host at once.
    pub mac: String,
    /// Name of its network namespace.
    pub namespace: String,
    /// Its link's end in the root namespace; cut this to cut the host off.
    pub link: String,
    /// Its cgroup, below each controller's root.
    pub cgroup: String,
}

/// The whole lab's plan; everything in it follows from three numbers and a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Number of this lab, so that several fit on one machine.
    pub index: u8,
    /// Number of hosts that the control plane has.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub control_planes: u8,
    /// Number of hosts that only run pods.
    pub workers: u8,
    /// Name of a cluster whose control plane runs pods as well. Its hosts are called after
    /// it, as minikube calls them: `NAME`, `NAME-m02`, `NAME-m03`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

fn one() -> u8 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_one(count: &u8) -> bool {
    *count == 1
}

/// Reads how many hosts the control plane is to have, for the command line.
///
/// # Errors
/// If that is no odd number from 1 to [`MOST_CONTROL_PLANES`].
pub fn control_planes(text: &str) -> Result<u8, String> {
    match text.parse::<u8>() {
        Ok(count) if count % 2 == 1 && count <= MOST_CONTROL_PLANES => Ok(count),
        Ok(count) if count > 0 && count <= MOST_CONTROL_PLANES => Err(format!(
            "most of etcd's members must agree: {count} survive the loss of no more hosts than {}",
            count - 1
        )),
        _ => Err(format!(
            "it must be an odd number from 1 to {MOST_CONTROL_PLANES}"
        )),
    }
}

/// Name of the bridge of the lab with this number.
pub fn bridge(index: u8) -> String {
    format!("hardway{index}")
}

impl Plan {
    /// A lab with one control plane, whose host is no node.
    pub fn of_lab(index: u8, workers: u8) -> Self {
        Self {
            index,
            control_planes: 1,
            workers,
            cluster: None,
        }
    }

    /// Name of the bridge that joins the hosts.
    pub fn bridge(&self) -> String {
        bridge(self.index)
    }

    /// The bridge's hardware address. Without one of its own it would take that of
    /// some port, and change with them.
    pub fn bridge_mac(&self) -> String {
        self.mac(1)
    }

    /// The bridge's address in the root namespace, which plays the outside world.
    pub fn gateway(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The network of the hosts.
    pub fn network(&self) -> String {
        format!("{}/24", self.address(0))
    }

    /// The control plane's host, the first one where there are several.
    pub fn control_plane(&self) -> Host {
        let (name, role) = match &self.cluster {
            Some(cluster) => (cluster.as_str(), Role::ControlPlaneAndWorker),
            None => (CONTROL_PLANE, Role::ControlPlane),
        };
        self.make(name.to_owned(), role, "cp".to_owned(), 10)
    }

    /// All hosts of the control plane.
    pub fn control_planes(&self) -> Vec<Host> {
        let first = self.control_plane();
        let further = |n| {
            let name = match &self.cluster {
                Some(cluster) => format!("{cluster}-m{n:02}"),
                None => format!("{CONTROL_PLANE}-{n}"),
            };
            let address = FURTHER_CONTROL_PLANES + n;
            self.make(name, first.role, format!("cp{n}"), address)
        };
        let mut all: Vec<Host> = (2..=self.control_planes).map(further).collect();
        all.insert(0, first.clone());
        all
    }

    /// The hosts that only run pods.
    pub fn workers(&self) -> Vec<Host> {
        let name = |n| match &self.cluster {
            Some(cluster) => format!("{cluster}-m{:02}", n + self.control_planes),
            None => format!("worker-{n}"),
        };
        let worker = |n| self.make(name(n), Role::Worker, format!("w{n}"), 10 + n);
        (1..=self.workers).map(worker).collect()
    }

    /// The hosts that are nodes: those that run pods.
    pub fn nodes(&self) -> Vec<Host> {
        let runs_pods = |host: &Host| host.role.runs_pods();
        self.hosts().into_iter().filter(runs_pods).collect()
    }

    /// All hosts, those of the control plane first.
    pub fn hosts(&self) -> Vec<Host> {
        let mut hosts = self.control_planes();
        hosts.extend(self.workers());
        hosts
    }

    /// Addresses and ports of the registries: each host of the control plane has one, and all
    /// have the same images.
    pub fn registries(&self) -> Vec<String> {
        let all = self.control_planes().into_iter();
        all.map(|host| format!("{}:{REGISTRY_PORT}", host.address))
            .collect()
    }

    /// A hardware address that no vendor gives (the bit 02), in the place of an address.
    fn mac(&self, last: u8) -> String {
        let [_, _, index, last] = self.address(last).octets();
        format!("02:68:77:00:{index:02x}:{last:02x}")
    }

    fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 88, self.index, last)
    }

    fn make(&self, name: String, role: Role, short: String, last: u8) -> Host {
        // The first lab has plain names; others carry their number.
        let number = if self.index == 0 {
            String::new()
        } else {
            self.index.to_string()
        };
        let dashed = if self.index == 0 {
            String::new()
        } else {
            format!("{number}-")
        };
        Host {
            namespace: format!("hw{number}-{name}"),
            link: format!("hw{number}-{short}"),
            cgroup: format!("lab-{dashed}{name}"),
            address: self.address(last),
            mac: self.mac(last),
            name,
            role,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lab_has_the_documented_names_and_addresses() {
        let plan = Plan::of_lab(0, 2);
        assert_eq!(plan.bridge(), "hardway0");
        assert_eq!(plan.gateway().to_string(), "10.88.0.1");
        assert_eq!(plan.bridge_mac(), "02:68:77:00:00:01");
        assert_eq!(plan.control_plane().mac, "02:68:77:00:00:0a");
        let told: Vec<String> = plan
            .hosts()
            .iter()
            .map(|host| {
                format!(
                    "{} {} {} {}",
                    host.name, host.namespace, host.address, host.cgroup
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "control-plane hw-control-plane 10.88.0.10 lab-control-plane",
                "worker-1 hw-worker-1 10.88.0.11 lab-worker-1",
                "worker-2 hw-worker-2 10.88.0.12 lab-worker-2",
            ]
        );
    }

    #[test]
    fn labs_share_nothing_and_link_names_fit_the_kernel() {
        let plan = |index| Plan {
            control_planes: MOST_CONTROL_PLANES,
            ..Plan::of_lab(index, MOST_WORKERS)
        };
        let (one, two) = (plan(0), plan(1));
        let hosts = one.hosts();
        for (at, host) in hosts.iter().enumerate() {
            let is_same = |other: &Host| other.address == host.address || other.link == host.link;
            assert!(!hosts[..at].iter().any(is_same), "{host:?}");
        }
        for (a, b) in one.hosts().iter().zip(two.hosts()) {
            assert_eq!(a.name, b.name);
            assert_ne!(a.namespace, b.namespace);
            assert_ne!(a.link, b.link);
            assert_ne!(a.cgroup, b.cgroup);
            assert_ne!(a.address, b.address);
            assert_ne!(a.mac, b.mac);
            assert!(b.link.len() < 16);
        }
    }

    #[test]
    fn the_hosts_of_a_cluster_are_called_after_it() {
        let plan = Plan {
            cluster: Some("dev".to_owned()),
            ..Plan::of_lab(12, 2)
        };
        let names: Vec<String> = plan.nodes().into_iter().map(|host| host.name).collect();
        assert_eq!(names, ["dev", "dev-m02", "dev-m03"]);
        assert!(plan.control_plane().role.is_control_plane());
        assert_eq!(plan.hosts()[1].namespace, "hw12-dev-m02");
        assert_eq!(plan.hosts()[1].cgroup, "lab-12-dev-m02");
        // The first ones are the control plane, where that has several hosts.
        let plan = Plan {
            control_planes: 3,
            ..plan
        };
        let names =
            |hosts: Vec<Host>| -> Vec<String> { hosts.into_iter().map(|host| host.name).collect() };
        assert_eq!(names(plan.control_planes()), ["dev", "dev-m02", "dev-m03"]);
        assert_eq!(names(plan.workers()), ["dev-m04", "dev-m05"]);
        assert_eq!(plan.nodes().len(), 5);
        // Of a lab the control plane's host is no node.
        let lab = Plan::of_lab(0, 2);
        assert_eq!(lab.nodes(), lab.workers());
        // What was stored before clusters had names is a lab.
        let stored: Plan = serde_json::from_str(r#"{"index": 0, "workers": 2}"#).unwrap();
        assert_eq!(stored, lab);
    }

    #[test]
    fn a_control_plane_has_an_odd_number_of_hosts() {
        for good in ["1", "3", "7"] {
            assert_eq!(
                control_planes(good),
                good.parse().map_err(|_| String::new())
            );
        }
        assert!(
            control_planes("2")
                .unwrap_err()
                .contains("no more hosts than 1")
        );
        for bad in ["0", "8", "9", "-1", "x"] {
            assert!(control_planes(bad).unwrap_err().contains("1 to 7"), "{bad}");
        }
    }
}
