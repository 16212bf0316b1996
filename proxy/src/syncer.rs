//! Keeps the kernel's table as the API says: changed Services are read anew
//! and the difference goes out in one transaction.

use crate::conntrack::Conntrack;
use crate::desired::{Change as Delta, Desired};
use crate::elements::of_service;
use crate::health_checks::HealthChecks;
use crate::nft::Nft;
use crate::ruleset::Layout;
use crate::service::{self, HealthCheck, Place};
use crate::table::Table;
use hardway_client::events::Recorder;
use hardway_client::informer::Change;
use hardway_client::metrics::{Histogram, IntCounter, register_histogram, register_int_counter};
use hardway_client::queue::backoff;
use hardway_client::steps::{self, Step};
use hardway_client::{Client, Informer, Store};
use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const BY_SERVICE: &str = "service";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// Services that others take care of.
const NOT_OURS: &str = "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name";
/// How often the table is looked at, whether others have changed it.
const CHECK: Duration = Duration::from_secs(30);
/// Of transactions about more Services, as at the start, nobody is told.
const MOST_TOLD: usize = 64;
/// First and longest pause after the kernel refused.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// Services whose rules have to be looked at.
#[derive(Default)]
struct Dirty {
    keys: Mutex<BTreeSet<ObjectKey>>,
    wake: Notify,
    /// Whether all have to be, since the node is in another zone.
    all: AtomicBool,
}

impl Dirty {
    fn add_all(&self) {
        self.all.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn add(&self, key: ObjectKey) {
        self.keys.lock().insert(key);
        self.wake.notify_one();
    }

    fn take(&self) -> BTreeSet<ObjectKey> {
        std::mem::take(&mut *self.keys.lock())
    }
}

/// Whether the table is as it should be; clones share it.
#[derive(Clone)]
pub struct Health {
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    rules: Arc<Mutex<Result<(), String>>>,
}

impl Health {
    /// For a readiness check.
    pub fn check(&self) -> Result<(), String> {
        self.services.check()?;
        self.slices.check()?;
        self.rules.lock().clone()
    }
}

struct Metrics {
    duration: Histogram,
    failures: IntCounter,
}

impl Metrics {
    fn register() -> Self {
        let registered = "metric names are registered once per process";
        Self {
            duration: register_histogram!(
                "kubeproxy_sync_proxy_rules_duration_seconds",
                "Latency of bringing a change to the kernel."
            )
            .expect(registered),
            failures: register_int_counter!(
                "kubeproxy_sync_proxy_rules_nftables_sync_failures_total",
                "Transactions that the kernel refused."
            )
            .expect(registered),
        }
    }
}

/// The process' work.
pub struct Syncer<N, C> {
    node: String,
    layout: Layout,
    nft: N,
    conntrack: C,
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
    nodes: Informer<Node>,
    dirty: Arc<Dirty>,
    health: Health,
    checks: HealthChecks,
}

fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME_LABEL)?;
    Some(ObjectKey::new(slice.namespace(), name))
}

impl<N: Nft, C: Conntrack> Syncer<N, C> {
    /// For one node.
    pub fn new(client: &Client, node: String, layout: Layout, nft: N, conntrack: C) -> Self {
        let dirty = Arc::new(Dirty::default());
        let on_service = dirty.clone();
        let services = Informer::new(client.all::<Service>())
            .labels(NOT_OURS)
            .on_change(move |change| on_service.add(ObjectKey::of(change.object().as_ref())));
        let on_slice = dirty.clone();
        let slices = Informer::new(client.all::<EndpointSlice>())
            .labels(NOT_OURS)
            .index(BY_SERVICE, |slice: &EndpointSlice| {
                service_of(slice)
                    .map(|key| key.to_string())
                    .into_iter()
                    .collect()
            })
            .on_change(move |change| {
                if let Some(key) = service_of(change.object()) {
                    on_slice.add(key);
                }
            });
        let on_node = dirty.clone();
        let nodes = Informer::new(client.all::<Node>())
            .fields(format!("metadata.name={node}"))
            .on_change(move |change| {
                let is_same = match change {
                    Change::Applied { old, new } => old
                        .as_ref()
                        .is_some_and(|old| (zone(old), address(old)) == (zone(new), address(new))),
                    Change::Deleted(_) => false,
                };
                if !is_same {
                    on_node.add_all();
                }
            });
        let health = Health {
            services: services.store(),
            slices: slices.store(),
            rules: Arc::new(Mutex::new(Err("rules not yet written".into()))),
        };
        let recorder = Recorder::new(client.clone(), "hardway-proxy", Some(&node));
        let checks = HealthChecks::new(recorder, health.clone());
        Self {
            node,
            layout,
            nft,
            conntrack,
            services,
            slices,
            nodes,
            dirty,
            health,
            checks,
        }
    }

    /// For the readiness check.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Works until dropped. The table stays when the process ends, so traffic
    /// flows on; the next start replaces it in one transaction.
    pub async fn run(mut self) {
        let metrics = Metrics::register();
        let stores = Stores {
            services: self.services.start(),
            slices: self.slices.start(),
            nodes: self.nodes.start(),
        };
        stores.services.wait_synced().await;
        stores.slices.wait_synced().await;
        stores.nodes.wait_synced().await;
        let mut desired = Desired::default();
        let mut table = Table::new(self.layout, self.nft, self.conntrack);
        let mut failures = 0;
        let mut next_check = tokio::time::Instant::now() + CHECK;
        loop {
            let looked = collect(&self.dirty, &mut desired, &stores, &self.node);
            let Looked {
                change,
                touched,
                asked,
            } = looked;
            self.checks.set(asked);
            if table.is_behind() || !change.is_empty() {
                let started = Instant::now();
                match table.apply(&change, &desired).await {
                    Ok(()) => {
                        failures = 0;
                        *self.health.rules.lock() = Ok(());
                        metrics.duration.observe(started.elapsed().as_secs_f64());
                        if touched.len() <= MOST_TOLD {
                            tell_applied(&stores, &touched, &change, started);
                        }
                    }
                    Err(error) => {
                        failures += 1;
                        metrics.failures.inc();
                        tracing::error!(%error, "rules not written; will rebuild the table");
                        *self.health.rules.lock() = Err(error.to_string());
                        tokio::time::sleep(backoff(failures, RETRY.0, RETRY.1)).await;
                        continue;
                    }
                }
            }
            tokio::select! {
                () = self.dirty.wake.notified() => {}
                () = tokio::time::sleep_until(next_check) => {
                    next_check = tokio::time::Instant::now() + CHECK;
                    self.checks.try_again();
                    if let Err(error) = table.check(&desired).await {
                        tracing::warn!(%error, "cannot look whether the table is still there");
                    }
                }
            }
        }
    }
}

/// What the API says.
struct Stores {
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    /// This node alone.
    nodes: Store<Node>,
}

/// A node's zone.
fn zone(node: &Node) -> Option<&str> {
    let zone = node.metadata.labels.as_ref()?.get(ZONE_LABEL)?;
    (!zone.is_empty()).then_some(zone)
}

/// Tells who follows a Service that the kernel has it.
fn tell_applied(stores: &Stores, touched: &[ObjectKey], change: &Delta, started: Instant) {
    for key in touched {
        let service = stores.services.get(key);
        let uid = service.as_ref().map_or("", |service| service.uid());
        let step = Step::of("services", key.clone(), uid, "nftables")
            .since(started)
            .with("added", change.added.len())
            .with("removed", change.gone.len())
            .with("services", touched.len());
        steps::record(step);
    }
}

/// A node's own address.
fn address(node: &Node) -> Option<Ipv4Addr> {
    let addresses = node.status.as_ref()?.addresses.iter().flatten();
    let mut own = addresses.filter(|address| address.type_ == "InternalIP");
    own.find_map(|address| address.address.parse().ok())
}

/// What comes of looking at Services anew.
#[derive(Default)]
struct Looked {
    /// The difference, in sum.
    change: Delta,
    /// Those whose elements changed.
    touched: Vec<ObjectKey>,
    /// What balancers may ask about each that was looked at.
    asked: BTreeMap<ObjectKey, Option<HealthCheck>>,
}

/// Looks at all changed Services anew.
fn collect(dirty: &Dirty, desired: &mut Desired, stores: &Stores, node: &str) -> Looked {
    let mut looked = Looked::default();
    let Looked {
        change,
        touched,
        asked,
    } = &mut looked;
    let here = stores.nodes.get(&ObjectKey::new("", node));
    let place = Place {
        node,
        zone: here.as_deref().and_then(zone),
        address: here.as_deref().and_then(address),
    };
    let mut keys = dirty.take();
    if dirty.all.swap(false, Ordering::AcqRel) {
        keys.extend(stores.services.keys());
    }
    while let Some(key) = keys.pop_first() {
        let ports = stores.services.get(&key).map_or_else(Vec::new, |service| {
            let slices = stores.slices.by_index(BY_SERVICE, &key.to_string());
            let check = service::health_check(&service, &slices, node);
            asked.insert(key.clone(), check);
            service::read(&service, &slices, place)
        });
        // One that is gone isn't asked about.
        asked.entry(key.clone()).or_default();
        let before = change.size();
        let again = desired.replace(&key, of_service(&ports), change);
        if change.size() != before {
            touched.push(key.clone());
        }
        // What another Service held may be theirs now; each gets one more look.
        for other in again {
            if other != key {
                keys.insert(other);
            }
        }
    }
    looked
}
