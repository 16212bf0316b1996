//! Requests through the controller's ports, to backends that answer, refuse, break off, or say
//! nothing.

use hardway_client::tls;
use hardway_ingress::backends::Endpoints;
use hardway_ingress::certificates::Resolver;
use hardway_ingress::endpoint_turns::{EndpointTurns, Limits};
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
/// How many requests an endpoint is given at the same time, and how long one waits for its turn.
const AT_ONCE: usize = 4;
const WAIT: Duration = Duration::from_millis(300);

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
    /// Goes on with this protocol, in which it repeats what it hears.
    Upgrades(&'static str),
    /// Answers with what it got, of requests whose bodies end with a line `end`.
    Tells,
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
            Manner::Upgrades(protocol) => {
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await.ok()?;
                let mut heard = [0; 5];
                stream.read_exact(&mut heard).await.ok()?;
                return stream.write_all(&heard).await.ok();
            }
            Manner::Tells => {
                let mut got = head.to_ascii_lowercase();
                if got.contains("content-length: ") || got.contains("transfer-encoding: ") {
                    while !got.ends_with("end\r\n") {
                        stream.read_line(&mut got).await.ok()?;
                    }
                }
                let length = got.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{got}");
                return stream.write_all(answer.as_bytes()).await.ok();
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

/// The controller, with a Service `web` behind the host `web`, and `admin` behind its path
/// `/admin`.
struct Controller {
    http: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
    _world: watch::Sender<Arc<World>>,
}

impl Controller {
    async fn start(endpoints: Vec<SocketAddr>) -> Self {
        Self::start_with(endpoints, vec![]).await
    }

    async fn start_with(web: Vec<SocketAddr>, admin: Vec<SocketAddr>) -> Self {
        tls::install_provider();
        let backend = |service: &str| Backend {
            service: ObjectKey::new("d", service),
            port: Port::Number(80),
        };
        let mut world = World::default();
        for (host, path, service, to_https) in [
            ("web", "/", "web", false),
            ("web", "/admin", "admin", false),
            ("", "/any", "web", false),
            ("safe", "/", "web", true),
        ] {
            let target = Arc::new(Target {
                ingress: ObjectKey::new("d", "web"),
                backend: Some(backend(service)),
                to_https,
            });
            let path = RulePath::new(PathType::Prefix, path);
            world.routes.add(Host::new(host), path, target);
        }
        for (service, endpoints) in [("web", web), ("admin", admin)] {
            let endpoints = Endpoints::new(endpoints, None);
            world.backends.insert(backend(service), Ok(endpoints));
        }
        let (sender, world) = watch::channel(Arc::new(world));
        let turns = EndpointTurns::new(Limits {
            at_once: AT_ONCE,
            in_all: 64,
            wait: WAIT,
        });
        let forwarder = Arc::new(Forwarder::new(world, Upstream::new(RESPONSE), turns));
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
async fn a_pod_is_given_no_more_than_it_may_have() {
    let silent = pod(Manner::Silent).await;
    let controller = Controller::start(vec![silent.address]).await;
    // As many again as have their turn may wait for it; all others are refused at once.
    let asked = (0..AT_ONCE * 2 + 3).map(|_| controller.get("web", "/"));
    let mut answers = futures_util::future::join_all(asked).await;
    answers.sort_by_key(status);
    let statuses: Vec<u16> = answers.iter().map(status).collect();
    // The pod says nothing for longer than anybody waits.
    let expected = [vec![503; AT_ONCE + 3], vec![504; AT_ONCE]].concat();
    assert_eq!(statuses, expected);
    assert!(
        answers[0].0.contains("retry-after: 1\r\n"),
        "{}",
        answers[0].0
    );
    assert_eq!(silent.asked.load(Ordering::SeqCst), AT_ONCE);
    // What has ended has left its place.
    assert_eq!(status(&controller.get("web", "/").await), 504);
}

#[tokio::test]
async fn who_waits_for_a_busy_pod_is_given_to_it_or_to_another() {
    let (silent, answers) = (pod(Manner::Silent).await, pod(Manner::Answers).await);
    let upgraded = pod(Manner::Upgrades("websocket")).await;
    let controller = Controller::start_with(
        vec![silent.address, answers.address],
        vec![upgraded.address],
    )
    .await;
    // All places are taken, and as many wait as may.
    let asked = (0..AT_ONCE * 3).map(|_| controller.get("web", "/"));
    let all = futures_util::future::join_all(asked).await;
    let statuses: Vec<u16> = all.iter().map(status).collect();
    let answered = statuses.iter().filter(|it| **it == 200).count();
    assert!(!statuses.contains(&503), "{statuses:?}");
    assert!(
        answered >= AT_ONCE * 2,
        "the other takes more: {statuses:?}"
    );
    // A WebSocket has its place until it ends.
    let asked =
        "GET /admin HTTP/1.1\r\nhost: web\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..AT_ONCE {
        let mut stream = controller.connect().await;
        stream.write_all(asked.as_bytes()).await.unwrap();
        assert_eq!(status(&answer(&mut stream).await), 101);
        open.push(stream);
    }
    assert_eq!(status(&controller.ask(asked).await), 503);
    let mut first = open.remove(0);
    first.write_all(b"hello").await.unwrap();
    let mut heard = Vec::new();
    first.read_to_end(&mut heard).await.unwrap();
    drop(first);
    assert_eq!(status(&controller.ask(asked).await), 101);
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
async fn websockets_are_carried() {
    let pod = pod(Manner::Upgrades("websocket")).await;
    let controller = Controller::start(vec![pod.address]).await;
    let mut stream = controller.connect().await;
    let asked = "GET / HTTP/1.1\r\nhost: web\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(asked.as_bytes()).await.unwrap();
    let answer = answer(&mut stream).await;
    assert_eq!(status(&answer), 101);
    assert!(answer.0.contains("upgrade: websocket\r\n"), "{}", answer.0);
    stream.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}

/// In HTTP/2 there may be requests for which nobody has looked at the rules.
#[tokio::test]
async fn nothing_else_is_gone_on_with() {
    let asking = |protocol: &str| {
        format!(
            "GET / HTTP/1.1\r\nhost: web\r\nconnection: upgrade, http2-settings\r\nupgrade: {protocol}\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
    };
    let tells = pod(Manner::Tells).await;
    let controller = Controller::start(vec![tells.address]).await;
    let told = controller.ask(&asking("h2c")).await;
    assert_eq!(status(&told), 200);
    for gone in ["h2c", "upgrade", "http2-settings"] {
        assert!(!told.1.contains(gone), "{}", told.1);
    }
    // Neither if the pod says so by itself.
    let upgrades = pod(Manner::Upgrades("h2c")).await;
    let controller = Controller::start(vec![upgrades.address]).await;
    for protocol in ["h2c", "websocket"] {
        let answer = controller.ask(&asking(protocol)).await;
        assert_eq!(status(&answer), 502, "{protocol}");
    }
}

#[tokio::test]
async fn a_request_ends_where_all_say_it_ends() {
    let pod = pod(Manner::Tells).await;
    let controller = Controller::start(vec![pod.address]).await;
    let chunks = "5\r\nend\r\n\r\n0\r\n\r\n";
    for framing in [
        "content-length: 5\r\ntransfer-encoding: chunked, identity",
        "content-length: 5\r\ntransfer-encoding: xchunked",
        "transfer-encoding : chunked",
        "transfer-encoding:\r\n chunked",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: +5",
        "content-length: 0x5",
        "content-length: -1",
    ] {
        let asked = format!("POST / HTTP/1.1\r\nhost: web\r\n{framing}\r\n\r\n{chunks}");
        assert_eq!(status(&controller.ask(&asked).await), 400, "{framing}");
    }
    let old = "POST / HTTP/1.0\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(status(&controller.ask(old).await), 400);
    assert_eq!(pod.asked.load(Ordering::SeqCst), 0);
    // Of two that don't fit the coding counts, and the pod hears of that alone.
    for framing in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 3",
    ] {
        let asked = format!("POST / HTTP/1.1\r\nhost: web\r\n{framing}\r\n\r\n{chunks}");
        let told = controller.ask(&asked).await.1;
        assert!(told.contains("transfer-encoding: chunked\r\n"), "{told}");
        assert!(!told.contains("content-length"), "{told}");
    }
}

#[tokio::test]
async fn bodies_reach_the_pod_whatever_the_method() {
    let pod = pod(Manner::Tells).await;
    let controller = Controller::start(vec![pod.address]).await;
    for method in ["GET", "DELETE", "POST"] {
        let asked = format!(
            "{method} / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n5\r\nend\r\n\r\n0\r\n\r\n"
        );
        let told = controller.ask(&asked).await.1;
        assert!(told.ends_with("\r\n\r\n5\r\nend\r\n"), "{told}");
    }
}

#[tokio::test]
async fn a_host_is_the_same_however_it_is_named() {
    let pod = pod(Manner::Tells).await;
    let controller = Controller::start(vec![pod.address]).await;
    for (target, host) in [
        ("/any", "web"),
        ("/any", "WEB:80"),
        ("/any", "web."),
        ("/any", "web.:8080"),
        ("http://web/any", "other"),
        ("HTTP://WEB:80/any", ""),
    ] {
        let told = controller.get(host, target).await;
        assert_eq!(status(&told), 200, "{host} {target}");
        assert!(told.1.starts_with("get /any http/1.1\r\n"), "{}", told.1);
        let named = if target.starts_with('/') { host } else { "web" };
        let named = format!("\r\nhost: {}", named.to_ascii_lowercase());
        assert!(told.1.contains(&named), "{named}: {}", told.1);
        assert_eq!(told.1.matches("\r\nhost: ").count(), 1);
    }
    let old = "GET /any HTTP/1.0\r\nhost: web\r\n\r\n";
    assert_eq!(status(&controller.ask(old).await), 200);
}

#[tokio::test]
async fn who_names_no_host_or_several_is_refused() {
    let pod = pod(Manner::Answers).await;
    let controller = Controller::start(vec![pod.address]).await;
    for lines in [
        "",
        "host:\r\n",
        "host: :80\r\n",
        "host: .\r\n",
        "host: web:x\r\n",
        "host: user@web\r\n",
        "host: web/any\r\n",
        "host: web\r\nhost: web\r\n",
        "host: web\r\nhost: other\r\n",
    ] {
        for version in ["1.0", "1.1"] {
            let asked = format!("GET /any HTTP/{version}\r\n{lines}\r\n");
            assert_eq!(status(&controller.ask(&asked).await), 400, "{lines:?}");
        }
    }
    assert_eq!(pod.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn nobody_gets_past_a_path_by_another_spelling() {
    let (web, admin) = (pod(Manner::Answers).await, pod(Manner::Answers).await);
    let controller = Controller::start_with(vec![web.address], vec![admin.address]).await;
    let asked = || {
        let asked = [&web, &admin].map(|pod| pod.asked.load(Ordering::SeqCst));
        (asked[0], asked[1])
    };
    let to_admin = [
        "/admin",
        "/admin/",
        "/admin?/../x",
        "//admin",
        "/./admin",
        "/x/../admin",
        "/%61dmin",
        "/x/%2e%2E/admin",
        "/admin%2Fx",
        "/%2Fadmin",
        "http://web//admin",
    ];
    for path in to_admin {
        let before = asked();
        assert_eq!(status(&controller.get("web", path).await), 200, "{path}");
        assert_eq!(asked(), (before.0, before.1 + 1), "{path}");
    }
    for path in ["/administrator", "/ADMIN", "/admin/../x", "/x/admin"] {
        let before = asked();
        assert_eq!(status(&controller.get("web", path).await), 200, "{path}");
        assert_eq!(asked(), (before.0 + 1, before.1), "{path}");
    }
    let before = asked();
    for path in [
        "/admin/x%2F..%2F..%2Fpublic",
        "/x//../admin",
        "/x/..;/admin",
        "/admin%00",
        "%2Fadmin",
    ] {
        assert_eq!(status(&controller.get("web", path).await), 400, "{path}");
    }
    assert_eq!(asked(), before);
}

#[tokio::test]
async fn heads_have_an_end() {
    let pod = pod(Manner::Answers).await;
    let controller = Controller::start(vec![pod.address]).await;
    let many = "x: y\r\n".repeat(200);
    let large = format!("x: {}\r\n", "y".repeat(1 << 20));
    for lines in [many, large] {
        let mut stream = controller.connect().await;
        let asked = format!("GET / HTTP/1.1\r\nhost: web\r\n{lines}\r\n");
        // It may be refused before its end.
        let _ = stream.write_all(asked.as_bytes()).await;
        let head = head(&mut stream).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
    }
    assert_eq!(pod.asked.load(Ordering::SeqCst), 0);
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
