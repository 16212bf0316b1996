//! rustls configurations from PEM files. Certificates are read anew when
//! their files change, so a renewal needs no restart.

use crate::kubeconfig::{Credentials, Kubeconfig, Pem};
use parking_lot::Mutex;
use rustls::client::{ResolvesClientCert, WantsClientCert};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("cannot read TLS material: {0}")]
    Read(#[from] std::io::Error),
    /// A file's content isn't what it should be.
    #[error("{what}: {reason}")]
    Invalid {
        /// Which file or field.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

fn invalid(what: impl Into<String>, reason: impl ToString) -> Error {
    Error::Invalid {
        what: what.into(),
        reason: reason.to_string(),
    }
}

/// Makes ring the process' TLS provider. Harmless when repeated.
pub fn install_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Parses all certificates of a PEM text.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let list: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|e| e.to_string())?;
    if list.is_empty() {
        return Err("holds no certificate".into());
    }
    Ok(list)
}

/// The roots of a CA bundle.
pub fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem)? {
        store.add(certificate).map_err(|e| e.to_string())?;
    }
    Ok(store)
}

/// A certificate and key that follow their files.
#[derive(Debug)]
pub struct ReloadingKey {
    certificate: Pem,
    key: Pem,
    current: Mutex<(Option<SystemTime>, Arc<CertifiedKey>)>,
}

impl ReloadingKey {
    /// Reads both once; fails if they don't fit together.
    pub fn load(certificate: Pem, key: Pem) -> Result<Arc<Self>, Error> {
        let current = read_key(&certificate, &key)?;
        let stamp = modified(&certificate);
        Ok(Arc::new(Self {
            certificate,
            key,
            current: Mutex::new((stamp, current)),
        }))
    }

    /// The key as its files have it now; the last good one if they are broken.
    pub fn current(&self) -> Arc<CertifiedKey> {
        let mut current = self.current.lock();
        let stamp = modified(&self.certificate);
        if stamp != current.0 {
            match read_key(&self.certificate, &self.key) {
                Ok(key) => *current = (stamp, key),
                Err(error) => tracing::warn!(%error, "keeping the previous certificate"),
            }
        }
        current.1.clone()
    }
}

fn modified(pem: &Pem) -> Option<SystemTime> {
    match pem {
        Pem::Inline(_) => None,
        Pem::File(path) => std::fs::metadata(path).ok()?.modified().ok(),
    }
}

fn read_key(certificate: &Pem, key: &Pem) -> Result<Arc<CertifiedKey>, Error> {
    let chain = certificates(&certificate.read()?).map_err(|e| invalid(name(certificate), e))?;
    let key_der = PrivateKeyDer::from_pem_slice(&key.read()?).map_err(|e| invalid(name(key), e))?;
    let certified =
        CertifiedKey::from_der(chain, key_der, &rustls::crypto::ring::default_provider())
            .map_err(|e| invalid(name(certificate), e))?;
    Ok(Arc::new(certified))
}

fn name(pem: &Pem) -> String {
    match pem {
        Pem::Inline(_) => "inline certificate data".into(),
        Pem::File(path) => path.display().to_string(),
    }
}

impl ResolvesServerCert for ReloadingKey {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for ReloadingKey {
    fn resolve(
        &self,
        _issuers: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A client configuration with the kubeconfig's identity and trust.
pub fn client(config: &Kubeconfig, alpn: &[&str]) -> Result<ClientConfig, Error> {
    let ca = &config.certificate_authority;
    match &config.credentials {
        Credentials::Certificate { certificate, key } => {
            client_from(ca, certificate.clone(), key.clone(), alpn)
        }
        // The token goes with every request, inside the connection.
        Credentials::TokenFile(_) => {
            let tls = trusting(ca)?.with_no_client_auth();
            Ok(speaking(tls, alpn))
        }
    }
}

/// A client configuration that trusts `ca` and shows a certificate.
pub fn client_from(
    ca: &Pem,
    certificate: Pem,
    key: Pem,
    alpn: &[&str],
) -> Result<ClientConfig, Error> {
    let key = ReloadingKey::load(certificate, key)?;
    let tls = trusting(ca)?.with_client_cert_resolver(key);
    Ok(speaking(tls, alpn))
}

fn trusting(ca: &Pem) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
    install_provider();
    let roots = roots(&ca.read()?).map_err(|e| invalid(name(ca), e))?;
    Ok(ClientConfig::builder().with_root_certificates(roots))
}

fn speaking(mut tls: ClientConfig, alpn: &[&str]) -> ClientConfig {
    tls.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    tls
}

/// Files a server needs: its certificate, key, and the CA of its clients.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// CA that client certificates must chain to.
    pub client_ca: PathBuf,
}

/// A server configuration that verifies client certificates. With
/// `require_client` no handshake succeeds without one; otherwise a client may
/// come without and the caller decides what it may do.
pub fn server(
    files: &ServerFiles,
    require_client: bool,
    alpn: &[&str],
) -> Result<ServerConfig, Error> {
    let read = |path: &Path| Pem::File(path.to_owned());
    let key = ReloadingKey::load(read(&files.certificate), read(&files.key))?;
    server_from(key, &read(&files.client_ca), require_client, alpn)
}

/// The same with a certificate that may come from elsewhere than files.
pub fn server_from(
    key: Arc<ReloadingKey>,
    client_ca: &Pem,
    require_client: bool,
    alpn: &[&str],
) -> Result<ServerConfig, Error> {
    install_provider();
    let roots = roots(&client_ca.read()?).map_err(|e| invalid(name(client_ca), e))?;
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
    let verifier = if require_client {
        verifier
    } else {
        verifier.allow_unauthenticated()
    };
    let verifier = verifier.build().map_err(|e| invalid(name(client_ca), e))?;
    let mut tls = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(key);
    tls.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    Ok(tls)
}
