//! Health and metrics of a process that runs as a pod.

use crate::health::{self, Checks};
use crate::kubeconfig::Pem;
use crate::tls::{self, ServerKey};
use crate::{task, vital};
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

/// Serves on the [`vital`] runtime, with a certificate for `name`; says where. A pod has no certificate that the
/// cluster's CA signed, and nobody who asks for its health checks one, so it
/// makes its own. Metrics are for those whose certificate `client_ca` signed.
///
/// # Errors
/// If the CA can't be read or the port can't be had.
pub async fn serve(
    name: &str,
    address: SocketAddr,
    client_ca: &Pem,
    checks: Checks,
) -> Result<SocketAddr, Error> {
    let key = ServerKey::of_its_own(name)?;
    let config = tls::server(key, client_ca, false, health::ALPN)?;
    let (listener, bound) = health::bind_vital(address).await?;
    let _on_it = vital::runtime().enter();
    task::spawn_critical("health", health::serve(listener, config, checks));
    Ok(bound)
}
