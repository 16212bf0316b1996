//! EndpointSlices: the addresses behind a Service in pieces of at most a
//! hundred, so that one change moves little data.

use crate::Work;
use crate::context::Context;
use crate::endpoint_hints::{self, DISABLED, ENABLED, Mode, Zones};
use crate::informers::{BY_SERVICE, Informers, SERVICE_NAME_LABEL, follow};
use crate::service_endpoints::{
    Backend, Port, backends, hostname, is_managed, node_name, pod_changed, pod_reference, ports,
};
use hardway_client::api::DeleteParams;
use hardway_client::controller::{self, Next};
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_client::{Api, Client, Store};
use hardway_proto::meta::{ObjectKey, controller_ref};
use hardway_proto::status::NAMESPACE_TERMINATING;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{EndpointSubset, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;

const MAX_PER_SLICE: usize = 100;
/// Says which controller keeps a slice.
pub const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";

struct Controller {
    client: Client,
    services: Store<Service>,
    pods: Store<Pod>,
    nodes: Store<Node>,
    slices: Store<EndpointSlice>,
    recorder: Recorder,
    queue: WorkQueue<ObjectKey>,
    /// The zones that share endpoints.
    zones: Mutex<Option<Zones>>,
    /// What came of the hints of Services that ask for them by zone: nothing, or why there are
    /// none.
    hinted: Mutex<HashMap<ObjectKey, Result<(), String>>>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        services: informers.services.store(),
        pods: informers.pods.store(),
        nodes: informers.nodes.store(),
        slices: informers.endpoint_slices.store(),
        recorder: context.recorder("endpoint-slice-controller"),
        queue: queue.clone(),
        zones: Mutex::default(),
        hinted: Mutex::default(),
    };
    follow(&mut informers.services, &queue);
    follow_slices(informers, MANAGER, &queue);
    let on_nodes = WorkQueue::new();
    follow_zones(informers, &queue, &on_nodes);
    let (on_pod, services) = (queue.clone(), informers.services.store());
    informers
        .pods
        .subscribe(move |change| pod_changed(change, &services, &on_pod));
    Box::pin(async move {
        controller.services.wait_synced().await;
        controller.pods.wait_synced().await;
        controller.nodes.wait_synced().await;
        controller.slices.wait_synced().await;
        *controller.zones.lock() = Zones::of(&controller.nodes.list());
        tokio::join!(
            controller::run("endpointslice", queue, 5, |key| controller.reconcile(key)),
            controller::run("endpointslice-zones", on_nodes, 1, |()| async {
                controller.share_out();
                Ok::<_, Infallible>(Next::Done)
            }),
        );
    })
}

/// Tells of nodes as far as they matter to the zones of endpoints.
fn follow_zones(informers: &mut Informers, queue: &WorkQueue<ObjectKey>, on_nodes: &WorkQueue<()>) {
    let (queue, on_nodes) = (queue.clone(), on_nodes.clone());
    let services = informers.services.store();
    informers.nodes.subscribe(move |change| {
        if let Change::Applied {
            old: Some(old),
            new,
        } = change
        {
            if endpoint_hints::share(old) == endpoint_hints::share(new) {
                return;
            }
            if endpoint_hints::zone(old) != endpoint_hints::zone(new) {
                // Any of them may have an endpoint there.
                for service in services.list() {
                    queue.add(ObjectKey::of(service.as_ref()));
                }
            }
        }
        on_nodes.add(());
    });
}

/// Puts the Service of every slice that changes, of those that the named
/// controller keeps, into a queue.
pub fn follow_slices(
    informers: &mut Informers,
    manager: &'static str,
    queue: &WorkQueue<ObjectKey>,
) {
    let queue = queue.clone();
    informers.endpoint_slices.subscribe(move |change| {
        let slice = change.object();
        let labels = slice.metadata.labels.as_ref();
        let service = labels.and_then(|labels| labels.get(SERVICE_NAME_LABEL));
        if let Some(service) = service.filter(|_| is_managed_by(slice, manager)) {
            queue.add(ObjectKey::new(slice.namespace(), service));
        }
    });
}

fn is_ours(slice: &EndpointSlice) -> bool {
    is_managed_by(slice, MANAGER)
}

/// Whether a slice is kept by the named controller.
pub fn is_managed_by(slice: &EndpointSlice, manager: &str) -> bool {
    let labels = slice.metadata.labels.as_ref();
    labels
        .and_then(|l| l.get(MANAGED_BY_LABEL))
        .map(String::as_str)
        == Some(manager)
}

/// What to do so that the slices say what they should.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// New slices.
    pub create: Vec<EndpointSlice>,
    /// Changed slices.
    pub update: Vec<EndpointSlice>,
    /// Slices nobody needs.
    pub delete: Vec<Arc<EndpointSlice>>,
}

/// Keeps endpoints in the slices they are in, fills what has room, and makes
/// or drops slices only when it must.
fn plan(
    service: &Service,
    wanted: Vec<(Vec<Port>, Endpoint)>,
    current: &[Arc<EndpointSlice>],
) -> Plan {
    let mut by_ports: BTreeMap<Vec<Port>, HashMap<String, Endpoint>> = BTreeMap::new();
    for (ports, endpoint) in wanted {
        let address = endpoint.addresses.first().cloned().unwrap_or_default();
        by_ports.entry(ports).or_default().insert(address, endpoint);
    }
    if by_ports.is_empty() {
        // One empty slice says "nobody" more clearly than none at all.
        by_ports.insert(Vec::new(), HashMap::new());
    }
    let mut plan = Plan::default();
    let mut left: Vec<Arc<EndpointSlice>> = current.to_vec();
    for (ports, mut endpoints) in by_ports {
        let ports = slice_ports(&ports);
        let (same, others): (Vec<_>, Vec<_>) = left
            .into_iter()
            .partition(|s| s.ports.clone().unwrap_or_default() == ports);
        left = others;
        let mut kept: Vec<EndpointSlice> = same
            .iter()
            .map(|slice| {
                let mut slice = EndpointSlice::clone(slice);
                let staying = slice.endpoints.drain(..).filter_map(|old| {
                    let address = old.addresses.first()?;
                    endpoints.remove(address)
                });
                slice.endpoints = staying.collect();
                slice
            })
            .collect();
        let mut fresh: Vec<Endpoint> = endpoints.into_values().collect();
        fresh.sort_by(|a, b| a.addresses.cmp(&b.addresses));
        for slice in &mut kept {
            let room = MAX_PER_SLICE.saturating_sub(slice.endpoints.len());
            slice.endpoints.extend(fresh.drain(..room.min(fresh.len())));
        }
        let mut keep_one = kept.iter().all(|s| s.endpoints.is_empty()) && fresh.is_empty();
        if keep_one && kept.is_empty() {
            plan.create.push(new_slice(service, &ports, Vec::new()));
        }
        for (slice, old) in kept.into_iter().zip(&same) {
            if slice.endpoints.is_empty() && !std::mem::take(&mut keep_one) {
                plan.delete.push(old.clone());
                continue;
            }
            let slice = relabelled(service, slice);
            if slice != **old {
                plan.update.push(slice);
            }
        }
        while !fresh.is_empty() {
            let part = fresh.drain(..fresh.len().min(MAX_PER_SLICE)).collect();
            plan.create.push(new_slice(service, &ports, part));
        }
    }
    plan.delete.extend(left);
    plan
}

fn slice_ports(ports: &[Port]) -> Vec<EndpointPort> {
    ports
        .iter()
        .map(|port| EndpointPort {
            // An unnamed port has an empty name here, not none.
            name: Some(port.name.clone()),
            port: Some(port.port),
            protocol: Some(port.protocol.clone()),
            app_protocol: port.app_protocol.clone(),
        })
        .collect()
}

fn relabelled(service: &Service, mut slice: EndpointSlice) -> EndpointSlice {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME_LABEL.into(), service.name().into());
    labels.insert(MANAGED_BY_LABEL.into(), MANAGER.into());
    if service.spec.as_ref().and_then(|s| s.cluster_ip.as_deref()) == Some("None") {
        labels.insert("service.kubernetes.io/headless".into(), String::new());
    }
    slice.metadata.labels = Some(labels);
    slice
}

fn new_slice(service: &Service, ports: &[EndpointPort], endpoints: Vec<Endpoint>) -> EndpointSlice {
    let mut slice = EndpointSlice {
        address_type: "IPv4".into(),
        endpoints,
        ports: Some(ports.to_vec()),
        ..Default::default()
    };
    slice.metadata.generate_name = Some(format!("{}-", service.name()));
    slice.metadata.namespace = Some(service.namespace().into());
    slice.metadata.owner_references = Some(vec![controller_ref(service)]);
    relabelled(service, slice)
}

impl Controller {
    fn endpoint(&self, service: &Service, backend: &Backend) -> Endpoint {
        let node = node_name(&backend.pod);
        let zone = node.as_ref().and_then(|name| {
            let node = self.nodes.get(&ObjectKey::new("", name))?;
            endpoint_hints::zone(&node).cloned()
        });
        Endpoint {
            addresses: vec![backend.ip.clone()],
            conditions: Some(EndpointConditions {
                ready: Some(backend.ready),
                serving: Some(backend.serving),
                terminating: Some(backend.terminating),
            }),
            hostname: hostname(service, &backend.pod),
            node_name: node,
            target_ref: Some(pod_reference(&backend.pod)),
            zone,
            ..Default::default()
        }
    }

    /// Zones may have other shares of the CPUs now.
    fn share_out(&self) {
        let zones = Zones::of(&self.nodes.list());
        let before = std::mem::replace(&mut *self.zones.lock(), zones.clone());
        if before != zones {
            let services = self.services.list();
            for service in services.iter().filter(|s| Mode::of(s) == Mode::Auto) {
                self.queue.add(ObjectKey::of(service.as_ref()));
            }
        }
    }

    /// Says which zones endpoints are for.
    fn hint(
        &self,
        service: &Service,
        endpoints: Vec<&mut Endpoint>,
        current: &[Arc<EndpointSlice>],
    ) {
        let key = ObjectKey::of(service);
        let outcome = match Mode::of(service) {
            Mode::Everywhere => None,
            Mode::Close => {
                endpoint_hints::close(endpoints);
                None
            }
            Mode::Auto => {
                let before = current.iter().flat_map(|slice| &slice.endpoints);
                let before = before.filter_map(|endpoint| {
                    let zone = endpoint_hints::hinted(endpoint)?;
                    Some((endpoint.addresses.first()?.clone(), zone.to_owned()))
                });
                let (before, zones) = (before.collect(), self.zones.lock().clone());
                Some(endpoint_hints::proportional(
                    endpoints,
                    zones.as_ref(),
                    &before,
                ))
            }
        };
        let before = match &outcome {
            Some(outcome) => self.hinted.lock().insert(key, outcome.clone()),
            None => self.hinted.lock().remove(&key),
        };
        let (r#type, reason, words) = match (&before, &outcome) {
            (Some(Ok(())), None) => (EventType::Warning, "TopologyAwareHintsDisabled", DISABLED),
            (_, None) => return,
            (before, Some(outcome)) if before.as_ref() == Some(outcome) => return,
            (_, Some(Ok(()))) => (EventType::Normal, "TopologyAwareHintsEnabled", ENABLED),
            (_, Some(Err(why))) => (
                EventType::Warning,
                "TopologyAwareHintsDisabled",
                why.as_str(),
            ),
        };
        let words = format!("{words}, addressType: IPv4");
        self.recorder
            .event(reference(service), r#type, reason, words);
    }

    async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let api = self.client.namespaced::<EndpointSlice>(&key.namespace);
        let current: Vec<_> = self
            .slices
            .by_index(BY_SERVICE, &key.to_string())
            .into_iter()
            .filter(|slice| is_ours(slice))
            .collect();
        let Some(service) = self.services.get(&key).filter(|s| is_managed(s)) else {
            self.hinted.lock().remove(&key);
            return delete_all(&api, &current).await.map(|()| Next::Done);
        };
        if service.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Done);
        }
        let pods = self.pods.in_namespace(&key.namespace);
        let mut wanted: Vec<_> = backends(&service, &pods)
            .iter()
            .map(|b| (ports(&service, &b.pod), self.endpoint(&service, b)))
            .collect();
        let endpoints = wanted.iter_mut().map(|(_, endpoint)| endpoint).collect();
        self.hint(&service, endpoints, &current);
        let plan = plan(&service, wanted, &current);
        apply_plan(&api, &plan).await?;
        Ok(Next::Done)
    }
}

/// Carries a plan out.
pub async fn apply_plan(api: &Api<EndpointSlice>, plan: &Plan) -> Result<(), Status> {
    for slice in &plan.update {
        match api.update(slice).await {
            Err(status) if !status.is_not_found() => return Err(status),
            _ => {}
        }
    }
    for slice in &plan.create {
        match api.create(slice).await {
            Err(status) if !status.has_cause(NAMESPACE_TERMINATING) => return Err(status),
            _ => {}
        }
    }
    delete_all(api, &plan.delete).await
}

/// The ports of an Endpoints subset as slices list them.
pub fn endpoint_ports(subset: &EndpointSubset) -> Vec<EndpointPort> {
    let ports = subset.ports.iter().flatten();
    ports
        .map(|port| EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(port.port),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
            app_protocol: port.app_protocol.clone(),
        })
        .collect()
}

async fn delete_all(api: &Api<EndpointSlice>, slices: &[Arc<EndpointSlice>]) -> Result<(), Status> {
    for slice in slices {
        match api
            .delete(slice.name(), &DeleteParams::of(slice.uid()))
            .await
        {
            Err(status) if !status.is_not_found() && !status.is_conflict() => return Err(status),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service() -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "d", "uid": "1"}}))
            .unwrap()
    }

    fn wanted(range: std::ops::Range<usize>) -> Vec<(Vec<Port>, Endpoint)> {
        let port = Port {
            name: String::new(),
            port: 3000,
            protocol: "TCP".into(),
            app_protocol: None,
        };
        range
            .map(|n| {
                let endpoint = Endpoint {
                    addresses: vec![format!("10.0.{}.{}", n / 256, n % 256)],
                    ..Default::default()
                };
                (vec![port.clone()], endpoint)
            })
            .collect()
    }

    fn stored(plan: Plan) -> Vec<Arc<EndpointSlice>> {
        plan.create.into_iter().map(Arc::new).collect()
    }

    #[test]
    fn slices_hold_a_hundred() {
        let made = plan(&service(), wanted(0..250), &[]);
        let sizes: Vec<_> = made.create.iter().map(|s| s.endpoints.len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
    }

    #[test]
    fn a_settled_service_needs_nothing() {
        let slices = stored(plan(&service(), wanted(0..150), &[]));
        assert_eq!(plan(&service(), wanted(0..150), &slices), Plan::default());
    }

    #[test]
    fn one_change_touches_one_slice() {
        let slices = stored(plan(&service(), wanted(0..150), &[]));
        let next = plan(&service(), wanted(1..151), &slices);
        assert_eq!(
            (next.create.len(), next.update.len(), next.delete.len()),
            (0, 1, 0)
        );
    }

    #[test]
    fn nobody_is_one_empty_slice() {
        let empty = plan(&service(), vec![], &[]);
        assert_eq!(empty.create.len(), 1);
        let slices = stored(empty);
        assert_eq!(plan(&service(), vec![], &slices), Plan::default());
        let next = plan(&service(), wanted(0..1), &slices);
        assert_eq!((next.create.len(), next.delete.len()), (1, 1));
    }
}
