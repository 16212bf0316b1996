//! Health and metrics of a server that runs as a pod.

use hardway_client::health::{self, Checks};
use hardway_client::kubeconfig::Pem;
use hardway_client::tls::{self, ReloadingKey};
use hardway_client::{task, vital};
use rcgen::{CertificateParams, KeyPair};
use std::net::SocketAddr;
use std::sync::Arc;

/// Why they can't be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate of its own can't be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The CA of those who may see metrics.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The port.
    #[error(transparent)]
    Listen(#[from] std::io::Error),
}

/// Serves on the [`vital`] runtime; says where. A pod has no certificate that the
/// cluster's CA signed, and nobody who asks for its health checks one, so it
/// makes its own. Metrics are for those whose certificate `client_ca` signed.
pub async fn health(
    address: SocketAddr,
    client_ca: &Pem,
    checks: Checks,
) -> Result<SocketAddr, Error> {
    let config = tls::server_from(own_key()?, client_ca, false, health::ALPN)?;
    let (listener, bound) = health::bind_vital(address).await?;
    let _on_it = vital::runtime().enter();
    task::spawn_critical("health", health::serve_with(listener, config, checks));
    Ok(bound)
}

fn own_key() -> Result<Arc<ReloadingKey>, Error> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["hardway-dns".to_owned()])?.self_signed(&key)?;
    let inline = |pem: String| Pem::Inline(pem.into_bytes());
    Ok(ReloadingKey::load(
        inline(certificate.pem()),
        inline(key.serialize_pem()),
    )?)
}
