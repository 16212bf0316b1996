//! Connecting to a kubelet, pod or service.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A streaming body, as handed back to the server.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a request goes to.
#[derive(Clone)]
pub struct Upstream {
    /// `HOST:PORT`.
    pub address: String,
    /// The name its certificate must carry: a host name or an IP address.
    pub server_name: String,
    /// Whom the certificate must name, if that matters: a host that tells a
    /// wrong address must not lead us to somebody else's.
    pub common_name: Option<String>,
    /// How to speak TLS to it, with the client certificate to present;
    /// `None` for plain HTTP.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// What to ask it for, e.g. `/exec/default/web/app?command=sh&input=1`.
    pub path_and_query: String,
}

/// The other side could not be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// No TCP connection.
    #[error("dial tcp {address}: {cause}")]
    Dial {
        /// `HOST:PORT`.
        address: String,
        /// In the words of Go's net package, which clients know.
        cause: String,
    },
    /// No TLS session.
    #[error("tls: connection to {address} failed: {cause}")]
    Tls {
        /// `HOST:PORT`.
        address: String,
        /// Why.
        cause: String,
    },
    /// No answer.
    #[error("request to {address} failed: {cause}")]
    Request {
        /// `HOST:PORT`.
        address: String,
        /// Why.
        cause: String,
    },
}

/// A connection of any kind.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// The common name in a certificate's subject.
fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.to_owned())
}

impl Upstream {
    async fn connect(&self) -> Result<Box<dyn Io>, Unreachable> {
        let dial = |cause: String| Unreachable::Dial {
            address: self.address.clone(),
            cause,
        };
        let tcp = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.address))
            .await
            .map_err(|_| dial("i/o timeout".into()))?
            .map_err(|e| dial(dial_error(&e)))?;
        // Keystrokes must not wait for a full segment.
        tcp.set_nodelay(true).map_err(|e| dial(e.to_string()))?;
        let Some(config) = &self.tls else {
            return Ok(Box::new(tcp));
        };
        let tls = |cause: String| Unreachable::Tls {
            address: self.address.clone(),
            cause,
        };
        let name =
            ServerName::try_from(self.server_name.clone()).map_err(|e| tls(e.to_string()))?;
        // Upgrades exist in HTTP/1.1 only.
        let mut config = rustls::ClientConfig::clone(config);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let session = tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name, tcp))
            .await
            .map_err(|_| tls("TLS handshake timeout".into()))?
            .map_err(|e| tls(e.to_string()))?;
        if let Some(wanted) = &self.common_name {
            let leaf = session.get_ref().1.peer_certificates();
            let found = leaf.and_then(|chain| common_name(chain.first()?));
            if found.as_ref() != Some(wanted) {
                return Err(tls(format!(
                    "its certificate is of {:?} rather than of {wanted:?}",
                    found.unwrap_or_default()
                )));
            }
        }
        Ok(Box::new(session))
    }

    /// Sends a request on a connection of its own. The connection lives as
    /// long as the response's body, or what it is upgraded to.
    pub(crate) async fn send<B>(
        &self,
        mut request: Request<B>,
    ) -> Result<Response<Incoming>, Unreachable>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let failed = |cause: String| Unreachable::Request {
            address: self.address.clone(),
            cause,
        };
        *request.uri_mut() = self
            .path_and_query
            .parse()
            .map_err(|e| failed(format!("path {:?} is not valid: {e}", self.path_and_query)))?;
        *request.version_mut() = http::Version::HTTP_11;
        let host = HeaderValue::from_str(&self.address).map_err(|e| failed(e.to_string()))?;
        request.headers_mut().insert(header::HOST, host);

        let io = TokioIo::new(self.connect().await?);
        let body = request.map(|b| UnsyncBoxBody::new(b.map_err(Into::into)));
        let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Body>(io)
            .await
            .map_err(|e| failed(e.to_string()))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "proxied connection ended");
            }
        });
        sender
            .send_request(body)
            .await
            .map_err(|e| failed(e.to_string()))
    }
}

/// The part of an OS error that Go's dialer would print.
fn dial_error(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        ErrorKind::HostUnreachable => "connect: no route to host".into(),
        ErrorKind::NetworkUnreachable => "connect: network is unreachable".into(),
        ErrorKind::TimedOut => "connect: connection timed out".into(),
        ErrorKind::ConnectionReset => "connect: connection reset by peer".into(),
        _ => error.to_string(),
    }
}

/// The headers of a client's request that its upstream may see: no
/// credentials, and no identity to impersonate.
pub(crate) fn forwardable(headers: &HeaderMap) -> HeaderMap {
    let secret = |name: &HeaderName| {
        *name == header::AUTHORIZATION
            || *name == header::HOST
            || name.as_str().starts_with("impersonate-")
    };
    let mut out = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !secret(name)) {
        if *name != header::SEC_WEBSOCKET_PROTOCOL {
            out.append(name, value.clone());
            continue;
        }
        let protocols = value.to_str().unwrap_or_default().split(',').map(str::trim);
        let kept: Vec<&str> = protocols
            .filter(|p| !p.starts_with(crate::websocket::BEARER_PROTOCOL))
            .collect();
        if let Ok(value) = HeaderValue::from_str(&kept.join(", "))
            && !kept.is_empty()
        {
            out.append(name, value);
        }
    }
    out
}

/// What the request asks its connection to become, if anything.
pub fn wanted_upgrade(headers: &HeaderMap) -> Option<&str> {
    let mut connection = headers.get_all(header::CONNECTION).iter();
    connection
        .any(|v| {
            let tokens = v.to_str().unwrap_or_default().split(',');
            tokens
                .map(str::trim)
                .any(|t| t.eq_ignore_ascii_case("upgrade"))
        })
        .then(|| headers.get(header::UPGRADE)?.to_str().ok())
        .flatten()
}

/// A body without content.
pub(crate) fn empty() -> Body {
    UnsyncBoxBody::new(http_body_util::Empty::new().map_err(|never| match never {}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("impersonate-user", "jane"),
            ("impersonate-extra-a", "b"),
            ("host", "apiserver"),
            (
                "sec-websocket-protocol",
                "base64url.bearer.authorization.k8s.io.dG9r, v4.channel.k8s.io",
            ),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let out = forwardable(&headers);
        assert_eq!(out.len(), 2);
        assert_eq!(out["sec-websocket-protocol"], "v4.channel.k8s.io");
    }

    #[test]
    fn an_upgrade_needs_both_headers() {
        let mut headers = HeaderMap::new();
        headers.insert("upgrade", HeaderValue::from_static("SPDY/3.1"));
        assert_eq!(wanted_upgrade(&headers), None);
        headers.insert(
            "connection",
            HeaderValue::from_static("keep-alive, Upgrade"),
        );
        assert_eq!(wanted_upgrade(&headers), Some("SPDY/3.1"));
    }
}
