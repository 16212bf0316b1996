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
/// Name of the control plane's host.
pub const CONTROL_PLANE: &str = "control-plane";
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

/// The whole lab's plan; everything in it follows from two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Number of this lab, so that several fit on one machine.
    pub index: u8,
    /// Number of worker hosts.
    pub workers: u8,
}

impl Plan {
    /// Name of the bridge that joins the hosts.
    pub fn bridge(&self) -> String {
        format!("hardway{}", self.index)
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

    /// The control plane's host.
    pub fn control_plane(&self) -> Host {
        self.make(
            CONTROL_PLANE.to_owned(),
            Role::ControlPlane,
            "cp".to_owned(),
            10,
        )
    }

    /// The worker hosts.
    pub fn workers(&self) -> Vec<Host> {
        let worker = |n| self.make(format!("worker-{n}"), Role::Worker, format!("w{n}"), 10 + n);
        (1..=self.workers).map(worker).collect()
    }

    /// All hosts, the control plane's first.
    pub fn hosts(&self) -> Vec<Host> {
        let mut hosts = vec![self.control_plane()];
        hosts.extend(self.workers());
        hosts
    }

    /// Address and port of the registry.
    pub fn registry(&self) -> String {
        format!("{}:{REGISTRY_PORT}", self.control_plane().address)
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
        let plan = Plan {
            index: 0,
            workers: 2,
        };
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
        let (one, two) = (
            Plan {
                index: 0,
                workers: 100,
            },
            Plan {
                index: 1,
                workers: 100,
            },
        );
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
}
