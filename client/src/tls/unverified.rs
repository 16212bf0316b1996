//! TLS with servers whose certificates nobody vouches for.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
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
    Arc::new(AnyCertificate(provider.clone()))
}

/// TLS that takes whatever certificate it is shown, and shows none: for what a pod serves,
/// which nobody can vouch for. Probes and the proxy subresources do so in Kubernetes, too.
/// Nothing that is secret may be sent over it.
pub fn unverified() -> Arc<ClientConfig> {
    UNVERIFIED.clone()
}

/// Accepts whatever certificate is shown.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
