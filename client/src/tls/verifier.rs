//! Verifiers of servers' certificates: they differ in whom they believe, and not in that a
//! server must have the key of what it shows.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::fmt::Debug;
use std::sync::Arc;

/// Whom a client believes.
pub(super) trait Belief: Debug + Send + Sync + 'static {
    /// Whether a server that shows a certificate is whom it is asked to be.
    ///
    /// # Errors
    /// Why not.
    fn check(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), Error>;
}

/// A verifier with a belief.
#[derive(Debug)]
pub(super) struct Verifier<B> {
    belief: B,
    provider: Arc<CryptoProvider>,
}

impl<B> Verifier<B> {
    /// Of signatures as the provider reckons them.
    pub fn new(belief: B, provider: Arc<CryptoProvider>) -> Self {
        Self { belief, provider }
    }
}

impl<B: Belief> ServerCertVerifier for Verifier<B> {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let belief = &self.belief;
        belief.check(shown, intermediates, name, ocsp_response, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
