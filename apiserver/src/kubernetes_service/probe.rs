//! Asks other apiservers how they are.

use super::peers::Answer;
use futures_util::FutureExt;
use hardway_client::channel::{self, Connection, Order, Server};
use hardway_client::kubeconfig::Pem;
use hardway_client::tls::{self, Trust};
use http::Request;
use http::uri::Authority;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tower::Service;

/// What the certificate of an apiserver is for, whatever its address.
const NAME: &str = "kubernetes.default.svc";
/// How long one may take to show that it is alive. In this time it only answers.
const ALIVE_WITHIN: Duration = Duration::from_millis(400);
/// How long it may take to say whether it is ready: longer than it waits for etcd.
const READY_WITHIN: Duration = Duration::from_secs(3);
/// How often it is asked whether it is ready.
const READY_EVERY: Duration = Duration::from_secs(1);

/// Connections to other apiservers.
pub(super) struct Probes {
    tls: Arc<tls::Client>,
    port: u16,
    all: HashMap<String, Probe>,
}

struct Probe {
    connection: Connection,
    asked: Option<Instant>,
    asking: Option<AbortOnDropHandle<Option<Answer>>>,
}

impl Probes {
    /// To those whose certificate this CA has signed, at this port.
    ///
    /// # Errors
    /// If there is no such CA.
    pub(super) fn new(ca: &Pem, port: u16) -> Result<Self, tls::Error> {
        Ok(Self {
            tls: tls::client_trusting(Trust::In(ca.clone()), None, &["h2"])?,
            port,
            all: HashMap::new(),
        })
    }

    /// Asks those at these addresses; others are not asked again.
    pub(super) async fn ask(&mut self, addresses: &[String]) -> Vec<(String, Answer)> {
        self.all.retain(|address, _| addresses.contains(address));
        let mut asking = Vec::with_capacity(addresses.len());
        for address in addresses {
            let (tls, port) = (&self.tls, self.port);
            let probe = self.all.entry(address.clone());
            let probe = probe.or_insert_with(|| Probe::of(address, port, tls));
            let readiness = probe.readiness();
            let alive = is_alive(probe.connection.clone());
            asking.push(async move {
                let answer = match alive.await {
                    true => readiness.unwrap_or(Answer::Alive),
                    false => Answer::Silence,
                };
                (address.clone(), answer)
            });
        }
        futures_util::future::join_all(asking).await
    }
}

impl Probe {
    fn of(address: &str, port: u16, tls: &Arc<tls::Client>) -> Self {
        let server = Server {
            host: address.to_owned(),
            port,
            name: NAME.to_owned(),
        };
        let connection = Connection::new(channel::Options {
            servers: Arc::new(channel::Servers::new(vec![server], Order::AsGiven)),
            tls: Some(tls.clone()),
            authority: Authority::from_static(NAME),
            takes_pings: true,
            check: Arc::new(|_| Box::pin(async { Ok(()) })),
            what: "apiserver",
        });
        Self {
            connection,
            asked: None,
            asking: None,
        }
    }

    /// What it last said of whether it is ready, if that is news. It is asked meanwhile: that may
    /// take as long as it waits for etcd.
    fn readiness(&mut self) -> Option<Answer> {
        if self.asking.is_none() && self.asked.is_none_or(|at| at.elapsed() >= READY_EVERY) {
            self.asked = Some(Instant::now());
            let asking = tokio::spawn(is_ready(self.connection.clone()));
            self.asking = Some(AbortOnDropHandle::new(asking));
        }
        let asking = self.asking.as_mut().filter(|asking| asking.is_finished())?;
        let answer = asking.now_or_never()?.ok().flatten();
        self.asking = None;
        answer
    }
}

async fn status_of(mut connection: Connection, path: &str) -> Option<u16> {
    let request = Request::get(path).body(Body::empty()).ok()?;
    let answer = connection.call(request).await.ok()?;
    Some(answer.status().as_u16())
}

/// Whatever it says, it is there.
async fn is_alive(connection: Connection) -> bool {
    let status = timeout(ALIVE_WITHIN, status_of(connection, "/livez/ping"));
    matches!(status.await, Ok(Some(_)))
}

/// Whether it is ready, if it says so in time.
async fn is_ready(connection: Connection) -> Option<Answer> {
    let status = timeout(READY_WITHIN, status_of(connection, "/readyz"));
    Some(match status.await.ok()?? {
        // One that doesn't say it to everybody (401, 403) may well be.
        200 | 401 | 403 => Answer::Ready,
        _ => Answer::NotReady,
    })
}
