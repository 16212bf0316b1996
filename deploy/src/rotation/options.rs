//! What can be said of every rotation that each host of the control plane types in its turn.

use std::time::Duration;

use crate::host::shared_keys::CertificateKey;
use crate::host::token;

use super::control_planes::Without;

/// How it goes on from host to host.
#[derive(Debug, Clone, clap::Args)]
pub struct HostByHost {
    /// Only go on with what was begun, here or on another control plane
    #[arg(long)]
    pub resume: bool,
    /// Have the keys uploaded once more, and print what to type on other control planes
    #[arg(long, conflicts_with = "certificate_key")]
    pub upload: bool,
    /// What opens the keys that another control plane has made; it was printed there
    #[arg(long, value_name = "KEY")]
    pub certificate_key: Option<CertificateKey>,
    /// A host of the control plane that is gone for good and isn't waited for, by name or address:
    /// before it comes back it has to be reset. One that serves is waited for all the same.
    /// Repeatable
    #[arg(long = "without-host", value_name = "NAME")]
    pub without_hosts: Vec<String>,
    /// How long to wait for others before giving up for now: 10m, 90s
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = token::life)]
    pub patience: Duration,
}

impl HostByHost {
    /// Whether what isn't under way is begun: who comes along with another host doesn't.
    pub fn begins(&self) -> bool {
        !self.resume && self.certificate_key.is_none()
    }

    /// Who isn't waited for, these nodes among them.
    pub fn without(&self, nodes: &[String]) -> Without {
        Without {
            nodes: nodes.to_vec(),
            hosts: self.without_hosts.clone(),
        }
    }
}
