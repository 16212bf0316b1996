//! Endpoints: the addresses behind a Service, in one object.

use crate::Work;
use crate::context::Context;
use crate::informers::{Informers, follow};
use crate::service_endpoints::{
    Backend, Port, backends, hostname, is_managed, node_name, pod_changed, pod_reference, ports,
};
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::status::NAMESPACE_TERMINATING;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service,
};
use std::collections::BTreeMap;

/// More addresses than this are left out, and an annotation says so.
const MAX_ADDRESSES: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MANAGED_BY_LABEL: &str = "endpoints.kubernetes.io/managed-by";

struct Controller {
    client: Client,
    services: Store<Service>,
    pods: Store<Pod>,
    endpoints: Store<Endpoints>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        services: informers.services.store(),
        pods: informers.pods.store(),
        endpoints: informers.endpoints.store(),
    };
    follow(&mut informers.services, &queue);
    follow(&mut informers.endpoints, &queue);
    let (on_pod, services) = (queue.clone(), informers.services.store());
    informers
        .pods
        .subscribe(move |change| pod_changed(change, &services, &on_pod));
    Box::pin(async move {
        controller.services.wait_synced().await;
        controller.pods.wait_synced().await;
        controller.endpoints.wait_synced().await;
        controller::run("endpoints", queue, 5, |key| controller.reconcile(key)).await;
    })
}

/// The subsets of a Service: addresses with the same ports are together.
fn subsets(service: &Service, backends: &[Backend]) -> Vec<EndpointSubset> {
    let mut by_ports: BTreeMap<Vec<Port>, (Vec<EndpointAddress>, Vec<EndpointAddress>)> =
        BTreeMap::new();
    for backend in backends.iter().filter(|b| !b.terminating) {
        let address = EndpointAddress {
            ip: backend.ip.clone(),
            hostname: hostname(service, &backend.pod),
            node_name: node_name(&backend.pod),
            target_ref: Some(pod_reference(&backend.pod)),
        };
        let ports = ports(service, &backend.pod);
        let headless = service.spec.as_ref().and_then(|s| s.cluster_ip.as_deref()) == Some("None");
        if ports.is_empty() && !headless {
            continue;
        }
        let (ready, unready) = by_ports.entry(ports).or_default();
        if backend.ready {
            ready.push(address);
        } else {
            unready.push(address);
        }
    }
    let some = |mut list: Vec<EndpointAddress>| {
        list.sort_by(|a, b| a.ip.cmp(&b.ip));
        (!list.is_empty()).then_some(list)
    };
    by_ports
        .into_iter()
        .map(|(ports, (ready, unready))| EndpointSubset {
            addresses: some(ready),
            not_ready_addresses: some(unready),
            ports: Some(ports.into_iter().map(endpoint_port).collect()),
        })
        .collect()
}

fn endpoint_port(port: Port) -> EndpointPort {
    EndpointPort {
        name: Some(port.name).filter(|name| !name.is_empty()),
        port: port.port,
        protocol: Some(port.protocol),
        app_protocol: port.app_protocol,
    }
}

/// What the Endpoints object of a Service should be, starting from what it is.
fn desired(service: &Service, mut found: Vec<Backend>, current: Option<&Endpoints>) -> Endpoints {
    let mut object = current.cloned().unwrap_or_default();
    let over = found.len() > MAX_ADDRESSES;
    found.sort_by_key(|b| !b.ready);
    found.truncate(MAX_ADDRESSES);
    object.metadata.name = Some(service.name().into());
    object.metadata.namespace = Some(service.namespace().into());
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY_LABEL.into(), "endpoint-controller".into());
    if service.spec.as_ref().and_then(|s| s.cluster_ip.as_deref()) == Some("None") {
        labels.insert("service.kubernetes.io/headless".into(), String::new());
    }
    object.metadata.labels = Some(labels);
    let mut annotations = object.metadata.annotations.take().unwrap_or_default();
    annotations.remove(OVER_CAPACITY);
    if over {
        annotations.insert(OVER_CAPACITY.into(), "truncated".into());
    }
    object.metadata.annotations = (!annotations.is_empty()).then_some(annotations);
    let subsets = subsets(service, &found);
    object.subsets = (!subsets.is_empty()).then_some(subsets);
    object
}

impl Controller {
    async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let api = self.client.namespaced::<Endpoints>(&key.namespace);
        let current = self.endpoints.get(&key);
        let Some(service) = self.services.get(&key) else {
            let ours = current.as_ref().is_some_and(|e| {
                e.metadata
                    .labels
                    .as_ref()
                    .is_some_and(|l| l.contains_key(MANAGED_BY_LABEL))
            });
            if ours {
                match api.delete(&key.name, &Default::default()).await {
                    Err(status) if !status.is_not_found() => return Err(status),
                    _ => {}
                }
            }
            return Ok(Next::Done);
        };
        if !is_managed(&service) {
            return Ok(Next::Done);
        }
        let pods = self.pods.in_namespace(&key.namespace);
        let wanted = desired(&service, backends(&service, &pods), current.as_deref());
        match current {
            None => match api.create(&wanted).await {
                Ok(_) => {}
                // Made meanwhile: the next change tells. Or nothing can be made any more.
                Err(status)
                    if status.is_already_exists() || status.has_cause(NAMESPACE_TERMINATING) => {}
                Err(status) => return Err(status),
            },
            Some(current) if *current != wanted => {
                api.update(&wanted).await?;
            }
            Some(_) => {}
        }
        Ok(Next::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn backend(ip: &str, ready: bool, terminating: bool) -> Backend {
        let pod = json!({"metadata": {"name": ip, "namespace": "d"}, "spec": {"nodeName": "n", "containers": []}});
        Backend {
            pod: Arc::new(serde_json::from_value(pod).unwrap()),
            ip: ip.into(),
            ready,
            serving: ready,
            terminating,
        }
    }

    #[test]
    fn ready_and_unready_are_apart_and_leaving_ones_out() {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "d", "labels": {"a": "b"}},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 3000}]},
        }))
        .unwrap();
        let found = vec![
            backend("10.0.0.2", true, false),
            backend("10.0.0.1", true, false),
            backend("10.0.0.3", false, false),
            backend("10.0.0.4", true, true),
        ];
        let object = desired(&service, found, None);
        let subset = &object.subsets.as_ref().unwrap()[0];
        let ips = |list: &Option<Vec<EndpointAddress>>| -> Vec<String> {
            list.iter().flatten().map(|a| a.ip.clone()).collect()
        };
        assert_eq!(ips(&subset.addresses), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(ips(&subset.not_ready_addresses), ["10.0.0.3"]);
        assert_eq!(subset.ports.as_ref().unwrap()[0].port, 3000);
        assert_eq!(desired(&service, vec![], Some(&object)).subsets, None);
    }
}
