//! Where a Service is reached from outside the cluster.

use std::net::IpAddr;

use serde_json::Value;

use crate::api::text;

/// A port of a Service, and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name and number, as in `http/80`.
    pub target: String,
    /// `http://10.88.0.10:30061`, unless nothing outside reaches it.
    pub url: Option<String>,
}

impl Port {
    /// Whether a browser can open it.
    pub fn is_for_browsers(&self) -> bool {
        let url = self.url.as_deref().unwrap_or_default();
        url.starts_with("http://") || url.starts_with("https://")
    }
}

/// The ports of a Service: by the address of a load balancer where there are no node ports,
/// else by the node ports of a node.
pub fn ports(service: &Value, node: Option<IpAddr>, https: bool) -> Vec<Port> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let balancer = service
        .pointer("/status/loadBalancer/ingress/0/ip")
        .and_then(Value::as_str)
        .and_then(|address| address.parse().ok());
    ports
        .map(|port| {
            let number = port["port"].as_u64().unwrap_or_default();
            let scheme = scheme(port, https);
            let url = match (node, port["nodePort"].as_u64(), balancer) {
                (Some(node), Some(node_port), _) => Some(url(scheme, node, node_port)),
                (_, None, Some(address)) => Some(url(scheme, address, number)),
                _ => None,
            };
            let target = match text(&port["name"]) {
                "" => number.to_string(),
                name => format!("{name}/{number}"),
            };
            Port { target, url }
        })
        .collect()
}

/// The URL of an address and a port.
pub fn url(scheme: &str, address: IpAddr, port: u64) -> String {
    match address {
        IpAddr::V4(address) => format!("{scheme}://{address}:{port}"),
        IpAddr::V6(address) => format!("{scheme}://[{address}]:{port}"),
    }
}

/// How one talks to a port: what the Service says of it, or HTTP, as most do.
pub fn scheme(port: &Value, https: bool) -> &'static str {
    match text(&port["protocol"]) {
        "UDP" => return "udp",
        "SCTP" => return "sctp",
        _ => {}
    }
    let says = |field: &str| text(&port[field]).eq_ignore_ascii_case("https");
    match https || says("appProtocol") || says("name") {
        true => "https",
        false => "http",
    }
}

/// The address of a node that answers on its node ports: one that is Ready and, where the
/// Service's traffic stays on the node, has an endpoint of it.
pub fn node_address(service: &Value, nodes: &Value, slices: &Value) -> Option<IpAddr> {
    let stays = service["spec"]["externalTrafficPolicy"] == "Local";
    let with_endpoints: Vec<&str> = ready_endpoints(slices)
        .map(|endpoint| text(&endpoint["nodeName"]))
        .collect();
    let nodes = nodes["items"].as_array().into_iter().flatten();
    let fits = |node: &&Value| {
        is_ready(node) && (!stays || with_endpoints.contains(&text(&node["metadata"]["name"])))
    };
    nodes.filter(fits).find_map(internal_address)
}

fn is_ready(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn internal_address(node: &Value) -> Option<IpAddr> {
    let addresses = node.pointer("/status/addresses")?.as_array()?;
    let address = addresses.iter().find(|it| it["type"] == "InternalIP")?;
    text(&address["address"]).parse().ok()
}

/// The endpoints that traffic goes to.
pub fn ready_endpoints(slices: &Value) -> impl Iterator<Item = &Value> {
    let slices = slices["items"].as_array().into_iter().flatten();
    let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    // An endpoint that doesn't say is ready.
    endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, address: &str, ready: &str) -> Value {
        json!({"metadata": {"name": name}, "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "addresses": [
                {"type": "Hostname", "address": name},
                {"type": "InternalIP", "address": address},
            ],
        }})
    }

    #[test]
    fn node_ports_are_urls() {
        let service = json!({"spec": {"type": "NodePort", "ports": [
            {"name": "web", "port": 80, "nodePort": 30061, "protocol": "TCP"},
            {"port": 443, "nodePort": 30443, "appProtocol": "https"},
            {"name": "dns", "port": 53, "nodePort": 30053, "protocol": "UDP"},
        ]}});
        let ports = ports(&service, "10.88.0.11".parse().ok(), false);
        let shown: Vec<String> = ports
            .iter()
            .map(|port| format!("{} {}", port.target, port.url.clone().unwrap()))
            .collect();
        assert_eq!(
            shown,
            [
                "web/80 http://10.88.0.11:30061",
                "443 https://10.88.0.11:30443",
                "dns/53 udp://10.88.0.11:30053",
            ]
        );
        assert!(ports[1].is_for_browsers() && !ports[2].is_for_browsers());
        let secure = super::ports(&service, "10.88.0.11".parse().ok(), true);
        assert_eq!(secure[0].url.as_deref(), Some("https://10.88.0.11:30061"));
    }

    #[test]
    fn without_node_ports_there_is_the_load_balancer_or_nothing() {
        let mut service = json!({"spec": {"type": "ClusterIP", "ports": [{"port": 80}]}});
        let node = "10.88.0.11".parse().ok();
        assert_eq!(ports(&service, node, false)[0].url, None);
        service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "10.88.0.200"}]}});
        let balanced = ports(&service, node, false);
        assert_eq!(balanced[0].url.as_deref(), Some("http://10.88.0.200:80"));
        assert_eq!(
            url("http", "fd00::1".parse().unwrap(), 80),
            "http://[fd00::1]:80"
        );
    }

    #[test]
    fn a_node_that_answers_is_chosen() {
        let nodes = json!({"items": [
            node("a", "10.88.0.11", "False"),
            node("b", "10.88.0.12", "True"),
            node("c", "10.88.0.13", "True"),
        ]});
        let slices = json!({"items": [{"endpoints": [
            {"nodeName": "b", "conditions": {"ready": false}},
            {"nodeName": "c", "conditions": {"ready": true}},
        ]}]});
        assert_eq!(ready_endpoints(&slices).count(), 1);
        let address = |service: Value| node_address(&service, &nodes, &slices).unwrap();
        let plain = address(json!({"spec": {}}));
        assert_eq!(plain.to_string(), "10.88.0.12");
        let local = address(json!({"spec": {"externalTrafficPolicy": "Local"}}));
        assert_eq!(local.to_string(), "10.88.0.13");
        let none = json!({"items": []});
        let local = json!({"spec": {"externalTrafficPolicy": "Local"}});
        assert_eq!(node_address(&local, &nodes, &none), None);
    }
}
