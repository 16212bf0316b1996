//! Just enough of an HTTP client to ask processes how they are, and the apiserver
//! for what a cluster needs: over TLS with a client certificate, or in the clear
//! to the registry.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::failure::{Failure, OrFail, Result};

mod anybody;
mod lines;

pub use lines::Lines;

/// How long a process may take to answer, unless it is said otherwise.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Who asks, and whom to believe.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The CA the server's certificate must come from.
    pub ca: PathBuf,
    /// Our certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// Header lines, as received.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// What the body is; unless there is none.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A GET.
    pub fn get(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            content_type: "",
            body: &[],
        }
    }
}

/// GET over TLS; the server's certificate must be for the address asked.
pub fn get_tls(address: SocketAddr, path: &str, identity: &Identity) -> Result<Answer> {
    send_tls(address, &Request::get(path), identity)
}

/// Any request over TLS.
pub fn send_tls(address: SocketAddr, request: &Request<'_>, identity: &Identity) -> Result<Answer> {
    send_tls_within(address, request, identity, PATIENCE)
}

/// The same with this much time between request and answer, and between parts of it.
pub fn send_tls_within(
    address: SocketAddr,
    request: &Request<'_>,
    identity: &Identity,
    patience: Duration,
) -> Result<Answer> {
    let what = || format!("{} https://{address}{}", request.method, request.path);
    let config = client_config(identity)?;
    let name = ServerName::from(address.ip());
    let connection = ClientConnection::new(Arc::new(config), name).or_fail(what)?;
    let stream = connect(address).or_fail(what)?;
    stream.set_read_timeout(Some(patience)).or_fail(what)?;
    exchange(
        StreamOwned::new(connection, stream),
        &address.to_string(),
        request,
        "",
    )
    .or_fail(what)
}

/// GET over TLS without a certificate of ours, as whom a bearer token names, or as
/// nobody. Without a CA any server is believed: what it says must prove itself.
pub fn get_without_certificate(
    address: SocketAddr,
    path: &str,
    ca: Option<&str>,
    token: Option<&str>,
) -> Result<Answer> {
    let what = || format!("GET https://{address}{path}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .or_fail(what)?;
    let config = match ca {
        Some(pem) => builder.with_root_certificates(roots(pem).or_fail(|| "read the CA")?),
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(anybody::Anybody(provider))),
    };
    let name = ServerName::from(address.ip());
    let connection = ClientConnection::new(Arc::new(config.with_no_client_auth()), name);
    let stream = connect(address).or_fail(what)?;
    let stream = StreamOwned::new(connection.or_fail(what)?, stream);
    let header = match token {
        Some(token) => format!("Authorization: Bearer {token}\r\n"),
        None => String::new(),
    };
    exchange(stream, &address.to_string(), &Request::get(path), &header).or_fail(what)
}

/// GET in the clear.
pub fn get_plain(address: SocketAddr, path: &str, accept: &str) -> Result<Answer> {
    let what = || format!("GET http://{address}{path}");
    let stream = connect(address).or_fail(what)?;
    let header = if accept.is_empty() {
        String::new()
    } else {
        format!("Accept: {accept}\r\n")
    };
    let request = Request::get(path);
    exchange(stream, &address.to_string(), &request, &header).or_fail(what)
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // A handshake is of small pieces as well.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn client_config(identity: &Identity) -> Result<ClientConfig> {
    let what = |path: &Path| format!("read {}", path.display());
    let ca = std::fs::read_to_string(&identity.ca).or_fail(|| what(&identity.ca))?;
    let roots = roots(&ca).or_fail(|| what(&identity.ca))?;
    let certificate = CertificateDer::from_pem_file(&identity.certificate)
        .or_fail(|| what(&identity.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&identity.key).or_fail(|| what(&identity.key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .or_fail(|| "set up TLS")?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .or_fail(|| what(&identity.certificate))
}

/// A request as it is sent, in one piece: of several small ones TCP holds back all but the
/// first, until the other side has answered for that, 40 ms later. HTTP/1.0 keeps chunking out.
fn to_bytes(request: &Request<'_>, host: &str, headers: &str) -> std::io::Result<Vec<u8>> {
    let Request { method, path, .. } = request;
    let mut bytes = Vec::new();
    write!(
        bytes,
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\n{headers}"
    )?;
    if !request.content_type.is_empty() {
        let (kind, length) = (request.content_type, request.body.len());
        write!(
            bytes,
            "Content-Type: {kind}\r\nContent-Length: {length}\r\n"
        )?;
    }
    write!(bytes, "Connection: close\r\n\r\n")?;
    bytes.extend_from_slice(request.body);
    Ok(bytes)
}

/// Who is believed: all certificates of a PEM text. While a CA is replaced there are two.
///
/// # Errors
/// If there is none, or one can't be a CA's.
pub fn roots(pem: &str) -> std::result::Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    match roots.is_empty() {
        true => Err("there is no certificate in it".to_owned()),
        false => Ok(roots),
    }
}

/// One request, one answer, and the connection ends.
fn exchange(
    mut stream: impl Read + Write,
    host: &str,
    request: &Request<'_>,
    headers: &str,
) -> std::io::Result<Answer> {
    stream.write_all(&to_bytes(request, host, headers)?)?;
    stream.flush()?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // Some servers close TLS without saying goodbye; the length tells whether all came.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
        other => {
            other?;
        }
    }
    parse(&bytes).map_err(|failure| std::io::Error::other(failure.why))
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let bad = |why: &str| Failure::new("read the answer", why);
    let end = bytes
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .ok_or_else(|| bad("it ended in its head"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| bad("it is no HTTP"))?;
    let answer = Answer {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    };
    match answer
        .header("content-length")
        .and_then(|length| length.parse::<usize>().ok())
    {
        Some(length) if length > answer.body.len() => Err(bad("it ended early")),
        _ => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let answer = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: x\r\n\r\nok").unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, b"ok".as_slice())
        );
        assert_eq!(answer.header("etag"), Some("x"));
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok").is_err());
        assert!(parse(b"HTTP/1.1 200").is_err());
    }
}
