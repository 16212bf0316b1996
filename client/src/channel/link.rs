//! One HTTP/2 connection to one server.

use super::pulse::{Pulse, Waiting};
use super::server::Server;
use super::skew::Skew;
use super::wire::{Stream, Wire};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::body::Body;

/// How long one server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection without any answer for this long (interval plus timeout) is dead, wherever there
/// is no other server to go to.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Where there is one, the server is asked for a sign of life when somebody has waited for so
/// long without any.
const PING_AFTER: Duration = Duration::from_millis(400);
/// The same, behind a Service: how many servers there are isn't known, and most often it is one.
/// Every pod with a watch asks so often, and none of them does what has to be told within a
/// second.
const PING_AFTER_BEHIND_SERVICE: Duration = Duration::from_millis(3000);
/// How much later than it is asked for a sign of life should have come.
const GRACE: Duration = Duration::from_millis(250);

const AGENT: HeaderValue = HeaderValue::from_static(concat!("hardway/", env!("CARGO_PKG_VERSION")));

/// How a connection is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Pings are few: there is nowhere else to go, or who answers takes many for an attack.
    Slow,
    /// Pings follow each other quickly while somebody waits for an answer, so that one who has
    /// gone is left soon.
    Quick,
    /// The same, less quickly.
    BehindService,
}

impl Pace {
    /// For so long a server may be silent while somebody waits for it.
    pub(super) fn patience(self) -> Duration {
        GRACE
            + match self {
                Self::Slow | Self::Quick => PING_AFTER,
                Self::BehindService => PING_AFTER_BEHIND_SERVICE,
            }
    }
}

/// A connection; it ends when nobody has it and all answers on it have come.
pub(super) struct Link {
    pub(super) server: Server,
    pub(super) pace: Pace,
    pub(super) pulse: Arc<Pulse>,
    sender: SendRequest<Body>,
    scheme: Scheme,
    authority: Authority,
    /// Nothing new is sent on it.
    retired: AtomicBool,
    skew: Skew,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.pulse.over.cancel();
    }
}

impl Link {
    /// Connects, with TLS if it is given a configuration. Called on the runtime that keeps the
    /// connection going.
    pub(super) async fn open(
        server: Server,
        authority: &Authority,
        tls: Option<Arc<ClientConfig>>,
        pace: Pace,
    ) -> io::Result<Self> {
        let opening = Self::open_at_leisure(server, authority, tls, pace);
        match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no connection within {CONNECT_TIMEOUT:?}"),
            )),
        }
    }

    async fn open_at_leisure(
        server: Server,
        authority: &Authority,
        tls: Option<Arc<ClientConfig>>,
        pace: Pace,
    ) -> io::Result<Self> {
        let tcp = TcpStream::connect((server.host.as_str(), server.port)).await?;
        tcp.set_nodelay(true)?;
        let (stream, scheme): (Box<dyn Stream>, _) = match tls {
            Some(tls) => {
                let name = ServerName::try_from(server.name.clone()).map_err(io::Error::other)?;
                let stream = TlsConnector::from(tls).connect(name, tcp).await?;
                (Box::new(stream), Scheme::HTTPS)
            }
            None => (Box::new(tcp), Scheme::HTTP),
        };
        let pulse = Pulse::new();
        let wire = Wire {
            stream,
            pulse: pulse.clone(),
        };
        let (interval, timeout, while_idle) = match pace {
            Pace::Slow => (KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, true),
            Pace::Quick => (PING_AFTER, KEEPALIVE_INTERVAL, false),
            Pace::BehindService => (PING_AFTER_BEHIND_SERVICE, KEEPALIVE_INTERVAL, false),
        };
        let handshake = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .keep_alive_interval(interval)
            .keep_alive_timeout(timeout)
            .keep_alive_while_idle(while_idle)
            .handshake(TokioIo::new(wire));
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        let of = server.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(server = %of, %error, "the connection broke");
            }
        });
        Ok(Self {
            server,
            pace,
            pulse,
            sender,
            scheme,
            authority: authority.clone(),
            retired: AtomicBool::new(false),
            skew: Skew::default(),
        })
    }

    /// Whether something new may be sent on it.
    pub(super) fn is_usable(&self) -> bool {
        !self.retired.load(Ordering::Relaxed)
            && !self.sender.is_closed()
            && !self.pulse.over.is_cancelled()
    }

    /// Nothing new is sent on it.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Sends a request; the answer's body keeps the connection open, and counts as somebody who
    /// waits.
    pub(super) async fn send(
        self: Arc<Self>,
        request: Request<Body>,
    ) -> hyper::Result<Response<Body>> {
        let waiting = self.pulse.wait();
        let request = self.addressed(request);
        let answer = self.sender.clone().send_request(request).await?;
        self.skew.look(&self.server, answer.headers());
        let held: (Arc<Self>, Waiting) = (self, waiting);
        Ok(answer.map(|body| {
            Body::new(body.map_err(move |error| {
                // All of it: who reads the body waits as well.
                let (link, _) = &held;
                link.of_body(error)
            }))
        }))
    }

    /// What is said of an answer that breaks off.
    fn of_body(&self, error: hyper::Error) -> tonic::Status {
        match self.pulse.check(None) {
            Err(cut) => tonic::Status::unavailable(format!(
                "the connection to {} is lost: {cut}",
                self.server
            )),
            Ok(()) => tonic::Status::from_error(Box::new(error)),
        }
    }

    fn addressed(&self, request: Request<Body>) -> Request<Body> {
        let (mut head, body) = request.into_parts();
        let mut uri = head.uri.into_parts();
        uri.scheme = Some(self.scheme.clone());
        uri.authority = Some(self.authority.clone());
        uri.path_and_query
            .get_or_insert_with(|| PathAndQuery::from_static("/"));
        // Its parts are all there.
        head.uri = Uri::from_parts(uri).unwrap_or_default();
        head.headers.entry(header::USER_AGENT).or_insert(AGENT);
        Request::from_parts(head, body)
    }
}
