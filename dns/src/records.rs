//! What there is at a name of the cluster's domain: the tables of Kubernetes'
//! DNS specification, read off the watch cache.

use crate::names;
use hardway_client::informer::Change;
use hardway_client::steps::{self, Step};
use hardway_client::{Client, Informer, Store};
use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use hickory_proto::rr::Name;
use k8s_openapi::api::core::v1::{Namespace, Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::net::IpAddr;

/// The version of the specification that the names follow.
const VERSION: &str = "1.1.0";
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const BY_ADDRESS: &str = "address";
const BY_SERVICE: &str = "service";

/// One thing to be said of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// It has this address.
    Address(IpAddr),
    /// It stands for another name.
    Alias(Name),
    /// There it is served, on a port.
    Server {
        /// The port.
        port: u16,
        /// The name that serves.
        target: Name,
        /// That name's addresses.
        addresses: Vec<IpAddr>,
    },
    /// A text.
    Text(&'static str),
}

/// The objects of the cluster that have names.
#[derive(Clone)]
pub struct Records {
    /// Services.
    pub services: Store<Service>,
    /// Their endpoints.
    pub slices: Store<EndpointSlice>,
    /// Namespaces.
    pub namespaces: Store<Namespace>,
    /// The cluster's domain.
    pub zone: Name,
}

/// Tells who follows a Service from when on it has a name here, and until when.
fn tell_name(change: &Change<Service>, zone: &Name) {
    let service = change.object();
    let what = match change {
        Change::Applied { old: None, .. } => "name",
        Change::Applied { .. } => return,
        Change::Deleted(_) => "name removed",
    };
    let addresses = cluster_ips(service).join(", ");
    let (name, namespace) = (service.name(), service.namespace());
    let step = Step::about(service.as_ref(), what)
        .with("name", format_args!("{name}.{namespace}.svc.{zone}"))
        .with("addresses", addresses);
    steps::record(step);
}

impl Records {
    /// Empty tables; tests fill the stores themselves.
    pub fn new(zone: Name) -> Self {
        let records = Self {
            services: Store::default(),
            slices: Store::default(),
            namespaces: Store::default(),
            zone,
        };
        records.services.add_index(BY_ADDRESS, cluster_ips);
        records.slices.add_index(BY_ADDRESS, slice_addresses);
        records.slices.add_index(BY_SERVICE, service_of);
        records
    }

    /// Tables that follow the cluster. Only what names are made of is kept.
    pub fn watch(client: &Client, zone: Name) -> Self {
        let apex = zone.clone();
        let services = Informer::<Service>::new(client.all())
            .index(BY_ADDRESS, cluster_ips)
            .trim(|service| {
                trim(&mut service.metadata);
                service.metadata.labels = None;
                service.status = None;
            });
        let slices = Informer::<EndpointSlice>::new(client.all())
            .index(BY_ADDRESS, slice_addresses)
            .index(BY_SERVICE, service_of)
            .trim(|slice| {
                trim(&mut slice.metadata);
                for endpoint in &mut slice.endpoints {
                    endpoint.target_ref = None;
                    endpoint.node_name = None;
                    endpoint.zone = None;
                    endpoint.hints = None;
                }
            });
        let namespaces = Informer::<Namespace>::new(client.all()).trim(|namespace| {
            trim(&mut namespace.metadata);
            namespace.metadata.labels = None;
            namespace.spec = None;
            namespace.status = None;
        });
        let known = services.store();
        let services = services.on_change(move |change| {
            if known.is_synced() {
                tell_name(change, &apex);
            }
        });
        Self {
            services: services.start(),
            slices: slices.start(),
            namespaces: namespaces.start(),
            zone,
        }
    }

    /// For readiness: whether all that exists is known, and what is in the way.
    ///
    /// # Errors
    /// If it isn't.
    pub fn check(&self) -> Result<(), String> {
        self.services.check()?;
        self.slices.check()?;
        self.namespaces.check()
    }

    /// Whether all that exists is known.
    pub fn is_synced(&self) -> bool {
        self.services.is_synced() && self.slices.is_synced() && self.namespaces.is_synced()
    }

    /// Everything at a name, whose labels below the cluster's domain are given
    /// from the top; `None` where there is no such name, nor any below it.
    pub fn at(&self, labels: &[&str]) -> Option<Vec<Item>> {
        match labels {
            ["dns-version"] => Some(vec![Item::Text(VERSION)]),
            ["svc" | "pod"] => Some(Vec::new()),
            ["svc" | "pod", namespace] => self.has(namespace).then(Vec::new),
            ["pod", namespace, address] => {
                // Any address is taken for a pod's, so that pods need not be
                // watched: the name says no more than the client knew already.
                let ip = names::undashed(address)?;
                self.has(namespace).then(|| vec![Item::Address(ip)])
            }
            ["svc", namespace, name, rest @ ..] => {
                let service = self.services.get(&ObjectKey::new(*namespace, *name))?;
                self.in_service(&service, rest)
            }
            _ => None,
        }
    }

    /// The names of an address: of Services that have it, and of endpoints of
    /// headless ones.
    pub fn names_of(&self, ip: IpAddr) -> Vec<Name> {
        let text = ip.to_string();
        let services = self.services.by_index(BY_ADDRESS, &text);
        let mut found: Vec<Name> = services
            .iter()
            .filter_map(|service| self.name(&[], service))
            .collect();
        for slice in self.slices.by_index(BY_ADDRESS, &text) {
            let Some(service) = self.service(&slice).filter(|s| is_headless(s)) else {
                continue;
            };
            for endpoint in endpoints(&service, &slice) {
                if endpoint.addresses.iter().any(|a| parse(a) == Some(ip)) {
                    found.extend(self.name(&[&endpoint_name(endpoint, ip)], &service));
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// The addresses of a Service of this name.
    pub fn addresses_of(&self, service: &ObjectKey) -> Vec<IpAddr> {
        let service = self.services.get(service);
        let texts = service.iter().flat_map(|service| cluster_ips(service));
        texts.filter_map(|text| text.parse().ok()).collect()
    }

    fn has(&self, namespace: &str) -> bool {
        self.namespaces
            .get(&ObjectKey::new("", namespace))
            .is_some()
    }

    /// A name below a Service.
    fn name(&self, labels: &[&str], service: &Service) -> Option<Name> {
        let service = [service.name(), service.namespace(), "svc"];
        names::join(&[labels, &service].concat(), &self.zone)
    }

    fn service(&self, slice: &EndpointSlice) -> Option<std::sync::Arc<Service>> {
        let name = slice.metadata.labels.as_ref()?.get(SERVICE_LABEL)?;
        self.services.get(&ObjectKey::new(slice.namespace(), name))
    }

    fn slices_of(&self, service: &Service) -> Vec<std::sync::Arc<EndpointSlice>> {
        let key = ObjectKey::of(service).to_string();
        self.slices.by_index(BY_SERVICE, &key)
    }

    fn in_service(&self, service: &Service, rest: &[&str]) -> Option<Vec<Item>> {
        let spec = service.spec.as_ref()?;
        if spec.type_.as_deref() == Some("ExternalName") {
            let target = names::parse(spec.external_name.as_deref().unwrap_or_default());
            return rest
                .is_empty()
                .then(|| target.map(Item::Alias).into_iter().collect());
        }
        match rest {
            [] => {
                let mut items = self.addresses(service);
                items.extend(self.servers(service, |_, _| true));
                Some(items)
            }
            [protocol] if protocol.starts_with('_') => {
                has_port(spec, &protocol[1..], None).then(Vec::new)
            }
            [protocol, port] if protocol.starts_with('_') && port.starts_with('_') => {
                let (protocol, port) = (&protocol[1..], &port[1..]);
                let wanted =
                    |name: &str, by: &str| name == port && by.eq_ignore_ascii_case(protocol);
                let servers = self.servers(service, wanted);
                let known = !servers.is_empty() || has_port(spec, protocol, Some(port));
                known.then_some(servers)
            }
            [name] => {
                let addresses = self.endpoint_addresses(service, Some(name));
                (!addresses.is_empty()).then_some(addresses)
            }
            _ => None,
        }
    }

    /// The addresses of a Service itself, or of what is behind a headless one.
    fn addresses(&self, service: &Service) -> Vec<Item> {
        if is_headless(service) {
            return self.endpoint_addresses(service, None);
        }
        let texts = cluster_ips(service);
        let addresses = texts.iter().filter_map(|text| text.parse().ok());
        addresses.map(Item::Address).collect()
    }

    /// The addresses of a Service's endpoints, or of those with a name.
    fn endpoint_addresses(&self, service: &Service, name: Option<&str>) -> Vec<Item> {
        let mut found: Vec<IpAddr> = Vec::new();
        for slice in self.slices_of(service) {
            for endpoint in endpoints(service, &slice) {
                let ips = endpoint.addresses.iter().filter_map(|text| parse(text));
                found.extend(
                    ips.filter(|ip| name.is_none_or(|n| endpoint_name(endpoint, *ip) == n)),
                );
            }
        }
        found.sort();
        found.dedup();
        found.into_iter().map(Item::Address).collect()
    }

    /// Where the ports of a Service are served whose name and protocol are wanted.
    fn servers(&self, service: &Service, wanted: impl Fn(&str, &str) -> bool) -> Vec<Item> {
        if is_headless(service) {
            return self.endpoint_servers(service, wanted);
        }
        let Some(target) = self.name(&[], service) else {
            return Vec::new();
        };
        let texts = cluster_ips(service);
        let addresses: Vec<IpAddr> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        let ports = service
            .spec
            .iter()
            .flat_map(|spec| spec.ports.iter().flatten());
        ports
            .filter(|port| wanted(text(&port.name), protocol(&port.protocol)))
            .filter_map(|port| {
                Some(Item::Server {
                    port: u16::try_from(port.port).ok()?,
                    target: target.clone(),
                    addresses: addresses.clone(),
                })
            })
            .collect()
    }

    fn endpoint_servers(
        &self,
        service: &Service,
        wanted: impl Fn(&str, &str) -> bool,
    ) -> Vec<Item> {
        let mut found = Vec::new();
        for slice in self.slices_of(service) {
            let ports: Vec<u16> = slice
                .ports
                .iter()
                .flatten()
                .filter(|port| wanted(text(&port.name), protocol(&port.protocol)))
                .filter_map(|port| u16::try_from(port.port?).ok())
                .collect();
            for endpoint in endpoints(service, &slice) {
                for ip in endpoint.addresses.iter().filter_map(|text| parse(text)) {
                    let Some(target) = self.name(&[&endpoint_name(endpoint, ip)], service) else {
                        continue;
                    };
                    found.extend(ports.iter().map(|&port| Item::Server {
                        port,
                        target: target.clone(),
                        addresses: vec![ip],
                    }));
                }
            }
        }
        found
    }
}

fn trim(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    metadata.annotations = None;
    metadata.owner_references = None;
    metadata.finalizers = None;
}

fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

fn protocol(protocol: &Option<String>) -> &str {
    protocol.as_deref().unwrap_or("TCP")
}

fn parse(address: &str) -> Option<IpAddr> {
    address.parse().ok()
}

fn is_headless(service: &Service) -> bool {
    let ip = service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref());
    ip == Some("None")
}

/// Whether a Service has a port of a protocol, and of a name if one is given.
fn has_port(spec: &ServiceSpec, by: &str, name: Option<&str>) -> bool {
    spec.ports.iter().flatten().any(|port| {
        let named = text(&port.name);
        !named.is_empty()
            && protocol(&port.protocol).eq_ignore_ascii_case(by)
            && name.is_none_or(|name| name == named)
    })
}

/// The endpoints of a slice that have names: those that serve, or all of them
/// where the Service wants it so.
fn endpoints<'a>(
    service: &Service,
    slice: &'a EndpointSlice,
) -> impl Iterator<Item = &'a Endpoint> + use<'a> {
    let spec = service.spec.as_ref();
    let all = spec.and_then(|spec| spec.publish_not_ready_addresses) == Some(true);
    slice.endpoints.iter().filter(move |endpoint| {
        let ready = endpoint.conditions.as_ref().and_then(|c| c.ready);
        all || ready != Some(false)
    })
}

/// What an endpoint is called below its Service: its host name, or its address.
fn endpoint_name(endpoint: &Endpoint, ip: IpAddr) -> String {
    match endpoint.hostname.as_deref() {
        Some(name) if !name.is_empty() => name.to_ascii_lowercase(),
        _ => names::dashed(ip),
    }
}

/// Index: the cluster IPs of a Service, as they are usually written.
fn cluster_ips(service: &Service) -> Vec<String> {
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let listed = spec.cluster_ips.iter().flatten();
    let mut ips: Vec<String> = listed
        .chain(&spec.cluster_ip)
        .filter_map(|ip| Some(parse(ip)?.to_string()))
        .collect();
    // The single field repeats the first of the list.
    let mut seen = std::collections::HashSet::new();
    ips.retain(|ip| seen.insert(ip.clone()));
    ips
}

/// Index: the addresses in a slice.
fn slice_addresses(slice: &EndpointSlice) -> Vec<String> {
    let addresses = slice.endpoints.iter().flat_map(|e| &e.addresses);
    addresses
        .filter_map(|address| Some(parse(address)?.to_string()))
        .collect()
}

/// Index: the Service of a slice.
fn service_of(slice: &EndpointSlice) -> Vec<String> {
    let labels = slice.metadata.labels.as_ref();
    let name = labels.and_then(|labels| labels.get(SERVICE_LABEL));
    name.map(|name| ObjectKey::new(slice.namespace(), name).to_string())
        .into_iter()
        .collect()
}
