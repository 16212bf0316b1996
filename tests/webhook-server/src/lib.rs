//! A webhook server for tests: over TLS, it answers as the path of a request says
//! ([`admission`], [`conversion`]), and keeps what it was asked.

pub mod admission;
pub mod conversion;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A request: its path, without the query, and its body.
pub type Asked = (String, Value);

/// What an answer is: an HTTP status and a body, or none at all for as long as the client
/// waits.
pub enum Answer {
    /// A body.
    Body(u16, Bytes),
    /// Nothing ever.
    Silence,
}

/// A server that runs until it is dropped.
pub struct Server {
    address: SocketAddr,
    certificate: String,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    /// Listens at a free port of an address, with a certificate of its own for these names.
    ///
    /// # Errors
    /// If it can't listen there, or the names are none.
    pub async fn start(at: IpAddr, names: &[&str]) -> io::Result<Self> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        Self::start_with(SocketAddr::new(at, 0), certificate, &key).await
    }

    /// Listens at an address, with this certificate and key, both in PEM.
    ///
    /// # Errors
    /// If it can't listen there, or they aren't a certificate and its key.
    pub async fn start_with(at: SocketAddr, certificate: String, key: &str) -> io::Result<Self> {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
        let chain = chain.collect::<Result<_, _>>().map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(io::Error::other)?;
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let seen = Arc::<Seen>::default();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self {
            address,
            certificate,
            accepting: tokio::spawn(accept(listener, acceptor, seen.clone())),
            seen,
        })
    }

    /// Serves until no connection can be taken any more.
    pub async fn serve(mut self) {
        // An error would tell that the runtime ends.
        let _ = (&mut self.accepting).await;
    }

    /// The port it listens at.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}/{path}", self.address)
    }

    /// Its certificate, as a `caBundle` has it.
    pub fn ca_bundle(&self) -> String {
        STANDARD.encode(&self.certificate)
    }

    /// All that it was asked, in the order in which it came.
    pub fn asked(&self) -> Vec<Asked> {
        self.seen.asked.lock().clone()
    }

    /// How many requests for a path came.
    pub fn count(&self, path: &str) -> usize {
        let asked = self.seen.asked.lock();
        asked.iter().filter(|(known, _)| known == path).count()
    }

    /// How many connections it has taken.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, seen: Arc<Seen>) {
    // Connections end with the server.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let (acceptor, seen) = (acceptor.clone(), seen.clone());
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(tcp).await else {
                return;
            };
            seen.connections.fetch_add(1, Ordering::Relaxed);
            let service = hyper::service::service_fn(move |request| answer(request, seen.clone()));
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            // It fails when the client goes.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Seen>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    seen.asked.lock().push((path.clone(), asked.clone()));
    let answer = match asked["kind"] == "ConversionReview" {
        true => conversion::answer(&path, &asked),
        false => admission::answer(&path, &asked),
    };
    match answer {
        Answer::Silence => std::future::pending().await,
        Answer::Body(code, body) => {
            let mut answer = Response::new(Full::new(body));
            *answer.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
            Ok(answer)
        }
    }
}
