//! Where a pod may run: node selectors, node affinity, taints and
//! tolerations, host ports, as `k8s.io/component-helpers/scheduling/corev1` defines them.
//! The scheduler, the kubelet's admission and the eviction by taints have to
//! agree on these.

use k8s_openapi::api::core::v1::{
    NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration,
};
use std::collections::BTreeMap;

/// Whether a toleration covers a taint.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    fn text(field: &Option<String>) -> &str {
        field.as_deref().unwrap_or_default()
    }
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    if !key.is_empty() && key != taint.key {
        return false;
    }
    match text(&toleration.operator) {
        "Exists" => true,
        "Equal" | "" => !key.is_empty() && text(&toleration.value) == text(&taint.value),
        _ => false,
    }
}

/// Whether a pod tolerates a taint.
pub fn pod_tolerates(spec: &PodSpec, taint: &Taint) -> bool {
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    tolerations.iter().any(|t| tolerates(t, taint))
}

/// Whether a node is one that the pod's node selector and required node
/// affinity allow.
pub fn allows_node(spec: &PodSpec, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let selected = spec
        .node_selector
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    let required = spec
        .affinity
        .as_ref()
        .and_then(|a| a.node_affinity.as_ref())
        .and_then(|a| {
            a.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    selected
        && required.is_none_or(|required| {
            let mut terms = required.node_selector_terms.iter();
            terms.any(|term| term_matches(term, name, labels))
        })
}

/// Whether a node matches a term; a term without requirements matches none.
pub fn term_matches(
    term: &NodeSelectorTerm,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    expressions
        .iter()
        .all(|r| holds(r, labels.get(&r.key).map(String::as_str)))
        && fields
            .iter()
            .all(|r| holds(r, (r.key == "metadata.name").then_some(name)))
}

fn holds(requirement: &NodeSelectorRequirement, actual: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = || actual.is_some_and(|a| values.iter().any(|v| v == a));
    let compare = || -> Option<std::cmp::Ordering> {
        let actual: i64 = actual?.parse().ok()?;
        let wanted: i64 = values.first()?.parse().ok()?;
        Some(actual.cmp(&wanted))
    };
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compare().is_some_and(|o| o.is_gt()),
        "Lt" => compare().is_some_and(|o| o.is_lt()),
        _ => false,
    }
}

/// A port on the host that a pod occupies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// `0.0.0.0` for all addresses.
    pub ip: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Port number.
    pub port: i32,
}

impl HostPort {
    /// Whether both can't be had on one host.
    pub fn collides(&self, other: &Self) -> bool {
        const ANY: &str = "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || self.ip == ANY || other.ip == ANY)
    }
}

/// The host ports that a pod's long-running containers want.
pub fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|c| c.restart_policy.as_deref() == Some("Always"));
    spec.containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            let number = port.host_port.filter(|&n| n > 0)?;
            let ip = port.host_ip.clone().filter(|ip| !ip.is_empty());
            Some(HostPort {
                ip: ip.unwrap_or_else(|| "0.0.0.0".into()),
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
                port: number,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(mut value: Value) -> PodSpec {
        value["containers"] = json!([]);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn tolerations_equal_exists_and_everything() {
        let taint = Taint {
            key: "dedicated".into(),
            value: Some("db".into()),
            effect: "NoSchedule".into(),
            ..Default::default()
        };
        let covers =
            |toleration: Value| pod_tolerates(&spec(json!({"tolerations": [toleration]})), &taint);
        assert!(covers(json!({"key": "dedicated", "value": "db"})));
        assert!(!covers(json!({"key": "dedicated", "value": "web"})));
        assert!(covers(json!({"key": "dedicated", "operator": "Exists"})));
        assert!(covers(json!({"operator": "Exists"})));
        assert!(!covers(
            json!({"operator": "Exists", "effect": "NoExecute"})
        ));
    }

    #[test]
    fn required_terms_are_alternatives_of_requirements() {
        let labels = BTreeMap::from([
            ("disk".to_owned(), "ssd".to_owned()),
            ("size".to_owned(), "8".to_owned()),
        ]);
        let fits = |requirement: Value| {
            let terms = json!([{"matchExpressions": [requirement]}, {}]);
            let affinity = json!({"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
            allows_node(&spec(json!({"affinity": affinity})), "a", &labels)
        };
        assert!(fits(
            json!({"key": "disk", "operator": "In", "values": ["ssd"]})
        ));
        assert!(!fits(
            json!({"key": "disk", "operator": "NotIn", "values": ["ssd"]})
        ));
        assert!(fits(
            json!({"key": "size", "operator": "Gt", "values": ["7"]})
        ));
        assert!(!fits(
            json!({"key": "size", "operator": "Lt", "values": ["x"]})
        ));
        assert!(!fits(json!({"key": "size", "operator": "DoesNotExist"})));
        assert!(allows_node(
            &spec(json!({"nodeSelector": {"disk": "ssd"}})),
            "a",
            &labels
        ));
        assert!(!allows_node(
            &spec(json!({"nodeSelector": {"disk": "hdd"}})),
            "a",
            &labels
        ));
    }

    #[test]
    fn the_wildcard_address_collides_with_any() {
        let port = |ip: &str, port: i32| HostPort {
            ip: ip.into(),
            protocol: "TCP".into(),
            port,
        };
        assert!(port("0.0.0.0", 80).collides(&port("10.0.0.1", 80)));
        assert!(!port("10.0.0.2", 80).collides(&port("10.0.0.1", 80)));
        assert!(!port("0.0.0.0", 81).collides(&port("0.0.0.0", 80)));
    }
}
