//! What the cluster shows of who believes whom: everything that a rotation waits for is seen
//! from outside, so that it doesn't matter who has done their part, or when.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::control_planes::ControlPlane;
use crate::api::{Api, text};
use crate::failure::{Failure, Result};
use crate::host::apiserver_lease;
use crate::http::{self, Identity};

/// The port of a kubelet that says nothing of it.
const KUBELET_PORT: u64 = 10250;

/// Which label the Nodes of a control plane's hosts have.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// Who is in the cluster, as the apiserver knows them.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Known {
    /// Where those apiservers listen that serve just now.
    pub endpoints: Vec<SocketAddr>,
    /// The Leases of kube-system.
    pub leases: Value,
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// Who is in the cluster.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The hosts of the control plane, those among them that are away.
    pub control_planes: Vec<ControlPlane>,
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its address within the cluster.
    pub address: Option<IpAddr>,
    /// Where its kubelet listens, if it says so.
    pub kubelet: Option<SocketAddr>,
    /// Whether it is Ready.
    pub is_ready: bool,
    /// Whether its host is one of the control plane.
    pub is_control_plane: bool,
}

/// Asks who is in the cluster.
///
/// # Errors
/// In the apiserver's words.
pub fn look(api: &Api) -> Result<Known> {
    let endpoints = api.get("/api/v1/namespaces/default/endpoints/kubernetes")?;
    let leases = api.get(apiserver_lease::PATH)?;
    let nodes = api.get("/api/v1/nodes")?.unwrap_or_default();
    Ok(Known {
        endpoints: addresses(&endpoints.unwrap_or_default()),
        leases: leases.unwrap_or_default(),
        nodes: items(&nodes).map(node).collect(),
    })
}

/// The objects of a list.
pub fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

fn addresses(endpoints: &Value) -> Vec<SocketAddr> {
    let mut all = Vec::new();
    for subset in endpoints["subsets"].as_array().into_iter().flatten() {
        let port = subset["ports"][0]["port"].as_u64().and_then(port);
        for address in subset["addresses"].as_array().into_iter().flatten() {
            let ip = text(&address["ip"]).parse().ok();
            all.extend(ip.zip(port).map(|(ip, port)| SocketAddr::new(ip, port)));
        }
    }
    all
}

fn port(number: u64) -> Option<u16> {
    u16::try_from(number).ok()
}

fn node(object: &Value) -> Node {
    let status = &object["status"];
    let list = |field: &str| status[field].as_array().into_iter().flatten();
    let internal = list("addresses").find(|it| it["type"] == "InternalIP");
    let ip = internal.and_then(|it| text(&it["address"]).parse().ok());
    let listens = &status["daemonEndpoints"]["kubeletEndpoint"]["Port"];
    let port = port(listens.as_u64().unwrap_or(KUBELET_PORT));
    Node {
        name: text(&object["metadata"]["name"]).to_owned(),
        address: ip,
        kubelet: ip.zip(port).map(|(ip, port)| SocketAddr::new(ip, port)),
        is_ready: list("conditions").any(|it| it["type"] == "Ready" && it["status"] == "True"),
        is_control_plane: object["metadata"]["labels"][CONTROL_PLANE].is_string(),
    }
}

/// A sample of a metric: its labels' values, in the order of their names, and its own.
pub type Sample = (Vec<String>, f64);

/// The samples of a metric of a server.
///
/// # Errors
/// If it can't be asked, or doesn't say.
pub fn samples(server: SocketAddr, identity: &Identity, metric: &str) -> Result<Vec<Sample>> {
    let answer = http::get_tls(server, "/metrics", identity)?;
    if answer.status != 200 {
        let said = String::from_utf8_lossy(&answer.body);
        let why = format!("it says {}: {}", answer.status, said.trim());
        return Err(Failure::new(format!("read metrics of {server}"), why));
    }
    Ok(parse(&String::from_utf8_lossy(&answer.body), metric))
}

/// Samples in Prometheus' text format. Values of labels that have quotes in them are cut off.
fn parse(text: &str, metric: &str) -> Vec<Sample> {
    let sample = |line: &str| {
        let rest = line.strip_prefix(metric)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let mut labels: Vec<(&str, &str)> = labels
            .split("\",")
            .filter_map(|pair| pair.split_once("=\""))
            .map(|(name, value)| (name, value.trim_end_matches('"')))
            .collect();
        labels.sort_unstable();
        let values = labels.into_iter().map(|(_, value)| value.to_owned());
        Some((values.collect(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(sample).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn servers_and_nodes_are_found() {
        let endpoints = json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}],
            "ports": [{"name": "https", "port": 6443}]}]});
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        assert_eq!(
            addresses(&endpoints),
            [at("10.0.0.1:6443"), at("10.0.0.2:6443")]
        );
        assert!(addresses(&Value::Null).is_empty());
        let ready = json!({"metadata": {"name": "n1", "labels": {CONTROL_PLANE: ""}}, "status": {
            "addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.3"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10251}},
            "conditions": [{"type": "Ready", "status": "True"}]}});
        let expected = Node {
            name: "n1".to_owned(),
            address: Some([10, 0, 0, 3].into()),
            kubelet: Some(at("10.0.0.3:10251")),
            is_ready: true,
            is_control_plane: true,
        };
        assert_eq!(node(&ready), expected);
        let silent = node(&json!({"metadata": {"name": "n2"}}));
        assert!(!silent.is_ready && !silent.is_control_plane && silent.kubelet.is_none());
    }

    #[test]
    fn samples_are_read() {
        let text = "# TYPE a gauge\na{user=\"system:node:n1\",authority=\"ab\"} 17\nab{x=\"y\"} 1\na_b 3\n\
                    process_start_time_seconds 1.5e9\n";
        let labels = vec!["ab".to_owned(), "system:node:n1".to_owned()];
        assert_eq!(parse(text, "a"), [(labels, 17.0)]);
        assert_eq!(parse(text, "process_start_time_seconds"), [(vec![], 1.5e9)]);
    }
}
