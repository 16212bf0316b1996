//! Which pods stand behind a Service, on which ports: what Endpoints and
//! EndpointSlices are both made of.

use crate::pod_ranking::{is_finished, is_ready};
use hardway_client::Store;
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_proto::Kind;
use hardway_proto::labels::Selector;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::sync::Arc;

/// One pod behind a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Its IP.
    pub ip: String,
    /// Whether new connections should go to it.
    pub ready: bool,
    /// Whether it answers, leaving or not.
    pub serving: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
}

/// A port as endpoints list it: name, number, protocol, application protocol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// The Service port's name.
    pub name: String,
    /// The pod's port number.
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// e.g. `http`.
    pub app_protocol: Option<String>,
}

/// The Service's pods that have an address and haven't finished.
pub fn backends(service: &Service, pods: &[Arc<Pod>]) -> Vec<Backend> {
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let Some(selector) = spec.selector.as_ref().filter(|s| !s.is_empty()) else {
        return Vec::new();
    };
    let selector = Selector::from_map(selector);
    let always = spec.publish_not_ready_addresses == Some(true);
    pods.iter()
        .filter(|pod| {
            pod.metadata
                .labels
                .as_ref()
                .is_some_and(|l| selector.matches(l))
        })
        .filter(|pod| !is_finished(pod))
        .filter_map(|pod| {
            let ip = pod
                .status
                .as_ref()?
                .pod_ip
                .clone()
                .filter(|ip| !ip.is_empty())?;
            let terminating = pod.metadata.deletion_timestamp.is_some();
            let serving = is_ready(pod);
            Some(Backend {
                pod: pod.clone(),
                ip,
                ready: always || (serving && !terminating),
                serving,
                terminating,
            })
        })
        .collect()
}

/// The number a Service port means on a pod; `None` if the pod has no port of
/// that name and protocol.
pub fn target_port(port: &ServicePort, pod: &Pod) -> Option<i32> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let spec = pod.spec.as_ref()?;
            let sidecars = spec
                .init_containers
                .iter()
                .flatten()
                .filter(|c| c.restart_policy.as_deref() == Some("Always"));
            spec.containers
                .iter()
                .chain(sidecars)
                .flat_map(|c| c.ports.iter().flatten())
                .find(|p| {
                    p.name.as_deref() == Some(name)
                        && p.protocol.as_deref().unwrap_or("TCP") == protocol
                })
                .map(|p| p.container_port)
        }
    }
}

/// The ports of a Service as one pod serves them.
pub fn ports(service: &Service, pod: &Pod) -> Vec<Port> {
    let spec = service.spec.as_ref();
    let mut ports: Vec<Port> = spec
        .into_iter()
        .flat_map(|s| s.ports.iter().flatten())
        .filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                port: target_port(port, pod)?,
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    ports.sort();
    ports
}

/// Whether the Service has endpoints made for it (a selector, and not just a
/// name somewhere else).
pub fn is_managed(service: &Service) -> bool {
    let Some(spec) = &service.spec else {
        return false;
    };
    spec.type_.as_deref() != Some("ExternalName")
        && spec.selector.as_ref().is_some_and(|s| !s.is_empty())
}

/// A reference to a pod, as endpoints carry it.
pub fn pod_reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..Default::default()
    }
}

/// The node a pod runs on.
pub fn node_name(pod: &Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone()
}

/// The pod's host name if it is in this Service's subdomain.
pub fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    (spec.subdomain.as_deref() == Some(service.name()))
        .then(|| spec.hostname.clone())
        .flatten()
        .filter(|h| !h.is_empty())
}

/// Wakes the Services that select a pod, before or after its change.
pub fn pod_changed(change: &Change<Pod>, services: &Store<Service>, queue: &WorkQueue<ObjectKey>) {
    let (old, new) = match change {
        Change::Applied { old, new } => (old.as_ref(), Some(new)),
        Change::Deleted(pod) => (Some(pod), None),
    };
    if let (Some(old), Some(new)) = (old, new)
        && !matters(old, new)
    {
        return;
    }
    let namespace = change.object().namespace();
    for service in services.in_namespace(namespace) {
        if !is_managed(&service) {
            continue;
        }
        let spec = service.spec.as_ref();
        let selector = spec
            .and_then(|s| s.selector.as_ref())
            .map(Selector::from_map);
        let selects = |pod: &Arc<Pod>| {
            let labels = pod.metadata.labels.as_ref();
            selector
                .as_ref()
                .zip(labels)
                .is_some_and(|(selector, labels)| selector.matches(labels))
        };
        if old.is_some_and(selects) || new.is_some_and(selects) {
            queue.add(ObjectKey::of(service.as_ref()));
        }
    }
}

/// Whether a change of a pod can change endpoints.
fn matters(old: &Pod, new: &Pod) -> bool {
    let ip = |pod: &Pod| pod.status.as_ref().and_then(|s| s.pod_ip.clone());
    old.metadata.labels != new.metadata.labels
        || old.metadata.deletion_timestamp.is_some() != new.metadata.deletion_timestamp.is_some()
        || ip(old) != ip(new)
        || is_ready(old) != is_ready(new)
        || is_finished(old) != is_finished(new)
        || node_name(old) != node_name(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(spec: serde_json::Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap()
    }

    fn pod(ip: &str, ready: &str, deleting: bool) -> Arc<Pod> {
        let mut object = json!({
            "metadata": {"name": ip, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 3000}]}]},
            "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": ready}]},
        });
        if deleting {
            object["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z".into();
        }
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn readiness_and_deletion_decide() {
        let svc = service(json!({"selector": {"app": "web"}}));
        let pods = [
            pod("10.0.0.1", "True", false),
            pod("10.0.0.2", "False", false),
            pod("10.0.0.3", "True", true),
        ];
        let found: Vec<_> = backends(&svc, &pods)
            .iter()
            .map(|b| (b.ready, b.serving, b.terminating))
            .collect();
        assert_eq!(
            found,
            [
                (true, true, false),
                (false, false, false),
                (false, true, true)
            ]
        );
        let svc = service(json!({"selector": {"app": "web"}, "publishNotReadyAddresses": true}));
        assert!(backends(&svc, &pods).iter().all(|b| b.ready));
    }

    #[test]
    fn named_target_ports_are_looked_up_in_the_pod() {
        let svc = service(json!({"ports": [
            {"name": "a", "port": 80, "targetPort": "http"},
            {"name": "b", "port": 81, "targetPort": "none"},
            {"name": "c", "port": 82}]}));
        let found: Vec<_> = ports(&svc, &pod("10.0.0.1", "True", false))
            .into_iter()
            .map(|p| (p.name, p.port))
            .collect();
        assert_eq!(found, [("a".into(), 3000), ("c".into(), 82)]);
    }
}
