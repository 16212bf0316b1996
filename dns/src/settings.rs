//! Flags, and what they mean.

use crate::authority::Scope;
use crate::forward::from_resolv_conf;
use crate::names;
use hardway_client::logging;
use hardway_proto::meta::ObjectKey;
use hickory_proto::rr::Name;
use ipnetwork::IpNetwork;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The cluster's DNS server.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "hardway-dns", version, args_override_self = true)]
pub struct Flags {
    /// Address and port to answer on, over UDP and TCP.
    #[arg(long, default_value = "0.0.0.0:5353", value_name = "IP:PORT")]
    pub listen: SocketAddr,
    /// The cluster's domain.
    #[arg(long, default_value = "cluster.local", value_name = "DOMAIN")]
    pub cluster_domain: String,
    /// Ranges of the pods' addresses, whose names nobody else is asked for.
    #[arg(long, value_delimiter = ',', value_name = "CIDR")]
    pub cluster_cidr: Vec<IpNetwork>,
    /// Ranges of the Services' addresses, likewise.
    #[arg(long, value_delimiter = ',', value_name = "CIDR")]
    pub service_cidr: Vec<IpNetwork>,
    /// The Service in front of this server.
    #[arg(
        long,
        default_value = "kube-system/kube-dns",
        value_name = "NAMESPACE/NAME"
    )]
    pub service: String,
    /// For how many seconds clients may keep the cluster's names.
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub ttl: u32,
    /// Name servers to ask for all other names, instead of those in resolv.conf.
    #[arg(long, value_delimiter = ',', value_name = "IP[:PORT]")]
    pub forward: Vec<String>,
    /// File that names servers and search domains of the node.
    #[arg(long, default_value = "/etc/resolv.conf", value_name = "FILE")]
    pub resolv_conf: PathBuf,
    /// For how many seconds to go on answering when asked to stop, so that
    /// clients can find another server.
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    pub lameduck: u64,
    /// Kubeconfig file, for servers that are no pod of the cluster.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Address to serve health and metrics on.
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    pub bind_address: IpAddr,
    /// Port to serve health and metrics on; 0 picks a free one.
    #[arg(long, default_value_t = 9153, value_name = "PORT")]
    pub secure_port: u16,
    /// What to log: a level or a tracing filter.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    pub log_level: String,
    /// How to log it.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: logging::Format,
}

/// Why the flags can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value.
    #[error("--{flag} {value:?}: {reason}")]
    Invalid {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file with the node's name servers.
    #[error("--resolv-conf {path}: {source}; name servers may also be given with --forward")]
    ResolvConf {
        /// The file.
        path: PathBuf,
        /// Why it can't be read.
        source: std::io::Error,
    },
}

fn invalid(flag: &'static str, value: &str, reason: &'static str) -> Error {
    Error::Invalid {
        flag,
        value: value.to_owned(),
        reason,
    }
}

impl Flags {
    /// The cluster's domain.
    pub fn zone(&self) -> Result<Name, Error> {
        names::parse(&self.cluster_domain)
            .map(|name| name.to_lowercase())
            .filter(|name| !name.is_root())
            .ok_or_else(|| invalid("cluster-domain", &self.cluster_domain, "no domain name"))
    }

    /// What to answer for, and the servers to ask about all else.
    pub fn scope(&self) -> Result<(Scope, Vec<SocketAddr>), Error> {
        let conf = std::fs::read_to_string(&self.resolv_conf);
        let text = match conf {
            Ok(text) => text,
            Err(_) if !self.forward.is_empty() => String::new(),
            Err(source) => {
                return Err(Error::ResolvConf {
                    path: self.resolv_conf.clone(),
                    source,
                });
            }
        };
        let (mut servers, searches) = from_resolv_conf(&text);
        if !self.forward.is_empty() {
            let named = self.forward.iter().map(|server| upstream(server));
            servers = named.collect::<Result<_, _>>()?;
        }
        let (namespace, name) = self
            .service
            .split_once('/')
            .ok_or_else(|| invalid("service", &self.service, "want NAMESPACE/NAME"))?;
        let ranges = self.cluster_cidr.iter().chain(&self.service_cidr);
        let scope = Scope {
            ttl: self.ttl,
            ranges: ranges.copied().collect(),
            searches: searches
                .iter()
                .filter_map(|text| names::parse(text))
                .collect(),
            service: ObjectKey::new(namespace, name),
        };
        Ok((scope, servers))
    }

    /// How long to go on when asked to stop.
    pub fn lameduck(&self) -> Duration {
        Duration::from_secs(self.lameduck)
    }
}

/// A name server's address; the port may be left out.
fn upstream(text: &str) -> Result<SocketAddr, Error> {
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, 53));
    }
    text.parse()
        .map_err(|_| invalid("forward", text, "want IP or IP:PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn flags(arguments: &[&str]) -> Flags {
        Flags::parse_from([&["hardway-dns", "--resolv-conf=/nonexistent"], arguments].concat())
    }

    #[test]
    fn servers_may_leave_out_the_port() {
        let flags = flags(&["--forward=10.0.0.2,10.0.0.3:5300,::1", "--forward=[::1]:54"]);
        let (scope, servers) = flags.scope().unwrap();
        let told: Vec<String> = servers.iter().map(SocketAddr::to_string).collect();
        assert_eq!(
            told,
            ["10.0.0.2:53", "10.0.0.3:5300", "[::1]:53", "[::1]:54"]
        );
        assert_eq!(scope.service, ObjectKey::new("kube-system", "kube-dns"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let said = |arguments: &[&str]| flags(arguments).scope().unwrap_err().to_string();
        assert!(said(&[]).contains("--resolv-conf /nonexistent: "));
        assert_eq!(
            said(&["--forward=upstream.example"]),
            "--forward \"upstream.example\": want IP or IP:PORT"
        );
        let error = flags(&["--cluster-domain=a..b"]).zone().unwrap_err();
        assert_eq!(
            error.to_string(),
            "--cluster-domain \"a..b\": no domain name"
        );
    }
}
