//! The command line.

use hardway_client::logging;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Shows a cluster in the browser.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "hardway-dashboard", version)]
pub struct Flags {
    /// For whom.
    #[command(subcommand)]
    pub way: Way,
    /// What to log: a level or a tracing filter. [default: warn, or info as an add-on]
    #[arg(long, global = true, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// How to log it.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub log_format: logging::Format,
}

/// For whom it runs.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Way {
    /// For you alone, on a port of this machine that nobody else may use, with your kubeconfig.
    Local(Local),
    /// As an add-on of the cluster, for everybody who has a token.
    Serve(Serve),
}

/// Flags of `local`.
#[derive(Clone, Debug, clap::Args)]
pub struct Local {
    /// Kubeconfig file with which the cluster is asked.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
    /// Context of it; the current one if it isn't given.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Port on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub port: u16,
    /// Print the URL and open no browser.
    #[arg(long)]
    pub no_browser: bool,
}

/// Flags of `serve`.
#[derive(Clone, Debug, clap::Args)]
pub struct Serve {
    /// Address to listen on.
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    pub bind_address: IpAddr,
    /// Port of the page; 0 picks a free one.
    #[arg(long, default_value_t = 8443, value_name = "PORT")]
    pub secure_port: u16,
    /// Port of health and metrics; 0 picks a free one.
    #[arg(long, default_value_t = 8444, value_name = "PORT")]
    pub health_port: u16,
    /// The API server; where pods find it if it isn't given.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// CA of the API server's certificate, and of those who may see metrics.
    #[arg(
        long,
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
        value_name = "FILE"
    )]
    pub certificate_authority: PathBuf,
    /// Name that its certificate is made for.
    #[arg(
        long,
        default_value = "kubernetes-dashboard.kubernetes-dashboard.svc",
        value_name = "NAME"
    )]
    pub server_name: String,
}

impl Serve {
    /// Where the page is.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.secure_port)
    }

    /// Where health and metrics are.
    pub fn health_address(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.health_port)
    }
}
