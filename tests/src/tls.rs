//! HTTPS with and without a client certificate of the lab.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http::{Answer, exchange};
use crate::lab::Lab;

const PATIENCE: Duration = Duration::from_secs(5);

/// Asks `IP:PORT` for a path, trusting the lab's authority `ca`; with the
/// certificate of that name in the lab, or as nobody.
pub fn get(
    lab: &Lab,
    ca: &str,
    address: &str,
    path: &str,
    identity: Option<&str>,
) -> io::Result<Answer> {
    let config = config(lab, ca, identity).map_err(io::Error::other)?;
    let socket = address.parse().map_err(io::Error::other)?;
    let name = address.rsplit_once(':').map_or(address, |(ip, _)| ip);
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect_timeout(&socket, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    exchange(&mut StreamOwned::new(connection, stream), address, path)
}

fn config(
    lab: &Lab,
    ca: &str,
    identity: Option<&str>,
) -> Result<ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
    let file = |name: &str, ending: &str| lab.path(&format!("pki/{name}.{ending}"));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file(ca, "crt"))?)?;
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
