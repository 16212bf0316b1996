//! What a cluster is like: the answers `hardway init` needs, from flags or a file, each
//! with a default.

use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

use super::env::Variables;
use crate::failure::{Failure, OrFail, Result};
use crate::pki::ApiNames;
use crate::plan::{API_PORT, CLUSTER_DOMAIN, POD_CIDR, SERVICE_CIDR};

/// Name of the file in /etc/hardway.
pub const FILE: &str = "cluster.yaml";

/// A cluster. In a file, fields that are left out have their default, and unknown ones
/// are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// Address of the control plane, for nodes and users.
    pub address: Ipv4Addr,
    /// Name of the cluster in kubeconfigs.
    #[serde(default = "default_name")]
    pub cluster_name: String,
    /// Addresses of pods; every node gets a /24 of it.
    #[serde(default = "default_pods", rename = "podCIDR")]
    pub pod_cidr: Ipv4Network,
    /// Virtual addresses of Services.
    #[serde(default = "default_services", rename = "serviceCIDR")]
    pub service_cidr: Ipv4Network,
    /// Domain of the cluster's own names.
    #[serde(default = "default_domain")]
    pub dns_domain: String,
    /// More names and addresses by which the API is reached.
    #[serde(default, rename = "extraSANs", skip_serializing_if = "Vec::is_empty")]
    pub extra_sans: Vec<String>,
}

fn default_name() -> String {
    "hardway".to_owned()
}

fn default_pods() -> Ipv4Network {
    POD_CIDR.parse().expect("a range")
}

fn default_services() -> Ipv4Network {
    SERVICE_CIDR.parse().expect("a range")
}

fn default_domain() -> String {
    CLUSTER_DOMAIN.to_owned()
}

impl Cluster {
    /// A cluster with this address that is otherwise as they are.
    pub fn at(address: Ipv4Addr) -> Self {
        Self {
            address,
            cluster_name: default_name(),
            pod_cidr: default_pods(),
            service_cidr: default_services(),
            dns_domain: default_domain(),
            extra_sans: Vec::new(),
        }
    }

    /// The cluster that a file describes.
    ///
    /// # Errors
    /// If it isn't YAML, or has a field that is unknown or makes no sense.
    pub fn parse(text: &str, from: &str) -> Result<Self> {
        serde_yaml::from_str(text).or_fail(|| format!("read {from}"))
    }

    /// As a file.
    pub fn to_yaml(&self) -> String {
        let text = serde_yaml::to_string(self).unwrap_or_default();
        format!("# The cluster this host belongs to; written by `hardway init`.\n{text}")
    }

    /// Everything that makes no sense, at once.
    ///
    /// # Errors
    /// With all complaints.
    pub fn validate(&self) -> Result<()> {
        let mut complaints = Vec::new();
        let mut complain = |it: String| complaints.push(it);
        if self.address.is_unspecified() || self.address.is_loopback() {
            complain(format!(
                "address: {} can't be reached from other hosts",
                self.address
            ));
        }
        for (name, range) in [
            ("podCIDR", self.pod_cidr),
            ("serviceCIDR", self.service_cidr),
        ] {
            if range.ip() != range.network() {
                let (network, prefix) = (range.network(), range.prefix());
                complain(format!(
                    "{name}: {range} has host bits, {network}/{prefix} has none"
                ));
            }
            if range.contains(self.address) {
                complain(format!(
                    "{name}: {range} contains the address {}",
                    self.address
                ));
            }
        }
        if self.pod_cidr.prefix() > 24 {
            complain(format!(
                "podCIDR: {} has no room for one node's /24",
                self.pod_cidr
            ));
        }
        if !(12..=28).contains(&self.service_cidr.prefix()) {
            complain(format!(
                "serviceCIDR: {} isn't between /12 and /28",
                self.service_cidr
            ));
        }
        if self.pod_cidr.overlaps(self.service_cidr) {
            complain(format!(
                "podCIDR {} and serviceCIDR {} overlap",
                self.pod_cidr, self.service_cidr
            ));
        }
        if !is_subdomain(&self.dns_domain) {
            complain(format!(
                "dnsDomain: {:?} is no DNS name in lower case",
                self.dns_domain
            ));
        }
        if !is_subdomain(&self.cluster_name) {
            complain(format!(
                "clusterName: {:?} has more than a-z, 0-9, '-' and '.'",
                self.cluster_name
            ));
        }
        for name in &self.extra_sans {
            if name.parse::<IpAddr>().is_err() && !is_subdomain(name.trim_start_matches("*.")) {
                complain(format!(
                    "extraSANs: {name:?} is neither an address nor a DNS name"
                ));
            }
        }
        match complaints.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(
                "check the configuration",
                complaints.join("; "),
            )),
        }
    }

    /// What can't be changed once the cluster `self` is there.
    pub fn fixed_differences(&self, other: &Self) -> Vec<String> {
        let text = |it: &dyn std::fmt::Display| it.to_string();
        [
            ("podCIDR", text(&self.pod_cidr), text(&other.pod_cidr)),
            (
                "serviceCIDR",
                text(&self.service_cidr),
                text(&other.service_cidr),
            ),
            (
                "dnsDomain",
                self.dns_domain.clone(),
                other.dns_domain.clone(),
            ),
        ]
        .into_iter()
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| format!("{name} is {old}, not {new}"))
        .collect()
    }

    /// Address of the Service `kubernetes`: the first of all.
    pub fn kubernetes_service(&self) -> Ipv4Addr {
        self.service_address(1)
    }

    /// Address of the Service of the cluster's DNS: the tenth, as kubeadm has it.
    pub fn cluster_dns(&self) -> Ipv4Addr {
        self.service_address(10)
    }

    fn service_address(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_cidr.network()) + number)
    }

    /// Where the API is.
    pub fn server(&self) -> String {
        format!("https://{}:{API_PORT}", self.address)
    }

    /// What units on all hosts are told.
    pub fn variables(&self) -> Variables {
        [
            ("CLUSTER_CIDR", self.pod_cidr.to_string()),
            ("SERVICE_CIDR", self.service_cidr.to_string()),
            ("CLUSTER_DNS", self.cluster_dns().to_string()),
            ("CLUSTER_DOMAIN", self.dns_domain.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// What the apiserver is called.
    pub fn api_names(&self) -> ApiNames {
        ApiNames {
            domain: self.dns_domain.clone(),
            service: self.kubernetes_service(),
            extra: self.extra_sans.clone(),
        }
    }
}

/// Whether it is a DNS subdomain by RFC 1123.
pub fn is_subdomain(name: &str) -> bool {
    let is_label = |label: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=63).contains(&label.len())
            && label.chars().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        Cluster::at(Ipv4Addr::new(192, 168, 1, 10))
    }

    #[test]
    fn defaults_are_the_labs() {
        let cluster = cluster();
        cluster.validate().unwrap();
        assert_eq!(cluster.variables(), crate::plan::cluster_variables());
        assert_eq!(
            cluster.kubernetes_service(),
            crate::plan::KUBERNETES_SERVICE
        );
        assert_eq!(Cluster::parse(&cluster.to_yaml(), "it").unwrap(), cluster);
        let least = Cluster::parse("address: 192.168.1.10", "it").unwrap();
        assert_eq!(least, cluster);
    }

    #[test]
    fn a_file_is_taken_as_a_whole_or_not_at_all() {
        for (text, why) in [
            ("address: 10.0.0.1\npodCidr: x", "unknown field `podCidr`"),
            ("clusterName: x", "missing field `address`"),
            ("address: 10.0.0.1\npodCIDR: 10.0.0.0/99", "invalid"),
        ] {
            let failure = Cluster::parse(text, "cluster.yaml").unwrap_err();
            assert!(failure.why.contains(why), "{failure}");
        }
    }

    #[test]
    fn all_complaints_come_at_once() {
        let bad = Cluster {
            address: Ipv4Addr::LOCALHOST,
            cluster_name: "My cluster".to_owned(),
            pod_cidr: "10.1.2.0/25".parse().unwrap(),
            service_cidr: "10.1.0.0/16".parse().unwrap(),
            dns_domain: "-x".to_owned(),
            extra_sans: vec!["api.example.com".to_owned(), "a b".to_owned()],
        };
        let why = bad.validate().unwrap_err().why;
        for part in [
            "address: 127.0.0.1",
            "no room",
            "overlap",
            "dnsDomain",
            "clusterName",
            "\"a b\"",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert!(!why.contains("api.example.com"), "{why}");
        let inside = Cluster {
            service_cidr: "192.168.0.0/16".parse().unwrap(),
            ..cluster()
        };
        assert!(
            inside
                .validate()
                .unwrap_err()
                .why
                .contains("contains the address")
        );
    }

    #[test]
    fn what_nodes_and_pods_know_already_is_fixed() {
        let other = Cluster {
            pod_cidr: "10.200.0.0/16".parse().unwrap(),
            extra_sans: vec!["api.example.com".to_owned()],
            ..cluster()
        };
        assert_eq!(
            cluster().fixed_differences(&other),
            ["podCIDR is 10.244.0.0/16, not 10.200.0.0/16"]
        );
        assert!(cluster().fixed_differences(&cluster()).is_empty());
    }
}
