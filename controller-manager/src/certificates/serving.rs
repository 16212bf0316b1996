//! Which names and addresses a node may serve under: its own.
//!
//! A Node's addresses are what its kubelet says they are. So names that a
//! client could take for the apiserver or another Service are nobody's, and
//! neither are their addresses; and what another Node has as well is no node's,
//! until one of the two gives it up. Kubernetes leaves all of this to a person.

use super::signers::RequestedSubject;
use k8s_openapi::api::core::v1::{Endpoints, Node, Service};
use std::collections::{BTreeMap, BTreeSet};
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

/// Names and addresses in one spelling.
fn normal(text: &str) -> String {
    match text.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => text.trim_end_matches('.').to_ascii_lowercase(),
    }
}

/// The names and addresses of a Node, by its own word.
pub fn of_node(node: &Node) -> impl Iterator<Item = String> {
    let status = node.status.iter();
    let addresses = status.flat_map(|status| status.addresses.iter().flatten());
    let name = node.metadata.name.iter();
    let all = name.chain(addresses.map(|address| &address.address));
    all.map(|text| normal(text))
}

/// What belongs to others than the node that asks.
#[derive(Debug, Default)]
pub struct OtherNames {
    /// Addresses of Services.
    pub services: BTreeSet<IpAddr>,
    /// Addresses of the apiservers.
    pub apiservers: BTreeSet<IpAddr>,
    /// Names and addresses of other Nodes, with the Node that has each.
    pub nodes: BTreeMap<String, String>,
}

/// Why a request for a serving certificate, by the node itself, is left for a
/// person to decide; nothing if it may be approved.
pub fn objection(
    asked: &RequestedSubject,
    node: Option<&Node>,
    others: &OtherNames,
) -> Option<String> {
    let Some(node) = node else {
        return Some("there is no such Node".into());
    };
    let labels = node.metadata.labels.as_ref();
    let on_control_plane = labels.is_some_and(|labels| labels.contains_key(CONTROL_PLANE));
    let own: BTreeSet<String> = of_node(node).collect();
    let other = |text: &str| others.nodes.get(text);
    for name in &asked.dns_names {
        if is_of_the_cluster(name) {
            return Some(format!("the name {name} is none of a node"));
        }
        let normal = normal(name);
        if !own.contains(&normal) {
            return Some(format!("{name} is no name of the Node"));
        }
        if let Some(other) = other(&normal) {
            return Some(format!("{name} is also a name of the Node {other}"));
        }
    }
    for address in &asked.addresses {
        if address.is_loopback() || address.is_unspecified() || others.services.contains(address) {
            return Some(format!("the address {address} is none of a node"));
        }
        let normal = address.to_string();
        if !own.contains(&normal) {
            return Some(format!("{address} is no address of the Node"));
        }
        if let Some(other) = other(&normal) {
            return Some(format!("{address} is also an address of the Node {other}"));
        }
        if others.apiservers.contains(address) && !on_control_plane {
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

    fn asked(names: &[&str], addresses: &[&str]) -> RequestedSubject {
        RequestedSubject {
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ..RequestedSubject::default()
        }
    }

    #[test]
    fn its_own_names_and_addresses_and_no_others() {
        let others = OtherNames {
            services: BTreeSet::from(["10.96.0.1".parse().unwrap()]),
            apiservers: BTreeSet::from(["10.0.0.9".parse().unwrap()]),
            nodes: BTreeMap::new(),
        };
        let why = |asked: RequestedSubject, node: Option<&Node>| {
            objection(&asked, node, &others).unwrap_or_default()
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

    #[test]
    fn what_another_node_has_is_nobodys() {
        let n1 = node(json!({}));
        let claims = json!({"metadata": {"name": "N1.example.com"}, "status": {"addresses": [
            {"type": "InternalIP", "address": "10.0.0.1"},
            {"type": "InternalIP", "address": "fd00:0::1"}]}});
        let n2: Node = serde_json::from_value(claims).unwrap();
        let others = OtherNames {
            nodes: of_node(&n2).map(|text| (text, "n2".to_owned())).collect(),
            ..OtherNames::default()
        };
        let why = |asked| objection(&asked, Some(&n1), &others);
        assert_eq!(why(asked(&["n1"], &[])), None);
        assert_eq!(
            why(asked(&["n1"], &["10.0.0.1"])).unwrap(),
            "10.0.0.1 is also an address of the Node n2"
        );
        assert_eq!(
            why(asked(&["n1.example.com"], &[])).unwrap(),
            "n1.example.com is also a name of the Node n2"
        );
        assert!(others.nodes.contains_key("fd00::1"));
    }
}
