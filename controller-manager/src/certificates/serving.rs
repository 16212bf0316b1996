//! Which names and addresses a node may serve under: its own.
//!
//! A Node's addresses are what its kubelet says they are. So names that a
//! client could take for the apiserver or another Service are nobody's, and
//! neither are their addresses.

use super::demands::Asked;
use k8s_openapi::api::core::v1::{Endpoints, Node, Service};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The label of nodes on hosts of the control plane; nodes can't give it to
/// themselves.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// The addresses of a Service.
pub fn of_service(service: &Service) -> impl Iterator<Item = IpAddr> {
    let spec = service.spec.as_ref();
    let all = spec.and_then(|spec| spec.cluster_ips.as_ref());
    let one = spec.and_then(|spec| spec.cluster_ip.as_ref());
    let addresses = all.into_iter().flatten().chain(one);
    addresses.filter_map(|address| address.parse().ok())
}

/// The addresses behind a Service.
pub fn of_endpoints(endpoints: &Endpoints) -> impl Iterator<Item = IpAddr> {
    let subsets = endpoints.subsets.iter().flatten();
    let addresses = subsets.flat_map(|subset| subset.addresses.iter().flatten());
    addresses.filter_map(|address| address.ip.parse().ok())
}

/// Why a request for a serving certificate, by the node itself, is left for a
/// person to decide; nothing if it may be approved. `services` are addresses
/// of Services, `apiservers` those of the apiservers.
pub fn objection(
    asked: &Asked,
    node: Option<&Node>,
    services: &BTreeSet<IpAddr>,
    apiservers: &BTreeSet<IpAddr>,
) -> Option<String> {
    let Some(node) = node else {
        return Some("there is no such Node".into());
    };
    let own = node.metadata.name.as_deref().unwrap_or_default();
    let labels = node.metadata.labels.as_ref();
    let on_control_plane = labels.is_some_and(|labels| labels.contains_key(CONTROL_PLANE));
    let known: BTreeSet<&str> = node
        .status
        .iter()
        .flat_map(|status| status.addresses.iter().flatten())
        .map(|address| address.address.as_str())
        .collect();
    for name in &asked.dns_names {
        if is_of_the_cluster(name) {
            return Some(format!("the name {name} is none of a node"));
        }
        if name != own && !known.contains(name.as_str()) {
            return Some(format!("{name} is no name of the Node"));
        }
    }
    for address in &asked.addresses {
        if address.is_loopback() || address.is_unspecified() || services.contains(address) {
            return Some(format!("the address {address} is none of a node"));
        }
        if !known.iter().any(|text| text.parse() == Ok(*address)) {
            return Some(format!("{address} is no address of the Node"));
        }
        if apiservers.contains(address) && !on_control_plane {
            return Some(format!(
                "{address} is an apiserver's, and the Node has no label {CONTROL_PLANE}"
            ));
        }
    }
    None
}

/// Whether a name is one under which clients look for Services.
fn is_of_the_cluster(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    name.contains('*')
        || matches!(name, "localhost" | "kubernetes" | "kubernetes.default")
        || name.ends_with(".svc")
        || name.contains(".svc.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(labels: serde_json::Value) -> Node {
        let addresses = json!([
            {"type": "InternalIP", "address": "10.0.0.1"},
            {"type": "Hostname", "address": "n1.example.com"},
            {"type": "InternalDNS", "address": "kubernetes.default.svc"},
            {"type": "ExternalIP", "address": "10.96.0.1"},
            {"type": "ExternalIP", "address": "10.0.0.9"},
        ]);
        serde_json::from_value(json!({
            "metadata": {"name": "n1", "labels": labels}, "status": {"addresses": addresses}}))
        .unwrap()
    }

    fn asked(names: &[&str], addresses: &[&str]) -> Asked {
        Asked {
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ..Asked::default()
        }
    }

    #[test]
    fn its_own_names_and_addresses_and_no_others() {
        let services = BTreeSet::from(["10.96.0.1".parse().unwrap()]);
        let apiservers = BTreeSet::from(["10.0.0.9".parse().unwrap()]);
        let why = |asked: Asked, node: Option<&Node>| {
            objection(&asked, node, &services, &apiservers).unwrap_or_default()
        };
        let n1 = node(json!({}));
        let own = || asked(&["n1", "n1.example.com"], &["10.0.0.1"]);
        assert_eq!(why(own(), Some(&n1)), "");
        assert_eq!(why(own(), None), "there is no such Node");
        let one = |name: &str| why(asked(&[name], &[]), Some(&n1));
        assert_eq!(one("n2"), "n2 is no name of the Node");
        for name in [
            "kubernetes.default.svc",
            "Kubernetes",
            "a.b.svc.cluster.local",
            "*.a",
        ] {
            assert!(one(name).ends_with("is none of a node"), "{name}");
        }
        let at = |address: &str, node: &Node| why(asked(&["n1"], &[address]), Some(node));
        assert_eq!(at("10.0.0.2", &n1), "10.0.0.2 is no address of the Node");
        assert!(at("127.0.0.1", &n1).ends_with("none of a node"));
        assert!(at("10.96.0.1", &n1).ends_with("none of a node"));
        assert!(at("10.0.0.9", &n1).contains("is an apiserver's"));
        let labelled = node(json!({CONTROL_PLANE: ""}));
        assert_eq!(at("10.0.0.9", &labelled), "");
    }
}
