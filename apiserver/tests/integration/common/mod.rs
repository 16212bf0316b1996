//! A real etcd and an apiserver on it, with certificates of their own, driven
//! over HTTP. Everything ends with the value.

#![allow(dead_code)]

pub mod people;

use bytes::Bytes;
use clap::Parser;
use hardway_apiserver::flags::Flags;
use hardway_apiserver::server::Server;
use hardway_client::kubeconfig::Pem;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// etcd, apiserver and a client.
pub struct Lab {
    pub dir: tempfile::TempDir,
    pub address: SocketAddr,
    pub etcd: Etcd,
    /// Where the apiserver finds etcd, if not where it is.
    pub etcd_url: Option<String>,
    /// More flags for the apiserver.
    pub flags: Vec<String>,
    stop: Option<oneshot::Sender<()>>,
    tls: Arc<rustls::ClientConfig>,
}

/// An etcd process.
pub struct Etcd {
    child: Option<Child>,
    dir: PathBuf,
    port: u16,
    peer: u16,
}

/// An apiserver in a process of its own.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Etcd {
    /// Starts a new one, on ports that it has got: others may take those that are free
    /// before it does.
    async fn new(dir: &Path) -> Self {
        let mut etcd = Self {
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

/// A CA, a server certificate and those of clients, as files.
fn certificates(dir: &Path) {
    let write = |name: &str, text: String| std::fs::write(dir.join(name), text).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "test-ca");
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap();
    write("ca.crt", ca.pem());
    write("ca.key", key.serialize_pem());
    let issuer = Issuer::new(params, key);
    for (file, name, group) in [
        ("server", "kube-apiserver", ""),
        ("admin", "admin", "system:masters"),
        ("jane", "jane", "dev"),
        ("node", "system:node:n1", "system:nodes"),
        ("overlay", "system:flannel-lite:n1", "system:flannel-lite"),
    ] {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if !group.is_empty() {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        write(&format!("{file}.crt"), certificate.pem());
        write(&format!("{file}.key"), key.serialize_pem());
    }
    write("sa.key", KeyPair::generate().unwrap().serialize_pem());
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
        let dir = tempfile::tempdir().unwrap();
        certificates(dir.path());
        let etcd = Etcd::new(dir.path()).await;
        Self {
            address: ([127, 0, 0, 1], 0).into(),
            tls: tls(dir.path(), "admin", "http/1.1"),
            stop: None,
            flags: flags(dir.path()),
            etcd_url: None,
            etcd,
            dir,
        }
    }

    /// Starts an apiserver (another one, if there was one) and waits for it.
    pub async fn serve(&mut self) {
        self.listen().await;
        self.until("the server is ready", async || self.is_ready().await)
            .await;
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
        Flags::try_parse_from(self.arguments(0)).unwrap()
    }

    fn arguments(&self, port: u16) -> Vec<String> {
        let file = |name: &str| self.dir.path().join(name).display().to_string();
        let least = [
            "hardway-apiserver".to_owned(),
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
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
        ];
        least.into_iter().chain(self.flags.clone()).collect()
    }

    /// Starts an apiserver in a process of its own that may have only so many
    /// descriptors open, and waits for it; ends with what this gives.
    pub async fn serve_in_process(&mut self, descriptors: usize) -> Process {
        let port = free_port();
        self.address = ([127, 0, 0, 1], port).into();
        let child = Command::new("sh")
            .args(["-c", &format!("ulimit -n {descriptors}; exec \"$@\"")])
            .arg("sh")
            .arg(env!("CARGO_BIN_EXE_hardway-apiserver"))
            .args(&self.arguments(port)[1..])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process(child);
        self.until("the server is ready", async || self.is_ready().await)
            .await;
        process
    }

    async fn is_ready(&self) -> bool {
        self.try_get("/readyz").await == Some(200)
    }

    /// The code of the answer, if there is one.
    pub async fn try_get(&self, path: &str) -> Option<u16> {
        let answer = self.try_call(Method::GET, path, "", Bytes::new()).await;
        answer.map(|answer| answer.status().as_u16())
    }

    /// Makes a client's certificate, for `acting`.
    pub fn sign(&self, file: &str, params: CertificateParams) {
        let path = |name: &str| self.dir.path().join(name);
        let ca = std::fs::read_to_string(path("ca.crt")).unwrap();
        let key = std::fs::read_to_string(path("ca.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&ca, KeyPair::from_pem(&key).unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(path(&format!("{file}.crt")), certificate.pem()).unwrap();
        std::fs::write(path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// Trusts the server and shows nothing.
    pub fn stranger(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.dir.path().join("ca.crt")).unwrap();
        roots.add(ca).unwrap();
        let config = rustls::ClientConfig::builder().with_root_certificates(roots);
        Arc::new(config.with_no_client_auth())
    }

    /// The same lab, seen by another user.
    pub fn acting(&self, user: &str) -> Arc<rustls::ClientConfig> {
        self.speaking(user, "http/1.1")
    }

    /// The same, in another version of HTTP.
    pub fn speaking(&self, user: &str, protocol: &str) -> Arc<rustls::ClientConfig> {
        tls(self.dir.path(), user, protocol)
    }

    /// What hardway's own client needs.
    pub fn kubeconfig(&self) -> hardway_client::kubeconfig::Kubeconfig {
        self.kubeconfig_of("admin")
    }

    /// The same for another user.
    pub fn kubeconfig_of(&self, user: &str) -> hardway_client::kubeconfig::Kubeconfig {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
             clusters: [{{name: c, cluster: {{server: 'https://{}', certificate-authority: ca.crt}}}}]\n\
             users: [{{name: u, user: {{client-certificate: {user}.crt, client-key: {user}.key}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n",
            self.address
        );
        let path = self.dir.path().join(format!("{user}.kubeconfig"));
        std::fs::write(&path, text).unwrap();
        hardway_client::kubeconfig::Kubeconfig::load(&path).unwrap()
    }

    /// Waits for a condition.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition().await {
            assert!(Instant::now() < deadline, "timed out: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A connection after its handshake, to say anything on.
    pub async fn stream(&self, tls: &Arc<rustls::ClientConfig>) -> Option<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await.ok()?;
        let connector = tokio_rustls::TlsConnector::from(tls.clone());
        let name = ServerName::try_from("localhost").unwrap();
        connector.connect(name, tcp).await.ok()
    }

    /// A connection with these certificates.
    pub async fn connect(
        &self,
        tls: &Arc<rustls::ClientConfig>,
    ) -> Option<hyper::client::conn::http1::SendRequest<Full<Bytes>>> {
        let stream = self.stream(tls).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .ok()?;
        tokio::spawn(connection);
        Some(sender)
    }

    async fn try_call(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Option<Response<Incoming>> {
        self.try_call_as(&self.tls, method, path, content_type, body)
            .await
    }

    pub async fn try_call_as(
        &self,
        tls: &Arc<rustls::ClientConfig>,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Option<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("user-agent", "test/1");
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let request = request.body(Full::new(body)).unwrap();
        let mut sender = self.connect(tls).await?;
        sender.send_request(request).await.ok()
    }

    /// A request with any body; code and answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> (u16, Value) {
        let response = self
            .try_call(method, path, content_type, body.into())
            .await
            .expect("the apiserver answers");
        read(response).await
    }

    pub async fn send_as(
        &self,
        user: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> (u16, Value) {
        let body = Bytes::from(body.to_string());
        let tls = self.acting(user);
        let content_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let response = self
            .try_call_as(&tls, method, path, content_type, body)
            .await
            .expect("the apiserver answers");
        read(response).await
    }

    /// The warnings of an answer to a request with any body.
    pub async fn warnings(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Vec<String> {
        let body = match body {
            Value::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        };
        let answer = self.try_call_as(&self.tls, method, path, content_type, body);
        let answer = answer.await.expect("the apiserver answers");
        let all = answer.headers().get_all("warning").iter();
        all.map(|text| text.to_str().unwrap().to_owned()).collect()
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, "", "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(Method::POST, path, "application/json", body.to_string())
            .await
    }

    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(Method::PUT, path, "application/json", body.to_string())
            .await
    }

    pub async fn merge(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(
            Method::PATCH,
            path,
            "application/merge-patch+json",
            body.to_string(),
        )
        .await
    }

    pub async fn delete(&self, path: &str, options: &Value) -> (u16, Value) {
        let body = if options.is_null() {
            String::new()
        } else {
            options.to_string()
        };
        self.send(Method::DELETE, path, "application/json", body)
            .await
    }

    /// Creates and expects success.
    pub async fn create(&self, path: &str, body: &Value) -> Value {
        let (code, object) = self.post(path, body).await;
        assert_eq!(code, 201, "{object}");
        object
    }

    /// Begins a watch.
    pub async fn watch(&self, path: &str) -> Watch {
        let response = self
            .try_call(Method::GET, path, "", Bytes::new())
            .await
            .expect("the apiserver answers");
        Watch {
            body: response.into_body(),
            buffer: Vec::new(),
        }
    }

    /// etcd itself, past the apiserver.
    pub async fn etcd_client(&self) -> etcd_client::Client {
        let file = |name: &str| std::fs::read(self.dir.path().join(name)).unwrap();
        let tls = tonic::transport::ClientTlsConfig::new()
            .ca_certificate(tonic::transport::Certificate::from_pem(file("ca.crt")))
            .identity(tonic::transport::Identity::from_pem(
                file("admin.crt"),
                file("admin.key"),
            ));
        let options = etcd_client::ConnectOptions::new().with_tls(tls);
        etcd_client::Client::connect([self.etcd.url()], Some(options))
            .await
            .unwrap()
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

async fn read(response: Response<Incoming>) -> (u16, Value) {
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
    (code, value)
}

fn tls(dir: &Path, user: &str, protocol: &str) -> Arc<rustls::ClientConfig> {
    let file = |name: String| Pem::File(dir.join(name));
    let config = hardway_client::tls::client_from(
        &file("ca.crt".into()),
        file(format!("{user}.crt")),
        file(format!("{user}.key")),
        &[protocol],
    );
    config.unwrap().current()
}

/// A running watch.
pub struct Watch {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Watch {
    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame())
                .await
                .expect("an event in time")?;
            if let Some(data) = frame.ok()?.data_ref() {
                self.buffer.extend_from_slice(data);
            }
        }
    }

    /// Type and name of the next event.
    pub async fn told(&mut self) -> (String, String) {
        let event = self.next().await.expect("the watch goes on");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            text(&event["type"]),
            text(&event["object"]["metadata"]["name"]),
        )
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
