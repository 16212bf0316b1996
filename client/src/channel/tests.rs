//! One apiserver behind several addresses, of which one goes bad.

use super::*;
use crate::fake::Fake;
use crate::{Client, Informer, Store};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// It takes less than one where the machine has nothing else to do.
const SOON: Duration = Duration::from_secs(2);

/// What a relay does with what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Passes,
    /// Nothing comes through and nobody is told, as when a host has lost its power.
    Swallows,
    /// Connections are broken, and new ones at once.
    Breaks,
}

/// A way to the apiserver.
struct Relay {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    accepted: Arc<AtomicU64>,
}

impl Relay {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            mode: watch::Sender::new(Mode::Passes),
            accepted: Arc::default(),
        };
        let (mode, accepted) = (relay.mode.subscribe(), relay.accepted.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(pass(near, target, mode.clone()));
            }
        });
        relay
    }

    fn server(&self) -> Server {
        Server::of_url(&format!("http://{}", self.address)).unwrap()
    }
}

async fn pass(mut near: TcpStream, target: SocketAddr, mut mode: watch::Receiver<Mode>) {
    if *mode.borrow_and_update() == Mode::Breaks {
        return;
    }
    let mut far = TcpStream::connect(target).await.unwrap();
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    loop {
        let swallows = match *mode.borrow_and_update() {
            Mode::Breaks => return,
            now => now == Mode::Swallows,
        };
        tokio::select! {
            _ = mode.changed() => {}
            read = near.read(&mut up), if !swallows => match read {
                Ok(count @ 1..) if far.write_all(&up[..count]).await.is_ok() => {}
                _ => return,
            },
            read = far.read(&mut down), if !swallows => match read {
                Ok(count @ 1..) if near.write_all(&down[..count]).await.is_ok() => {}
                _ => return,
            },
        }
    }
}

struct Ways {
    fake: Fake,
    relays: Vec<Relay>,
    servers: Arc<Servers>,
    connection: Connection,
    client: Client,
}

impl Ways {
    async fn new(count: usize) -> Self {
        let (fake, _) = Fake::start(Vec::new());
        let mut relays = Vec::new();
        for _ in 0..count {
            relays.push(Relay::to(fake.address()).await);
        }
        let given = relays.iter().map(Relay::server).collect();
        let servers = Arc::new(Servers::new(given, Order::AsGiven));
        let connection = Connection::new(Options {
            servers: servers.clone(),
            tls: None,
            authority: Authority::from_static("test"),
            takes_pings: true,
            check: Arc::new(|probe| probe.ping().boxed()),
            what: "test",
        });
        fake.create("", "configmaps", map("first"));
        Self {
            fake,
            relays,
            servers,
            client: Client::from_connection(connection.clone()),
            connection,
        }
    }

    async fn get(&self) -> Result<(), hardway_proto::Status> {
        let maps = self.client.namespaced::<ConfigMap>("n");
        maps.get("first").await.map(drop)
    }

    fn is_at(&self, index: usize) -> bool {
        self.connection.server() == Some(self.relays[index].server())
    }
}

/// Waits until so many are known.
async fn has(maps: &Store<ConfigMap>, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while maps.len() < count {
        assert!(Instant::now() < deadline, "nothing is heard");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}})
}

#[tokio::test]
async fn who_reads_from_a_host_that_died_reads_from_another_soon() {
    let ways = Ways::new(3).await;
    ways.get().await.unwrap();
    assert!(ways.is_at(0));
    ways.relays[0].mode.send_replace(Mode::Swallows);
    let began = Instant::now();
    ways.get().await.unwrap();
    let took = began.elapsed();
    assert!(took < SOON, "{took:?}");
    assert!(!ways.is_at(0));
    // The next one is not asked to wait at all.
    let began = Instant::now();
    ways.get().await.unwrap();
    assert!(began.elapsed() < SOON / 4);
}

#[tokio::test]
async fn who_is_disconnected_reads_from_another_at_once() {
    let ways = Ways::new(2).await;
    ways.get().await.unwrap();
    ways.relays[0].mode.send_replace(Mode::Breaks);
    let began = Instant::now();
    ways.get().await.unwrap();
    assert!(began.elapsed() < SOON / 4);
    assert!(ways.is_at(1));
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_made_again() {
    let ways = Ways::new(2).await;
    ways.get().await.unwrap();
    ways.relays[0].mode.send_replace(Mode::Swallows);
    let maps = ways.client.namespaced::<ConfigMap>("n");
    let mut second = ConfigMap::default();
    second.metadata.name = Some("second".into());
    let began = Instant::now();
    let lost = maps.create(&second).await.unwrap_err();
    assert!(began.elapsed() < SOON);
    assert_eq!(lost.code, 500);
    assert!(
        lost.message.contains("may or may not have been done"),
        "{lost}"
    );
    assert_eq!(ways.fake.calls("create configmaps"), 0);
    maps.create(&second).await.unwrap();
    assert_eq!(ways.fake.calls("create configmaps"), 1);
}

#[tokio::test]
async fn a_watch_goes_on_elsewhere_from_where_it_was() {
    let ways = Ways::new(2).await;
    let maps = Informer::new(ways.client.all::<ConfigMap>()).start();
    maps.wait_synced().await;
    // The watch has begun, and nothing happens any more.
    ways.fake.create("", "configmaps", map("zeroth"));
    has(&maps, 2).await;
    ways.relays[0].mode.send_replace(Mode::Swallows);
    let began = Instant::now();
    ways.fake.create("", "configmaps", map("second"));
    ways.fake
        .wait_until("it watches again", |fake| {
            fake.calls("watch configmaps") >= 2
        })
        .await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    has(&maps, 3).await;
    assert_eq!(
        ways.fake.calls("list configmaps"),
        1,
        "nothing is listed again"
    );
}

#[tokio::test]
async fn one_that_is_only_slow_is_not_left() {
    let ways = Ways::new(2).await;
    ways.get().await.unwrap();
    // It takes the request, and answers pings.
    ways.fake.answer(false);
    let slow = tokio::time::timeout(Duration::from_secs(2), ways.get());
    assert!(slow.await.is_err());
    assert!(ways.is_at(0));
    ways.fake.answer(true);
    ways.get().await.unwrap();
    assert_eq!(ways.connection.number(), 1);
}

#[tokio::test]
async fn where_there_is_nobody_else_one_waits() {
    let ways = Ways::new(2).await;
    ways.get().await.unwrap();
    for relay in &ways.relays {
        relay.mode.send_replace(Mode::Swallows);
    }
    let waiting = tokio::time::timeout(Duration::from_secs(2), ways.get());
    assert!(waiting.await.is_err());
    ways.relays[0].mode.send_replace(Mode::Passes);
    ways.get().await.unwrap();
    assert!(ways.is_at(0), "it was never left");
}

#[tokio::test]
async fn what_is_listed_no_more_is_left_without_an_error() {
    let ways = Ways::new(2).await;
    let maps = Informer::new(ways.client.all::<ConfigMap>()).start();
    maps.wait_synced().await;
    assert!(ways.is_at(0));
    ways.servers.set_listed(vec![ways.relays[1].server()]);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !ways.is_at(1) {
        assert!(Instant::now() < deadline, "it is not left");
        ways.get().await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    ways.get().await.unwrap();
}

/// How long it takes after a host has died until another one answers, for SPECIFICATION.md:
/// `cargo test -p hardway-client --lib -- --ignored --nocapture measure_failover`.
#[tokio::test]
#[ignore = "it measures"]
async fn measure_failover() {
    for mode in [Mode::Swallows, Mode::Breaks] {
        let (mut reads, mut watches) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let ways = Ways::new(3).await;
            ways.get().await.unwrap();
            ways.relays[0].mode.send_replace(mode);
            let began = Instant::now();
            ways.get().await.unwrap();
            reads.push(began.elapsed());

            let ways = Ways::new(3).await;
            let maps = Informer::new(ways.client.all::<ConfigMap>()).start();
            maps.wait_synced().await;
            let watches_are = |count| move |fake: &Fake| fake.calls("watch configmaps") >= count;
            ways.fake.wait_until("it watches", watches_are(1)).await;
            ways.relays[0].mode.send_replace(mode);
            let began = Instant::now();
            ways.fake.wait_until("it watches", watches_are(2)).await;
            watches.push(began.elapsed());
        }
        for (what, mut took) in [("reads", reads), ("watches", watches)] {
            took.sort();
            println!(
                "{mode:?} {what}: median {:?}, most {:?}",
                took[took.len() / 2],
                took[took.len() - 1]
            );
        }
    }
}
