//! Connections to backends, kept for the next request.

use crate::bodies::{Body, Progress, is_late};
use crate::endpoint_turns::Place;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one is kept that nobody uses, and how many for each address.
const IDLE: (Duration, usize) = (Duration::from_secs(30), 64);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No endpoint has a place for it.
    #[error(transparent)]
    Busy(#[from] crate::endpoint_turns::Busy),
    /// No connection.
    #[error("cannot be reached: {0}")]
    Connect(#[from] io::Error),
    /// Neither a connection nor a refusal.
    #[error("cannot be reached: no answer within {}s", CONNECT.as_secs())]
    ConnectTimeout,
    /// The request has been taken, and nothing came back.
    #[error("did not answer in time")]
    Timeout,
    /// The client stopped sending its request.
    #[error("the client did not send its request in time")]
    Client,
    /// The connection broke, or what came was no HTTP.
    #[error("did not answer: {0}")]
    Broken(#[source] hyper::Error),
}

/// A request without an answer.
#[derive(Debug)]
pub struct Failed {
    /// The request, if nothing of it has been sent.
    pub request: Option<Request<Body>>,
    /// What happened.
    pub error: Error,
}

struct Idle {
    sender: SendRequest<Body>,
    since: Instant,
}

#[derive(Default)]
struct Connections {
    idle: HashMap<SocketAddr, Vec<Idle>>,
    /// Somebody looks after those that grow old.
    reaped: bool,
}

/// All backends' connections.
pub struct Upstream {
    connections: Mutex<Connections>,
    /// How long a backend may take to begin its answer.
    response: Duration,
}

impl Upstream {
    /// None yet.
    pub fn new(response: Duration) -> Arc<Self> {
        Arc::new(Self {
            connections: Mutex::default(),
            response,
        })
    }

    /// Sends a request to an address, where it has a place until its answer has been read;
    /// `progress` is that of its body. An answer that goes on with another protocol has the
    /// place among its extensions.
    ///
    /// # Errors
    /// With the request, where it may be sent to another.
    pub async fn send(
        self: &Arc<Self>,
        address: SocketAddr,
        place: Place,
        mut request: Request<Body>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failed> {
        loop {
            let kept = self.take(address);
            let is_kept = kept.is_some();
            let mut sender = match kept {
                Some(sender) => sender,
                None => match connect(address).await {
                    Ok(sender) => sender,
                    Err(error) => {
                        let request = Some(request);
                        return Err(Failed { request, error });
                    }
                },
            };
            let answer = tokio::select! {
                answer = sender.try_send_request(request) => answer,
                () = progress.silent_for(self.response) => {
                    let (request, error) = (None, Error::Timeout);
                    return Err(Failed { request, error });
                }
            };
            let mut error = match answer {
                Ok(mut response) => {
                    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                        response.extensions_mut().insert(place);
                    } else {
                        self.keep(address, sender, place);
                    }
                    return Ok(response);
                }
                Err(error) => error,
            };
            match error.take_message() {
                // It was closed while nobody looked.
                Some(unsent) if is_kept => request = unsent,
                request => {
                    let error = error.into_error();
                    let error = match is_late(&error) {
                        true => Error::Client,
                        false => Error::Broken(error),
                    };
                    return Err(Failed { request, error });
                }
            }
        }
    }

    fn take(&self, address: SocketAddr) -> Option<SendRequest<Body>> {
        let mut connections = self.connections.lock();
        let idle = connections.idle.get_mut(&address)?;
        loop {
            let sender = idle.pop()?.sender;
            if sender.is_ready() {
                return Some(sender);
            }
        }
    }

    /// Keeps a connection once the answer on it has been read.
    fn keep(self: &Arc<Self>, address: SocketAddr, mut sender: SendRequest<Body>, place: Place) {
        let upstream = self.clone();
        tokio::spawn(async move {
            let ready = sender.ready().await;
            drop(place);
            if ready.is_err() {
                return;
            }
            let mut connections = upstream.connections.lock();
            let idle = connections.idle.entry(address).or_default();
            if idle.len() < IDLE.1 {
                let since = Instant::now();
                idle.push(Idle { sender, since });
            }
            if !std::mem::replace(&mut connections.reaped, true) {
                tokio::spawn(upstream.clone().reap());
            }
        });
    }

    /// Closes what nobody has used for long, until there is nothing left.
    async fn reap(self: Arc<Self>) {
        loop {
            tokio::time::sleep(IDLE.0).await;
            let mut connections = self.connections.lock();
            connections.idle.retain(|_, idle| {
                idle.retain(|idle| idle.since.elapsed() < IDLE.0 && idle.sender.is_ready());
                !idle.is_empty()
            });
            if connections.idle.is_empty() {
                connections.reaped = false;
                return;
            }
        }
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Body>, Error> {
    let stream = timeout(CONNECT, TcpStream::connect(address)).await;
    let stream = stream.map_err(|_| Error::ConnectTimeout)??;
    let _ = stream.set_nodelay(true);
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(Error::Broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%address, %error, "connection ended");
        }
    });
    Ok(sender)
}
