//! Forgets connections that lead to endpoints which are gone. Only UDP needs
//! it: a client that keeps sending would keep its dead entry alive.

use crate::elements::Set;
use crate::service::Protocol;
use std::collections::BTreeSet;
use tokio::process::Command;

/// One kind of stale entry: UDP packets to a destination that were, or were
/// not, sent on to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stale {
    /// Address the client sent to; none for a node port.
    pub address: Option<String>,
    /// Port the client sent to.
    pub port: String,
    /// The endpoint it was sent to; none where there was no endpoint.
    pub endpoint: Option<String>,
}

/// What became stale when elements went away or changed.
pub fn stale<'a>(gone: impl Iterator<Item = (&'a (Set, String), &'a String)>) -> BTreeSet<Stale> {
    let udp = Protocol::Udp.as_str();
    let mut found = BTreeSet::new();
    for ((set, key), data) in gone {
        let fields: Vec<&str> = key.split(" . ").collect();
        let endpoint = || data.split(" . ").next().map(str::to_owned);
        let entry = match (set, fields.as_slice()) {
            (Set::Endpoints, [address, protocol, port, _]) if *protocol == udp => Stale {
                address: Some((*address).to_owned()),
                port: (*port).to_owned(),
                endpoint: endpoint(),
            },
            (Set::NodePortEndpoints, [protocol, port, _]) if *protocol == udp => Stale {
                address: None,
                port: (*port).to_owned(),
                endpoint: endpoint(),
            },
            (Set::NoEndpoints, [address, protocol, port]) if *protocol == udp => Stale {
                address: Some((*address).to_owned()),
                port: (*port).to_owned(),
                endpoint: None,
            },
            (Set::NodePortsNoEndpoints, [protocol, port]) if *protocol == udp => Stale {
                address: None,
                port: (*port).to_owned(),
                endpoint: None,
            },
            _ => continue,
        };
        found.insert(entry);
    }
    found
}

/// What may have become stale while the table wasn't as it should: everything
/// that was sent to a Service meanwhile went nowhere, and goes there still.
pub fn all<'a>(wanted: impl Iterator<Item = &'a (Set, String)>) -> BTreeSet<Stale> {
    let udp = Protocol::Udp.as_str();
    wanted
        .filter_map(|(set, key)| {
            let fields: Vec<&str> = key.split(" . ").collect();
            let (address, port) = match (set, fields.as_slice()) {
                (Set::Services, [address, protocol, port]) if *protocol == udp => {
                    (Some((*address).to_owned()), port)
                }
                (Set::NodePorts, [protocol, port]) if *protocol == udp => (None, port),
                _ => return None,
            };
            Some(Stale {
                address,
                port: (*port).to_owned(),
                endpoint: None,
            })
        })
        .collect()
}

/// Deletes entries from the kernel's connection table.
pub trait Conntrack: Send + Sync + 'static {
    /// Deletes what matches; having nothing to delete is fine. What couldn't be
    /// deleted is told, and tried again.
    fn forget(&self, stale: &Stale) -> impl Future<Output = Result<(), String>> + Send;
}

/// The real thing, through the `conntrack` program.
pub struct ConntrackTool;

impl Conntrack for ConntrackTool {
    async fn forget(&self, stale: &Stale) -> Result<(), String> {
        let mut command = Command::new("conntrack");
        command.args(["-D", "-p", "udp", "--dport", &stale.port]);
        if let Some(address) = &stale.address {
            command.args(["--orig-dst", address]);
        }
        if let Some(endpoint) = &stale.endpoint {
            command.args(["--dst-nat", endpoint]);
        }
        match command.output().await {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr);
                match text.contains("0 flow entries") {
                    true => Ok(()),
                    false => Err(text.trim().to_owned()),
                }
            }
            Err(error) => Err(format!(
                "cannot run conntrack: {error}; is the package installed?"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_udp_goes_stale() {
        let gone = [
            (
                (Set::Endpoints, "10.96.0.10 . udp . 53 . 0x0".to_owned()),
                "10.244.0.2 . 53".to_owned(),
            ),
            (
                (Set::Endpoints, "10.96.0.10 . tcp . 53 . 0x0".to_owned()),
                "10.244.0.2 . 53".to_owned(),
            ),
            (
                (Set::NodePortsNoEndpoints, "udp . 30053".to_owned()),
                "goto reject-it".to_owned(),
            ),
        ];
        let found: Vec<Stale> = stale(gone.iter().map(|(k, v)| (k, v)))
            .into_iter()
            .collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].address, None);
        assert_eq!(found[1].endpoint.as_deref(), Some("10.244.0.2"));
    }

    #[test]
    fn after_a_loss_every_udp_service_is_stale() {
        let wanted = [
            (Set::Services, "10.96.0.10 . udp . 53".to_owned()),
            (Set::Services, "10.96.0.10 . tcp . 53".to_owned()),
            (Set::NodePorts, "udp . 30053".to_owned()),
            (Set::Endpoints, "10.96.0.10 . udp . 53 . 0x0".to_owned()),
        ];
        let found: Vec<Stale> = all(wanted.iter()).into_iter().collect();
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].address.as_deref(), found[0].port.as_str()),
            (None, "30053")
        );
        assert_eq!(found[1].address.as_deref(), Some("10.96.0.10"));
        assert!(found.iter().all(|stale| stale.endpoint.is_none()));
    }
}
