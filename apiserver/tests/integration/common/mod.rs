//! A real etcd and an apiserver on it, with certificates of their own, driven
//! over HTTP. Everything ends with the value.

#![allow(dead_code)]

mod certificates;
pub mod cluster;
mod etcd;
pub mod people;
mod process;
pub mod requests;

use clap::Parser;
use etcd::Etcd;
use hardway_apiserver::flags::Flags;
use hardway_apiserver::server::Server;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// etcd, apiserver and a client.
pub struct Lab {
    pub dir: tempfile::TempDir,
    pub address: SocketAddr,
    pub etcd: Etcd,
    /// Where the apiserver finds etcd, if not where it is.
    pub etcd_url: Option<String>,
    /// Where the apiserver listens.
    pub bind: IpAddr,
    /// More flags for the apiserver.
    pub flags: Vec<String>,
    stop: Option<oneshot::Sender<()>>,
    /// Those of apiservers that go on beside the last one.
    others: Vec<oneshot::Sender<()>>,
    tls: Arc<rustls::ClientConfig>,
}

/// A port that nobody has, that this process gives only once, and that no outgoing
/// connection is given (they begin at 32768).
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id().wrapping_mul(64) + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 12_000 + (next % 18_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// An address of this machine that others have for it, too: to itself the apiserver passes
/// nothing on.
pub fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    socket.local_addr().unwrap().ip()
}

/// The events of an audit log that are there as a whole.
pub fn audit_events(log: &Path) -> Vec<Value> {
    let bytes = std::fs::read(log).unwrap_or_default();
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    let lines = bytes[..end.unwrap_or(0)].split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

impl Lab {
    pub async fn start() -> Self {
        Self::start_with(|_| Vec::new()).await
    }

    /// The same with more flags, which may name files in the lab's folder.
    pub async fn start_with(flags: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let mut lab = Self::without_server(flags).await;
        lab.serve().await;
        lab
    }

    /// All but the apiserver.
    pub async fn without_server(flags: impl FnOnce(&Path) -> Vec<String>) -> Self {
        Self::on_etcd_with(Vec::new(), flags).await
    }

    /// The same with more flags for etcd.
    pub async fn on_etcd_with(
        etcd_flags: Vec<String>,
        flags: impl FnOnce(&Path) -> Vec<String>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        certificates::make(dir.path());
        let etcd = Etcd::new(dir.path(), etcd_flags).await;
        Self {
            address: ([127, 0, 0, 1], 0).into(),
            tls: certificates::tls(dir.path(), "admin", "http/1.1"),
            stop: None,
            others: Vec::new(),
            flags: flags(dir.path()),
            etcd_url: None,
            bind: Ipv4Addr::LOCALHOST.into(),
            etcd,
            dir,
        }
    }

    /// Starts an apiserver (another one, if there was one) and waits for it.
    pub async fn serve(&mut self) {
        self.listen().await;
        self.wait_ready().await;
    }

    /// Starts one more apiserver beside those there are, and speaks with that from now on.
    pub async fn serve_another(&mut self) {
        self.others.extend(self.stop.take());
        self.serve().await;
    }

    /// The same without waiting: it takes connections, that is all.
    pub async fn listen(&mut self) {
        let server = Server::start(&self.parsed_flags()).await.unwrap();
        self.address = server.address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        self.stop = Some(stop);
        tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
    }

    /// The flags that an apiserver is started with.
    pub fn parsed_flags(&self) -> Flags {
        let program = "hardway-apiserver".to_owned();
        Flags::try_parse_from([program].into_iter().chain(self.arguments(0))).unwrap()
    }

    /// The same in text, for a port.
    fn arguments(&self, port: u16) -> Vec<String> {
        let file = |name: &str| self.dir.path().join(name).display().to_string();
        let least = [
            format!(
                "--etcd-servers={}",
                self.etcd_url.clone().unwrap_or_else(|| self.etcd.url())
            ),
            format!("--etcd-cafile={}", file("ca.crt")),
            format!("--etcd-certfile={}", file("admin.crt")),
            format!("--etcd-keyfile={}", file("admin.key")),
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--client-ca-file={}", file("ca.crt")),
            format!("--service-account-signing-key-file={}", file("sa.key")),
            format!("--bind-address={}", self.bind),
            format!("--secure-port={port}"),
        ];
        least.into_iter().chain(self.flags.clone()).collect()
    }

    async fn wait_ready(&self) {
        let is_ready = async || self.try_get("/readyz").await == Some(200);
        self.until("the server is ready", is_ready).await;
    }

    /// Waits for a condition.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition().await {
            assert!(Instant::now() < deadline, "timed out: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A ConfigMap.
pub fn config_map(name: &str) -> Value {
    serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name}, "data": {"a": "1"}})
}

/// A pod that has what it needs to be accepted.
pub fn pod(name: &str) -> Value {
    serde_json::json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]}})
}

/// The path of ConfigMaps.
pub const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// The path of pods.
pub const PODS: &str = "/api/v1/namespaces/default/pods";

/// The service account that pods need.
pub async fn service_account(lab: &Lab) {
    let account = serde_json::json!({"metadata": {"name": "default"}});
    lab.create("/api/v1/namespaces/default/serviceaccounts", &account)
        .await;
}
