//! What the API says, as far as the tunnel needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde_json::Value;

use super::assign::{Key, Node, Service};
use crate::api::text;

/// Services that name this class are the tunnel's, beside those that name none.
pub const CLASS: &str = "hardway.example/tunnel";
/// Nodes with this label are not sent the packets of load balancers.
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Services.
    Services,
    /// EndpointSlices.
    Slices,
    /// Nodes.
    Nodes,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Services, Self::Slices, Self::Nodes];

    /// Where the API has them.
    pub fn path(self) -> &'static str {
        match self {
            Self::Services => "/api/v1/services",
            Self::Slices => "/apis/discovery.k8s.io/v1/endpointslices",
            Self::Nodes => "/api/v1/nodes",
        }
    }
}

/// All that was heard.
#[derive(Debug, Default)]
pub struct State {
    services: BTreeMap<Key, Service>,
    /// By slice: its Service, and the nodes of its ready endpoints.
    slices: BTreeMap<Key, (Key, BTreeSet<String>)>,
    /// The nodes.
    pub nodes: BTreeMap<String, Node>,
    uids: BTreeMap<Key, String>,
}

impl State {
    /// Takes over a whole list.
    pub fn list(&mut self, kind: Kind, objects: &[Value]) {
        match kind {
            Kind::Services => {
                self.services.clear();
                self.uids.clear();
            }
            Kind::Slices => self.slices.clear(),
            Kind::Nodes => self.nodes.clear(),
        }
        for object in objects {
            self.apply(kind, object);
        }
    }

    /// An object is there, or has changed.
    pub fn apply(&mut self, kind: Kind, object: &Value) {
        let key = key(object);
        match kind {
            Kind::Services => {
                let uid = text(&object["metadata"]["uid"]).to_owned();
                self.uids.insert(key.clone(), uid);
                self.services.insert(key, service(object));
            }
            Kind::Slices => {
                let name = &object["metadata"]["labels"]["kubernetes.io/service-name"];
                let service = Key {
                    namespace: key.namespace.clone(),
                    name: text(name).to_owned(),
                };
                self.slices.insert(key, (service, nodes_of(object)));
            }
            Kind::Nodes => match node(object) {
                Some(node) => {
                    self.nodes.insert(key.name, node);
                }
                None => {
                    self.nodes.remove(&key.name);
                }
            },
        }
    }

    /// An object is gone.
    pub fn remove(&mut self, kind: Kind, object: &Value) {
        let key = key(object);
        match kind {
            Kind::Services => {
                self.services.remove(&key);
                self.uids.remove(&key);
            }
            Kind::Slices => {
                self.slices.remove(&key);
            }
            Kind::Nodes => {
                self.nodes.remove(&key.name);
            }
        }
    }

    /// All Services, with the nodes of their endpoints.
    pub fn services(&self) -> BTreeMap<Key, Service> {
        let mut services = self.services.clone();
        for (service, nodes) in self.slices.values() {
            if let Some(service) = services.get_mut(service) {
                service.nodes.extend(nodes.iter().cloned());
            }
        }
        services
    }

    /// A Service's UID.
    pub fn uid(&self, service: &Key) -> &str {
        self.uids.get(service).map_or("", String::as_str)
    }
}

fn key(object: &Value) -> Key {
    let metadata = &object["metadata"];
    Key {
        namespace: text(&metadata["namespace"]).to_owned(),
        name: text(&metadata["name"]).to_owned(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn service(object: &Value) -> Service {
    let (metadata, spec) = (&object["metadata"], &object["spec"]);
    let class = text(&spec["loadBalancerClass"]);
    let asked = Some(text(&spec["loadBalancerIP"])).filter(|asked| !asked.is_empty());
    let given = list(&object["status"]["loadBalancer"]["ingress"]).iter();
    let port = |port: &Value| format!("{}/{}", port["port"], text(&port["protocol"]));
    Service {
        age: (
            text(&metadata["creationTimestamp"]).to_owned(),
            text(&metadata["uid"]).to_owned(),
        ),
        balanced: spec["type"] == "LoadBalancer"
            && ["", CLASS].contains(&class)
            && metadata["deletionTimestamp"].is_null(),
        asked: asked.map(str::to_owned),
        local: spec["externalTrafficPolicy"] == "Local",
        given: given
            .filter_map(|entry| text(&entry["ip"]).parse().ok())
            .collect(),
        ports: list(&spec["ports"]).iter().map(port).collect(),
        nodes: BTreeSet::new(),
    }
}

/// The nodes of a slice's ready endpoints.
fn nodes_of(slice: &Value) -> BTreeSet<String> {
    let ready = |endpoint: &&Value| endpoint["conditions"]["ready"] != false;
    let endpoints = list(&slice["endpoints"]).iter().filter(ready);
    let nodes = endpoints.map(|endpoint| text(&endpoint["nodeName"]).to_owned());
    nodes.collect()
}

/// A node that has an address.
fn node(object: &Value) -> Option<Node> {
    let mut addresses = list(&object["status"]["addresses"]).iter();
    let address = addresses.find(|address| address["type"] == "InternalIP")?;
    let address: Ipv4Addr = text(&address["address"]).parse().ok()?;
    let mut conditions = list(&object["status"]["conditions"]).iter();
    let ready = conditions.any(|it| it["type"] == "Ready" && it["status"] == "True");
    let fit = ready && object["metadata"]["labels"][EXCLUDED].is_null();
    Some(Node { address, fit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn balanced(spec: Value) -> Value {
        let mut all = json!({"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}]});
        all.as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        json!({"metadata": {"namespace": "d", "name": "web", "uid": "u",
            "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": all})
    }

    #[test]
    fn services_of_no_class_and_of_its_own_are_the_tunnels() {
        let is = |spec: Value| service(&balanced(spec)).balanced;
        assert!(is(json!({})) && is(json!({"loadBalancerClass": CLASS})));
        assert!(!is(json!({"loadBalancerClass": "example.com/x"})));
        assert!(!is(json!({"type": "NodePort"})));
        let mut leaving = balanced(json!({}));
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(!service(&leaving).balanced);
        assert_eq!(service(&leaving).ports, ["80/TCP"]);
    }

    #[test]
    fn nodes_are_fit_when_they_are_ready_and_not_excluded() {
        let made = |status: &str, labels: Value| {
            let node = json!({"metadata": {"name": "a", "labels": labels}, "status": {
                "addresses": [{"type": "Hostname", "address": "a"},
                    {"type": "InternalIP", "address": "10.88.0.11"}],
                "conditions": [{"type": "Ready", "status": status}]}});
            super::node(&node).unwrap()
        };
        assert!(made("True", json!({})).fit);
        assert!(!made("Unknown", json!({})).fit);
        assert!(!made("True", json!({EXCLUDED: ""})).fit);
        assert!(super::node(&json!({"metadata": {"name": "a"}})).is_none());
    }

    #[test]
    fn services_have_the_nodes_of_all_their_slices() {
        let mut state = State::default();
        state.list(Kind::Services, &[balanced(json!({}))]);
        let slice = |name: &str, node: &str, ready: bool| {
            json!({"metadata": {"namespace": "d", "name": name,
                    "labels": {"kubernetes.io/service-name": "web"}},
                "endpoints": [{"nodeName": node, "conditions": {"ready": ready}}]})
        };
        let slices = [
            slice("1", "a", true),
            slice("2", "b", true),
            slice("3", "c", false),
        ];
        state.list(Kind::Slices, &slices);
        let nodes = |state: &State| {
            let services = state.services();
            let nodes = services.values().flat_map(|it| it.nodes.iter().cloned());
            nodes.collect::<Vec<_>>()
        };
        assert_eq!(nodes(&state), ["a", "b"]);
        state.remove(Kind::Slices, &slices[0]);
        assert_eq!(nodes(&state), ["b"]);
        state.list(Kind::Services, &[]);
        assert!(state.services().is_empty());
    }
}
