//! The connection to etcd: to one of its members, the own host's first, and to another one when
//! that doesn't answer, or has no leader. It follows its certificates' files: what is under
//! way, watches among it, ends on the former connection; what comes next goes over a new one.

use super::ROOT;
use super::cluster::Cluster;
use etcd_client::{Channel, Client, ConnectOptions, Error, GetOptions};
use hardway_client::channel::{self, Check, Connection, Kept, Order, Probe, Server};
use hardway_client::kubeconfig::Pem;
use hardway_client::tls::{self, Reloading, Trust};
use http::uri::Authority;
use parking_lot::Mutex;
use rustls::ClientConfig;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt};

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection without any answer for this long (interval plus timeout) is dead.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// etcd's servers, those that were given and those that were learned from it, and how to speak
/// TLS with them, as the files have it now.
#[derive(Debug)]
pub struct Servers {
    known: Arc<channel::Servers>,
    tls: Option<Tls>,
    /// Which cluster they are members of.
    cluster: Arc<Cluster>,
    /// Each for itself, as they were asked for last.
    endpoints: Mutex<Endpoints>,
}

#[derive(Debug)]
struct Tls {
    connection: Arc<Reloading<ClientConfig>>,
    endpoint: Arc<Reloading<ClientTlsConfig>>,
}

/// What they were made of, and they.
type Endpoints = (
    Option<Arc<ClientTlsConfig>>,
    Vec<Server>,
    Arc<Vec<Endpoint>>,
);

impl Servers {
    /// Servers at these URLs, trusted if the CA has signed their certificate; they
    /// are shown a certificate, if there is one.
    ///
    /// # Errors
    /// If a URL or a file makes no sense.
    pub fn new(
        urls: &[String],
        ca: Option<Pem>,
        identity: Option<(Pem, Pem)>,
    ) -> Result<Arc<Self>, tls::Error> {
        let secure = urls.iter().any(|url| url.starts_with("https://"));
        let tls = match (ca, secure || identity.is_some()) {
            (Some(ca), _) => Some(Tls::new(ca, identity)?),
            (None, true) => {
                return Err(tls::Error::Invalid {
                    what: "etcd's CA".to_owned(),
                    reason: "an https:// URL needs one: --etcd-cafile".to_owned(),
                });
            }
            (None, false) => None,
        };
        let given = urls.iter().map(|url| server(url));
        let given = given.collect::<Result<Vec<_>, _>>()?;
        let servers = Self {
            known: Arc::new(channel::Servers::new(given, Order::AsGiven)),
            tls,
            cluster: Arc::default(),
            endpoints: Mutex::default(),
        };
        servers.made()?;
        Ok(Arc::new(servers))
    }

    /// Each of the servers for itself: those that were given first.
    pub fn current(&self) -> Arc<Vec<Endpoint>> {
        self.made().unwrap_or_else(|error| {
            tracing::warn!(%error, "going on with the former servers of etcd");
            self.endpoints.lock().2.clone()
        })
    }

    fn made(&self) -> Result<Arc<Vec<Endpoint>>, tls::Error> {
        let tls = self.tls.as_ref().map(|tls| tls.endpoint.current());
        let servers = self.known.all();
        let mut made = self.endpoints.lock();
        let is_same = match (&tls, &made.0) {
            (Some(now), Some(before)) => Arc::ptr_eq(now, before),
            (None, None) => true,
            _ => false,
        };
        if !is_same || servers != made.1 {
            let all = servers
                .iter()
                .map(|server| endpoint(server, tls.as_deref()));
            let all = Arc::new(all.collect::<Result<Vec<_>, _>>()?);
            *made = (tls, servers, all);
        }
        Ok(made.2.clone())
    }

    /// Which ones are known.
    pub(super) fn known(&self) -> &Arc<channel::Servers> {
        &self.known
    }

    /// Which cluster they are members of.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether they speak TLS.
    pub(super) fn are_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes over which ones there were when a file was written, if it is there.
    pub fn remember(&self, file: Option<PathBuf>) -> Option<Kept> {
        let kept = Kept::at(file?);
        let urls = kept.read();
        let servers: Vec<Server> = urls.iter().filter_map(|url| server(url).ok()).collect();
        if !servers.is_empty() {
            self.known.set_listed(servers);
        }
        Some(kept)
    }
}

impl Tls {
    fn new(ca: Pem, identity: Option<(Pem, Pem)>) -> Result<Self, tls::Error> {
        let connection = tls::client_trusting(Trust::In(ca.clone()), identity.clone(), &["h2"])?;
        let files: Vec<Pem> = std::iter::once(&ca)
            .chain(identity.iter().flat_map(|(shown, key)| [shown, key]))
            .cloned()
            .collect();
        let endpoint = Reloading::new(&files.iter().collect::<Vec<_>>(), move || {
            client_tls(&ca, identity.as_ref())
        })?;
        Ok(Self {
            connection,
            endpoint,
        })
    }
}

fn client_tls(ca: &Pem, identity: Option<&(Pem, Pem)>) -> Result<ClientTlsConfig, tls::Error> {
    let pem = ca.read()?;
    // One without a certificate would be taken for a CA that has signed nothing.
    tls::roots(&pem).map_err(|reason| tls::Error::Invalid {
        what: "etcd's CA".to_owned(),
        reason,
    })?;
    let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    if let Some((certificate, key)) = identity {
        // While only one of them is new they don't fit together.
        tls::certified_key(certificate, key)?;
        config = config.identity(Identity::from_pem(certificate.read()?, key.read()?));
    }
    Ok(config)
}

/// The server at a URL; one that doesn't say how is spoken to in the clear.
pub(super) fn server(url: &str) -> Result<Server, tls::Error> {
    let whole = match url.contains("://") {
        true => url.to_owned(),
        false => format!("http://{url}"),
    };
    Server::of_url(&whole).map_err(|error| tls::Error::Invalid {
        what: format!("etcd at {url}"),
        reason: error.to_string(),
    })
}

fn endpoint(server: &Server, tls: Option<&ClientTlsConfig>) -> Result<Endpoint, tls::Error> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let invalid = |error: tonic::transport::Error| tls::Error::Invalid {
        what: format!("etcd at {server}"),
        reason: std::error::Error::source(&error)
            .unwrap_or(&error)
            .to_string(),
    };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{server}"))
        .map_err(invalid)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    match tls {
        Some(tls) => endpoint.tls_config(tls.clone()).map_err(invalid),
        None => Ok(endpoint),
    }
}

/// A connection to one of these servers. They need not be up.
pub(super) fn connect(servers: &Servers) -> Connection {
    let (known, cluster) = (servers.known.clone(), servers.cluster.clone());
    let admission: Check = Arc::new(move |probe| {
        let (known, cluster) = (known.clone(), cluster.clone());
        Box::pin(async move { is_of(&cluster, &known, probe).await })
    });
    let options = channel::Options {
        servers: servers.known.clone(),
        tls: servers.tls.as_ref().map(|tls| tls.connection.clone()),
        authority: Authority::from_static("etcd"),
        // `--grpc-keepalive-min-time` of etcd is 5 s; members are asked how they are instead.
        takes_pings: false,
        check: Arc::new(|probe| Box::pin(is_well(probe))),
        what: "etcd",
    };
    Connection::admitting(options, admission)
}

/// Which members answer a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// Any that is up.
    FromAny,
    /// Those that have a leader.
    FromLed,
}

/// A client over a connection.
pub(super) async fn client<S>(connection: S, answers: Answers) -> Result<Client, Error>
where
    S: Service<
            http::Request<tonic::body::Body>,
            Response = http::Response<tonic::body::Body>,
            Error: Into<BoxError>,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    let options = ConnectOptions::new().with_require_leader(answers == Answers::FromLed);
    let boxed = BoxCloneSyncService::new(ServiceExt::map_err(connection, Into::into));
    Client::from_channel(Channel::Custom(boxed), Some(options)).await
}

/// Whether a member is one of this cluster. Where there is no other, it is not asked.
async fn is_of(cluster: &Cluster, known: &channel::Servers, probe: Probe) -> Result<(), String> {
    let server = probe.server().clone();
    // Those that were given may be gone to as well, whether or not they are listed.
    let has_others = || !known.other_than(&server).is_empty();
    if !has_others() {
        return Ok(());
    }
    // One without a leader can say it as well.
    let asking = async {
        let client = client(probe, Answers::FromAny).await?;
        client.maintenance_client().status().await
    };
    let status = match timeout(CONNECT_TIMEOUT, asking).await {
        Ok(status) => status.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("no answer within {CONNECT_TIMEOUT:?}")),
    };
    match status.header() {
        Some(header) => cluster.admit(header.into(), has_others(), &server),
        None => Ok(()),
    }
}

/// Whether a member answers what only one with a quorum behind it can.
async fn is_well(probe: Probe) -> Result<(), String> {
    let client = client(probe, Answers::FromLed)
        .await
        .map_err(|error| error.to_string())?;
    let options = GetOptions::new().with_count_only();
    let answer = client.kv_client().get(ROOT, Some(options)).await;
    answer.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    #[test]
    fn a_certificate_without_its_key_changes_nothing() {
        hardway_client::tls::install_provider();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let write = || {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["etcd".to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            std::fs::write(path("c.crt"), certificate.pem()).unwrap();
            key.serialize_pem()
        };
        std::fs::write(path("c.key"), write()).unwrap();
        std::fs::copy(path("c.crt"), path("ca.crt")).unwrap();
        let file = |name: &str| Pem::File(path(name));
        let urls = vec!["https://127.0.0.1:2379".to_owned()];
        let identity = Some((file("c.crt"), file("c.key")));
        let servers = Servers::new(&urls, Some(file("ca.crt")), identity).unwrap();
        let first = servers.current();
        let key = write();
        assert!(Arc::ptr_eq(&first, &servers.current()));
        std::fs::write(path("c.key"), key).unwrap();
        let second = servers.current();
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(second[0].uri().host(), Some("127.0.0.1"));
        std::fs::write(path("ca.crt"), "nonsense").unwrap();
        assert!(Arc::ptr_eq(&second, &servers.current()));
    }

    #[test]
    fn what_is_wrong_is_told_at_once() {
        let why = |url: &str, ca| {
            let error = Servers::new(&[url.to_owned()], ca, None).unwrap_err();
            error.to_string()
        };
        assert!(why("http://a b", None).starts_with("etcd at http://a b: "));
        let missing = Some(Pem::File("/nonexistent/ca.crt".into()));
        assert!(why("https://a:2379", missing).contains("/nonexistent/ca.crt"));
        assert!(why("https://a:2379", None).contains("--etcd-cafile"));
    }
}
