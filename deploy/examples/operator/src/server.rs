//! The HTTPS server that the apiserver asks, and the kubelet.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, body::Bytes};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use kube::runtime::reflector::Store;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::admission::{self, Other};
use crate::api::v1::Website;
use crate::conversion;

/// Bodies: an object has at most 3 MiB, a review has it twice, and a list has many.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// How long a client may take to say who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The certificate that is served with; it may be replaced at any time.
#[derive(Debug)]
pub struct Served(RwLock<Arc<CertifiedKey>>);

impl Served {
    /// Serves with this one.
    pub fn new(key: Arc<CertifiedKey>) -> Arc<Self> {
        Arc::new(Self(RwLock::new(key)))
    }

    /// Serves with this one from the next connection on.
    pub fn replace(&self, key: Arc<CertifiedKey>) {
        *self.0.write() = key;
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

/// What the answers depend on.
#[derive(Clone)]
pub struct Known {
    /// All websites.
    pub websites: Store<Website>,
    /// Whether the apiserver knows whom to believe.
    pub is_announced: Arc<AtomicBool>,
}

/// What is asked where.
pub fn router(known: Known) -> Router {
    Router::new()
        .route(
            "/convert",
            post(async |body| answer(body, conversion::answer)),
        )
        .route(
            "/mutate",
            post(async |body| answer(body, admission::mutate)),
        )
        .route("/validate", post(validate))
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(ready))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(known)
}

async fn validate(State(known): State<Known>, body: Bytes) -> Response {
    let others = || -> Vec<Other> {
        let websites = known.websites.state();
        websites.iter().map(|it| Other::from(&**it)).collect()
    };
    answer(body, |review| admission::validate(review, &others()))
}

async fn ready(State(known): State<Known>) -> Response {
    match known.is_announced.load(Ordering::Relaxed) {
        true => "ok".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not announced").into_response(),
    }
}

fn answer<Q: DeserializeOwned, A: Serialize>(body: Bytes, decide: impl FnOnce(Q) -> A) -> Response {
    let answered = serde_json::from_slice(&body).and_then(|it| serde_json::to_vec(&decide(it)));
    match answered {
        Ok(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

/// Serves until dropped.
///
/// # Errors
/// If TLS can't be set up, or no more connections can be taken.
pub async fn serve(listener: TcpListener, served: Arc<Served>, router: Router) -> io::Result<()> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(io::Error::other)?.with_no_client_auth();
    let mut config = config.with_cert_resolver(served);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream, acceptor.clone(), router.clone()));
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router) {
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "no TLS"),
        Err(error) => return tracing::debug!(%error, "no TLS"),
    };
    let service = TowerToHyperService::new(router);
    let builder = auto::Builder::new(TokioExecutor::new());
    let served = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection ended");
    }
}
