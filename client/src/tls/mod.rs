//! rustls configurations from PEM files. They follow the files: a renewed
//! certificate and a changed CA are used from the next handshake on, without a
//! restart.

mod reloading;
mod trusted;
mod unverified;
mod verifier;

pub use reloading::Reloading;
pub use unverified::unverified;

use crate::kubeconfig::{Credentials, Kubeconfig, Pem};
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::ServerCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

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

/// A certificate chain and its key, which must fit together.
pub fn certified_key(certificate: &Pem, key: &Pem) -> Result<CertifiedKey, Error> {
    let chain = certificates(&certificate.read()?).map_err(|e| invalid(name(certificate), e))?;
    let key_der = PrivateKeyDer::from_pem_slice(&key.read()?).map_err(|e| invalid(name(key), e))?;
    CertifiedKey::from_der(chain, key_der, &rustls::crypto::ring::default_provider())
        .map_err(|e| invalid(name(certificate), e))
}

fn name(pem: &Pem) -> String {
    match pem {
        Pem::Inline(_) => "inline certificate data".into(),
        Pem::File(path) => path.display().to_string(),
    }
}

fn protocols(alpn: &[&str]) -> Vec<Vec<u8>> {
    alpn.iter().map(|p| p.as_bytes().to_vec()).collect()
}

/// How a client speaks TLS; it follows its files.
pub type Client = Reloading<ClientConfig>;

/// A client configuration with the kubeconfig's identity and trust.
pub fn client(config: &Kubeconfig, alpn: &[&str]) -> Result<Arc<Client>, Error> {
    let ca = &config.certificate_authority;
    match &config.credentials {
        Credentials::Certificate { certificate, key } => {
            client_from(ca, certificate.clone(), key.clone(), alpn)
        }
        // The token goes with every request, inside the connection.
        Credentials::Token(_) | Credentials::TokenFile(_) => {
            let (ca, alpn) = (ca.clone(), protocols(alpn));
            Reloading::new(&[&ca.clone()], move || {
                let mut tls = ClientConfig::builder()
                    .with_root_certificates(trusted(&ca)?)
                    .with_no_client_auth();
                tls.alpn_protocols.clone_from(&alpn);
                Ok(tls)
            })
        }
    }
}

/// A client configuration that trusts `ca` and shows a certificate.
pub fn client_from(
    ca: &Pem,
    certificate: Pem,
    key: Pem,
    alpn: &[&str],
) -> Result<Arc<Client>, Error> {
    client_trusting(Trust::In(ca.clone()), Some((certificate, key)), alpn)
}

/// Whom a client believes.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Whom this CA has signed.
    In(Pem),
    /// Whoever answers. What is sent may then be read by anybody.
    InAnybody,
}

/// A client configuration that shows a certificate with its key, if it is given one.
///
/// # Errors
/// If the files make no sense now.
pub fn client_trusting(
    trust: Trust,
    shown: Option<(Pem, Pem)>,
    alpn: &[&str],
) -> Result<Arc<Client>, Error> {
    install_provider();
    let alpn = protocols(alpn);
    let ca = match &trust {
        Trust::In(ca) => Some(ca.clone()),
        Trust::InAnybody => None,
    };
    let own = shown.clone().map(|(certificate, key)| [certificate, key]);
    let files: Vec<Pem> = ca.into_iter().chain(own.into_iter().flatten()).collect();
    let files: Vec<&Pem> = files.iter().collect();
    Reloading::new(&files, move || {
        let tls = match &trust {
            Trust::In(ca) => ClientConfig::builder()
                .dangerous()
                .with_custom_certificate_verifier(verifier(ca)?),
            Trust::InAnybody => ClientConfig::builder()
                .dangerous()
                .with_custom_certificate_verifier(unverified::any_certificate()),
        };
        let mut tls = match &shown {
            None => tls.with_no_client_auth(),
            Some((certificate, key)) => {
                let shown = Arc::new(certified_key(certificate, key)?);
                tls.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)))
            }
        };
        tls.alpn_protocols.clone_from(&alpn);
        Ok(tls)
    })
}

fn verifier(ca: &Pem) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    install_provider();
    let certificates = certificates(&ca.read()?).map_err(|e| invalid(name(ca), e))?;
    trusted::verifier(certificates).map_err(|e| invalid(name(ca), e))
}

fn trusted(ca: &Pem) -> Result<RootCertStore, Error> {
    install_provider();
    roots(&ca.read()?).map_err(|e| invalid(name(ca), e))
}

/// How a server speaks TLS; it follows its files.
pub type Server = Reloading<ServerConfig>;

/// What a server shows.
#[derive(Clone, Debug)]
pub struct ServerKey {
    /// Certificate chain.
    pub certificate: Pem,
    /// Private key.
    pub key: Pem,
    /// Whether it is still to come: it is being asked for. Until it is there,
    /// no handshake succeeds.
    pub awaited: bool,
}

impl ServerKey {
    /// One that is in files.
    pub fn of_files(certificate: &Path, key: &Path) -> Self {
        Self {
            certificate: Pem::File(certificate.to_owned()),
            key: Pem::File(key.to_owned()),
            awaited: false,
        }
    }

    /// One that will be in a file together with its key: see
    /// [`crate::certificate`].
    pub fn asked_for(file: &Path) -> Self {
        Self {
            awaited: true,
            ..Self::of_files(file, file)
        }
    }

    /// One that nobody has signed, made now and kept in memory. For health
    /// ports, where nobody who asks looks who answers; as Kubernetes'
    /// components do without `--tls-cert-file`.
    ///
    /// # Errors
    /// If `name` can't be in a certificate.
    pub fn of_its_own(name: &str) -> Result<Self, Error> {
        let made = || {
            let key = KeyPair::generate()?;
            let params = CertificateParams::new(vec![name.to_owned()])?;
            Ok::<_, rcgen::Error>((params.self_signed(&key)?.pem(), key.serialize_pem()))
        };
        let (certificate, key) = made().map_err(|e| invalid(name, e))?;
        Ok(Self {
            certificate: Pem::Inline(certificate.into_bytes()),
            key: Pem::Inline(key.into_bytes()),
            awaited: false,
        })
    }

    fn read(&self) -> Result<ServedCertificate, Error> {
        match certified_key(&self.certificate, &self.key) {
            Ok(key) => Ok(ServedCertificate(Some(Arc::new(key)))),
            Err(Error::Read(error))
                if self.awaited && error.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(ServedCertificate(None))
            }
            Err(error) => Err(error),
        }
    }
}

/// The certificate that is shown, if there is one by now.
#[derive(Debug)]
struct ServedCertificate(Option<Arc<CertifiedKey>>);

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}

/// A server configuration that verifies client certificates. With
/// `require_client` no handshake succeeds without one; otherwise a client may
/// come without and the caller decides what it may do.
///
/// # Errors
/// If the certificates can't be used.
pub fn server(
    key: ServerKey,
    client_ca: &Pem,
    require_client: bool,
    alpn: &[&str],
) -> Result<Arc<Server>, Error> {
    let (client_ca, alpn) = (client_ca.clone(), protocols(alpn));
    let files = [key.certificate.clone(), key.key.clone(), client_ca.clone()];
    Reloading::new(&files.each_ref(), move || {
        let verifier = WebPkiClientVerifier::builder(Arc::new(trusted(&client_ca)?));
        let verifier = if require_client {
            verifier
        } else {
            verifier.allow_unauthenticated()
        };
        let verifier = verifier.build().map_err(|e| invalid(name(&client_ca), e))?;
        let mut tls = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(key.read()?));
        tls.alpn_protocols.clone_from(&alpn);
        Ok(tls)
    })
}
