//! Requests through the controller's ports, to backends that answer, refuse, break off, or say
//! nothing.

use hardway_client::tls;
use hardway_ingress::backends::Endpoints;
use hardway_ingress::certificates::Resolver;
use hardway_ingress::forward::Forwarder;
use hardway_ingress::path::{PathType, RulePath};
use hardway_ingress::routes::{Backend, Host, Port, Target};
use hardway_ingress::server::Server;
use hardway_ingress::upstream::Upstream;
use hardway_ingress::watching::World;
use hardway_proto::meta::ObjectKey;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a backend may say nothing.
const RESPONSE: Duration = Duration::from_millis(400);

/// What a backend does with each connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Answers every request with its path, and keeps the connection.
    Answers,
    /// Answers one request, and closes the connection without having said so.
    AnswersOnce,
    /// Reads a request's head and closes.
    Breaks,
    /// Reads, and says nothing.
    Silent,
    /// Goes on with another protocol, in which it repeats what it hears.
    Upgrades,
    /// Sends back each chunk of a body when it comes.
    Repeats,
}

struct Pod {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

async fn pod(manner: Manner) -> Pod {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (
        listener.local_addr().unwrap(),
        Arc::new(AtomicUsize::new(0)),
    );
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, manner, count.clone()));
        }
    });
    Pod { address, asked }
}

/// Ends with the connection.
async fn talk(stream: TcpStream, manner: Manner, asked: Arc<AtomicUsize>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let head = head(&mut stream).await?;
        asked.fetch_add(1, Ordering::SeqCst);
        let path = head.split(' ').nth(1)?;
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}",
            path.len()
        );
        match manner {
            Manner::Answers => stream.write_all(answer.as_bytes()).await.ok()?,
            Manner::AnswersOnce => return stream.write_all(answer.as_bytes()).await.ok(),
            Manner::Breaks => return None,
            Manner::Silent => std::future::pending().await,
            Manner::Upgrades => {
                let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.ok()?;
                let mut heard = [0; 5];
                stream.read_exact(&mut heard).await.ok()?;
                return stream.write_all(&heard).await.ok();
            }
            Manner::Repeats => {
                let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.ok()?;
                let mut line = String::new();
                while stream.read_line(&mut line).await.ok()? > 0 {
                    stream.write_all(line.as_bytes()).await.ok()?;
                    line.clear();
                }
                return None;
            }
        }
    }
}

async fn head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// The controller, with a Service `web` behind the host `web`.
struct Controller {
    http: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
    _world: watch::Sender<Arc<World>>,
}

impl Controller {
    async fn start(endpoints: Vec<SocketAddr>) -> Self {
        tls::install_provider();
        let backend = Backend {
            service: ObjectKey::new("d", "web"),
            port: Port::Number(80),
        };
        let target = |to_https| {
            Arc::new(Target {
                ingress: ObjectKey::new("d", "web"),
                backend: Some(backend.clone()),
                to_https,
            })
        };
        let mut world = World::default();
        let all = || RulePath::new(PathType::Prefix, "/");
        world.routes.add(Host::new("web"), all(), target(false));
        world.routes.add(Host::new("safe"), all(), target(true));
        let endpoints = Endpoints::new(endpoints, None);
        world.backends.insert(backend.clone(), Ok(endpoints));
        let (sender, world) = watch::channel(Arc::new(world));
        let forwarder = Arc::new(Forwarder::new(world, Upstream::new(RESPONSE)));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(any, any, Resolver::new().unwrap())
            .await
            .unwrap();
        let (http, _) = server.addresses().unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(server.run(forwarder, stop.clone(), PATIENCE));
        Self {
            http,
            stop,
            served,
            _world: sender,
        }
    }

    async fn connect(&self) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(self.http).await.unwrap())
    }

    /// Sends a request whole; gives the head and the body of its answer.
    async fn ask(&self, request: &str) -> (String, String) {
        let asked = async {
            let mut stream = self.connect().await;
            stream.write_all(request.as_bytes()).await.unwrap();
            answer(&mut stream).await
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap()
    }

    async fn get(&self, host: &str, path: &str) -> (String, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"))
            .await
    }
}

/// An answer with a length.
async fn answer(stream: &mut BufReader<TcpStream>) -> (String, String) {
    let head = head(stream).await.unwrap().to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

const POST: &str = "POST /x HTTP/1.1\r\nhost: web\r\ncontent-length: 4\r\n\r\nbody";

fn status(answer: &(String, String)) -> u16 {
    answer.0.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn who_refuses_is_passed_over_whatever_is_asked() {
    let pod = pod(Manner::Answers).await;
    let controller = Controller::start(vec![nobody().await, pod.address, nobody().await]).await;
    for _ in 0..6 {
        assert_eq!(status(&controller.ask(POST).await), 200);
        assert_eq!(controller.get("web", "/y?z=%20").await.1, "/y?z=%20");
    }
    assert_eq!(pod.asked.load(Ordering::SeqCst), 12);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_twice() {
    let (breaks, answers) = (pod(Manner::Breaks).await, pod(Manner::Answers).await);
    let controller = Controller::start(vec![breaks.address, answers.address]).await;
    assert_eq!(status(&controller.ask(POST).await), 502);
    assert_eq!(breaks.asked.load(Ordering::SeqCst), 1);
    assert_eq!(answers.asked.load(Ordering::SeqCst), 0);
    // Its turn is over; the next time it is first again, and reading twice does no harm.
    for _ in 0..4 {
        assert_eq!(status(&controller.get("web", "/").await), 200);
    }
    assert!(breaks.asked.load(Ordering::SeqCst) > 1);
}

#[tokio::test]
async fn each_failure_has_its_status() {
    let refusing = Controller::start(vec![nobody().await]).await;
    assert_eq!(status(&refusing.get("web", "/").await), 502);
    assert_eq!(status(&refusing.get("other", "/").await), 404);
    let silent = pod(Manner::Silent).await;
    let silent = Controller::start(vec![silent.address]).await;
    assert_eq!(status(&silent.get("web", "/").await), 504);
    let empty = Controller::start(vec![]).await;
    assert_eq!(status(&empty.get("web", "/").await), 503);
    let nameless = empty.ask("GET / HTTP/1.1\r\nhost:\r\n\r\n").await;
    assert_eq!(status(&nameless), 400);
    let redirect = empty.get("safe:8080", "/a?b").await;
    assert_eq!(status(&redirect), 308);
    assert!(
        redirect.0.contains("location: https://safe/a?b\r\n"),
        "{}",
        redirect.0
    );
}

#[tokio::test]
async fn connections_that_ended_unseen_cost_nobody_an_answer() {
    let pod = pod(Manner::AnswersOnce).await;
    let controller = Controller::start(vec![pod.address]).await;
    for _ in 0..20 {
        assert_eq!(status(&controller.get("web", "/").await), 200);
    }
}

#[tokio::test]
async fn other_protocols_are_carried() {
    let pod = pod(Manner::Upgrades).await;
    let controller = Controller::start(vec![pod.address]).await;
    let mut stream = controller.connect().await;
    let asked = "GET / HTTP/1.1\r\nhost: web\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    stream.write_all(asked.as_bytes()).await.unwrap();
    let answer = answer(&mut stream).await;
    assert_eq!(status(&answer), 101);
    assert!(answer.0.contains("upgrade: echo\r\n"), "{}", answer.0);
    stream.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    let pod = pod(Manner::Repeats).await;
    let controller = Controller::start(vec![pod.address]).await;
    let mut stream = controller.connect().await;
    let asked = "POST / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(asked.as_bytes()).await.unwrap();
    let answer = head(&mut stream).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for piece in ["one", "two"] {
        let sent = format!("3\r\n{piece}\r\n");
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut heard = vec![0; sent.len()];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, sent.as_bytes());
    }
}

#[tokio::test]
async fn what_is_under_way_ends_before_the_end() {
    let pod = pod(Manner::Repeats).await;
    let controller = Controller::start(vec![pod.address]).await;
    let mut stream = controller.connect().await;
    let asked = "POST / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(asked.as_bytes()).await.unwrap();
    head(&mut stream).await.unwrap();
    controller.stop.cancel();
    assert!(!controller.served.is_finished());
    stream.write_all(b"3\r\nend\r\n0\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "3\r\nend\r\n0\r\n\r\n");
    tokio::time::timeout(PATIENCE, controller.served)
        .await
        .unwrap()
        .unwrap();
}
