//! HTTP/2 connections to one of several servers.
//!
//! A connection stays with the server that answers. One that is silent while somebody waits for
//! it is doubted: it is asked for a sign of life, and so is another one; if only that answers, it
//! is gone to, and what waits for the former hears at once that its answer is lost
//! ([`failover`]). Where there is only one server, it is waited for.
//!
//! When the certificates change, so does the connection: what is under way ends on the former
//! one, what comes next goes over a new one.

mod dial;
mod error;
mod failover;
mod kept;
mod link;
mod metrics;
mod pulse;
mod server;
mod servers;
mod skew;
mod wire;

pub use error::Error;
pub use kept::Kept;
pub use server::{Server, host_and_port};
pub use servers::{Order, Servers};

use crate::kubeconfig::Kubeconfig;
use crate::tls::{self, Reloading};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared as SharedFuture};
use http::uri::Authority;
use http::{Request, Response};
use link::{Link, Pace};
use parking_lot::Mutex;
use rustls::ClientConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service, ServiceExt};

/// Requests look at the certificates' files at most this often.
const LOOK: Duration = Duration::from_millis(100);

/// Finds out over a connection whether the server at its end is well.
pub type Check =
    Arc<dyn Fn(Probe) -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static>;

/// How to speak with servers.
pub struct Options {
    /// Which ones.
    pub servers: Arc<Servers>,
    /// How to speak TLS with them; in the clear without it.
    pub tls: Option<Arc<Reloading<ClientConfig>>>,
    /// What requests name as `:authority`.
    pub authority: Authority,
    /// Whether they take any number of HTTP/2 pings. Who doesn't (gRPC servers in Go close the
    /// connection, in their default configuration, over pings more often than every five
    /// minutes, etcd than every five seconds) has to be asked something regularly.
    pub takes_pings: bool,
    /// What shows that one is well.
    pub check: Check,
    /// What they serve, for logs and metrics.
    pub what: &'static str,
}

/// A connection, which is made when it is first needed; cheap to clone.
#[derive(Clone)]
pub struct Connection(Way);

#[derive(Clone)]
enum Way {
    Own(Arc<Shared>),
    /// A channel that was made elsewhere (tests), and the connections made on it.
    Made(Channel, Arc<AtomicU64>),
}

/// What all clones of a connection share.
struct Shared {
    servers: Arc<Servers>,
    tls: Option<Arc<Reloading<ClientConfig>>>,
    authority: Authority,
    takes_pings: bool,
    check: Check,
    /// What each one has to pass before anything is sent to it, also where there is no better.
    admission: Option<Check>,
    what: &'static str,
    /// Where the connection's work is done.
    runtime: Handle,
    current: Mutex<Current>,
    /// Held while it is found out whether to go elsewhere; when that was found out last.
    doubting: tokio::sync::Mutex<Option<Instant>>,
    /// How many connections were made, see [`Connection::number`].
    made: Arc<AtomicU64>,
}

type Dialing = SharedFuture<BoxFuture<'static, Result<Arc<Link>, Arc<str>>>>;

struct Current {
    link: Option<Arc<Link>>,
    dialing: Option<Dialing>,
    looked: Instant,
    config: Option<Arc<ClientConfig>>,
}

impl From<Channel> for Connection {
    fn from(channel: Channel) -> Self {
        Self(Way::Made(channel, Arc::default()))
    }
}

/// Which apiservers a kubeconfig names.
///
/// # Errors
/// If it names none by an `https://` URL.
pub fn servers(config: &Kubeconfig) -> Result<Arc<Servers>, tls::Error> {
    let given = config.servers.iter().map(|url| Server::of_url(url));
    let mut given = given.collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(match (config.behind_service, given.pop()) {
        (true, Some(address)) => Servers::behind_service(address),
        (_, last) => {
            given.extend(last);
            Servers::new(given, Order::ByLot)
        }
    }))
}

/// A connection to an apiserver with the kubeconfig's identity. Called within a runtime, which
/// keeps it going.
///
/// # Errors
/// If the kubeconfig's certificates can't be read.
pub fn connect(config: &Kubeconfig) -> Result<Connection, tls::Error> {
    connect_to(servers(config)?, config)
}

/// The same, to one of these.
///
/// # Errors
/// If the kubeconfig's certificates can't be read.
pub fn connect_to(servers: Arc<Servers>, config: &Kubeconfig) -> Result<Connection, tls::Error> {
    Ok(Connection::new(Options {
        servers,
        tls: Some(tls::client(config, &["h2"])?),
        authority: Authority::from_static("kubernetes.default.svc"),
        takes_pings: true,
        check: Arc::new(|probe| probe.ping().boxed()),
        what: "apiserver",
    }))
}

impl Connection {
    /// A connection to one of several servers. Called within a runtime, which keeps it going.
    pub fn new(options: Options) -> Self {
        Self::over(options, None, Arc::default())
    }

    /// The same, to servers that pass a check before anything is sent to them: one that does not
    /// is no server, also where there is no better one. The check sees to it that it ends.
    pub fn admitting(options: Options, admission: Check) -> Self {
        Self::over(options, Some(admission), Arc::default())
    }

    fn over(options: Options, admission: Option<Check>, made: Arc<AtomicU64>) -> Self {
        let current = Current {
            link: None,
            dialing: None,
            looked: Instant::now(),
            config: options.tls.as_ref().map(|tls| tls.current()),
        };
        let shared = Arc::new(Shared {
            servers: options.servers,
            tls: options.tls,
            authority: options.authority,
            takes_pings: options.takes_pings,
            check: options.check,
            admission,
            what: options.what,
            runtime: Handle::current(),
            current: Mutex::new(current),
            doubting: tokio::sync::Mutex::default(),
            made,
        });
        shared
            .runtime
            .spawn(failover::settle(Arc::downgrade(&shared)));
        Self(Way::Own(shared))
    }

    /// One more connection to the same servers. On a channel that was made elsewhere
    /// there is no more than that one.
    pub fn another(&self) -> Self {
        let Way::Own(shared) = &self.0 else {
            return self.clone();
        };
        let _on_it = shared.runtime.enter();
        let options = Options {
            servers: shared.servers.clone(),
            tls: shared.tls.clone(),
            authority: shared.authority.clone(),
            takes_pings: shared.takes_pings,
            check: shared.check.clone(),
            what: shared.what,
        };
        Self::over(options, shared.admission.clone(), shared.made.clone())
    }

    /// Changes whenever a connection was made, behind which there may be another server
    /// than before.
    pub fn number(&self) -> u64 {
        match &self.0 {
            Way::Own(shared) => shared.made.load(Ordering::Relaxed),
            Way::Made(_, made) => made.load(Ordering::Relaxed),
        }
    }

    /// The counter behind [`number`](Self::number).
    #[cfg(test)]
    pub(crate) fn made(&self) -> Arc<AtomicU64> {
        match &self.0 {
            Way::Own(shared) => shared.made.clone(),
            Way::Made(_, made) => made.clone(),
        }
    }

    /// Which server is at the end of the connection, if there is one now.
    pub fn server(&self) -> Option<Server> {
        match &self.0 {
            Way::Own(shared) => shared.link_now().map(|link| link.server.clone()),
            Way::Made(..) => None,
        }
    }

    /// Whether there may be another server to go to.
    pub fn has_others(&self) -> bool {
        match &self.0 {
            Way::Own(shared) => shared.servers.are_several(),
            Way::Made(..) => false,
        }
    }

    /// Finds out whether the server is well, and goes to another one if only that is. Says
    /// whether it was left.
    pub async fn doubt(&self, why: &str) -> bool {
        let Way::Own(shared) = &self.0 else {
            return false;
        };
        match shared.link_now() {
            Some(link) => shared.doubt(&link, why).await,
            None => false,
        }
    }
}

impl Shared {
    fn pace(&self) -> Pace {
        match self.takes_pings && self.servers.are_several() {
            true if self.servers.are_behind_service() => Pace::BehindService,
            true => Pace::Quick,
            false => Pace::Slow,
        }
    }

    fn link_now(&self) -> Option<Arc<Link>> {
        self.current.lock().link.clone()
    }

    fn is_current(&self, link: &Arc<Link>) -> bool {
        let current = self.current.lock();
        current
            .link
            .as_ref()
            .is_some_and(|now| Arc::ptr_eq(now, link))
    }

    /// What comes next goes over this one.
    fn put(&self, link: Arc<Link>) {
        self.current.lock().link = Some(link);
    }

    /// Connects to the first of these that can be had, and is well if that is to be `checked`.
    async fn first_of(
        self: &Arc<Self>,
        servers: Vec<Server>,
        checked: bool,
    ) -> Result<Arc<Link>, Arc<str>> {
        let tls = self.tls.as_ref().map(|tls| tls.current());
        let (config, pace) = (&tls, self.pace());
        let found = dial::first(servers, |server: Server| async move {
            let link = Link::open(server, &self.authority, config.clone(), pace).await;
            let link = Arc::new(link.map_err(|error| error.to_string())?);
            if let Some(admission) = &self.admission {
                admission(Probe(link.clone())).await?;
            }
            if checked {
                failover::answers(self.check.clone(), link.clone()).await?;
            }
            Ok::<_, String>(link)
        });
        match found.await {
            Ok(link) => {
                self.servers.answered(&link.server);
                self.made.fetch_add(1, Ordering::Relaxed);
                self.watch(&link);
                Ok(link)
            }
            Err(failures) => {
                let told = failures
                    .iter()
                    .map(|(server, why)| format!("{server}: {why}"));
                let mut told: Vec<String> = told.collect();
                told.dedup();
                for (server, _) in &failures {
                    self.servers.failed(server);
                }
                Err(match told.is_empty() {
                    true => "no server is known".into(),
                    false => told.join("; ").into(),
                })
            }
        }
    }

    /// Has the server at the end of a link doubted when it is silent.
    fn watch(self: &Arc<Self>, link: &Arc<Link>) {
        let watching = failover::watch_over(Arc::downgrade(self), Arc::downgrade(link));
        self.runtime.spawn(watching);
    }

    /// The connection to send a request on.
    async fn link(self: &Arc<Self>) -> Result<Arc<Link>, Error> {
        let dialing = {
            let mut current = self.current.lock();
            if current.looked.elapsed() >= LOOK {
                current.looked = Instant::now();
                let config = self.tls.as_ref().map(|tls| tls.current());
                let is_same = match (&config, &current.config) {
                    (Some(now), Some(before)) => Arc::ptr_eq(now, before),
                    _ => true,
                };
                if !is_same {
                    current.config = config;
                    current.dialing = None;
                    if current.link.take().is_some() {
                        tracing::info!("the certificates are new, and so is the connection");
                    }
                }
            }
            if let Some(link) = &current.link {
                if link.is_usable() {
                    return Ok(link.clone());
                }
                current.link = None;
            }
            current.dialing.get_or_insert_with(|| self.dial()).clone()
        };
        dialing.await.map_err(Error::Unreachable)
    }

    /// Connects, for all who wait.
    fn dial(self: &Arc<Self>) -> Dialing {
        let this = self.clone();
        let task = self.runtime.spawn(async move {
            let config = this.current.lock().config.clone();
            let outcome = this.first_of(this.servers.attempts(), false).await;
            let mut current = this.current.lock();
            let is_same = match (&config, &current.config) {
                (Some(then), Some(now)) => Arc::ptr_eq(then, now),
                _ => true,
            };
            if is_same {
                current.dialing = None;
                current.link = outcome.clone().ok();
            }
            outcome
        });
        let waiting = async move {
            let ended = || Arc::<str>::from("the runtime of the connection has ended");
            task.await.unwrap_or_else(|_| Err(ended()))
        };
        waiting.boxed().shared()
    }

    /// Sends a request.
    async fn send(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, Error> {
        let link = self.link().await?;
        link.clone().send(request).await.map_err(|source| {
            let server = link.server.clone();
            let error = Error::Lost { server, source };
            if !link.is_usable() || error.was_not_taken() {
                link.retire();
                self.servers.failed(&link.server);
            }
            error
        })
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match &self.0 {
            Way::Own(shared) => shared.clone().send(request).boxed(),
            Way::Made(channel, _) => {
                let mut channel = channel.clone();
                async move { Ok(channel.ready().await?.call(request).await?) }.boxed()
            }
        }
    }
}

/// A connection whose server is being looked at.
#[derive(Clone)]
pub struct Probe(Arc<Link>);

impl Probe {
    /// Which server is at the end.
    pub fn server(&self) -> &Server {
        &self.0.server
    }

    /// Succeeds if anything answers there that speaks HTTP.
    async fn ping(mut self) -> Result<(), String> {
        let request = Request::get("/livez/ping").body(Body::empty());
        let request = request.map_err(|error| error.to_string())?;
        let answer = self.call(request).await;
        answer.map(drop).map_err(|error| error.to_string())
    }
}

impl Service<Request<Body>> for Probe {
    type Response = Response<Body>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, hyper::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.clone().send(request).boxed()
    }
}

#[cfg(test)]
mod tests;
