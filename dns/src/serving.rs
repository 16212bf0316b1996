//! Health and metrics of a server that runs as a pod.

use hardway_client::health::{self, Checks};
use hardway_client::kubeconfig::Pem;
use hardway_client::tls::{self, ServerKey};
use hardway_client::{task, vital};
use std::net::SocketAddr;

/// Why they can't be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its own certificate, or the CA of those who may see metrics.
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
    let key = ServerKey::of_its_own("hardway-dns")?;
    let config = tls::server(key, client_ca, false, health::ALPN)?;
    let (listener, bound) = health::bind_vital(address).await?;
    let _on_it = vital::runtime().enter();
    task::spawn_critical("health", health::serve(listener, config, checks));
    Ok(bound)
}
