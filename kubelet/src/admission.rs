//! Whether this node takes a pod that was bound to it: a last check, since
//! the scheduler may have decided on an older picture, or not been asked.

use crate::status::Verdict;
use crate::{pod, qos};
use hardway_proto::Kind;
use hardway_proto::quantity::Quantity;
use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, Toleration,
};
use std::collections::BTreeMap;

fn predicate(name: &str, why: &str) -> Verdict {
    Verdict {
        reason: name.into(),
        message: format!("Pod was rejected: Predicate {name} failed: {why}"),
    }
}

/// Refuses a pod that can't run beside the others.
pub fn check(new: &Pod, others: &[&Pod], node: &Node) -> Result<(), Verdict> {
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

fn fits(new: &Pod, others: &[&Pod], node: &Node) -> Result<(), Verdict> {
    let status = node.status.as_ref();
    let Some(allocatable) = status.and_then(|s| s.allocatable.as_ref()) else {
        return Ok(());
    };
    let shortage = |resource: &str, requested: i64, used: i64, capacity: i64| Verdict {
        reason: format!("OutOf{resource}"),
        message: format!(
            "Pod was rejected: Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
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
        let used: i64 = used.sum();
        if requested > 0 && requested + used > capacity {
            return Err(shortage(resource, requested, used, capacity));
        }
    }
    Ok(())
}

fn host_ports(pod: &Pod) -> impl Iterator<Item = (&str, &str, i32)> {
    let ports = pod::all_containers(pod).flat_map(|c| c.ports.iter().flatten());
    ports.filter_map(|port| {
        let number = port.host_port.filter(|n| *n != 0)?;
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let ip = match port.host_ip.as_deref() {
            None | Some("") => "0.0.0.0",
            Some(ip) => ip,
        };
        Some((ip, protocol, number))
    })
}

fn ports_conflict(a: &Pod, b: &Pod) -> bool {
    host_ports(a).any(|(ip, protocol, number)| {
        host_ports(b).any(|(other, p, n)| {
            p == protocol && n == number && (ip == other || ip == "0.0.0.0" || other == "0.0.0.0")
        })
    })
}

fn selects(pod: &Pod, node: &Node) -> bool {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let spec = pod::spec(pod);
    let by_label = spec
        .node_selector
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    let affinity = spec
        .affinity
        .as_ref()
        .and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| {
        a.required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    let by_affinity = required.is_none_or(|selector| {
        let mut terms = selector.node_selector_terms.iter();
        terms.any(|term| term_matches(term, &labels, node.name()))
    });
    by_label && by_affinity
}

fn term_matches(term: &NodeSelectorTerm, labels: &BTreeMap<String, String>, name: &str) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    // An empty term selects nothing.
    !(expressions.is_empty() && fields.is_empty())
        && expressions
            .iter()
            .all(|r| matches(r, labels.get(&r.key).map(String::as_str)))
        && fields
            .iter()
            .all(|r| matches(r, (r.key == "metadata.name").then_some(name)))
}

fn matches(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let contains = value.is_some_and(|v| values.iter().any(|w| w == v));
    let compare = |wanted: std::cmp::Ordering| {
        let (a, b) = (
            value.map(str::parse::<i64>),
            values.first().map(|v| v.parse::<i64>()),
        );
        matches!((a, b), (Some(Ok(a)), Some(Ok(b))) if a.cmp(&b) == wanted)
    };
    match requirement.operator.as_str() {
        "In" => contains,
        "NotIn" => !contains,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(std::cmp::Ordering::Greater),
        "Lt" => compare(std::cmp::Ordering::Less),
        _ => false,
    }
}

/// Only `NoExecute` keeps a pod out here; `NoSchedule` is the scheduler's.
fn tolerates(pod: &Pod, node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref());
    let tolerations = pod::spec(pod).tolerations.as_deref().unwrap_or_default();
    let tolerated = |toleration: &Toleration, key: &str, value: &str| {
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let wanted = toleration.key.as_deref().unwrap_or_default();
        let exists = toleration.operator.as_deref() == Some("Exists");
        (effect.is_empty() || effect == "NoExecute")
            && (wanted == key || wanted.is_empty() && exists)
            && (exists || toleration.value.as_deref().unwrap_or_default() == value)
    };
    taints
        .unwrap_or_default()
        .iter()
        .filter(|taint| taint.effect == "NoExecute")
        .all(|taint| {
            let value = taint.value.as_deref().unwrap_or_default();
            tolerations.iter().any(|t| tolerated(t, &taint.key, value))
        })
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
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000"
        );
        let other = pod(None, "0");
        let pods = check(&pod(None, "0"), &[&taken, &other], &node()).unwrap_err();
        assert_eq!(pods.reason, "OutOfpods");
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
