//! Where the cluster is, and how to ask it as a viewer.

use http::{HeaderValue, header};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Serialize;
use std::path::Path;

/// Why the cluster can't be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig makes no sense.
    #[error("{file}: {reason}")]
    Kubeconfig {
        /// Which.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Where the API server is.
    #[error("{0}")]
    Server(String),
    /// Certificates, plugins and the like.
    #[error("cannot make a client for {server}: {source}")]
    Client {
        /// Of which server.
        server: String,
        /// Why.
        source: kube::Error,
    },
    /// A token that can't be in a header.
    #[error("that is no bearer token")]
    Token,
}

/// A cluster, and how to reach it; without a viewer's credentials, unless they are the user's own.
#[derive(Clone)]
pub struct Cluster {
    config: Config,
    /// What viewers are told of it.
    pub description: Description,
    /// The namespace to begin with.
    pub namespace: String,
}

/// What viewers are told of a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// The context of the kubeconfig.
    pub name: Option<String>,
    /// The URL of the API server.
    pub server: String,
    /// Its version, where it was asked.
    pub version: Option<String>,
}

/// The cluster of a kubeconfig's context, with the credentials that are there.
///
/// # Errors
/// If the kubeconfig makes no sense.
pub async fn of_kubeconfig(file: &Path, context: Option<&str>) -> Result<Cluster, Error> {
    let wrong = |error: kube::config::KubeconfigError| Error::Kubeconfig {
        file: file.display().to_string(),
        reason: error.to_string(),
    };
    let kubeconfig = Kubeconfig::read_from(file).map_err(wrong)?;
    let name = context
        .map(str::to_owned)
        .or_else(|| kubeconfig.current_context.clone());
    let options = KubeConfigOptions {
        context: name.clone(),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(wrong)?;
    Ok(of_config(config, name))
}

/// The cluster of the API server at `server`, whose certificate `ca` signed. Nobody's credentials
/// are in it.
///
/// # Errors
/// If one of them makes no sense.
pub fn of_server(server: &str, ca: &Path) -> Result<Cluster, Error> {
    let url = server
        .parse()
        .map_err(|error| Error::Server(format!("{server:?} is no URL: {error}")))?;
    let unreadable = |reason: String| Error::Server(format!("{}: {reason}", ca.display()));
    let pem = std::fs::read(ca).map_err(|error| unreadable(error.to_string()))?;
    let roots = hardway_client::tls::certificates(&pem).map_err(unreadable)?;
    let mut config = Config::new(url);
    config.root_cert = Some(roots.iter().map(|root| root.to_vec()).collect());
    config.root_cert_file = Some(ca.to_owned());
    Ok(of_config(config, None))
}

/// Where a pod finds the API server.
///
/// # Errors
/// If this is no pod.
pub fn server_of_pods() -> Result<String, Error> {
    let variable = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        let message = format!("{name} is not set: this is no pod of a cluster; give --server");
        value.ok_or(Error::Server(message))
    };
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let port = variable("KUBERNETES_SERVICE_PORT")?;
    Ok(match host.contains(':') {
        true => format!("https://[{host}]:{port}"),
        false => format!("https://{host}:{port}"),
    })
}

fn of_config(mut config: Config, name: Option<String>) -> Cluster {
    // The page hears of every refusal, and decides.
    config.default_retry = false;
    Cluster {
        description: Description {
            name,
            server: config
                .cluster_url
                .to_string()
                .trim_end_matches('/')
                .to_owned(),
            version: None,
        },
        namespace: config.default_namespace.clone(),
        config,
    }
}

impl Cluster {
    /// A client with the credentials that are there.
    ///
    /// # Errors
    /// If they can't be used.
    pub fn client(&self) -> Result<Client, Error> {
        client(self.config.clone())
    }

    /// A client with somebody's token, and nothing else.
    ///
    /// # Errors
    /// If that can't be a token.
    pub fn client_of(&self, token: &str) -> Result<Client, Error> {
        let is_token = |byte: u8| byte.is_ascii_graphic();
        if token.is_empty() || !token.bytes().all(is_token) {
            return Err(Error::Token);
        }
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| Error::Token)?;
        value.set_sensitive(true);
        let mut config = self.config.clone();
        config.auth_info = kube::config::AuthInfo::default();
        config.headers = vec![(header::AUTHORIZATION, value)];
        client(config)
    }
}

fn client(config: Config) -> Result<Client, Error> {
    let server = config.cluster_url.to_string();
    Client::try_from(config).map_err(|source| Error::Client { server, source })
}
