//! Command-line flags that every component but the apiserver shares.

use crate::api::Client;
use crate::channel::Kept;
use crate::health;
use crate::kubeconfig::{self, Kubeconfig, Pem};
use crate::{apiservers, expiry, logging, steps, task, tls, vital};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// Flattened into a component's own flags.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Kubeconfig file with the apiserver's address, its CA and this component's certificate.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
    /// Apiservers to use instead of the kubeconfig's one; repeatable.
    #[arg(long = "server", value_name = "URL")]
    pub servers: Vec<String>,
    /// File to keep the addresses of all apiservers in, as the cluster tells them, so that it can
    /// be started with any of them; `apiservers` in systemd's STATE_DIRECTORY, if that is set.
    #[arg(long, value_name = "FILE")]
    pub apiservers_file: Option<PathBuf>,
    /// Address to serve health and metrics on.
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    pub bind_address: IpAddr,
    /// Port to serve health and metrics on; 0 picks a free one.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub secure_port: u16,
    /// Certificate to serve with; one that nobody has signed if it isn't given.
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// Private key of that certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,
    /// CA that clients' certificates must chain to.
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: PathBuf,
    /// What to log: a level or a tracing filter.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    pub log_level: String,
    /// How to log it.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: logging::Format,
}

/// Why the common flags can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Logging flags.
    #[error("{0}")]
    Logging(String),
    /// The kubeconfig.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::Error),
    /// Certificates and keys.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The port.
    #[error(transparent)]
    Listen(#[from] std::io::Error),
}

impl Common {
    /// Starts logging as the flags say.
    pub fn init_logging(&self) -> Result<(), Error> {
        logging::init(&self.log_level, self.log_format).map_err(Error::Logging)
    }

    /// The kubeconfig, with `--server` applied.
    pub fn kubeconfig(&self) -> Result<Kubeconfig, Error> {
        let mut config = Kubeconfig::load(&self.kubeconfig)?;
        if !self.servers.is_empty() {
            config.servers.clone_from(&self.servers);
        }
        Ok(config)
    }

    /// A client with the kubeconfig's identity, which also reports what this process does
    /// (see [`steps`]).
    pub fn client(&self, field_manager: &str) -> Result<Client, Error> {
        let config = self.kubeconfig()?;
        let client = Client::new(&config, field_manager)?;
        expiry::watch_client(&config);
        apiservers::follow(&client, self.apiservers_file());
        steps::report(client.clone());
        Ok(client)
    }

    fn apiservers_file(&self) -> Option<PathBuf> {
        let kept = self.apiservers_file.clone();
        kept.or_else(|| Kept::in_state_directory("apiservers"))
    }

    /// What to serve with, if the flags say so.
    pub fn server_key(&self) -> Option<tls::ServerKey> {
        let (certificate, key) = (&self.tls_cert_file, &self.tls_private_key_file);
        let files = certificate.as_ref().zip(key.as_ref());
        files.map(|(certificate, key)| tls::ServerKey::of_files(certificate, key))
    }

    /// The CA of those who may see more than health.
    pub fn client_ca(&self) -> Pem {
        Pem::File(self.client_ca_file.clone())
    }

    /// Validates certificates, binds the port and serves health on the
    /// [`vital`] runtime; systemd is told as well. Returns the bound address.
    /// Without `--tls-cert-file` it serves with a certificate of its own.
    pub async fn serve_health(&self, checks: health::Checks) -> Result<SocketAddr, Error> {
        let key = match self.server_key() {
            Some(key) => key,
            None => tls::ServerKey::of_its_own("localhost")?,
        };
        expiry::watch(expiry::Use::Serving, &key.certificate);
        let tls = tls::server(key, &self.client_ca(), false, health::ALPN)?;
        let address = SocketAddr::new(self.bind_address, self.secure_port);
        let (listener, bound) = health::bind_vital(address).await?;
        let checks = Arc::new(checks);
        checks.follow();
        let _on_it = vital::runtime().enter();
        task::spawn_critical("health", health::serve(listener, tls, checks));
        Ok(bound)
    }
}
