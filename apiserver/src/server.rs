//! Puts the parts together and serves them.

use crate::cache::Cache;
use crate::flags::{FlagError, Flags, invalid, read};
use crate::patience::Patient;
use crate::pipeline::{Pipeline, Services};
use crate::rest::body::Body;
use crate::rest::health::Startup;
use crate::rest::{Documents, Peer, Rest};
use crate::store::encryption::{Encryption, follow};
use crate::store::{Store, StoreError, compact_periodically};
use crate::subresources::Upstreams;
use crate::trace::AuditId;
use crate::{bootstrap, customs, fairness, grpc, kubernetes_service};
use hardway_access::{
    Admission, Authenticator, Authorizer, Reviews, TokenIssuer, TokenVerifier, audit,
};
use hardway_client::task;
use hardway_resources::Registry;
use http::{Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tracing::Instrument;

/// How long requests under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a TLS handshake, or the head of a request, may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Bytes with which every HTTP/2 client begins. HTTP/1 has a time limit for
/// heads, but nothing else has one for these.
const H2_GREETING: usize = 24;

/// Why the server can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// etcd's address or certificates.
    #[error("etcd: {0}")]
    Store(#[from] StoreError),
    /// The port.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        cause: std::io::Error,
    },
}

/// A server, ready to run.
pub struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    rest: Arc<Rest>,
    grpc: grpc::Service,
}

impl Server {
    /// Checks everything, then binds the port and starts the tasks behind.
    pub async fn start(flags: &Flags) -> Result<Self, Error> {
        hardway_client::tls::install_provider();
        let tls = flags.server_tls()?;
        let kubelets = flags.kubelet_tls()?;
        let registry = Arc::new(Registry::new());
        let encryption = flags.encryption()?;
        let digest = encryption.digest.clone();
        let encryption = Arc::new(Encryption::new(encryption, prefixes(&registry)));
        let etcd = flags.etcd(encryption.clone())?;
        let verifier = verifier(flags)?.map(Arc::new);
        let tokens = issuer(flags)?.map(Arc::new);
        let audit = audit_log(flags)?;
        let seats = flags.seats()?;
        let address = flags.address();
        let listener = TcpListener::bind(address)
            .await
            .map_err(|cause| Error::Listen { address, cause })?;
        let port = listener
            .local_addr()
            .map_or(address.port(), |bound| bound.port());

        let store = Store::open(etcd).await?;
        let stored = registry
            .iter()
            .filter(|row| row.face.is_none() && row.allows("list") && row.allows("create"));
        let cache = Cache::start(store.clone(), stored);
        task::spawn_critical("compaction", compact_periodically(store.clone()));
        if let Some(path) = flags.encryption_provider_config.clone()
            && flags.encryption_provider_config_automatic_reload
        {
            let cache = cache.clone();
            task::spawn_critical("encryption-configuration", async move {
                follow(&path, digest, encryption, || cache.try_unreadable()).await;
            });
        }
        let authenticator = Arc::new(Authenticator::new(cache.clone(), verifier.clone()));
        let authorizer = Arc::new(Authorizer::new(cache.clone()));
        let pipeline = Arc::new(Pipeline {
            admission: Admission::configured(
                cache.clone(),
                authorizer.clone(),
                &flags.enable_admission_plugins,
                &flags.disable_admission_plugins,
            ),
            reviews: Reviews::new(authenticator.clone(), authorizer.clone()),
            seats,
            services: Services::new(
                cache.clone(),
                flags.service_cluster_ip_range,
                flags.service_node_port_range.clone(),
            ),
            registry,
            cache,
            store,
            authenticator,
            authorizer,
            tokens,
            audit,
        });
        let startup = Arc::new(Startup::default());
        let advertised = flags.advertised();
        let following = customs::run(pipeline.clone(), startup.clone());
        task::spawn_critical("custom-resources", following);
        match pipeline.seats.fairness().cloned() {
            Some(shared) => {
                let (behind, ready) = (pipeline.clone(), startup.clone());
                let following = fairness::run(behind.clone(), shared.clone(), ready);
                task::spawn_critical("fairness", following);
                let adjusting = fairness::adjust_periodically(behind, shared);
                task::spawn_critical("fairness-seats", adjusting);
            }
            None => startup.fairness.store(true, Ordering::Release),
        }
        let service_ip = flags.service_cluster_ip_range.nth(1);
        let (behind, ready) = (pipeline.clone(), startup.clone());
        task::spawn_critical("bootstrap", async move {
            bootstrap::run(behind.clone(), ready).await;
            kubernetes_service::run(behind, service_ip, advertised, port).await;
        });
        Ok(Self {
            listener,
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            grpc: grpc::service(pipeline.clone()),
            rest: Arc::new(Rest {
                documents: Documents::new(format!("{advertised}:{port}"), verifier),
                upstreams: Upstreams { kubelets },
                startup,
                pipeline,
            }),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`, then lets what is under way finish.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((tcp, address)) => self.connection(tcp, address, &graceful),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of descriptors: give others time to close some.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        self.rest.startup.stopping.store(true, Ordering::Release);
        drop(self.listener);
        tracing::info!("stopping");
        self.rest.pipeline.cache.stop_watches();
        if tokio::time::timeout(DRAIN, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::info!("closing the connections that are still open");
        }
    }

    fn connection(&self, tcp: TcpStream, address: SocketAddr, graceful: &GracefulShutdown) {
        let acceptor = self.acceptor.clone();
        let rest = self.rest.clone();
        let grpc = self.grpc.clone();
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            // Small answers must not wait for a full segment.
            let _ = tcp.set_nodelay(true);
            let handshake = tokio::time::timeout(HANDSHAKE, acceptor.accept(tcp)).await;
            let stream = match handshake {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    tracing::debug!(%address, %error, "TLS handshake failed");
                    return;
                }
                Err(_) => return,
            };
            let session = stream.get_ref().1;
            // Who wants HTTP/2 says so in the handshake.
            let h2 = session.alpn_protocol() == Some(b"h2");
            let certificates = session.peer_certificates();
            let peer = Peer {
                address,
                certificate: certificates
                    .and_then(|chain| chain.first())
                    .map(|leaf| Arc::new(leaf.clone().into_owned())),
            };
            let service = service_fn(move |request: Request<Incoming>| {
                let (rest, grpc, peer) = (rest.clone(), grpc.clone(), peer.clone());
                async move { Ok::<_, Infallible>(answer(rest, grpc, peer, request).await) }
            });
            let mut server = auto::Builder::new(TokioExecutor::new());
            server
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(HANDSHAKE);
            server
                .http2()
                .timer(TokioTimer::new())
                .max_concurrent_streams(1000)
                .adaptive_window(true)
                .keep_alive_interval(Some(Duration::from_secs(30)))
                .keep_alive_timeout(Duration::from_secs(15));
            let (server, greeting) = match h2 {
                true => (server.http2_only(), H2_GREETING),
                false => (server.http1_only(), 0),
            };
            let stream = TokioIo::new(Patient::new(stream, greeting, HANDSHAKE));
            let connection = server.serve_connection_with_upgrades(stream, service);
            if let Err(error) = watcher.watch(connection.into_owned()).await {
                tracing::debug!(%address, error, "connection ended");
            }
        });
    }
}

/// Answers a request under its name.
async fn answer(
    rest: Arc<Rest>,
    grpc: grpc::Service,
    peer: Peer,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let id = AuditId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let mut response = route(rest, grpc, peer, request).instrument(id.span()).await;
    id.tell(&mut response);
    response
}

/// To the gRPC door or to the REST door.
async fn route(
    rest: Arc<Rest>,
    grpc: grpc::Service,
    peer: Peer,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let is_grpc = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    if !is_grpc {
        return rest.handle(request, peer).await;
    }
    request.extensions_mut().insert(peer);
    match grpc.oneshot(request).await {
        Ok(response) => response.map(|body| Body::new(body.map_err(Into::into))),
        Err(never) => match never {},
    }
}

/// Where the table's resources are stored.
fn prefixes(registry: &Registry) -> impl Iterator<Item = (String, (String, String))> {
    registry.iter().filter(|row| row.face.is_none()).map(|row| {
        let of = (row.group.clone(), row.plural.clone());
        (row.storage_prefix.clone(), of)
    })
}

fn text(flag: &'static str, path: &std::path::Path) -> Result<String, FlagError> {
    String::from_utf8(read(flag, path)?).map_err(|_| invalid(flag, "the file is no PEM text"))
}

fn verifier(flags: &Flags) -> Result<Option<TokenVerifier>, FlagError> {
    let flag = "service-account-key-file";
    let mut files = flags.service_account_key_file.clone();
    if files.is_empty() {
        files.extend(flags.service_account_signing_key_file.clone());
    }
    if files.is_empty() {
        return Ok(None);
    }
    let keys: Vec<String> = files
        .iter()
        .map(|path| text(flag, path))
        .collect::<Result<_, _>>()?;
    TokenVerifier::new(&flags.service_account_issuer, &keys, flags.audiences())
        .map(Some)
        .map_err(|error| invalid(flag, error))
}

fn issuer(flags: &Flags) -> Result<Option<TokenIssuer>, FlagError> {
    let flag = "service-account-signing-key-file";
    let Some(path) = &flags.service_account_signing_key_file else {
        return Ok(None);
    };
    TokenIssuer::new(
        &flags.service_account_issuer,
        &text(flag, path)?,
        flags.audiences(),
    )
    .map(Some)
    .map_err(|error| invalid(flag, error))
}

fn audit_log(flags: &Flags) -> Result<Option<Arc<audit::Log>>, FlagError> {
    let Some(path) = &flags.audit_log_path else {
        return Ok(None);
    };
    let policy = match &flags.audit_policy_file {
        Some(path) => {
            let text = text("audit-policy-file", path)?;
            audit::Policy::parse(&text).map_err(|error| invalid("audit-policy-file", error))?
        }
        None => audit::Policy::default(),
    };
    audit::Log::open(path, policy, flags.audit_rotation(), flags.audit_mode())
        .map(|log| Some(Arc::new(log)))
        .map_err(|error| invalid("audit-log-path", format!("{}: {error}", path.display())))
}
