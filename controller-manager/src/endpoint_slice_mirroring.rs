//! Mirrors Endpoints that somebody keeps by hand (for a Service without a
//! selector) into EndpointSlices, where proxies and DNS look.

use crate::Work;
use crate::context::Context;
use crate::endpoint_slice::{
    MANAGED_BY_LABEL, apply_plan, endpoint_ports, follow_slices, is_managed_by,
};
use crate::informers::{BY_SERVICE, Informers, SERVICE_NAME_LABEL, follow};
use crate::service_endpoints::is_managed;
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::{ObjectKey, controller_ref};
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use std::sync::Arc;

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// Endpoints with this label are not to be mirrored.
const SKIP_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Kubernetes mirrors at most this many addresses of a subset.
const MAX_ADDRESSES: usize = 1000;

struct Controller {
    client: Client,
    services: Store<Service>,
    endpoints: Store<Endpoints>,
    slices: Store<EndpointSlice>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        services: informers.services.store(),
        endpoints: informers.endpoints.store(),
        slices: informers.endpoint_slices.store(),
    };
    follow(&mut informers.endpoints, &queue);
    follow(&mut informers.services, &queue);
    follow_slices(informers, MANAGER, &queue);
    Box::pin(async move {
        controller.services.wait_synced().await;
        controller.endpoints.wait_synced().await;
        controller.slices.wait_synced().await;
        controller::run("endpointslice-mirroring", queue, 2, |key| {
            controller.reconcile(key)
        })
        .await;
    })
}

/// Whether Endpoints are kept by hand for a Service that exists.
fn is_mirrored(endpoints: &Endpoints, service: &Service) -> bool {
    let labels = endpoints.metadata.labels.as_ref();
    let annotations = endpoints.metadata.annotations.as_ref();
    let skipped = labels
        .and_then(|l| l.get(SKIP_LABEL))
        .is_some_and(|v| v == "true");
    let leader =
        annotations.is_some_and(|a| a.contains_key("control-plane.alpha.kubernetes.io/leader"));
    let by_name = service.spec.as_ref().and_then(|s| s.type_.as_deref()) == Some("ExternalName");
    !skipped && !leader && !by_name && !is_managed(service)
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(ready),
            terminating: Some(false),
        }),
        hostname: address.hostname.clone().filter(|h| !h.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Default::default()
    }
}

/// The slices of one subset, one for each family of addresses it has.
fn slices_of(
    endpoints: &Endpoints,
    service: &Service,
    subset: &EndpointSubset,
) -> Vec<EndpointSlice> {
    let ready = subset.addresses.iter().flatten().map(|a| (a, true));
    let unready = subset
        .not_ready_addresses
        .iter()
        .flatten()
        .map(|a| (a, false));
    let all: Vec<_> = ready.chain(unready).take(MAX_ADDRESSES).collect();
    let family = |address: &EndpointAddress| {
        if address.ip.contains(':') {
            "IPv6"
        } else {
            "IPv4"
        }
    };
    ["IPv4", "IPv6"]
        .into_iter()
        .filter_map(|r#type| {
            let endpoints_of: Vec<Endpoint> = all
                .iter()
                .filter(|(address, _)| family(address) == r#type)
                .map(|(address, ready)| endpoint(address, *ready))
                .collect();
            if endpoints_of.is_empty() {
                return None;
            }
            let mut slice = EndpointSlice {
                address_type: r#type.into(),
                endpoints: endpoints_of,
                ports: Some(endpoint_ports(subset)),
                ..Default::default()
            };
            let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
            labels.insert(SERVICE_NAME_LABEL.into(), service.name().into());
            labels.insert(MANAGED_BY_LABEL.into(), MANAGER.into());
            slice.metadata.labels = Some(labels);
            slice.metadata.generate_name = Some(format!("{}-", endpoints.name()));
            slice.metadata.namespace = Some(endpoints.namespace().into());
            slice.metadata.owner_references = Some(vec![controller_ref(endpoints)]);
            Some(slice)
        })
        .collect()
}

/// What to create, update and delete. A slice that serves the same ports and
/// family is kept and brought up to date.
fn plan(
    wanted: Vec<EndpointSlice>,
    current: Vec<Arc<EndpointSlice>>,
) -> crate::endpoint_slice::Plan {
    let mut left = current;
    let mut plan = crate::endpoint_slice::Plan::default();
    for slice in wanted {
        let same = left
            .iter()
            .position(|old| old.ports == slice.ports && old.address_type == slice.address_type);
        let Some(at) = same else {
            plan.create.push(slice);
            continue;
        };
        let old = left.remove(at);
        let mut next = EndpointSlice::clone(&old);
        next.endpoints = slice.endpoints;
        next.metadata.labels = slice.metadata.labels;
        if next != *old {
            plan.update.push(next);
        }
    }
    plan.delete = left;
    plan
}

impl Controller {
    async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let current: Vec<_> = self
            .slices
            .by_index(BY_SERVICE, &key.to_string())
            .into_iter()
            .filter(|slice| is_managed_by(slice, MANAGER))
            .collect();
        let (endpoints, service) = (self.endpoints.get(&key), self.services.get(&key));
        let wanted = match (&endpoints, &service) {
            (Some(endpoints), Some(service)) if is_mirrored(endpoints, service) => endpoints
                .subsets
                .iter()
                .flatten()
                .flat_map(|subset| slices_of(endpoints, service, subset))
                .collect(),
            _ => Vec::new(),
        };
        let api = self.client.namespaced::<EndpointSlice>(&key.namespace);
        apply_plan(&api, &plan(wanted, current)).await?;
        Ok(Next::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(selector: serde_json::Value) -> Service {
        serde_json::from_value(
            json!({"metadata": {"name": "db", "namespace": "d"}, "spec": {"selector": selector}}),
        )
        .unwrap()
    }

    fn endpoints() -> Endpoints {
        serde_json::from_value(json!({
            "metadata": {"name": "db", "namespace": "d", "uid": "1"},
            "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "notReadyAddresses": [{"ip": "192.0.2.2"}],
                "ports": [{"port": 5432}]}],
        }))
        .unwrap()
    }

    #[test]
    fn endpoints_kept_by_hand_are_mirrored() {
        assert!(is_mirrored(&endpoints(), &service(json!(null))));
        assert!(!is_mirrored(&endpoints(), &service(json!({"app": "db"}))));
        let subset = &endpoints().subsets.unwrap()[0];
        let made = slices_of(&endpoints(), &service(json!(null)), subset);
        assert_eq!(made.len(), 1);
        let ready: Vec<_> = made[0]
            .endpoints
            .iter()
            .map(|e| e.conditions.as_ref().unwrap().ready)
            .collect();
        assert_eq!(ready, [Some(true), Some(false)]);
        let stored: Vec<_> = made.clone().into_iter().map(Arc::new).collect();
        assert_eq!(plan(made, stored.clone()), Default::default());
        assert_eq!(plan(vec![], stored).delete.len(), 1);
    }
}
