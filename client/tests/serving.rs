//! A server whose clients say nothing, too little, too slowly, or too much.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use hardway_client::kubeconfig::Pem;
use hardway_client::serving::{Bounds, ConnectionLoad, Deadlines, Peer, Server, Service};
use hardway_client::tls::{self, ServerKey};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Long enough for those who do say something, on a machine that is busy with much else.
const DEADLINES: Deadlines = Deadlines {
    handshake: Duration::from_secs(3),
    head: Duration::from_secs(3),
    idle: Duration::from_secs(1),
    answer: Duration::from_millis(500),
    goodbye: Duration::from_millis(500),
};

/// Where connections are served that are burdened from the start: it can't open any.
static ELSEWHERE: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_time();
    builder.build().unwrap()
});

/// Answers `/` at once, `/dial` when it has opened a connection, `/quiet` with one byte and then nothing, `/endless`
/// with bytes without end; counts the answers that are being given.
#[derive(Clone, Default)]
struct Answers {
    under_way: Arc<AtomicUsize>,
    elsewhere: bool,
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service for Answers {
    type Body = UnsyncBoxBody<Bytes, Infallible>;

    async fn answer(&self, _: Peer, request: Request<Incoming>) -> Response<Self::Body> {
        let counted = Counted::new(&self.under_way);
        let piece = || Frame::data(Bytes::from(vec![b'x'; 64 << 10]));
        Response::new(match request.uri().path() {
            "/quiet" => {
                let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"x")))]);
                let pieces = futures_util::StreamExt::chain(first, stream::pending());
                let body = StreamBody::new(pieces).map_frame(move |frame| {
                    let _kept = &counted;
                    frame
                });
                body.boxed_unsync()
            }
            "/endless" => {
                let pieces = stream::repeat_with(move || {
                    let _kept = &counted;
                    Ok(piece())
                });
                StreamBody::new(pieces).boxed_unsync()
            }
            "/panic" => {
                let pieces = stream::repeat_with(|| -> Result<Frame<Bytes>, Infallible> {
                    panic!("while the body is made")
                });
                StreamBody::new(pieces).boxed_unsync()
            }
            "/dial" => {
                let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
                TcpStream::connect(free.local_addr().unwrap())
                    .await
                    .unwrap();
                Full::from("dialled").boxed_unsync()
            }
            _ => Full::from("ok").boxed_unsync(),
        })
    }

    async fn serve(&self, connection: BoxFuture<'static, ()>, _: Arc<ConnectionLoad>) {
        match self.elsewhere {
            true => ELSEWHERE.spawn(connection).await.unwrap(),
            false => connection.await,
        }
    }
}

struct Lab {
    address: SocketAddr,
    ca: CertificateDer<'static>,
    answers: Answers,
}

impl Lab {
    async fn start(bounds: Bounds) -> Self {
        Self::answering(bounds, Answers::default()).await
    }

    async fn answering(bounds: Bounds, answers: Answers) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let ca = params.self_signed(&key).unwrap();
        let pem = |text: String| Pem::Inline(text.into_bytes());
        let shown = ServerKey {
            certificate: pem(ca.pem()),
            key: pem(key.serialize_pem()),
            awaited: false,
        };
        let tls = tls::server(shown, &pem(ca.pem()), false, &["h2", "http/1.1"]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::new(listener, tls, bounds).with_deadlines(DEADLINES);
        let address = server.address().unwrap();
        tokio::spawn(server.run(answers.clone(), std::future::pending()));
        Self {
            address,
            ca: CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap(),
            answers,
        }
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn connect(&self, alpn: &str) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca.clone()).unwrap();
        let mut config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !alpn.is_empty() {
            config.alpn_protocols = vec![alpn.into()];
        }
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, self.tcp().await).await.unwrap()
    }
}

/// Waits until the other side closes.
async fn closed(what: &str, mut stream: impl AsyncRead + Unpin) {
    let mut bytes = vec![0; 1 << 16];
    let end = async { while !matches!(stream.read(&mut bytes).await, Ok(0) | Err(_)) {} };
    assert!(timeout(PATIENCE, end).await.is_ok(), "{what}: still open");
}

#[tokio::test]
async fn in_the_clear_the_same_holds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::in_the_clear(listener, Bounds::HEALTH).with_deadlines(DEADLINES);
    let address = server.address().unwrap();
    tokio::spawn(server.run(Answers::default(), std::future::pending()));
    let silent = TcpStream::connect(address).await.unwrap();
    let mut asking = TcpStream::connect(address).await.unwrap();
    let get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    asking.write_all(get).await.unwrap();
    let mut answer = vec![0; 1024];
    let length = asking.read(&mut answer).await.unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK\r\n"));
    tokio::join!(closed("silent", silent), closed("between requests", asking));
}

#[tokio::test]
async fn silence_ends_in_every_state() {
    let lab = Lab::start(Bounds::HEALTH).await;
    let (tcp, tls, h2) = (
        lab.tcp().await,
        lab.connect("").await,
        lab.connect("h2").await,
    );
    let mut preface = lab.connect("h2").await;
    let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    preface.write_all(greeting).await.unwrap();
    let mut head = lab.connect("").await;
    head.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let mut idle = lab.connect("").await;
    let get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    idle.write_all(get).await.unwrap();
    tokio::join!(
        closed("TCP alone", tcp),
        closed("after the handshake", tls),
        closed("after the handshake, h2", h2),
        closed("after HTTP/2's greeting", preface),
        closed("within a head", head),
        closed("between requests", idle),
    );
}

#[tokio::test]
async fn answers_that_nobody_reads_end() {
    let lab = Lab::start(Bounds::HEALTH).await;
    let mut stream = lab.connect("").await;
    let get = b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(get).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while lab.answers.under_way.load(Ordering::SeqCst) > 0 {
        assert!(Instant::now() < deadline, "the answer is still given");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn answers_that_wait_for_the_server_go_on() {
    let lab = Lab::start(Bounds::HEALTH).await;
    let mut stream = lab.connect("").await;
    let get = b"GET /quiet HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(get).await.unwrap();
    let mut bytes = vec![0; 1 << 12];
    let longest = DEADLINES.idle + DEADLINES.goodbye + DEADLINES.answer;
    let quiet_for = 2 * longest;
    let read = timeout(quiet_for, async {
        loop {
            assert!(stream.read(&mut bytes).await.unwrap() > 0, "it was closed");
        }
    });
    assert!(read.await.is_err());
}

#[tokio::test]
async fn a_panic_harms_no_other_request_of_the_connection() {
    let lab = Lab::start(Bounds::HEALTH).await;
    let stream = hyper_util::rt::TokioIo::new(lab.connect("h2").await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let get = |path: &str| {
        let uri = format!("https://localhost{path}");
        Request::get(uri).body(Full::<Bytes>::default()).unwrap()
    };
    let quiet = sender.send_request(get("/quiet")).await.unwrap();
    let mut quiet = quiet.into_body();
    assert!(quiet.frame().await.unwrap().is_ok());
    let whole = match sender.send_request(get("/panic")).await {
        Ok(answer) => answer.into_body().collect().await.is_ok(),
        Err(_) => false,
    };
    assert!(!whole);
    let after = sender.send_request(get("/")).await.unwrap();
    assert_eq!(after.into_body().collect().await.unwrap().to_bytes(), "ok");
    let more = timeout(Duration::from_millis(50), quiet.frame()).await;
    assert!(more.is_err(), "the other answer goes on");
}

#[tokio::test]
async fn newcomers_get_in_past_any_number_of_silent_ones() {
    let lab = Lab::start(Bounds {
        total: 40,
        strangers: 20,
        strangers_per_address: 20,
        per_user: 20,
        loopback: 4,
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(lab.tcp().await);
    }
    let mut stream = lab.connect("").await;
    let get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(get).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

#[tokio::test]
async fn requests_are_answered_here_wherever_their_connection_is_served() {
    let answers = Answers {
        elsewhere: true,
        ..Answers::default()
    };
    let lab = Lab::answering(Bounds::of_descriptors(1024), answers).await;
    let request = || {
        let request = Request::get("https://localhost/dial").header("host", "localhost");
        request.body(Full::<Bytes>::default()).unwrap()
    };
    let executor = hyper_util::rt::TokioExecutor::new();
    let stream = hyper_util::rt::TokioIo::new(lab.connect("h2").await);
    let (mut h2, connection) = hyper::client::conn::http2::handshake(executor, stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let stream = hyper_util::rt::TokioIo::new(lab.connect("http/1.1").await);
    let (mut h1, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for answer in [
        h2.send_request(request()).await,
        h1.send_request(request()).await,
    ] {
        let body = answer.expect("an answer").into_body().collect().await;
        assert_eq!(body.unwrap().to_bytes(), "dialled");
    }
}
