//! One connection, from its handshake to its end.

use super::BoxError;
use super::connection_load::ConnectionLoad;
use super::life::{Deadlines, End, RequestGuard, TrackedBody};
use super::shared::Slot;
use super::validity::Validity;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::CertificateDer;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Requests at once on an HTTP/2 connection with a certificate, and without.
const STREAMS: (u32, u32) = (1000, 100);
/// Bytes that may come on an HTTP/2 connection before they are read: of one
/// request, and of all.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);
/// The same without a certificate.
const SMALL_WINDOWS: (u32, u32) = (64 << 10, 256 << 10);
/// An HTTP/2 connection is asked for a sign of life this often, and has so
/// long to give it.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(15));

/// What answers requests.
pub trait Service: Clone + Send + Sync + 'static {
    /// Bodies of answers.
    type Body: Body<Data = bytes::Bytes, Error: Into<BoxError>> + Unpin + Send + 'static;

    /// Answers one request.
    fn answer(
        &self,
        peer: Peer,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Where a connection is served; here, unless the service has a place for those
    /// that are burdened.
    fn serve(
        &self,
        connection: BoxFuture<'static, ()>,
        _burden: Arc<ConnectionLoad>,
    ) -> impl Future<Output = ()> + Send {
        connection
    }
}

/// Who is at the other end of a connection.
#[derive(Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether much is asked for on its connection.
    pub load: Arc<ConnectionLoad>,
    certificate: Option<(Arc<CertificateDer<'static>>, Validity)>,
    slot: Arc<Slot>,
    proven: Arc<AtomicBool>,
}

impl Peer {
    /// Its certificate: verified, and valid now.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        let (leaf, validity) = self.certificate.as_ref()?;
        validity.is_now().then_some(&**leaf)
    }

    /// A request has proven who is there. Connections of users stand longer
    /// than those of strangers.
    pub fn prove(&self, user: &str) {
        if !self.proven.swap(true, Ordering::Relaxed) {
            self.slot.prove(user);
        }
    }

    /// Takes no more requests from it.
    pub fn leave(&self) {
        self.slot.leave();
    }
}

/// A connection that has been accepted.
pub(super) struct Connection {
    pub address: SocketAddr,
    pub slot: Arc<Slot>,
    pub deadlines: Deadlines,
    pub stopping: CancellationToken,
}

impl Connection {
    /// Over TLS with an acceptor, without one in the clear.
    pub async fn serve<S: Service>(
        self,
        tcp: TcpStream,
        acceptor: Option<TlsAcceptor>,
        service: S,
    ) {
        // Small answers and keystrokes must not wait for a full segment.
        let _ = tcp.set_nodelay(true);
        let Some(acceptor) = acceptor else {
            self.slot.life.lock().begin(Instant::now());
            return self.converse(tcp, None, false, service).await;
        };
        let handshake = tokio::time::timeout(self.deadlines.handshake, acceptor.accept(tcp));
        let stream = tokio::select! {
            handshake = handshake => handshake,
            () = self.slot.needed() => return,
        };
        let Ok(Ok(stream)) = stream else {
            tracing::debug!(address = %self.address, "TLS handshake failed");
            return;
        };
        self.slot.life.lock().begin(Instant::now());
        let session = stream.get_ref().1;
        let h2 = session.alpn_protocol() == Some(b"h2");
        let chain = session.peer_certificates().unwrap_or_default();
        let certificate = chain.first().and_then(|leaf| {
            let validity = Validity::of(chain)?;
            Some((Arc::new(leaf.clone().into_owned()), validity))
        });
        self.converse(stream, certificate, h2, service).await;
    }

    /// Answers what is asked on an open stream.
    async fn converse<S: Service>(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        certificate: Option<(Arc<CertificateDer<'static>>, Validity)>,
        h2: bool,
        service: S,
    ) {
        let certified = certificate.is_some();
        let peer = Peer {
            address: self.address,
            load: Arc::default(),
            certificate,
            slot: self.slot.clone(),
            proven: Arc::default(),
        };
        let (place, load) = (service.clone(), peer.load.clone());
        // Requests are answered here, wherever the service has their connection served.
        let here = Handle::current();
        let there = here.clone();
        let service = service_fn(move |request| {
            let (service, peer) = (service.clone(), peer.clone());
            let mut under_way = RequestGuard::begin(peer.slot.clone());
            let answer = async move { service.answer(peer, request).await };
            let answer = match h2 {
                // It is a stream's, and so a task.
                true => answer.boxed(),
                false => AbortOnDropHandle::new(there.spawn(answer))
                    .map(|answer| {
                        // Nobody aborts it as long as it is waited for.
                        answer.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
                    })
                    .boxed(),
            };
            async move {
                let answer = answer.await;
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                    under_way.upgrade();
                }
                Ok::<_, Infallible>(answer.map(|body| TrackedBody::new(body, under_way)))
            }
        });
        let stream = TokioIo::new(Placed {
            inner: stream,
            _slot: self.slot.clone(),
        });
        if h2 {
            let windows = if certified { WINDOWS } else { SMALL_WINDOWS };
            let mut server = http2::Builder::new(On(here));
            server
                .timer(TokioTimer::new())
                .max_concurrent_streams(if certified { STREAMS.0 } else { STREAMS.1 })
                .initial_stream_window_size(windows.0)
                .initial_connection_window_size(windows.1)
                .keep_alive_interval(Some(PING.0))
                .keep_alive_timeout(PING.1);
            let connection = server.serve_connection(stream, service);
            let goodbye = http2::Connection::graceful_shutdown;
            let connection = self.supervise(connection, goodbye);
            place.serve(connection.boxed(), load).await;
        } else {
            let mut server = http1::Builder::new();
            server
                .timer(TokioTimer::new())
                .header_read_timeout(self.deadlines.idle);
            let connection = server.serve_connection(stream, service).with_upgrades();
            let goodbye = http1::UpgradeableConnection::graceful_shutdown;
            let connection = self.supervise(connection, goodbye);
            place.serve(connection.boxed(), load).await;
        }
    }

    /// Lets a connection live as long as it may.
    async fn supervise<C>(self, connection: C, say_goodbye: impl Fn(Pin<&mut C>))
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut connection = std::pin::pin!(connection);
        let mut goodbye: Option<Instant> = None;
        let mut leaving = false;
        loop {
            let now = Instant::now();
            let due = match goodbye {
                Some(at) => Some((at + self.deadlines.goodbye, End::Cut)),
                None => self.slot.life.lock().due(&self.deadlines),
            };
            let latest = now + self.deadlines.shortest();
            let wake = match due {
                Some((at, End::Cut)) if at <= now => {
                    tracing::debug!(address = %self.address, "closed after a silence");
                    return;
                }
                Some((at, End::Goodbye)) if at <= now => {
                    say_goodbye(connection.as_mut());
                    goodbye = Some(now);
                    continue;
                }
                Some((at, _)) => at.min(latest),
                None => latest,
            };
            tokio::select! {
                result = &mut connection => {
                    if let Err(error) = result {
                        tracing::debug!(address = %self.address, %error, "connection ended");
                    }
                    return;
                }
                () = tokio::time::sleep_until(wake) => {}
                () = self.slot.needed() => {
                    tracing::debug!(address = %self.address, "closed to make room");
                    return;
                }
                () = self.slot.leaving(), if !leaving => {
                    leaving = true;
                    say_goodbye(connection.as_mut());
                }
                () = self.stopping.cancelled(), if !leaving => {
                    leaving = true;
                    say_goodbye(connection.as_mut());
                }
            }
        }
    }
}

/// Streams of a connection are tasks of this runtime, and not of the one that the
/// connection happens to be served on.
#[derive(Clone)]
struct On(Handle);

impl<F> Executor<F> for On
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

/// A connection that keeps its place while it is open, also as a stream.
struct Placed<S> {
    inner: S,
    _slot: Arc<Slot>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Placed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Placed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
