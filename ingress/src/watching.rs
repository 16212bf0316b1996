//! What the API says, as requests need it; made anew whenever it changes.

use crate::backends::{self, Endpoints, Missing};
use crate::certificates::{self, Resolver, Shown};
use crate::metrics;
use crate::routes::{Backend, Routes};
use crate::rules::{self, Problem};
use hardway_client::{Client, Informer, Store};
use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use rustls::sign::CertifiedKey;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

const BY_SERVICE: &str = "service";
/// Changes that come together are taken together.
const TOGETHER: Duration = Duration::from_millis(10);

/// What the API said last.
#[derive(Default)]
pub struct World {
    /// Which Service a request is for.
    pub routes: Routes,
    /// Where Services' pods are.
    pub backends: HashMap<Backend, Result<Endpoints, Missing>>,
    /// The Ingresses that this controller answers for.
    pub ingresses: Vec<Arc<Ingress>>,
    /// What of them can't be had.
    pub problems: BTreeSet<Problem>,
    /// Certificates that have been read, by Secret and version.
    certificates: HashMap<(ObjectKey, String), Result<Arc<CertifiedKey>, String>>,
}

/// The caches it is made of.
#[derive(Clone)]
struct Stores {
    ingresses: Store<Ingress>,
    classes: Store<IngressClass>,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    secrets: Store<Secret>,
}

/// Makes the world anew whenever something changes.
pub struct Watching {
    stores: Stores,
    changed: Arc<Notify>,
    resolver: Arc<Resolver>,
    world: watch::Sender<Arc<World>>,
}

impl Watching {
    /// Starts watching; [`Watching::run`] does the work.
    pub fn start(client: &Client, resolver: Arc<Resolver>) -> Self {
        let changed = Arc::new(Notify::new());
        let wake = || {
            let changed = changed.clone();
            move || changed.notify_one()
        };
        let (on_ingress, on_class, on_service) = (wake(), wake(), wake());
        let (on_slice, on_secret) = (wake(), wake());
        let stores = Stores {
            ingresses: Informer::new(client.all::<Ingress>())
                .trim(|ingress| ingress.metadata.managed_fields = None)
                .on_change(move |_| on_ingress())
                .start(),
            classes: Informer::new(client.all::<IngressClass>())
                .on_change(move |_| on_class())
                .start(),
            services: Informer::new(client.all::<Service>())
                .trim(|service| {
                    (service.status, service.metadata.managed_fields) = (None, None);
                    service.metadata.annotations = None;
                })
                .on_change(move |_| on_service())
                .start(),
            slices: Informer::new(client.all::<EndpointSlice>())
                .trim(|slice| {
                    slice.metadata.managed_fields = None;
                    for endpoint in &mut slice.endpoints {
                        (endpoint.target_ref, endpoint.hints) = (None, None);
                        (endpoint.node_name, endpoint.zone) = (None, None);
                    }
                })
                .index(BY_SERVICE, |slice: &EndpointSlice| {
                    let service = backends::service_of(slice);
                    service.map(|key| key.to_string()).into_iter().collect()
                })
                .on_change(move |_| on_slice())
                .start(),
            // Of all Secrets those alone that can be shown.
            secrets: Informer::new(client.all::<Secret>())
                .fields("type=kubernetes.io/tls")
                .trim(|secret| secret.metadata.managed_fields = None)
                .on_change(move |_| on_secret())
                .start(),
        };
        Self {
            stores,
            changed,
            resolver,
            world: watch::Sender::default(),
        }
    }

    /// What the world is like, and when it changes.
    pub fn world(&self) -> watch::Receiver<Arc<World>> {
        self.world.subscribe()
    }

    /// For readiness: whether all is known that has to be.
    pub fn synced(&self) -> impl Fn() -> Result<(), String> + Send + Sync + use<> {
        let stores = self.stores.clone();
        move || {
            stores.ingresses.check()?;
            stores.classes.check()?;
            stores.services.check()?;
            stores.slices.check()?;
            stores.secrets.check()
        }
    }

    /// Works until dropped. What it makes first is made of everything.
    pub async fn run(self) {
        let Stores {
            ingresses,
            classes,
            services,
            slices,
            secrets,
        } = &self.stores;
        ingresses.wait_synced().await;
        classes.wait_synced().await;
        services.wait_synced().await;
        slices.wait_synced().await;
        secrets.wait_synced().await;
        loop {
            let (world, shown) = make(&self.world.borrow(), &self.stores);
            metrics::INGRESSES.set(i64::try_from(world.ingresses.len()).unwrap_or(i64::MAX));
            self.resolver.set(Arc::new(shown));
            self.world.send_replace(Arc::new(world));
            self.changed.notified().await;
            tokio::time::sleep(TOGETHER).await;
        }
    }
}

/// The world as it is now, and what is shown in it.
fn make(before: &World, stores: &Stores) -> (World, Shown) {
    let rules = rules::read(stores.ingresses.list(), &stores.classes.list());
    let mut world = World {
        problems: rules.problems.into_iter().collect(),
        ingresses: rules.ingresses,
        ..World::default()
    };
    for backend in rules
        .routes
        .targets()
        .filter_map(|target| target.backend.as_ref())
    {
        if world.backends.contains_key(backend) {
            continue;
        }
        let service = stores.services.get(&backend.service);
        let slices = stores
            .slices
            .by_index(BY_SERVICE, &backend.service.to_string());
        let found = backends::find(backend, service.as_deref(), &slices);
        let earlier = before.backends.get(backend).and_then(|it| it.as_ref().ok());
        let found = found.map(|addresses| Endpoints::new(addresses, earlier));
        world.backends.insert(backend.clone(), found);
    }
    for target in rules.routes.targets() {
        let Some(backend) = &target.backend else {
            continue;
        };
        let mut problem = |reason, message: &dyn Display| {
            world.problems.insert(Problem {
                ingress: target.ingress.clone(),
                reason,
                message: format!("backend {backend}: {message}"),
            });
        };
        if let Some(Err(missing)) = world.backends.get(backend) {
            problem("BackendUnusable", missing);
        }
        let service = stores.services.get(&backend.service);
        if let Some(foreign) = backends::foreign_protocol(backend, service.as_deref()) {
            problem("Unsupported", &foreign);
        }
    }
    world.routes = rules.routes;

    let mut claims = Vec::new();
    for claim in rules.certificates {
        let read = match stores.secrets.get(&claim.secret) {
            None => Err("it isn't there, or not of type kubernetes.io/tls".to_owned()),
            Some(object) => {
                let version = (claim.secret.clone(), object.resource_version().to_owned());
                let read = world.certificates.entry(version);
                let read = read.or_insert_with_key(|version| {
                    let known = before.certificates.get(version).cloned();
                    known.unwrap_or_else(|| certificates::of_secret(&object).map(Arc::new))
                });
                read.clone()
            }
        };
        claims.push((claim, read));
    }
    let (shown, problems) = Shown::new(claims, &world.routes);
    world.problems.extend(problems);
    (world, shown)
}
