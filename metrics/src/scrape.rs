//! Asking kubelets, each in a task of its own.

use crate::exposition::{self, Scrape};
use crate::placed::Placed;
use crate::storage::Storage;
use bytes::Bytes;
use hardway_client::kubeconfig::{Credentials, Kubeconfig};
use hardway_client::metrics::{IntCounterVec, register_int_counter_vec};
use hardway_client::{Store, serving::caught, tls};
use hardway_proto::Kind;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Node;
use rustls_pki_types::ServerName;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

/// How long a kubelet may take, as in metrics-server.
const PATIENCE: Duration = Duration::from_secs(10);
/// A node that is new is asked again so soon, so that there are two points to tell of.
const SOON: Duration = Duration::from_secs(3);
/// The largest answer taken, in bytes: some times what a full node tells.
const LARGEST: usize = 2 << 20;
/// Kubelets asked at once: their answers are in memory while they are read.
const AT_ONCE: usize = 4;

static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "metrics_server_kubelet_request_total",
        "Number of requests sent to kubelets.",
        &["success"]
    )
    .expect("it is registered once")
});

/// Why a kubelet tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its Node says no address.
    #[error("the node tells no internal address")]
    NoAddress,
    /// It can't be reached, or breaks off.
    #[error("{0}")]
    Connection(String),
    /// It refuses.
    #[error("it answers {0}")]
    Refused(http::StatusCode),
    /// It takes too long.
    #[error("no answer within {PATIENCE:?}")]
    Slow,
}

/// Asks kubelets.
pub struct Scraper {
    tls: Arc<tls::Client>,
    credentials: Credentials,
    storage: Arc<Storage>,
    pods: Store<Placed>,
    resolution: Duration,
    permits: Semaphore,
}

impl Scraper {
    /// Asks as whom the kubeconfig names, and believes whom its CA has signed: each kubelet
    /// about those of these pods that are on its node.
    ///
    /// # Errors
    /// If its certificates can't be used.
    pub fn new(
        config: &Kubeconfig,
        storage: Arc<Storage>,
        pods: Store<Placed>,
        resolution: Duration,
    ) -> Result<Arc<Self>, tls::Error> {
        Ok(Arc::new(Self {
            tls: tls::client(config, &["http/1.1"])?,
            credentials: config.credentials.clone(),
            storage,
            pods,
            resolution,
            permits: Semaphore::new(AT_ONCE),
        }))
    }

    /// Follows the nodes for ever, woken when they change.
    pub async fn run(self: Arc<Self>, nodes: Store<Node>, changed: Arc<Notify>) {
        nodes.wait_synced().await;
        self.pods.wait_synced().await;
        let mut tasks: HashMap<String, AbortHandle> = HashMap::new();
        loop {
            let there = nodes.list();
            tasks.retain(|name, task| {
                let stays = there.iter().any(|node| node.name() == name);
                if !stays {
                    task.abort();
                    self.storage.remove(name);
                }
                stays
            });
            for node in there {
                let name = node.name().to_owned();
                let (this, nodes) = (self.clone(), nodes.clone());
                tasks
                    .entry(name.clone())
                    .or_insert_with(|| tokio::spawn(this.follow(name, nodes)).abort_handle());
            }
            changed.notified().await;
        }
    }

    async fn follow(self: Arc<Self>, name: String, nodes: Store<Node>) {
        let key = hardway_proto::meta::ObjectKey::new("", &name);
        let mut pause = SOON;
        loop {
            if let Some(node) = nodes.get(&key) {
                let outcome = caught(self.scrape(&node)).await;
                let outcome = outcome.unwrap_or_else(|panic| Err(Error::Connection(panic)));
                let success = if outcome.is_ok() { "true" } else { "false" };
                REQUESTS.with_label_values(&[success]).inc();
                if let Err(error) = outcome {
                    tracing::warn!(node = name, %error, "the kubelet tells nothing");
                }
            }
            tokio::time::sleep(pause).await;
            pause = self.resolution;
        }
    }

    /// Asks one kubelet, and keeps what it says.
    ///
    /// # Errors
    /// If it doesn't tell.
    pub async fn scrape(&self, node: &Node) -> Result<(), Error> {
        let (host, port) = address(node).ok_or(Error::NoAddress)?;
        let _permit = self.permits.acquire().await;
        let asking = tokio::time::timeout(PATIENCE, self.ask(&host, port));
        let body = asking.await.map_err(|_| Error::Slow)??;
        let text = String::from_utf8_lossy(&body);
        let mut scrape = exposition::parse(&text);
        keep_own(&mut scrape, node.name(), &self.pods);
        self.storage.put(node.name(), scrape);
        Ok(())
    }

    async fn ask(&self, host: &str, port: u16) -> Result<Bytes, Error> {
        let tcp = TcpStream::connect((host, port)).await.map_err(broken)?;
        let name = ServerName::try_from(host.to_owned()).map_err(broken)?;
        let connector = TlsConnector::from(self.tls.current());
        let stream = connector.connect(name, tcp).await.map_err(broken)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let connection = tokio::spawn(connection);
        let answer = async {
            let answer = sender.send_request(self.request(host)?).await;
            let answer = answer.map_err(broken)?;
            if !answer.status().is_success() {
                return Err(Error::Refused(answer.status()));
            }
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            Ok(body
                .map_err(|error| Error::Connection(error.to_string()))?
                .to_bytes())
        }
        .await;
        connection.abort();
        answer
    }

    fn request(&self, host: &str) -> Result<Request<Empty<Bytes>>, Error> {
        let request = Request::get("/metrics/resource").header(header::HOST, host);
        let mut request = request.body(Empty::new()).map_err(broken)?;
        let token = match &self.credentials {
            Credentials::Certificate { .. } => return Ok(request),
            Credentials::Token(token) => token.0.clone(),
            Credentials::TokenFile(path) => std::fs::read_to_string(path).map_err(broken)?,
        };
        let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
        let mut value = value.map_err(broken)?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
        Ok(request)
    }
}

/// Keeps what a kubelet says of pods that are on its node: of those of others, and of what
/// isn't there at all, it could say anything.
fn keep_own(scrape: &mut Scrape, node: &str, pods: &Store<Placed>) {
    let scraped = &mut scrape.pods;
    scraped.retain(|key, _| pods.get(key).is_some_and(|pod| *pod.node == *node));
    scraped.shrink_to_fit();
}

fn broken(error: impl ToString) -> Error {
    Error::Connection(error.to_string())
}

/// Where a node's kubelet listens.
fn address(node: &Node) -> Option<(String, u16)> {
    let status = node.status.as_ref()?;
    let addresses = status.addresses.iter().flatten();
    let internal = addresses.clone().find(|it| it.type_ == "InternalIP");
    let address = internal.or_else(|| addresses.clone().find(|it| it.type_ == "Hostname"))?;
    let endpoints = status.daemon_endpoints.as_ref();
    let port = endpoints
        .and_then(|it| it.kubelet_endpoint.as_ref())
        .map(|it| it.port);
    let port = port
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0);
    Some((address.address.clone(), port.unwrap_or(10_250)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_proto::meta::ObjectKey;

    #[test]
    fn a_kubelet_speaks_for_its_own_pods_alone() {
        let pods: Store<Placed> = Store::default();
        for (name, node) in [("own", "n1"), ("other", "n2"), ("nowhere", "")] {
            let pod = serde_json::json!({
                "metadata": {"name": name, "namespace": "shop"}, "spec": {"nodeName": node},
            });
            let pod = Placed::parse(pod.to_string().as_bytes()).unwrap();
            pods.insert(Arc::new(pod));
        }
        let mut scrape = Scrape::default();
        for name in ["own", "other", "nowhere", "invented"] {
            let key = ObjectKey::new("shop", name);
            scrape.pods.insert(key, Vec::new());
        }
        keep_own(&mut scrape, "n1", &pods);
        let kept: Vec<ObjectKey> = scrape.pods.into_keys().collect();
        assert_eq!(kept, [ObjectKey::new("shop", "own")]);
    }

    #[test]
    fn kubelets_are_where_their_nodes_say() {
        let node = |json: &str| Node::parse(json.as_bytes()).unwrap();
        let n1 = node(
            r#"{"metadata":{"name":"n1"},"status":{"addresses":[{"type":"Hostname","address":"n1"},
            {"type":"InternalIP","address":"10.0.0.1"}],
            "daemonEndpoints":{"kubeletEndpoint":{"Port":10251}}}}"#,
        );
        assert_eq!(address(&n1), Some(("10.0.0.1".into(), 10_251)));
        let n2 = node(r#"{"status":{"addresses":[{"type":"Hostname","address":"n2"}]}}"#);
        assert_eq!(address(&n2), Some(("n2".into(), 10_250)));
        assert_eq!(address(&node("{}")), None);
    }
}
