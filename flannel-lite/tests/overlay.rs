//! Two nodes, each a network namespace of a thread, joined by a veth pair: the
//! real kernel code makes their pod subnets reach each other. Namespaces go
//! with their threads. Needs root; says so and passes where it isn't.

use hardway_client::host::{Linux, Outcome};
use hardway_flannel_lite::cni::Cni;
use hardway_flannel_lite::peers::{Peer, entries};
use hardway_flannel_lite::{DataPath, DesiredState, Kernel, Local, Netlink, Uplink, requirements};
use nix::sched::{CloneFlags, unshare};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const DEADLINE: Duration = Duration::from_secs(20);

/// A command in the calling thread's namespace.
fn ip(arguments: &str) -> String {
    let words = arguments.split_whitespace();
    let output = Command::new("ip").args(words).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

struct Node {
    number: u8,
    path: DataPath<Netlink>,
    folder: tempfile::TempDir,
}

impl Node {
    /// `number` 1 or 2, in a namespace with eth0 up.
    fn new(number: u8) -> Self {
        ip("link set lo up");
        ip(&format!(
            "address add {} dev eth0",
            Self::address(number, 24)
        ));
        ip("link set eth0 up");
        // The gateway address stands for a pod.
        ip("link add cni0 type bridge");
        ip(&format!("address add 10.244.{number}.1/24 dev cni0"));
        ip("link set cni0 address 02:00:00:00:01:01 up");
        let folder = tempfile::tempdir().unwrap();
        Self {
            number,
            path: Self::path(&folder),
            folder,
        }
    }

    fn address(number: u8, prefix: u8) -> String {
        format!("192.0.2.{number}/{prefix}")
    }

    fn path(folder: &tempfile::TempDir) -> DataPath<Netlink> {
        let (netlink, _) = Netlink::open().unwrap();
        let cni = Cni {
            conf_dir: folder.path().into(),
            data_dir: folder.path().join("ipam"),
        };
        DataPath::new(netlink, cni)
    }

    fn wanted(&self, peers: impl IntoIterator<Item = Peer>) -> DesiredState {
        DesiredState {
            uplink: Uplink {
                iface: Some("eth0".into()),
                address: Some(Ipv4Addr::new(192, 0, 2, self.number)),
            },
            subnet: format!("10.244.{}.0/24", self.number).parse().unwrap(),
            cluster: "10.244.0.0/16".parse().ok(),
            mac: None,
            peers: peers.into_iter().collect(),
        }
    }

    fn as_peer(&self, local: Local) -> Peer {
        Peer {
            subnet: self.wanted([]).subnet,
            node_ip: local.address,
            vtep_mac: local.mac,
        }
    }

    async fn actual(&self) -> BTreeSet<hardway_flannel_lite::peers::Entry> {
        let (netlink, _) = Netlink::open().unwrap();
        let links = netlink.interfaces().await.unwrap();
        let device = links.iter().find(|l| l.name == "flannel.1").unwrap();
        netlink.entries(device.index).await.unwrap()
    }
}

/// Runs `body` as a node would run: one thread in a namespace of its own.
fn in_namespace<T: Send + 'static, F: Future<Output = T>>(
    body: impl FnOnce() -> F + Send + 'static,
) -> std::thread::JoinHandle<T> {
    std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async { tokio::time::timeout(DEADLINE, body()).await.unwrap() })
    })
}

/// Tells the other thread, and hears from it.
struct Wire<T> {
    to: Sender<T>,
    from: Receiver<T>,
}

impl<T> Wire<T> {
    fn pair() -> (Self, Self) {
        let ((a_to, b_from), (b_to, a_from)) = (channel(), channel());
        let a = Self {
            to: a_to,
            from: a_from,
        };
        let b = Self {
            to: b_to,
            from: b_from,
        };
        (a, b)
    }

    fn exchange(&self, value: T) -> T {
        self.to.send(value).unwrap();
        self.hear()
    }

    fn hear(&self) -> T {
        self.from.recv_timeout(DEADLINE).unwrap()
    }
}

#[test]
fn pods_of_two_nodes_reach_each_other() {
    let (threads_a, threads_b) = Wire::<i32>::pair();
    let (peers_a, peers_b) = Wire::<Peer>::pair();
    let (ports_b, ports_a) = channel::<u16>();
    let a = in_namespace(move || async move {
        let other = threads_a.hear();
        ip(&format!(
            "link add eth0 type veth peer name eth0 netns {other}"
        ));
        threads_a.to.send(0).unwrap();
        let mut node = Node::new(1);
        let local = node.path.apply(&node.wanted([])).await.unwrap();
        let peer = peers_a.exchange(node.as_peer(local));
        node.path.apply(&node.wanted([peer])).await.unwrap();
        let port = ports_a.recv_timeout(DEADLINE).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("10.244.1.1:0".parse().unwrap()).unwrap();
        let server = format!("10.244.2.1:{port}").parse().unwrap();
        let mut stream = socket.connect(server).await.unwrap();
        let mut source = String::new();
        stream.read_to_string(&mut source).await.unwrap();
        // Not masqueraded on the way.
        assert_eq!(source, "10.244.1.1");
        let sent = ip("-statistics link show flannel.1");
        assert!(sent.contains("mtu 1450"), "{sent}");
    });
    let b = in_namespace(move || async move {
        let thread = nix::unistd::gettid().as_raw();
        threads_b.exchange(thread);
        let mut node = Node::new(2);
        let local = node.path.apply(&node.wanted([])).await.unwrap();
        let peer = peers_b.exchange(node.as_peer(local));
        node.path.apply(&node.wanted([peer])).await.unwrap();
        let listener = TcpListener::bind("10.244.2.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        ports_b.send(port).unwrap();
        let (stream, from) = listener.accept().await.unwrap();
        let text = from.ip().to_string();
        stream.writable().await.unwrap();
        assert_eq!(stream.try_write(text.as_bytes()).unwrap(), text.len());
    });
    let (a, b) = (a.join(), b.join());
    a.unwrap();
    b.unwrap();
}

#[test]
fn a_restart_keeps_the_device_and_removes_what_is_stale() {
    let body = in_namespace(|| async {
        ip("link add eth0 type veth peer name peer0");
        ip("link set peer0 up");
        let mut node = Node::new(1);
        let peer = |number: u8, mac: &str| Peer {
            subnet: format!("10.244.{number}.0/24").parse().unwrap(),
            node_ip: Ipv4Addr::new(192, 0, 2, number),
            vtep_mac: mac.parse().unwrap(),
        };
        let two = peer(2, "02:00:00:00:00:02");
        let three = peer(3, "02:00:00:00:00:03");
        let wanted = node.wanted([two, three]);
        let local = node.path.apply(&wanted).await.unwrap();
        assert_eq!(node.actual().await, entries(&wanted.peers));
        let route = ip("route show 10.244.2.0/24");
        for word in ["via 10.244.2.0", "dev flannel.1", "onlink"] {
            assert!(route.contains(word), "{route}");
        }
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let required = requirements::ALL.iter().filter(|r| r.vital);
        for requirement in required.clone() {
            requirement.settle(&Linux);
        }
        assert_eq!(
            std::fs::read("/proc/sys/net/ipv4/ip_forward").unwrap(),
            b"1\n"
        );
        for requirement in required {
            assert_eq!(requirement.settle(&Linux), Outcome::Met);
        }

        // Of several default routes the one with the lowest metric counts.
        let (netlink, _connection) = Netlink::open().unwrap();
        assert_eq!(netlink.default_interface().await.unwrap(), None);
        ip("route add default dev flannel.1 metric 20");
        ip("route add default dev eth0 metric 10");
        let links = netlink.interfaces().await.unwrap();
        let uplink = links.iter().find(|link| link.name == "eth0").unwrap();
        let default = netlink.default_interface().await.unwrap();
        assert_eq!(default, Some(uplink.index));
        ip("route delete default dev flannel.1");
        ip("route delete default dev eth0");

        // What others left there goes at a restart; the device stays.
        ip("route add 10.9.0.0/16 dev flannel.1");
        ip("neighbour add 10.9.0.1 lladdr 02:00:00:00:00:09 dev flannel.1 nud permanent");
        node.path = Node::path(&node.folder);
        let mut moved = peer(2, "02:00:00:00:00:22");
        moved.node_ip = Ipv4Addr::new(192, 0, 2, 22);
        let wanted = node.wanted([moved]);
        assert_eq!(node.path.apply(&wanted).await.unwrap(), local);
        assert_eq!(node.actual().await, entries(&wanted.peers));
        // A moved node without a restart, then none.
        let wanted = node.wanted([two]);
        node.path.apply(&wanted).await.unwrap();
        assert_eq!(node.actual().await, entries(&wanted.peers));
        node.path.apply(&node.wanted([])).await.unwrap();
        assert!(node.actual().await.is_empty());

        // Somebody deletes the device: the error makes it look, and it heals.
        ip("link delete flannel.1");
        let wanted = node.wanted([two]);
        node.path.apply(&wanted).await.unwrap_err();
        node.path.apply(&wanted).await.unwrap();
        assert_eq!(node.actual().await, entries(&wanted.peers));

        // Other parameters: made anew, with the MAC the peers know.
        ip("address add 192.0.2.77/24 dev eth0");
        let mut other = node.wanted([two]);
        other.uplink.address = Some(Ipv4Addr::new(192, 0, 2, 77));
        other.mac = Some(local.mac);
        let now = node.path.apply(&other).await.unwrap();
        assert_eq!(now.mac, local.mac);
        assert!(ip("-d link show flannel.1").contains("local 192.0.2.77"));
        let rules = Command::new("nft").args(["list", "ruleset"]).output();
        let rules = String::from_utf8(rules.unwrap().stdout).unwrap();
        assert!(
            rules.contains("ip saddr 10.244.1.0/24 ip daddr != @inside"),
            "{rules}"
        );
        assert_eq!(rules.matches("masquerade").count(), 1);
    });
    body.join().unwrap();
}

/// Bytes that are sent at a time; bytes of a measurement.
const PIECE: usize = 256 << 10;
const BYTES: usize = 256 << 20;
/// How often each way is measured, in turn.
const ROUNDS: usize = 5;

/// A VXLAN between both nodes as anybody would make it.
fn make_by_hand(number: u8, other: u8) {
    ip(&format!(
        "link add hand type vxlan id 77 dev eth0 local 192.0.2.{number} remote 192.0.2.{other} dstport 4790"
    ));
    ip(&format!("address add 10.77.0.{number}/24 dev hand"));
    ip("link set hand up");
}

/// Sends to an address and waits until all has come; bytes a second.
async fn send(to: &str, port: u16) -> f64 {
    let began = std::time::Instant::now();
    let mut stream = TcpStream::connect((to, port)).await.unwrap();
    let piece = vec![7; PIECE];
    for _ in 0..BYTES / PIECE {
        stream.write_all(&piece).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read_u64().await.unwrap(), BYTES as u64);
    BYTES as f64 / began.elapsed().as_secs_f64()
}

/// Takes what comes over so many connections.
async fn receive(listener: &TcpListener, connections: usize) {
    let mut buffer = vec![0; PIECE];
    for _ in 0..connections {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut count = 0;
        loop {
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                length => count += length as u64,
            }
        }
        stream.write_u64(count).await.unwrap();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[ignore = "measures throughput: for a quiet machine, by hand"]
fn the_overlay_is_as_fast_as_a_vxlan_made_by_hand() {
    let (threads_a, threads_b) = Wire::<i32>::pair();
    let (peers_a, peers_b) = Wire::<Peer>::pair();
    let (ports_b, ports_a) = channel::<u16>();
    let a = in_namespace(move || async move {
        let other = threads_a.hear();
        ip(&format!(
            "link add eth0 type veth peer name eth0 netns {other}"
        ));
        threads_a.to.send(0).unwrap();
        let mut node = Node::new(1);
        let local = node.path.apply(&node.wanted([])).await.unwrap();
        let peer = peers_a.exchange(node.as_peer(local));
        node.path.apply(&node.wanted([peer])).await.unwrap();
        make_by_hand(1, 2);
        let port = ports_a.recv_timeout(DEADLINE).unwrap();
        let (mut overlay, mut hand) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            overlay.push(send("10.244.2.1", port).await);
            hand.push(send("10.77.0.2", port).await);
        }
        let (overlay, hand) = (median(overlay), median(hand));
        let ratio = overlay / hand;
        println!(
            "overlay {:.0} MB/s, a VXLAN made by hand {:.0} MB/s: {ratio:.3} of it",
            overlay / 1e6,
            hand / 1e6
        );
        assert!(ratio >= 0.95, "{ratio}");
    });
    let b = in_namespace(move || async move {
        let thread = nix::unistd::gettid().as_raw();
        threads_b.exchange(thread);
        let mut node = Node::new(2);
        let local = node.path.apply(&node.wanted([])).await.unwrap();
        let peer = peers_b.exchange(node.as_peer(local));
        node.path.apply(&node.wanted([peer])).await.unwrap();
        make_by_hand(2, 1);
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        ports_b.send(port).unwrap();
        receive(&listener, 2 * ROUNDS).await;
    });
    let (a, b) = (a.join(), b.join());
    a.unwrap();
    b.unwrap();
}
