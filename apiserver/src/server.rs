//! Puts the parts together and serves them.

use crate::aggregation::{self, Aggregation};
use crate::cache::Cache;
use crate::conversion::Conversion;
use crate::flags::{FlagError, Flags, invalid, read};
use crate::kubernetes_service::Member;
use crate::pipeline::{Pipeline, Services};
use crate::policies::{self, PolicyHost};
use crate::protocols::Protocols;
use crate::rest::health::{self, Startup};
use crate::rest::{Documents, Rest};
use crate::service_account_keys::ServiceAccountKeys;
use crate::steps::Steps;
use crate::store::encryption::{Encryption, follow};
use crate::store::{Store, StoreError, compact_periodically};
use crate::subresources::Upstreams;
use crate::webhooks::Webhooks;
use crate::witness::Witness;
use crate::{bootstrap, client_ca, definitions, fairness, grpc, space};
use hardway_access::{Admission, Authenticator, Authorizer, Reviews, audit};
use hardway_client::expiry::{self, Use};
use hardway_client::kubeconfig::Pem;
use hardway_client::serving::{self, Bounds, descriptors};
use hardway_client::{systemd, task};
use hardway_resources::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long requests under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Why the server can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// etcd's address or certificates.
    #[error("etcd: {0}")]
    Store(#[from] StoreError),
    /// The port.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        cause: std::io::Error,
    },
}

/// A server, ready to run.
pub struct Server {
    listening: serving::Server,
    protocols: Protocols,
    member: Arc<Member>,
    shutdown_delay: Duration,
}

impl Server {
    /// Checks everything, then binds the port and starts the tasks behind.
    pub async fn start(flags: &Flags) -> Result<Self, Error> {
        hardway_client::tls::install_provider();
        crate::metrics::cel::observe();
        let tls = flags.server_tls()?;
        let kubelets = flags.kubelet_tls()?;
        flags.check_front_proxy()?;
        let registry = Arc::new(Registry::new());
        let encryption = flags.encryption()?;
        let digest = encryption.digest.clone();
        let encryption = Arc::new(Encryption::new(encryption, prefixes(&registry)));
        let etcd = flags.etcd(encryption.clone())?;
        let keys = ServiceAccountKeys::load(flags)?;
        let (verifier, tokens) = (keys.verifier.clone(), keys.issuer.clone());
        let audit = audit_log(flags)?;
        let seats = flags.seats()?;
        let address = flags.address();
        let listener = TcpListener::bind(address)
            .await
            .map_err(|cause| Error::Listen { address, cause })?;
        let port = listener
            .local_addr()
            .map_or(address.port(), |bound| bound.port());

        let servers = etcd.servers.clone();
        let store = Store::open(etcd).await?;
        let stored = registry
            .iter()
            .filter(|row| row.external.is_none() && row.allows("list") && row.allows("create"));
        let cache = Cache::start(store.clone(), stored);
        task::spawn_critical("compaction", compact_periodically(store.clone()));
        if let Some(path) = flags.encryption_provider_config.clone()
            && flags.encryption_provider_config_automatic_reload
        {
            let cache = cache.clone();
            task::spawn_critical("encryption-configuration", async move {
                follow(&path, digest, encryption, || cache.try_unreadable()).await;
            });
        }
        task::spawn_critical("service-account-keys", keys.follow());
        let client_ca = flags.client_ca_file.clone();
        let witness = Arc::new(Witness::new(&client_ca));
        let authenticator = Authenticator::new(cache.clone(), verifier.clone())
            .with_bootstrap_tokens(flags.enable_bootstrap_token_auth)
            .with_witness(witness.clone());
        task::spawn_critical("witness", async move { witness.follow(&client_ca).await });
        let authenticator = Arc::new(authenticator);
        let authorizer = Arc::new(Authorizer::new(cache.clone()));
        let webhooks = Arc::new(Webhooks::new(cache.clone()));
        let conversion = Arc::new(Conversion::new(webhooks.clone()));
        let pipeline = Arc::new(Pipeline {
            admission: Admission::configured(
                cache.clone(),
                authorizer.clone(),
                webhooks,
                Arc::new(PolicyHost::new(registry.clone(), conversion.clone())),
                &flags.enable_admission_plugins,
                &flags.disable_admission_plugins,
            ),
            reviews: Reviews::new(authenticator.clone(), authorizer.clone()),
            seats,
            bodies: Arc::default(),
            services: Services::new(
                cache.clone(),
                flags.service_cluster_ip_range,
                flags.service_node_port_range.clone(),
            ),
            registry,
            conversion,
            aggregation: Arc::new(Aggregation::new(cache.clone(), flags.front_proxy())),
            steps: Arc::new(Steps::new(flags.advertised().into())),
            defined: tokio::sync::watch::Sender::new(0),
            cache,
            store,
            space: Arc::default(),
            authenticator,
            authorizer,
            tokens,
            audit,
        });
        let startup = Arc::new(Startup::default());
        let advertised = flags.advertised();
        let following = definitions::run(pipeline.clone(), startup.clone());
        task::spawn_critical("custom-resources", following);
        let following = aggregation::run(pipeline.clone(), startup.clone());
        task::spawn_critical("aggregation", following);
        let following = policies::run(pipeline.clone());
        task::spawn_critical("policies", following);
        match pipeline.seats.fairness().cloned() {
            Some(shared) => {
                let (behind, ready) = (pipeline.clone(), startup.clone());
                let following = fairness::run(behind.clone(), shared.clone(), ready);
                task::spawn_critical("fairness", following);
                let adjusting = fairness::adjust_periodically(behind, shared);
                task::spawn_critical("fairness-seats", adjusting);
            }
            None => startup.fairness.store(true, Ordering::Release),
        }
        task::spawn_critical("etcd-space", space::run(pipeline.clone(), servers));
        watch_certificates(flags);
        let service_ip = flags.service_cluster_ip_range.nth(1);
        let peer_ca = Pem::File(flags.peer_ca().to_owned());
        let member = Arc::new(Member::new(service_ip, advertised, port, peer_ca));
        let (behind, ready, of) = (pipeline.clone(), startup.clone(), member.clone());
        let published = flags.published();
        task::spawn_critical("bootstrap", async move {
            let missing = bootstrap::run(&behind, &ready).await;
            tokio::join!(
                bootstrap::retry(&behind, missing),
                of.run(&behind, &ready),
                client_ca::run(&behind, &published),
            );
        });
        let (behind, state) = (pipeline.clone(), startup.clone());
        systemd::follow(move || {
            let (behind, state) = (behind.clone(), state.clone());
            async move { health::verdict(&behind, &state).await }
        });
        let bounds = Bounds::of_descriptors(descriptors());
        Ok(Self {
            listening: serving::Server::new(listener, tls, bounds),
            member,
            shutdown_delay: flags.shutdown_delay_duration,
            protocols: Protocols {
                grpc: grpc::GrpcService::new(pipeline.clone()),
                rest: Arc::new(Rest {
                    documents: Documents::new(format!("{advertised}:{port}"), verifier),
                    upstreams: Upstreams { kubelets },
                    startup,
                    pipeline,
                }),
            },
        })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listening.address()
    }

    /// Serves until `stop`, and for the delay that flags give it: from then on it is not ready,
    /// and others take it out of the endpoints. Then it lets what is under way finish.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let rest = self.protocols.rest.clone();
        let behind = rest.clone();
        let stopped = async move {
            stop.await;
            behind.startup.stopping.store(true, Ordering::Release);
            tracing::info!("stopping");
            self.member.leave(&behind.pipeline).await;
            tokio::time::sleep(self.shutdown_delay).await;
        };
        let leftovers = self.listening.run(self.protocols, stopped).await;
        rest.pipeline.cache.stop_watches();
        rest.pipeline.steps.stop();
        if !leftovers.finish(DRAIN).await {
            tracing::info!("closing the connections that are still open");
        }
    }
}

/// Where the table's resources are stored.
fn prefixes(registry: &Registry) -> impl Iterator<Item = (String, (String, String))> {
    registry
        .iter()
        .filter(|row| row.external.is_none())
        .map(|row| {
            let of = (row.group.clone(), row.plural.clone());
            (row.storage_prefix.clone(), of)
        })
}

/// Has their end told of.
fn watch_certificates(flags: &Flags) {
    expiry::watch(Use::Serving, &Pem::File(flags.tls_cert_file.clone()));
    let clients = [
        &flags.etcd_certfile,
        &flags.kubelet_client_certificate,
        &flags.proxy_client_cert_file,
    ];
    for file in clients.into_iter().flatten() {
        expiry::watch(Use::Client, &Pem::File(file.clone()));
    }
}

fn text(flag: &'static str, path: &std::path::Path) -> Result<String, FlagError> {
    String::from_utf8(read(flag, path)?).map_err(|_| invalid(flag, "the file is no PEM text"))
}

fn audit_log(flags: &Flags) -> Result<Option<Arc<audit::Log>>, FlagError> {
    let Some(path) = &flags.audit_log_path else {
        return Ok(None);
    };
    let policy = match &flags.audit_policy_file {
        Some(path) => {
            let text = text("audit-policy-file", path)?;
            audit::Policy::parse(&text).map_err(|error| invalid("audit-policy-file", error))?
        }
        None => audit::Policy::default(),
    };
    audit::Log::open(path, policy, flags.audit_rotation(), flags.audit_mode())
        .map(|log| Some(Arc::new(log)))
        .map_err(|error| invalid("audit-log-path", format!("{}: {error}", path.display())))
}
