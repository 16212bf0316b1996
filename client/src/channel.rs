//! An HTTP/2 channel to several apiservers: it stays with the one that answers
//! and moves on to the next when a connection can't be made. When the
//! certificates change, so does the connection ([`Connection`]): what is under
//! way ends on the former one, what comes next goes over a new one.

use crate::kubeconfig::Kubeconfig;
use crate::tls::{self, Reloading};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;
use tonic::transport::channel::ResponseFuture;
use tonic::transport::{Channel, Endpoint, Error};
use tower::Service;

/// How long one server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection without any answer for this long (interval plus timeout) is dead.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests look at the certificates' files at most this often.
const LOOK: Duration = Duration::from_millis(100);

struct Servers {
    addresses: Vec<(String, u16)>,
    preferred: AtomicUsize,
    /// How many connections were made.
    made: Arc<AtomicU64>,
}

/// Makes a lazy connection that shows these certificates.
type Open<T> = dyn Fn(&Arc<T>) -> Channel + Send + Sync;

/// What all clones of a connection share. `T` is made of the certificates.
struct Shared<T> {
    tls: Arc<Reloading<T>>,
    open: Arc<Open<T>>,
    /// Where the connection's work is done.
    runtime: Handle,
    current: Mutex<Current<T>>,
}

struct Current<T> {
    looked: Instant,
    config: Arc<T>,
    channel: Channel,
    /// How many there have been.
    generation: u64,
}

/// A lazy connection that follows the files of its certificates; cheap to clone.
pub struct Connection<T = ClientConfig> {
    /// None: on a channel that was made elsewhere.
    shared: Option<Arc<Shared<T>>>,
    /// That of the last request of this clone: who asks nothing holds no
    /// connection open.
    channel: Option<Channel>,
    generation: u64,
    /// How many connections were made, see [`Connection::number`].
    pub(crate) made: Arc<AtomicU64>,
}

impl<T> Clone for Connection<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            channel: self.channel.clone(),
            generation: self.generation,
            made: self.made.clone(),
        }
    }
}

impl From<Channel> for Connection {
    fn from(channel: Channel) -> Self {
        Self {
            shared: None,
            channel: Some(channel),
            generation: 0,
            made: Arc::default(),
        }
    }
}

/// A lazy connection with the kubeconfig's identity. Called within a runtime,
/// which keeps it going.
pub fn connect(config: &Kubeconfig) -> Result<Connection, tls::Error> {
    let addresses = config.servers.iter().map(|url| host_and_port(url));
    let made = Arc::<AtomicU64>::default();
    let servers = Arc::new(Servers {
        addresses: addresses.collect::<Result<Vec<_>, _>>()?,
        preferred: AtomicUsize::new(0),
        made: made.clone(),
    });
    let tls = tls::client(config, &["h2"])?;
    let open = move |config: &Arc<ClientConfig>| open(&servers, config);
    Ok(Connection {
        made,
        ..Connection::following(tls, open)
    })
}

fn open(servers: &Arc<Servers>, config: &Arc<ClientConfig>) -> Channel {
    let (servers, tls) = (servers.clone(), TlsConnector::from(config.clone()));
    let connector = tower::service_fn(move |_: http::Uri| {
        let (servers, tls) = (servers.clone(), tls.clone());
        async move { dial(&servers, &tls).await.map(TokioIo::new) }
    });
    // The URI only fills the :authority of requests; the connector decides. It
    // speaks TLS itself: an https URI would make tonic want to do it again.
    Endpoint::from_static("http://kubernetes.default.svc")
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .connect_with_connector_lazy(connector)
}

impl<T> Connection<T> {
    /// A connection over a channel that is opened anew whenever the files of
    /// `tls` have changed. Called within a runtime, which keeps it going.
    pub fn following(
        tls: Arc<Reloading<T>>,
        open: impl Fn(&Arc<T>) -> Channel + Send + Sync + 'static,
    ) -> Self {
        Self::opened(tls, Arc::new(open))
    }

    fn opened(tls: Arc<Reloading<T>>, open: Arc<Open<T>>) -> Self {
        let config = tls.current();
        let current = Current {
            looked: Instant::now(),
            channel: open(&config),
            config,
            generation: 1,
        };
        let shared = Shared {
            tls,
            open,
            runtime: Handle::current(),
            current: Mutex::new(current),
        };
        Self {
            shared: Some(Arc::new(shared)),
            channel: None,
            generation: 0,
            made: Arc::default(),
        }
    }

    /// One more connection to the same servers. On a channel that was made elsewhere
    /// there is no more than that one.
    pub fn another(&self) -> Self {
        let Some(shared) = &self.shared else {
            return self.clone();
        };
        let _on_it = shared.runtime.enter();
        Self {
            made: self.made.clone(),
            ..Self::opened(shared.tls.clone(), shared.open.clone())
        }
    }

    /// Changes whenever a connection was made, behind which there may be another server
    /// than before.
    pub fn number(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

impl<T> Shared<T> {
    /// The channel to send a request on, if that isn't the one of this
    /// generation. The former one ends with the last request on it.
    fn newer(&self, generation: u64) -> Option<(u64, Channel)> {
        let mut current = self.current.lock();
        if current.looked.elapsed() >= LOOK {
            current.looked = Instant::now();
            let config = self.tls.current();
            if !Arc::ptr_eq(&config, &current.config) {
                let _on_it = self.runtime.enter();
                current.channel = (self.open)(&config);
                current.config = config;
                current.generation += 1;
                tracing::info!("the certificates are new, and so is the connection");
            }
        }
        let is_newer = current.generation != generation;
        is_newer.then(|| (current.generation, current.channel.clone()))
    }
}

impl<T> Service<http::Request<Body>> for Connection<T> {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let shared = self.shared.as_ref();
        if let Some((generation, channel)) = shared.and_then(|s| s.newer(self.generation)) {
            (self.generation, self.channel) = (generation, Some(channel));
        }
        self.channel
            .as_mut()
            .map_or(Poll::Ready(Ok(())), |channel| channel.poll_ready(cx))
    }

    fn call(&mut self, request: http::Request<Body>) -> ResponseFuture {
        let channel = self.channel.as_mut().expect("it was waited to be ready");
        channel.call(request)
    }
}

async fn dial(servers: &Servers, tls: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    let first = servers.preferred.load(Ordering::Relaxed);
    let mut last_error = io::Error::other("the kubeconfig names no server");
    for turn in 0..servers.addresses.len() {
        let index = (first + turn) % servers.addresses.len();
        let (host, port) = &servers.addresses[index];
        let attempt = tokio::time::timeout(CONNECT_TIMEOUT, dial_one(tls, host, *port));
        match attempt.await {
            Ok(Ok(stream)) => {
                servers.preferred.store(index, Ordering::Relaxed);
                servers.made.fetch_add(1, Ordering::Relaxed);
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
