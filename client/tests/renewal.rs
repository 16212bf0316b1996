//! Certificates and CAs that change while connections are made with them.

use bytes::Bytes;
use hardway_client::kubeconfig::Pem;
use hardway_client::serving::{Bounds, Peer, Server, Service};
use hardway_client::tls::{self, ServerKey};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::ServerName;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

/// Answers the common name of who asks.
#[derive(Clone)]
struct Name;

impl Service for Name {
    type Body = Full<Bytes>;

    async fn answer(&self, peer: Peer, _: Request<Incoming>) -> Response<Full<Bytes>> {
        let name = peer.certificate().map(|certificate| {
            let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
            let name = parsed.subject().iter_common_name().next().unwrap();
            name.as_str().unwrap().to_owned()
        });
        Response::new(Full::from(name.unwrap_or_default()))
    }
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

/// Writes `FILE.crt` and `FILE.key`.
fn leaf(dir: &Path, file: &str, name: &str, issuer: &Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    std::fs::write(dir.join(format!("{file}.crt")), certificate.pem()).unwrap();
    std::fs::write(dir.join(format!("{file}.key")), key.serialize_pem()).unwrap();
}

/// As whom the server sees a client; an error if there is no connection.
async fn seen(address: SocketAddr, config: Arc<rustls::ClientConfig>) -> Result<String, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let tcp = TcpStream::connect(address).await.map_err(|e| text(&e))?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(config).connect(name, tcp).await;
    let io = TokioIo::new(stream.map_err(|e| text(&e))?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .map_err(|e| text(&e))?;
    tokio::spawn(connection);
    let request = Request::get("/").header("host", "localhost");
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.map_err(|e| text(&e))?;
    let body = answer.into_body().collect().await.map_err(|e| text(&e))?;
    Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn identities_and_cas_are_those_of_the_files() {
    tls::install_provider();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (old_ca, old) = authority("old");
    std::fs::write(path("ca.crt"), &old_ca).unwrap();
    leaf(dir.path(), "server", "server", &old);
    leaf(dir.path(), "client", "before", &old);
    let ca = Pem::File(path("ca.crt"));
    let key = ServerKey::of_files(&path("server.crt"), &path("server.key"));
    let server = tls::server(key, &ca, false, &["http/1.1"]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::new(listener, server, Bounds::HEALTH);
    let address = server.address().unwrap();
    tokio::spawn(server.run(Name, std::future::pending()));
    let file = |name: &str| Pem::File(path(name));
    let client = tls::client_from(&ca, file("client.crt"), file("client.key"), &["http/1.1"]);
    let client = client.unwrap();
    // Twice: the second time the session is resumed.
    for _ in 0..2 {
        assert_eq!(seen(address, client.current()).await.unwrap(), "before");
    }
    let former = client.current();

    // A renewed identity isn't hidden by a session of the former one.
    leaf(dir.path(), "client", "after", &old);
    assert_eq!(seen(address, client.current()).await.unwrap(), "after");

    // While both CAs are trusted, certificates move from one to the other.
    let (new_ca, new) = authority("new");
    std::fs::write(path("ca.crt"), format!("{old_ca}{new_ca}")).unwrap();
    leaf(dir.path(), "client", "of the new CA", &new);
    let seen_as = seen(address, client.current()).await.unwrap();
    assert_eq!(seen_as, "of the new CA");
    leaf(dir.path(), "server", "server", &new);
    assert!(seen(address, client.current()).await.is_ok());

    // The old CA goes: nobody is trusted by it any more, on either side.
    std::fs::write(path("ca.crt"), &new_ca).unwrap();
    assert!(seen(address, client.current()).await.is_ok());
    let error = seen(address, former).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
    leaf(dir.path(), "client", "late", &old);
    assert!(seen(address, client.current()).await.is_err());

    // A CA file that makes no sense changes nothing.
    leaf(dir.path(), "client", "in time", &new);
    assert_eq!(seen(address, client.current()).await.unwrap(), "in time");
    std::fs::write(path("ca.crt"), "nonsense").unwrap();
    assert_eq!(seen(address, client.current()).await.unwrap(), "in time");
}

#[tokio::test]
async fn a_server_waits_for_the_certificate_that_was_asked_for() {
    tls::install_provider();
    let dir = tempfile::tempdir().unwrap();
    let (ca, issuer) = authority("ca");
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("ca.crt"), ca).unwrap();
    leaf(dir.path(), "client", "client", &issuer);
    let file = |name: &str| Pem::File(path(name));
    let key = ServerKey::asked_for(&path("server-current.pem"));
    let server = tls::server(key, &file("ca.crt"), false, &["http/1.1"]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::new(listener, server, Bounds::HEALTH);
    let address = server.address().unwrap();
    tokio::spawn(server.run(Name, std::future::pending()));
    let (certificate, key) = (file("client.crt"), file("client.key"));
    let client = tls::client_from(&file("ca.crt"), certificate, key, &["http/1.1"]).unwrap();
    assert!(seen(address, client.current()).await.is_err());
    leaf(dir.path(), "server", "server", &issuer);
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    let both = read("server.crt") + &read("server.key");
    std::fs::write(path("server-current.pem"), both).unwrap();
    assert_eq!(seen(address, client.current()).await.unwrap(), "client");
}
