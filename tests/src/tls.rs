//! HTTPS with and without a client certificate of the lab.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http::{self, Answer, Request};
use crate::lab::Lab;

const PATIENCE: Duration = Duration::from_secs(15);

/// Asks `IP:PORT` for a path, trusting the lab's authority `ca`; with the
/// certificate of that name in the lab, or as nobody.
pub fn get(
    lab: &Lab,
    ca: &str,
    address: &str,
    path: &str,
    identity: Option<&str>,
) -> io::Result<Answer> {
    let client = Client::new(lab, ca, address, identity, PATIENCE);
    client
        .send(&Request::get(path))
        .map_err(|failure| match failure {
            Failure::Unsent(error) | Failure::Unanswered(error) => error,
        })
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The request was never sent: nothing can have come of it.
    Unsent(io::Error),
    /// The request was sent, or a part of it: nobody knows what came of it.
    Unanswered(io::Error),
}

/// Asks one server, over a new connection each time.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    address: String,
    patience: Duration,
}

impl Client {
    /// A client of `IP:PORT` that trusts the lab's authority `ca`, with the certificate
    /// of that name in the lab, or as nobody. It waits so long for each byte.
    #[track_caller]
    pub fn new(
        lab: &Lab,
        ca: &str,
        address: &str,
        identity: Option<&str>,
        patience: Duration,
    ) -> Self {
        Self::try_new(lab, ca, address, identity, patience)
            .unwrap_or_else(|error| panic!("the certificates of {identity:?}: {error}"))
    }

    /// The same while certificates are renewed: for a moment one is there without its key.
    pub fn try_new(
        lab: &Lab,
        ca: &str,
        address: &str,
        identity: Option<&str>,
        patience: Duration,
    ) -> Result<Self, String> {
        let config = config(lab, ca, identity).map_err(|error| error.to_string())?;
        Ok(Self {
            config: Arc::new(config),
            address: address.to_owned(),
            patience,
        })
    }

    /// The same client with another patience.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Sends a request and waits for the answer.
    pub fn send(&self, request: &Request<'_>) -> Result<Answer, Failure> {
        let mut stream = self.connect().map_err(Failure::Unsent)?;
        http::send(&mut stream, &self.address, request).map_err(Failure::Unanswered)
    }

    /// A connection after its handshake.
    pub fn connect(&self) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let socket = self.address.parse().map_err(io::Error::other)?;
        let name = self.address.rsplit_once(':').map_or("", |(ip, _)| ip);
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&socket, self.patience)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        let mut connection =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }
}

fn config(
    lab: &Lab,
    ca: &str,
    identity: Option<&str>,
) -> Result<ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
    let file = |name: &str, ending: &str| lab.path(&format!("pki/{name}.{ending}"));
    let mut roots = RootCertStore::empty();
    // While a CA is replaced there are two.
    for authority in CertificateDer::pem_file_iter(file(ca, "crt"))? {
        roots.add(authority?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    Ok(match identity {
        None => config.with_no_client_auth(),
        Some(name) => config.with_client_auth_cert(
            vec![CertificateDer::from_pem_file(file(name, "crt"))?],
            PrivateKeyDer::from_pem_file(file(name, "key"))?,
        )?,
    })
}
