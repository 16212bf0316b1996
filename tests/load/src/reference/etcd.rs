//! An etcd of one member on the loopback, with nothing in it.

use super::authority::Authority;
use super::child::{Process, free_port};
use crate::failure::Failure;
use crate::process::Watched;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How long an etcd may take until it takes connections.
const PATIENCE: Duration = Duration::from_secs(30);

/// An etcd; it and its data end with the value and its folder.
pub struct Etcd {
    process: Process,
    port: u16,
}

impl Etcd {
    /// Starts one that keeps its data in the authority's folder and takes clients that the
    /// authority has signed. It writes to disk before it answers, as any does by default.
    ///
    /// # Errors
    /// If it isn't installed or does not start.
    pub async fn start(authority: &Authority) -> Result<Self, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (port, peer) = (free_port()?, free_port()?);
            let arguments = arguments(authority, port, peer);
            let folder = authority.file("");
            let started = Process::start("etcd", Path::new("etcd"), &arguments, &folder);
            let mut etcd = Self {
                process: started?,
                port,
            };
            // Another process may have taken a port meanwhile.
            while let Ok(()) = etcd.process.check() {
                if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                    return Ok(etcd);
                }
                if Instant::now() > deadline {
                    let why = format!("it takes no connections: {}", etcd.process.last_lines());
                    return Err(Failure::new("start etcd", why, "is the disk very slow?"));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if Instant::now() > deadline {
                etcd.process.check()?;
            }
        }
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// As whom its costs are measured.
    pub fn watched(&self) -> Watched {
        self.process.watched()
    }
}

fn arguments(authority: &Authority, port: u16, peer: u16) -> Vec<String> {
    let file = |name: &str| authority.file(name).display().to_string();
    let url = format!("https://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{peer}");
    vec![
        "--name=load".into(),
        "--logger=zap".into(),
        "--log-level=error".into(),
        "--client-cert-auth".into(),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=load={peer}"),
        // Room for all that a run writes.
        format!("--quota-backend-bytes={}", 8_u64 << 30),
        format!("--data-dir={}", file("etcd")),
        format!("--cert-file={}", file("server.crt")),
        format!("--key-file={}", file("server.key")),
        format!("--trusted-ca-file={}", file("ca.crt")),
    ]
}
