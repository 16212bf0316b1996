//! Priority and fairness under load, with a real etcd: who floods the server is
//! a burden to nobody else.

#[path = "integration/common/mod.rs"]
mod common;

use bytes::Bytes;
use common::people::{Client, permit, request_of};
use common::{Lab, MAPS, config_map};
use http::{Method, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often it is measured without and with the flood, in turn: what else the
/// machine does meanwhile is in both.
const ROUNDS: usize = 8;
/// How often everybody asks in a round.
const TIMES: usize = 100;
/// Where the objects are that make lists expensive.
const MANY: &str = "/api/v1/namespaces/kube-public/configmaps";
/// How many of them.
const LARGE: usize = 150;
/// Who has the machine alone is measured with so many writes.
const ALONE: usize = 2000;
/// A flood has risen when so many of its requests are served.
const RISEN: usize = 100;
/// Connections of the flood, and requests it has under way on each.
const FLOOD: (usize, usize) = (8, 80);

/// What a flood asks for.
#[derive(Clone, Copy, Debug)]
enum Asking {
    /// Changes of objects.
    Writes,
    /// Lists as they are.
    Lists,
    /// Changes, tables, compressed lists and plain ones.
    All,
}

/// What 99 of a hundred requests take at most.
fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[(times.len() - 1) * 99 / 100]
}

/// Somebody who does the same again and again, and must never be refused.
struct Other {
    what: &'static str,
    client: Client,
    method: Method,
    path: String,
    object: Value,
}

impl Other {
    async fn new(
        lab: &Lab,
        what: &'static str,
        (user, groups): (&'static str, &'static [&'static str]),
        method: Method,
        path: &str,
    ) -> Self {
        let mut client = Client::new(lab, user, groups).await;
        Self {
            what,
            method,
            path: path.to_owned(),
            object: client.get(path).await.body,
            client,
        }
    }

    /// Reads the object, or changes it; how long that takes each time.
    async fn ask(&mut self) -> Vec<Duration> {
        let mut took = Vec::new();
        for turn in 0..TIMES {
            self.object["metadata"]["annotations"]["turn"] = turn.to_string().into();
            let body = (self.method == Method::PUT).then_some(&self.object);
            let answer = self.client.send(self.method.clone(), &self.path, body);
            let answer = answer.await;
            assert_eq!(answer.code, 200, "{}: {}", self.what, answer.body);
            took.push(answer.took);
            self.object = answer.body;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        took
    }
}

/// Another user, a node, a leader and a controller.
async fn others(lab: &Lab) -> Vec<Other> {
    let joe = ("joe", &["people"][..]);
    let node = ("system:node:n1", &["system:nodes"][..]);
    let manager = ("system:kube-controller-manager", &[][..]);
    let leases = "/apis/coordination.k8s.io/v1/namespaces";
    let mut others = Vec::new();
    for (what, who, method, path) in [
        ("read", joe, Method::GET, format!("{MAPS}/small")),
        ("write", joe, Method::PUT, format!("{MAPS}/changing")),
        (
            "node's lease",
            node,
            Method::PUT,
            format!("{leases}/kube-node-lease/leases/n1"),
        ),
        (
            "leader's lease",
            manager,
            Method::PUT,
            format!("{leases}/kube-system/leases/leader"),
        ),
        (
            "controller",
            manager,
            Method::GET,
            "/api/v1/namespaces/default".to_owned(),
        ),
    ] {
        others.push(Other::new(lab, what, who, method, &path).await);
    }
    others
}

/// What everybody's requests took, all at the same time.
async fn ask(others: &mut [Other]) -> Vec<Vec<Duration>> {
    futures_util::future::join_all(others.iter_mut().map(Other::ask)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, for a machine that does nothing else: cargo test --release"]
async fn a_flood_is_a_burden_to_nobody_else() {
    let mut lab = Lab::without_server(|_| Vec::new()).await;
    let _server = lab.serve_in_process(4096).await;
    let lab = Arc::new(lab);
    permit(&lab).await;
    let namespace = "/apis/coordination.k8s.io/v1/namespaces";
    for (of, name) in [("kube-node-lease", "n1"), ("kube-system", "leader")] {
        let lease = json!({"metadata": {"name": name}, "spec": {"holderIdentity": name}});
        lab.create(&format!("{namespace}/{of}/leases"), &lease)
            .await;
    }
    for name in ["small", "changing"] {
        lab.create(MAPS, &config_map(name)).await;
    }
    let mut jane = Client::new(&lab, "jane", &["people"]).await;
    for n in 0..LARGE {
        let mut map = config_map(&format!("large-{n}"));
        map["data"]["text"] = "x".repeat(1 << 10).into();
        assert_eq!(jane.send(Method::POST, MANY, Some(&map)).await.code, 201);
    }
    let began = Instant::now();
    let flood = Flood::begin(lab.clone(), Asking::Writes);
    lab.until("many writes are done", async || flood.count(0) >= ALONE)
        .await;
    let each = began.elapsed().as_secs_f64() / flood.count(0) as f64;
    println!("alone: {:.0} writes/s", 1.0 / each);
    flood.end();
    let mut others = others(&lab).await;
    let mut burdened = Vec::new();
    for asking in [Asking::Writes, Asking::Lists, Asking::All] {
        burdened.extend(compare(&lab, asking, &mut others).await);
    }
    assert!(burdened.is_empty(), "{burdened:?}");
}

/// Measures others without and with a flood; who takes more than twice as long with it.
async fn compare(lab: &Arc<Lab>, asking: Asking, others: &mut [Other]) -> Vec<String> {
    let (mut quiet, mut flooded) = (vec![Vec::new(); 5], vec![Vec::new(); 5]);
    let [mut served, mut refused] = [0, 0];
    for _ in 0..ROUNDS {
        lab.until("no flood is left", async || waiting(lab).await == 0)
            .await;
        for (all, new) in quiet.iter_mut().zip(ask(others).await) {
            all.extend(new);
        }
        let flood = Flood::begin(lab.clone(), asking);
        lab.until("the flood has risen", async || flood.count(0) >= RISEN)
            .await;
        for (all, new) in flooded.iter_mut().zip(ask(others).await) {
            all.extend(new);
        }
        served += flood.count(0);
        refused += flood.count(1);
        flood.end();
    }
    println!("a flood of {asking:?}: {served} served, {refused} refused");
    assert!(served > 0);
    let mut burdened = Vec::new();
    for ((other, before), during) in others.iter().zip(quiet).zip(flooded) {
        let (before, during) = (p99(before), p99(during));
        let ratio = during.as_secs_f64() / before.as_secs_f64();
        println!(
            "{}: p99 {before:?} quiet, {during:?} under the flood, {ratio:.2} times",
            other.what
        );
        if ratio > 2.0 {
            burdened.push(format!("{} under {asking:?}", other.what));
        }
    }
    burdened
}

/// How many requests of Jane there are, waiting or worked on.
async fn waiting(lab: &Lab) -> usize {
    let path = "/debug/api_priority_and_fairness/dump_requests?includeRequestDetails=1";
    let (code, dump) = lab.get(path).await;
    assert_eq!(code, 200, "{dump}");
    let lines = dump.as_str().unwrap().lines();
    lines.filter(|line| line.contains("jane")).count()
}

/// Jane, who has hundreds of expensive requests under way, on a thread of her
/// own that gives way.
struct Flood {
    over: oneshot::Sender<()>,
    /// Served, and refused.
    counts: Arc<[AtomicUsize; 2]>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn begin(lab: Arc<Lab>, asking: Asking) -> Self {
        let (over, ended) = oneshot::channel();
        let counts: Arc<[AtomicUsize; 2]> = Arc::default();
        let thread = std::thread::spawn({
            let counts = counts.clone();
            move || {
                be_idle();
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let all = (0..FLOOD.0).map(|n| connection(&lab, n, asking, &counts));
                    tokio::select! {
                        _ = ended => {}
                        _ = futures_util::future::join_all(all) => {}
                    }
                });
            }
        });
        Self {
            over,
            counts,
            thread,
        }
    }

    fn count(&self, which: usize) -> usize {
        self.counts[which].load(Ordering::Relaxed)
    }

    fn end(self) {
        // Nobody hears it if the flood has panicked, which comes out next.
        let _ = self.over.send(());
        self.thread.join().unwrap();
    }
}

/// Lets this thread run where no other wants to, and at once no more when one does: on
/// another machine the flood's clients would take nothing from the server.
fn be_idle() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    let mut command = std::process::Command::new("chrt");
    command.args(["--idle", "--pid", "0"]);
    let set = command.arg(thread.file_name().unwrap()).status();
    assert!(set.expect("chrt is there").success());
}

/// A connection with many requests under way, and another one if it is closed.
async fn connection(lab: &Lab, n: usize, asking: Asking, counts: &[AtomicUsize; 2]) {
    let tls = lab.speaking("admin", "h2");
    loop {
        let stream = lab.stream(&tls).await.expect("the apiserver is there");
        let stream = TokioIo::new(stream);
        let opened = handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), stream).await;
        let (sender, connection) = opened.expect("the apiserver speaks HTTP/2");
        let requests = futures_util::future::join_all((0..FLOOD.1).map(|k| {
            let own = n * FLOOD.1 + k;
            let what = match asking {
                Asking::Writes => 0,
                Asking::Lists => 3,
                Asking::All => own % 4,
            };
            requests(own / 4 % LARGE, what, sender.clone(), counts)
        }));
        tokio::select! {
            _ = connection => {}
            _ = requests => {}
        }
    }
}

/// One request after the other, until the connection is closed.
async fn requests(
    own: usize,
    what: usize,
    mut sender: SendRequest<Full<Bytes>>,
    counts: &[AtomicUsize; 2],
) {
    let own = format!("large-{own}");
    let mut map = config_map(&own);
    for turn in 0.. {
        map["data"]["text"] = "x".repeat((1 << 10) + turn % 100).into();
        let (method, object, body) = match what {
            0 => (Method::PUT, format!("/{own}"), Some(&map)),
            _ => (Method::GET, String::new(), None),
        };
        let url = format!("https://localhost{MANY}{object}");
        let mut request = request_of("jane", &["people"], method, &url, body);
        let headers = request.headers_mut();
        headers.remove(header::HOST);
        match what {
            1 => {
                let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
                headers.insert(header::ACCEPT, table.parse().unwrap());
            }
            2 => {
                headers.insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
            }
            _ => {}
        }
        let Ok(response) = sender.send_request(request).await else {
            return;
        };
        let code = response.status().as_u16();
        let Ok(body) = response.into_body().collect().await else {
            return;
        };
        match code {
            200 => counts[0].fetch_add(1, Ordering::Relaxed),
            429 => {
                // A client with manners would wait for a second.
                tokio::time::sleep(Duration::from_millis(200)).await;
                counts[1].fetch_add(1, Ordering::Relaxed)
            }
            _ => panic!("{code} {:?}", body.to_bytes()),
        };
    }
}
