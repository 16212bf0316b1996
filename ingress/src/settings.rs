//! Flags, and what they mean.

use crate::endpoint_turns::Limits;
use hardway_client::logging;
use hardway_client::serving::descriptors;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Passes requests on to Services, as Ingresses say.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "hardway-ingress", version, args_override_self = true)]
pub struct Flags {
    /// Address and port for HTTP.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "IP:PORT")]
    pub http: SocketAddr,
    /// Address and port for HTTPS.
    #[arg(long, default_value = "0.0.0.0:8443", value_name = "IP:PORT")]
    pub https: SocketAddr,
    /// For how many seconds a backend may say nothing before its answer begins.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub response_timeout: u64,
    /// How many requests an endpoint of a Service is given at the same time. As many more wait
    /// for their turn.
    #[arg(long, default_value_t = 512, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub requests_per_endpoint: u16,
    /// For how many seconds a request waits for its turn at an endpoint.
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=600))]
    pub queue_timeout: u64,
    /// For how many seconds to go on taking connections when asked to stop, so that clients
    /// can find another replica.
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=600))]
    pub lameduck: u64,
    /// How many seconds requests under way may take to end after that.
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub drain: u64,
    /// The namespace of the replicas, whose nodes Ingresses are said to be reached at.
    #[arg(
        long,
        env = "POD_NAMESPACE",
        default_value = "kube-system",
        value_name = "NAMESPACE"
    )]
    pub namespace: String,
    /// What this replica is called when one of them is chosen to write.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: String,
    /// Kubeconfig file, where this is no pod of the cluster.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Address to serve health and metrics on.
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    pub bind_address: IpAddr,
    /// Port to serve health and metrics on; 0 picks a free one.
    #[arg(long, default_value_t = 9155, value_name = "PORT")]
    pub secure_port: u16,
    /// What to log: a level or a tracing filter.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    pub log_level: String,
    /// How to log it.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: logging::Format,
}

impl Flags {
    /// How long a backend may say nothing before its answer begins.
    pub fn response_timeout(&self) -> Duration {
        Duration::from_secs(self.response_timeout)
    }

    /// What endpoints are given at most.
    pub fn limits(&self) -> Limits {
        Limits {
            at_once: usize::from(self.requests_per_endpoint),
            // Clients' connections may have half of the descriptors.
            in_all: descriptors() * 3 / 8,
            wait: Duration::from_secs(self.queue_timeout),
        }
    }

    /// How long to go on when asked to stop.
    pub fn lameduck(&self) -> Duration {
        Duration::from_secs(self.lameduck)
    }

    /// How long what is under way may take after that.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain)
    }
}
