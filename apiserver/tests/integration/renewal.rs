//! The certificates of apiserver and etcd are replaced and end while requests run.

use crate::common::Lab;
use hardway_client::Client;
use http::Method;
use k8s_openapi::api::core::v1::Node;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// How long the first certificates live: longer than an apiserver takes to start, and less
/// than the test takes until etcd comes back.
const FIRST: Duration = Duration::from_secs(20);
/// How long the others live, how long one is in use, and how many there are.
const LIFE: Duration = Duration::from_secs(8);
const USE: Duration = Duration::from_secs(2);
const ROUNDS: u32 = 5;

/// Puts a certificate for so long, and its key, in the place of others: as a whole.
fn replace(dir: &Path, file: &str, name: &str, group: Option<&str>, ca: &str, life: Duration) {
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let key = KeyPair::from_pem(&read(&format!("{ca}.key"))).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read(&format!("{ca}.crt")), key).unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params
            .distinguished_name
            .push(DnType::OrganizationName, group);
    }
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_secs(60)).into();
    params.not_after = (now + life).into();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    for (ending, text) in [("key", key.serialize_pem()), ("crt", certificate)] {
        std::fs::write(dir.join("new"), text).unwrap();
        std::fs::rename(dir.join("new"), dir.join(format!("{file}.{ending}"))).unwrap();
    }
}

/// The server's and the client's, which the apiserver shows etcd.
fn replace_both(dir: &Path, server_ca: &str, life: Duration) {
    replace(dir, "server", "kube-apiserver", None, server_ca, life);
    let masters = Some("system:masters");
    replace(dir, "admin", "admin", masters, "old-ca", life);
}

/// The certificate that the apiserver shows.
async fn shown(
    address: SocketAddr,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<CertificateDer<'static>, String> {
    let tcp = TcpStream::connect(address)
        .await
        .map_err(|e| e.to_string())?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(tls.clone()).connect(name, tcp).await;
    let stream = stream.map_err(|e| e.to_string())?;
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    Ok(chain[0].clone().into_owned())
}

/// Asks for things until told to stop; the first request that fails, and how many didn't.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: JoinSet<Result<(), String>>,
}

impl Load {
    fn start(client: &Client, address: SocketAddr, stranger: Arc<rustls::ClientConfig>) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            done: Arc::default(),
            tasks: JoinSet::new(),
        };
        for task in 0..3 {
            let (api, stop, done) = (client.all::<Node>(), load.stop.clone(), load.done.clone());
            load.tasks.spawn(async move {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("n-{task}-{number}");
                    let node = json!({"metadata": {"name": name}});
                    let node: Node = serde_json::from_value(node).unwrap();
                    api.create(&node)
                        .await
                        .map_err(|e| format!("create: {e}"))?;
                    api.get(&name).await.map_err(|e| format!("get: {e}"))?;
                    let options = Default::default();
                    let deleted = api.delete(&name, &options).await;
                    deleted.map_err(|e| format!("delete: {e}"))?;
                    done.fetch_add(3, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        let (stop, done) = (load.stop.clone(), load.done.clone());
        load.tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let shown = shown(address, &stranger).await;
                shown.map_err(|e| format!("handshake: {e}"))?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        load
    }

    fn assert_flawless(&mut self) {
        if let Some(ended) = self.tasks.try_join_next() {
            panic!("a request failed: {:?}", ended.unwrap());
        }
    }

    async fn finish(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap().unwrap();
        }
        self.done.load(Ordering::Relaxed)
    }
}

fn current(dir: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(dir.join("server.crt")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_certificates_of_apiserver_and_etcd_are_replaced_and_end() {
    let mut lab = Lab::without_server(|_| Vec::new()).await;
    let dir = lab.dir.path().to_owned();
    for ending in ["crt", "key"] {
        let from = dir.join(format!("ca.{ending}"));
        std::fs::copy(from, dir.join(format!("old-ca.{ending}"))).unwrap();
    }
    replace_both(&dir, "old-ca", FIRST);
    lab.serve().await;
    let client = Client::new(&lab.kubeconfig(), "test").unwrap();
    let mut load = Load::start(&client, lab.address, lab.stranger());
    for _ in 0..ROUNDS {
        replace_both(&dir, "old-ca", LIFE);
        tokio::time::sleep(USE).await;
        load.assert_flawless();
    }
    // The second pair has ended.
    let stranger = lab.stranger();
    assert_eq!(shown(lab.address, &stranger).await.unwrap(), current(&dir));

    // A CA follows another: first both are trusted, then the new one signs. The certificates
    // in use are the apiserver's towards its clients, and etcd's.
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "new-ca");
    let new = params.self_signed(&key).unwrap().pem();
    std::fs::write(dir.join("new-ca.crt"), &new).unwrap();
    std::fs::write(dir.join("new-ca.key"), key.serialize_pem()).unwrap();
    let old = std::fs::read_to_string(dir.join("old-ca.crt")).unwrap();
    std::fs::write(dir.join("both.crt"), old + &new).unwrap();
    // The handshakes of the load trust the old one alone.
    let done = load.finish().await;
    assert!(done > 200, "{done} requests");
    std::fs::rename(dir.join("both.crt"), dir.join("ca.crt")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    for file in ["old-ca.crt", "new-ca.crt"] {
        let ca = CertificateDer::from_pem_file(dir.join(file)).unwrap();
        roots.add(ca).unwrap();
    }
    let both = rustls::ClientConfig::builder().with_root_certificates(roots);
    let both = Arc::new(both.with_no_client_auth());
    let mut load = Load::start(&client, lab.address, both.clone());
    for _ in 0..2 {
        replace_both(&dir, "new-ca", LIFE);
        tokio::time::sleep(USE).await;
        load.assert_flawless();
    }
    assert_eq!(shown(lab.address, &both).await.unwrap(), current(&dir));
    load.finish().await;

    // etcd comes back, and all connections to it are made anew: with what is there now. Also
    // the first pair has ended, of the connection on which the apiserver watches.
    let masters = Some("system:masters");
    let hour = Duration::from_secs(3600);
    replace(&dir, "server", "kube-apiserver", None, "new-ca", hour);
    replace(&dir, "admin", "admin", masters, "old-ca", hour);
    lab.etcd.kill();
    tokio::time::sleep(LIFE).await;
    lab.etcd.start();
    let nodes = "/api/v1/nodes";
    lab.until("the apiserver is with etcd again", async || {
        let body = json!({"metadata": {"name": "last"}});
        let (code, _) = lab.send_as("admin", Method::POST, nodes, &body).await;
        [201, 409].contains(&code)
    })
    .await;
    lab.until("its cache has gone on", async || {
        let path = format!("{nodes}/last?resourceVersion=0");
        let (code, _) = lab.send_as("admin", Method::GET, &path, &json!(null)).await;
        code == 200
    })
    .await;
}
