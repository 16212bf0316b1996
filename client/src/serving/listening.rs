//! The loop that accepts connections.

use super::connection::{Connection, Service};
use super::descriptors::Reserve;
use super::life::Deadlines;
use super::shared::Connections;
use super::table::Bounds;
use crate::tls;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long to wait for a descriptor when there are none.
const BREATH: Duration = Duration::from_millis(100);
/// How often it is said that connections can't be accepted.
const COMPLAINT: Duration = Duration::from_secs(10);

/// An HTTPS server: HTTP/2 for who asks for it in the handshake, else HTTP/1. Or an HTTP server,
/// of HTTP/1 alone.
pub struct Server {
    listener: TcpListener,
    tls: Option<Arc<tls::Server>>,
    deadlines: Deadlines,
    connections: Arc<Connections>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Server {
    /// A server behind a port. The configuration must not insist on client
    /// certificates unless all of its paths want them.
    pub fn new(listener: TcpListener, tls: Arc<tls::Server>, bounds: Bounds) -> Self {
        Self::over(listener, Some(tls), bounds)
    }

    /// A server without TLS, for what anybody may see on the way.
    pub fn in_the_clear(listener: TcpListener, bounds: Bounds) -> Self {
        Self::over(listener, None, bounds)
    }

    fn over(listener: TcpListener, tls: Option<Arc<tls::Server>>, bounds: Bounds) -> Self {
        Self {
            listener,
            tls,
            deadlines: Deadlines::default(),
            connections: Connections::new(bounds),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }
    }

    /// The same with other deadlines.
    pub fn with_deadlines(self, deadlines: Deadlines) -> Self {
        Self { deadlines, ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts connections until `stop`; gives what is still under way.
    pub async fn run<S: Service>(self, service: S, stop: impl Future<Output = ()>) -> InFlight {
        let mut stop = std::pin::pin!(stop);
        let mut reserve = Reserve::new();
        let mut complained: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut stop => break,
            };
            let error = match accepted {
                Ok((tcp, address)) => {
                    self.accept(tcp, address, &service);
                    continue;
                }
                Err(error) => error,
            };
            if !is_about_the_process(&error) {
                // The client has gone already.
                continue;
            }
            if complained.is_none_or(|at| at.elapsed() > COMPLAINT) {
                complained = Some(Instant::now());
                tracing::warn!(%error, "cannot accept connections, closing others");
            }
            if !self.connections.close_one() {
                // Nothing can be closed but the one that waits.
                reserve.release();
                let waiting = tokio::time::timeout(BREATH, self.listener.accept());
                drop(waiting.await);
                reserve.refill();
            }
            let _ = tokio::time::timeout(BREATH, self.connections.one_gone()).await;
        }
        self.stopping.cancel();
        self.tasks.close();
        InFlight(self.tasks)
    }

    fn accept<S: Service>(&self, tcp: TcpStream, address: SocketAddr, service: &S) {
        let Some(slot) = self.connections.admit(address.ip()) else {
            tracing::debug!(%address, "no room for another connection");
            return;
        };
        let connection = Connection {
            address,
            slot,
            deadlines: self.deadlines,
            stopping: self.stopping.clone(),
        };
        let tls = self.tls.as_ref();
        let acceptor = tls.map(|tls| TlsAcceptor::from(tls.current()));
        let task = connection.serve(tcp, acceptor, service.clone());
        self.tasks.spawn(task);
    }
}

/// What is under way when a server stops.
pub struct InFlight(TaskTracker);

impl InFlight {
    /// Waits for it no longer than this; says whether it ended in time.
    pub async fn finish(self, time: Duration) -> bool {
        tokio::time::timeout(time, self.0.wait()).await.is_ok()
    }
}

/// Whether the process, rather than a client, is why nothing was accepted:
/// out of descriptors (EMFILE, ENFILE) or of memory (ENOBUFS, ENOMEM).
fn is_about_the_process(error: &io::Error) -> bool {
    use nix::errno::Errno;
    error.raw_os_error().map(Errno::from_raw).is_some_and(|e| {
        matches!(
            e,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM
        )
    })
}
