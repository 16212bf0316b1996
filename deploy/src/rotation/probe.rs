//! Asks a server over TLS as somebody whom only one CA vouches for: whether it believes that CA,
//! and which certificate it shows itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::http;

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Somebody whom a CA vouches for, and who believes others.
#[derive(Debug, Clone)]
pub struct Caller {
    config: Arc<ClientConfig>,
}

/// What a server did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The certificate it showed, as DER.
    pub shown: Vec<u8>,
    /// Whether it took the caller's.
    pub accepted: bool,
}

impl Caller {
    /// One who believes all that is in a bundle, and shows a certificate with its key (PEM).
    ///
    /// # Errors
    /// If one of them makes no sense.
    pub fn new(believed: &str, shown: &(String, String)) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let certificate = CertificateDer::from_pem_slice(shown.0.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(shown.1.as_bytes());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| text(&error))?
            .with_root_certificates(http::roots(believed)?)
            .with_client_auth_cert(
                vec![certificate.map_err(|error| text(&error))?],
                key.map_err(|error| text(&error))?,
            )
            .map_err(|error| text(&error))?;
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Asks for the health of whoever is at an address.
    ///
    /// # Errors
    /// If it can't be reached, or isn't believed.
    pub fn ask(&self, address: SocketAddr) -> Result<Seen, String> {
        let text = |error: &dyn std::fmt::Display| format!("{address}: {error}");
        let name = ServerName::from(address.ip());
        let connection = ClientConnection::new(self.config.clone(), name);
        let connection = connection.map_err(|error| text(&error))?;
        let stream =
            TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| text(&error))?;
        let limit = Some(PATIENCE);
        let limited = stream
            .set_read_timeout(limit)
            .and_then(|()| stream.set_write_timeout(limit));
        limited.map_err(|error| text(&error))?;
        let mut stream = StreamOwned::new(connection, stream);
        // By TLS 1.3 a client hears only after it has sent something that it isn't believed.
        let request = format!("GET /healthz HTTP/1.0\r\nHost: {address}\r\n\r\n");
        let sent = stream.write_all(request.as_bytes());
        let answered = sent.and_then(|()| stream.read(&mut [0; 64]));
        let shown = stream.conn.peer_certificates().and_then(|all| all.first());
        let Some(shown) = shown.map(|it| it.as_ref().to_vec()) else {
            let why = answered.err().map(|error| error.to_string());
            return Err(text(&why.unwrap_or_default()));
        };
        match answered {
            // Closed without a word, as servers do that have refused a certificate.
            Ok(0) => Ok(Seen {
                shown,
                accepted: false,
            }),
            Ok(_) => Ok(Seen {
                shown,
                accepted: true,
            }),
            // What it says of a certificate it says in an alert, and closes the connection.
            Err(error) if is_refusal(error.kind()) => Ok(Seen {
                shown,
                accepted: false,
            }),
            Err(error) => Err(text(&error)),
        }
    }
}

fn is_refusal(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidData
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::SystemTime;

    use rustls::server::WebPkiClientVerifier;
    use rustls::{ServerConfig, ServerConnection};

    use super::*;
    use crate::pki::{CLUSTER_CA, Pki, leaves, of_nobody};
    use crate::plan::Plan;
    use crate::shell;

    const OK: &str = "HTTP/1.0 200 OK\r\n\r\nok";

    /// A server of the first CA that believes a bundle; it answers once, with this.
    fn serve(pki: &Pki, believed: &str, answer: &'static str) -> SocketAddr {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(http::roots(believed).unwrap());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let text = |path: std::path::PathBuf| shell::read_text(&path).unwrap();
        let certificate = text(pki.certificate("apiserver"));
        let key = text(pki.key("apiserver"));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let connection = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            if stream.read(&mut [0; 512]).is_ok() {
                stream.write_all(answer.as_bytes()).unwrap();
                stream.conn.send_close_notify();
            }
            // What is to be said of a certificate is said before the connection ends.
            let _ = stream.flush();
        });
        address
    }

    #[test]
    fn one_sees_whether_a_server_believes_a_ca_and_what_it_shows() {
        let folder = tempfile::tempdir().unwrap();
        let (pki, now) = (Pki::new(folder.path()), SystemTime::now());
        let hosts = [Plan::of_lab(0, 0).control_plane()];
        pki.ensure_leaves(&leaves(&hosts), now).unwrap();
        let old = shell::read_text(&pki.certificate(CLUSTER_CA)).unwrap();
        let (new, key) = crate::pki::new_authority(CLUSTER_CA, now).unwrap();
        let both = format!("{old}{new}");
        let nobody = of_nobody(&new, &key, now).unwrap();
        let caller = Caller::new(&both, &nobody).unwrap();
        let refusing = caller.ask(serve(&pki, &old, OK)).unwrap();
        assert!(!refusing.accepted);
        let taking = caller.ask(serve(&pki, &both, OK)).unwrap();
        assert!(taking.accepted);
        let silent = caller.ask(serve(&pki, &both, "")).unwrap();
        assert!(!silent.accepted, "it was closed without an answer");
        let own = shell::read_text(&pki.certificate("apiserver")).unwrap();
        assert_eq!(taking.shown, crate::pki::der_of(&own).unwrap());
        // Whom the caller doesn't believe it says nothing of.
        let stranger = Caller::new(&new, &nobody).unwrap();
        assert!(stranger.ask(serve(&pki, &both, OK)).is_err());
    }
}
