//! A gRPC channel to several apiservers: it stays with the one that answers
//! and moves on to the next when a connection can't be made.

use crate::kubeconfig::Kubeconfig;
use crate::tls;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

/// How long one server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection without any answer for this long (interval plus timeout) is dead.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

struct Servers {
    addresses: Vec<(String, u16)>,
    preferred: AtomicUsize,
    tls: TlsConnector,
}

/// A lazily connecting channel with the kubeconfig's identity.
pub fn connect(config: &Kubeconfig) -> Result<Channel, tls::Error> {
    let client: ClientConfig = tls::client(config, &["h2"])?;
    let addresses = config
        .servers
        .iter()
        .map(|url| host_and_port(url))
        .collect::<Result<Vec<_>, _>>()?;
    let servers = Arc::new(Servers {
        addresses,
        preferred: AtomicUsize::new(0),
        tls: TlsConnector::from(Arc::new(client)),
    });
    let connector = tower::service_fn(move |_: http::Uri| {
        let servers = servers.clone();
        async move { dial(&servers).await.map(TokioIo::new) }
    });
    // The URI only fills the :authority of requests; the connector decides. It
    // speaks TLS itself: an https URI would make tonic want to do it again.
    Ok(Endpoint::from_static("http://kubernetes.default.svc")
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .connect_with_connector_lazy(connector))
}

async fn dial(servers: &Servers) -> io::Result<TlsStream<TcpStream>> {
    let first = servers.preferred.load(Ordering::Relaxed);
    let mut last_error = io::Error::other("the kubeconfig names no server");
    for turn in 0..servers.addresses.len() {
        let index = (first + turn) % servers.addresses.len();
        let (host, port) = &servers.addresses[index];
        let attempt = tokio::time::timeout(CONNECT_TIMEOUT, dial_one(&servers.tls, host, *port));
        match attempt.await {
            Ok(Ok(stream)) => {
                servers.preferred.store(index, Ordering::Relaxed);
                return Ok(stream);
            }
            Ok(Err(error)) => {
                last_error = io::Error::new(error.kind(), format!("{host}:{port}: {error}"));
            }
            Err(_) => {
                last_error = io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("{host}:{port}: no connection within {CONNECT_TIMEOUT:?}"),
                );
            }
        }
    }
    Err(last_error)
}

async fn dial_one(tls: &TlsConnector, host: &str, port: u16) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    tls.connect(name, tcp).await
}

/// Host and port of an `https://` URL; the port defaults to 443.
pub fn host_and_port(url: &str) -> Result<(String, u16), tls::Error> {
    let invalid = |reason: &str| tls::Error::Invalid {
        what: format!("server {url:?}"),
        reason: reason.into(),
    };
    let uri: http::Uri = url.parse().map_err(|_| invalid("not a URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(invalid("must be an https:// URL"));
    }
    let host = uri.host().ok_or_else(|| invalid("names no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), uri.port_u16().unwrap_or(443)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        assert_eq!(
            host_and_port("https://10.0.0.1:6443").unwrap(),
            ("10.0.0.1".into(), 6443)
        );
        assert_eq!(host_and_port("https://[::1]").unwrap(), ("::1".into(), 443));
        assert!(host_and_port("http://a:1").is_err());
    }
}
