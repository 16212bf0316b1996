//! Whether this node takes a pod that was bound to it: a last check, since
//! the scheduler may have decided on an older picture, or not been asked.

use crate::{pod, qos};
use hardway_proto::Kind;
use hardway_proto::placement::{allows_node, host_ports, pod_tolerates};
use hardway_proto::quantity::Quantity;
use k8s_openapi::api::core::v1::{Node, Pod};
use std::collections::BTreeMap;

/// Why a pod doesn't get in: an event of this reason, and its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// In a word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

impl Rejection {
    /// With Kubernetes' reason and words.
    pub fn new(reason: &str, message: String) -> Self {
        let reason = reason.into();
        Self { reason, message }
    }
}

fn predicate(name: &str, why: &str) -> Rejection {
    Rejection::new(name, format!("Predicate {name} failed: {why}"))
}

/// Refuses a pod that can't run beside the others.
pub fn check(new: &Pod, others: &[&Pod], node: &Node) -> Result<(), Rejection> {
    if !selects(new, node) {
        return Err(predicate(
            "NodeAffinity",
            "node(s) didn't match Pod's node affinity/selector",
        ));
    }
    if others.iter().any(|other| ports_conflict(new, other)) {
        return Err(predicate(
            "NodePorts",
            "node(s) didn't have free ports for the requested pod ports",
        ));
    }
    if !pod::is_static(new) && !tolerates(new, node) {
        return Err(predicate(
            "TaintToleration",
            "node(s) had taints that the pod didn't tolerate",
        ));
    }
    fits(new, others, node)
}

fn fits(new: &Pod, others: &[&Pod], node: &Node) -> Result<(), Rejection> {
    let status = node.status.as_ref();
    let Some(allocatable) = status.and_then(|s| s.allocatable.as_ref()) else {
        return Ok(());
    };
    let shortage = |resource: &str, requested: i64, used: i64, capacity: i64| Rejection {
        reason: format!("OutOf{resource}"),
        message: format!(
            "Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
        ),
    };
    for (resource, capacity) in allocatable {
        let Ok(capacity) = capacity.0.parse::<Quantity>() else {
            continue;
        };
        let figure = |q: Quantity| match resource.as_str() {
            "cpu" => q.milli_value(),
            _ => q.value(),
        };
        let capacity = figure(capacity);
        if resource == "pods" {
            let used = i64::try_from(others.len()).unwrap_or(i64::MAX);
            if used + 1 > capacity {
                return Err(shortage(resource, 1, used, capacity));
            }
            continue;
        }
        let requested = figure(qos::pod_request(new, resource));
        let used = others.iter().map(|p| figure(qos::pod_request(p, resource)));
        // Whatever pods ask for: a sum too large is as good as the largest.
        let used = used.fold(0, i64::saturating_add);
        if requested > 0 && requested.saturating_add(used) > capacity {
            return Err(shortage(resource, requested, used, capacity));
        }
    }
    Ok(())
}

fn ports_conflict(a: &Pod, b: &Pod) -> bool {
    let taken = host_ports(pod::spec(b));
    host_ports(pod::spec(a))
        .iter()
        .any(|wanted| taken.iter().any(|port| wanted.collides(port)))
}

fn selects(pod: &Pod, node: &Node) -> bool {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&NONE);
    allows_node(pod::spec(pod), node.name(), labels)
}

/// Only `NoExecute` keeps a pod out here; `NoSchedule` is the scheduler's.
fn tolerates(pod: &Pod, node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref());
    taints
        .unwrap_or_default()
        .iter()
        .filter(|taint| taint.effect == "NoExecute")
        .all(|taint| pod_tolerates(pod::spec(pod), taint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{
        Container, ContainerPort, NodeStatus, PodSpec, ResourceRequirements,
    };
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

    fn pod(port: Option<i32>, cpu: &str) -> Pod {
        let requests = BTreeMap::from([("cpu".to_owned(), Text(cpu.into()))]);
        let container = Container {
            ports: port.map(|port| {
                vec![ContainerPort {
                    container_port: port,
                    host_port: Some(port),
                    ..Default::default()
                }]
            }),
            resources: Some(ResourceRequirements {
                requests: Some(requests),
                ..Default::default()
            }),
            ..Default::default()
        };
        Pod {
            spec: Some(PodSpec {
                containers: vec![container],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn node() -> Node {
        let amount = |text: &str| Text(text.into());
        Node {
            status: Some(NodeStatus {
                allocatable: Some(BTreeMap::from([
                    ("cpu".to_owned(), amount("2")),
                    ("pods".to_owned(), amount("2")),
                ])),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn reasons_are_those_of_kubernetes() {
        let taken = pod(Some(80), "1");
        assert!(check(&pod(None, "1"), &[&taken], &node()).is_ok());
        let ports = check(&pod(Some(80), "1"), &[&taken], &node()).unwrap_err();
        assert_eq!(ports.reason, "NodePorts");
        let cpu = check(&pod(None, "1500m"), &[&taken], &node()).unwrap_err();
        assert_eq!(cpu.reason, "OutOfcpu");
        assert_eq!(
            cpu.message,
            "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000"
        );
        let other = pod(None, "0");
        let pods = check(&pod(None, "0"), &[&taken, &other], &node()).unwrap_err();
        assert_eq!(pods.reason, "OutOfpods");
    }

    #[test]
    fn amounts_beyond_all_numbers_are_too_much_and_no_more() {
        let huge = pod(None, "9E");
        let verdict = check(&huge, &[&huge, &huge], &node());
        assert_eq!(verdict.unwrap_err().reason, "OutOfcpu");
    }

    #[test]
    fn a_selector_that_does_not_match_is_refused() {
        let mut picky = pod(None, "0");
        let selector = BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]);
        picky.spec.as_mut().unwrap().node_selector = Some(selector);
        let verdict = check(&picky, &[], &node()).unwrap_err();
        assert_eq!(verdict.reason, "NodeAffinity");
    }
}
