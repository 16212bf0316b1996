//! A kubelet that speaks SPDY over mutual TLS, an apiserver that is nothing
//! but this crate, and clients of both.

#![expect(
    clippy::disallowed_methods,
    reason = "a test looks at what was sent afterwards"
)]

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hardway_streams::spdy::{Codec, Frame};
use hardway_streams::upgrade::Service;
use hardway_streams::{Body, Upstream, http_proxy, upgrade};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::codec::Framed;

/// Fails a test instead of hanging.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("within 20 seconds")
}

pub struct Tls {
    pub server: Arc<rustls::ServerConfig>,
    pub client: Arc<rustls::ClientConfig>,
}

/// A CA, a server certificate for 127.0.0.1 and a client certificate.
pub fn tls() -> Tls {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let leaf = || {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        (vec![certificate.der().clone()], key)
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let roots = Arc::new(roots);
    let (chain, key) = leaf();
    let verifier = rustls::server::WebPkiClientVerifier::builder(roots.clone())
        .build()
        .unwrap();
    let server = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    let (chain, key) = leaf();
    let client = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    Tls {
        server: Arc::new(server),
        client: Arc::new(client),
    }
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(text.to_owned())).map_err(|never: Infallible| match never {});
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    response
}

/// What the kubelet saw.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Request { path: String, protocol: String },
    Resize(String),
    Gone,
}

/// Starts a kubelet. `/exec/…` runs a command that shouts its input back and
/// ends with it; `/portForward/…` echoes on data streams; `/missing` is a 404.
pub async fn kubelet(
    tls: Arc<rustls::ServerConfig>,
) -> (SocketAddr, mpsc::UnboundedReceiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, sight) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (tls, seen) = (tls.clone(), seen.clone());
            tokio::spawn(async move {
                let session = tokio_rustls::TlsAcceptor::from(tls)
                    .accept(tcp)
                    .await
                    .unwrap();
                let service = service_fn(move |request| answer(request, seen.clone()));
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(session), service)
                    .with_upgrades()
                    .await;
            });
        }
    });
    (address, sight)
}

async fn answer(
    mut request: Request<Incoming>,
    seen: mpsc::UnboundedSender<Seen>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().to_string();
    assert!(
        request.headers().get("authorization").is_none(),
        "credentials passed on"
    );
    if path.starts_with("/missing") {
        return Ok(text(StatusCode::NOT_FOUND, "container not found"));
    }
    let protocol = request.headers()["x-stream-protocol-version"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(request.headers()["upgrade"], "SPDY/3.1");
    seen.send(Seen::Request {
        path: path.clone(),
        protocol: protocol.clone(),
    })
    .unwrap();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let connection = Framed::new(TokioIo::new(upgrade.await.unwrap()), Codec::default());
        serve(connection, &seen).await;
        seen.send(Seen::Gone).ok();
    });
    let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "SPDY/3.1"),
        ("x-stream-protocol-version", &protocol),
    ] {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    Ok(response)
}

async fn serve(
    mut connection: Framed<TokioIo<Upgraded>, Codec>,
    seen: &mpsc::UnboundedSender<Seen>,
) {
    let mut kinds: HashMap<u32, String> = HashMap::new();
    let find = |kinds: &HashMap<u32, String>, kind: &str| {
        kinds
            .iter()
            .find(|(_, k)| *k == kind)
            .map(|(stream, _)| *stream)
    };
    while let Some(Ok(frame)) = connection.next().await {
        match frame {
            Frame::SynStream {
                stream, headers, ..
            } => {
                let kind = headers
                    .iter()
                    .find(|(name, _)| name == "streamtype")
                    .unwrap();
                kinds.insert(stream, kind.1.clone());
                let reply = Frame::SynReply {
                    stream,
                    headers: vec![],
                    fin: false,
                };
                connection.send(reply).await.unwrap();
                connection.send(Frame::Ping(2)).await.unwrap();
            }
            Frame::Data { stream, data, fin } => match kinds[&stream].as_str() {
                "resize" => {
                    seen.send(Seen::Resize(String::from_utf8(data.to_vec()).unwrap()))
                        .unwrap();
                }
                "data" => {
                    connection
                        .send(Frame::Data { stream, data, fin })
                        .await
                        .unwrap();
                }
                "stdin" => {
                    let loud = Bytes::from(data.to_ascii_uppercase());
                    let stdout = find(&kinds, "stdout").unwrap();
                    let end = data.as_ref() == b"exit";
                    let out = Frame::Data {
                        stream: stdout,
                        data: loud,
                        fin: false,
                    };
                    connection.send(out).await.unwrap();
                    if fin || end {
                        let error = find(&kinds, "error").unwrap();
                        let status = match end {
                            true => {
                                r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]},"code":500}"#
                            }
                            false => r#"{"metadata":{},"status":"Success","code":200}"#,
                        };
                        let status = Frame::Data {
                            stream: error,
                            data: status.into(),
                            fin: true,
                        };
                        connection.send(status).await.unwrap();
                        return;
                    }
                }
                // Clients close what they won't write to.
                other => assert!(data.is_empty(), "data on {other}"),
            },
            _ => {}
        }
    }
}

/// Starts a server that hands every request to this crate.
pub async fn apiserver(upstream: Upstream, service: Option<Service>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let upstream = upstream.clone();
            let handle = service_fn(move |request: Request<Incoming>| {
                let upstream = upstream.clone();
                async move {
                    let response = match service {
                        Some(service) => {
                            upgrade::proxy(request, &upstream, service, Arc::new(())).await
                        }
                        None => http_proxy::forward(request, &upstream, Arc::new(()))
                            .await
                            .map_err(Into::into),
                    };
                    Ok::<_, Infallible>(response.unwrap_or_else(|status| {
                        text(StatusCode::from_u16(status.code).unwrap(), &status.message)
                    }))
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(tcp), handle)
                    .with_upgrades(),
            );
        }
    });
    address
}

/// Sends a request to the apiserver on a connection of its own.
pub async fn send(address: SocketAddr, request: http::request::Builder) -> Response<Incoming> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp))
        .await
        .unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = request
        .header("host", "apiserver")
        .body(Empty::<Bytes>::new())
        .unwrap();
    sender.send_request(request).await.unwrap()
}

pub type Client = WebSocketStream<TokioIo<Upgraded>>;

/// Opens a WebSocket to the apiserver.
pub async fn websocket(
    address: SocketAddr,
    path: &str,
    protocol: &str,
) -> Result<Client, (StatusCode, String)> {
    let request = Request::get(path)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("authorization", "Bearer secret")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", protocol);
    let mut response = send(address, request).await;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        return Err((status, String::from_utf8(body.to_vec()).unwrap()));
    }
    assert_eq!(response.headers()["sec-websocket-protocol"], protocol);
    let io = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    Ok(WebSocketStream::from_raw_socket(io, Role::Client, None).await)
}
