//! Connections to a server outside: one of a Service's endpoints, or the host of a URL.

use super::endpoints::{Reference, Unavailable, addresses};
use crate::cache::Cache;
use futures_util::future::BoxFuture;
use hardway_client::tls;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::Value;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

/// How long one endpoint may take to be connected.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whom to connect to.
#[derive(Clone)]
pub enum Destination {
    /// A Service.
    Service(Reference),
    /// A host and its port.
    Host(String, u16),
}

impl Destination {
    /// The name that the server's certificate must have.
    pub fn server_name(&self) -> String {
        match self {
            Self::Service(service) => service.server_name(),
            Self::Host(name, _) => name.clone(),
        }
    }

    /// Why a connection can't be made to who is nowhere.
    fn unresolved(&self, why: &Unavailable) -> String {
        match self {
            Self::Service(service) => why.unresolved(service),
            Self::Host(..) => why.message.clone(),
        }
    }

    /// `NAME:PORT`, as URLs have it.
    pub fn authority(&self) -> String {
        match self {
            Self::Service(service) => format!("{}:{}", service.server_name(), service.port()),
            Self::Host(name, port) if name.contains(':') => format!("[{name}]:{port}"),
            Self::Host(name, port) => format!("{name}:{port}"),
        }
    }
}

/// Connects to a server; of a Service to its endpoints, one that answers after the other.
#[derive(Clone)]
pub struct Connector {
    cache: Arc<Cache>,
    destination: Destination,
    /// Nothing could be verified with what is configured: why not.
    tls: Result<Arc<tls::Client>, String>,
    next: Arc<AtomicUsize>,
}

impl Connector {
    /// To a destination, with this TLS, or why there is none.
    pub fn new(
        cache: Arc<Cache>,
        destination: Destination,
        tls: Result<Arc<tls::Client>, String>,
    ) -> Self {
        Self {
            cache,
            destination,
            tls,
            next: Arc::default(),
        }
    }

    /// Whom it connects to.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// How it verifies whom it has found.
    pub fn tls(&self) -> Result<Arc<tls::Client>, String> {
        self.tls.clone()
    }

    /// Where the server is now.
    ///
    /// # Errors
    /// If it is nowhere.
    pub fn addresses(&self) -> Result<Vec<String>, Unavailable> {
        let of = match &self.destination {
            Destination::Service(service) => service,
            Destination::Host(..) => return Ok(vec![self.destination.authority()]),
        };
        let service = self.cache.of("", "services");
        let service = service.and_then(|all| all.get(&of.key()));
        let slices = self.cache.of("discovery.k8s.io", "endpointslices");
        let slices = slices.map_or_else(Vec::new, |all| all.list(Some(&of.namespace)).0);
        let name = "kubernetes.io/service-name";
        let slices: Vec<Value> = slices
            .iter()
            .filter(|slice| slice.labels.get(name).is_some_and(|name| *name == of.name))
            .map(|slice| slice.value())
            .collect();
        addresses(of, service.map(|entry| entry.value()).as_ref(), &slices)
    }

    async fn connect(self) -> io::Result<Stream> {
        let addresses = self
            .addresses()
            .map_err(|none| io::Error::other(self.destination.unresolved(&none)))?;
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut last = io::Error::other("no endpoint");
        for turn in 0..addresses.len() {
            let address = &addresses[first.wrapping_add(turn) % addresses.len()];
            match tokio::time::timeout(PATIENCE, self.connect_to(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => {
                    last = io::Error::new(error.kind(), format!("dial tcp {address}: {error}"));
                }
                Err(_) => {
                    let text = format!("dial tcp {address}: i/o timeout");
                    last = io::Error::new(io::ErrorKind::TimedOut, text);
                }
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: &str) -> io::Result<Stream> {
        let tcp = TcpStream::connect(address).await.map_err(in_go_words)?;
        tcp.set_nodelay(true)?;
        let name =
            ServerName::try_from(self.destination.server_name()).map_err(io::Error::other)?;
        let tls = self.tls.clone().map_err(io::Error::other)?;
        let connector = TlsConnector::from(tls.current());
        Ok(Stream(TokioIo::new(connector.connect(name, tcp).await?)))
    }
}

/// Why there is no connection, as Go tells it, which clients and people know.
fn in_go_words(error: io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::HostUnreachable => "no route to host",
        io::ErrorKind::NetworkUnreachable => "network is unreachable",
        io::ErrorKind::TimedOut => "connection timed out",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("connect: {why}"))
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Stream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

/// A TLS session.
pub struct Stream(TokioIo<TlsStream<TcpStream>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let (_, session) = self.0.inner().get_ref();
        match session.alpn_protocol() {
            Some(b"h2") => Connected::new().negotiated_h2(),
            _ => Connected::new(),
        }
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_connections_are_told_as_go_tells_them() {
        let told = |number: i32| in_go_words(io::Error::from_raw_os_error(number)).to_string();
        let refused = 111;
        assert_eq!(told(refused), "connect: connection refused");
        let (denied, unreachable) = (13, 113);
        assert_eq!(told(unreachable), "connect: no route to host");
        assert_eq!(
            told(denied),
            io::Error::from_raw_os_error(denied).to_string()
        );
    }
}
