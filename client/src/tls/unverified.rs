//! TLS with servers whose certificates nobody vouches for.

use super::verifier::{Belief, Verifier};
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, Error};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, LazyLock};

static UNVERIFIED: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    super::install_provider();
    let config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(any_certificate())
        .with_no_client_auth();
    Arc::new(config)
});

/// Takes whatever certificate is shown. The provider must be installed.
pub(super) fn any_certificate() -> Arc<dyn ServerCertVerifier> {
    let provider = CryptoProvider::get_default().expect("clients install it first");
    Arc::new(Verifier::new(Anybody, provider.clone()))
}

/// TLS that takes whatever certificate it is shown, and shows none: for what a pod serves,
/// which nobody can vouch for. Probes and the proxy subresources do so in Kubernetes, too.
/// Nothing that is secret may be sent over it.
pub fn unverified() -> Arc<ClientConfig> {
    UNVERIFIED.clone()
}

/// Believes whoever answers.
#[derive(Debug)]
struct Anybody;

impl Belief for Anybody {
    fn check(
        &self,
        _shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<(), Error> {
        Ok(())
    }
}
