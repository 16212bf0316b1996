//! An etcd process, and what is done to it past the apiserver.

use super::{Lab, PATIENCE, free_port};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// An etcd process.
pub struct Etcd {
    /// More flags for each start.
    flags: Vec<String>,
    child: Option<Child>,
    dir: PathBuf,
    port: u16,
    peer: u16,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Etcd {
    /// Starts a new one, on ports that it has got: others may take those that are free
    /// before it does.
    pub async fn new(dir: &Path, flags: Vec<String>) -> Self {
        let mut etcd = Self {
            flags,
            child: None,
            dir: dir.to_owned(),
            port: 0,
            peer: 0,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            (etcd.port, etcd.peer) = (free_port(), free_port());
            etcd.start();
            while !etcd.has_ended() {
                if TcpStream::connect(("127.0.0.1", etcd.port)).await.is_ok() {
                    return etcd;
                }
                assert!(Instant::now() < deadline, "etcd takes no connections");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(Instant::now() < deadline, "etcd does not stay");
        }
    }

    fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// Where clients find it.
    pub fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn start(&mut self) {
        let file = |name: &str| self.dir.join(name);
        let peer = format!("http://127.0.0.1:{}", self.peer);
        let child = Command::new("etcd")
            .args([
                "--name=test",
                "--logger=zap",
                "--log-level=error",
                "--client-cert-auth",
            ])
            .args([format!("--listen-client-urls={}", self.url())])
            .args([format!("--advertise-client-urls={}", self.url())])
            .args([format!("--listen-peer-urls={peer}")])
            .args([format!("--initial-advertise-peer-urls={peer}")])
            .args([format!("--initial-cluster=test={peer}")])
            .arg("--data-dir")
            .arg(file("etcd"))
            .arg("--cert-file")
            .arg(file("server.crt"))
            .arg("--key-file")
            .arg(file("server.key"))
            .arg("--trusted-ca-file")
            .arg(file("ca.crt"))
            .args(&self.flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd is installed (Debian: etcd-server)");
        self.child = Some(child);
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Lab {
    /// etcd itself, past the apiserver.
    pub async fn etcd_client(&self) -> etcd_client::Client {
        self.etcd_client_of(self.etcd.url()).await.unwrap()
    }

    /// The same of the member at a URL.
    pub async fn etcd_client_of(
        &self,
        url: String,
    ) -> Result<etcd_client::Client, etcd_client::Error> {
        let file = |name: &str| std::fs::read(self.dir.path().join(name)).unwrap();
        let tls = tonic::transport::ClientTlsConfig::new()
            .ca_certificate(tonic::transport::Certificate::from_pem(file("ca.crt")))
            .identity(tonic::transport::Identity::from_pem(
                file("admin.crt"),
                file("admin.key"),
            ));
        let options = etcd_client::ConnectOptions::new().with_tls(tls);
        etcd_client::Client::connect([url], Some(options)).await
    }

    /// Makes etcd forget everything before now.
    pub async fn compact(&self) {
        let mut client = self.etcd_client().await;
        let revision = client
            .get("x", None)
            .await
            .unwrap()
            .header()
            .unwrap()
            .revision();
        client.compact(revision, None).await.unwrap();
    }
}
