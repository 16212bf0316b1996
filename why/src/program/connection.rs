//! The way to the cluster, by a kubeconfig or as a pod.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hardway_why::reading::{Api, Refusal};
use hardway_why::{Certificate, DnsOutcome, DnsRequest};
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rustls_pki_types::ServerName;
use serde_json::Value;

use crate::Failure;
use crate::dns;
use crate::options::Options;

/// A cluster that answers.
pub struct Cluster {
    client: Client,
    config: Config,
}

impl Api for Cluster {
    async fn get(&self, path: &str, accept: &'static str) -> Result<Vec<u8>, Refusal> {
        let request = request(path, accept)?;
        let text = self.client.request_text(request).await.map_err(refusal)?;
        Ok(text.into_bytes())
    }

    async fn ask_dns(&self, request: &DnsRequest) -> Option<DnsOutcome> {
        Some(dns::ask(&self.client, request).await)
    }
}

impl Cluster {
    /// Reads the configuration; nothing is sent yet.
    pub async fn connect(options: &Options) -> Result<Self, Failure> {
        let way_out = "name a kubeconfig:  --kubeconfig FILE, or KUBECONFIG; see  kubectl config get-contexts";
        let failed =
            |why: &dyn ToString| Failure::new("read the kubeconfig", why.to_string(), way_out);
        let chosen = KubeConfigOptions {
            context: options.context.clone(),
            ..KubeConfigOptions::default()
        };
        let mut config = match &options.kubeconfig {
            Some(file) => {
                let read = Kubeconfig::read_from(file).map_err(|error| failed(&error))?;
                let config = Config::from_custom_kubeconfig(read, &chosen).await;
                config.map_err(|error| failed(&error))?
            }
            None if chosen.context.is_some() => {
                let config = Config::from_kubeconfig(&chosen).await;
                config.map_err(|error| failed(&error))?
            }
            None => Config::infer().await.map_err(|error| failed(&error))?,
        };
        config.connect_timeout = Some(Duration::from_secs(10));
        // An aggregated API whose server is away answers 503 for as long as it is: that is to be
        // told, not waited out.
        config.default_retry = false;
        let client = Client::try_from(config.clone()).map_err(|error| failed(&error))?;
        Ok(Self { client, config })
    }

    /// The context's namespace.
    pub fn namespace(&self) -> &str {
        &self.config.default_namespace
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.config.cluster_url.to_string()
    }

    /// Asks for a path; the answer is JSON.
    pub async fn json(&self, path: &str, accept: &str) -> Result<Value, Refusal> {
        let request = request(path, accept)?;
        self.client.request(request).await.map_err(refusal)
    }

    /// Certificates on the way: the user's own and the API server's.
    pub async fn certificates(&self) -> Vec<Certificate> {
        let own = self.client_certificate();
        let server = tokio::time::timeout(Duration::from_secs(5), self.server_certificate());
        let server = server.await.ok().flatten();
        own.into_iter().chain(server).collect()
    }

    fn client_certificate(&self) -> Option<Certificate> {
        let user = &self.config.auth_info;
        let pem = match (&user.client_certificate_data, &user.client_certificate) {
            (Some(data), _) => STANDARD.decode(data).ok()?,
            (None, Some(file)) => std::fs::read(file).ok()?,
            (None, None) => return None,
        };
        Certificate::from_pem(
            "the kubeconfig's client certificate",
            &pem,
            "get a new kubeconfig from who gave you this one (a lab:  cargo hardway up;  a control plane of hardway:  hardway certificates renew)",
        )
    }

    /// The certificate of the API server, from a connection that verifies it.
    async fn server_certificate(&self) -> Option<Certificate> {
        let url = &self.config.cluster_url;
        if self.config.proxy_url.is_some() || url.scheme_str() != Some("https") {
            return None;
        }
        let tls = self.config.rustls_client_config().ok()?;
        let host = url.host()?.trim_matches(['[', ']']);
        let name = self.config.tls_server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).ok()?;
        let stream = tokio::net::TcpStream::connect((host, url.port_u16().unwrap_or(443)));
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let stream = connector.connect(name, stream.await.ok()?).await.ok()?;
        let shown = stream.get_ref().1.peer_certificates()?.first()?;
        Certificate::from_der(
            "the API server's certificate",
            shown,
            "renew it on the control plane (of hardway:  hardway certificates renew;  kubeadm:  kubeadm certs renew apiserver)",
        )
    }
}

fn request(path: &str, accept: &str) -> Result<http::Request<Vec<u8>>, Refusal> {
    let request = http::Request::get(path).header(http::header::ACCEPT, accept);
    request.body(Vec::new()).map_err(|error| Refusal {
        code: None,
        why: error.to_string(),
    })
}

fn refusal(error: kube::Error) -> Refusal {
    match error {
        kube::Error::Api(status) => Refusal {
            code: Some(status.code),
            why: status.message.clone(),
        },
        error => Refusal {
            code: None,
            why: with_causes(&error),
        },
    }
}

/// An error with its causes: the chain ends with what really happened.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        let text = next.to_string();
        if !why.contains(&text) {
            why = format!("{why}: {text}");
        }
        source = next.source();
    }
    why
}
