//! The cluster, as a host of it may ask: a control plane as its administrator, a node as its
//! kubelet. Any apiserver will do that answers.

use std::fs;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::health::{ApiServer, Member};
use super::skew::{Running, Versioned};
use super::version::Version;
use crate::api::{self, text};
use crate::etcd;
use crate::failure::{Failure, OrFail, Result};
use crate::host::{Layout, control_plane};
use crate::http::{self, Answer, Identity, Request};
use crate::pki::CLUSTER_CA;
use crate::plan::API_PORT;
use crate::shell;

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices\
                      ?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes";
/// What the kubelet of a node that has joined knows the cluster by.
const KUBELET: &str = "/etc/hardway/kubeconfig/kubelet.kubeconfig";
/// Where the kubelet keeps the apiservers it has learned of, a line each.
const LEARNED: &str = "/var/lib/hardway/kubelet/apiservers";

/// Whoever asks.
#[derive(Debug)]
pub struct Cluster {
    /// The apiserver of this host, where it is a control plane.
    own: Option<SocketAddr>,
    servers: Vec<SocketAddr>,
    identity: Identity,
}

impl Cluster {
    /// As the administrator of this control plane.
    ///
    /// # Errors
    /// If it is none.
    pub fn of_control_plane(layout: &Layout) -> Result<Self> {
        let own = SocketAddr::from((control_plane::here(layout)?.address, API_PORT));
        let mut cluster = Self {
            own: Some(own),
            servers: vec![own],
            identity: layout.pki().identity(CLUSTER_CA, "admin"),
        };
        cluster.learn()?;
        Ok(cluster)
    }

    /// As the kubelet of this node.
    ///
    /// # Errors
    /// If it is none.
    pub fn of_node(layout: &Layout) -> Result<Self> {
        let path = layout.path(KUBELET);
        let text = shell::read_text(&path)
            .map_err(|failure| failure.way_out("a node is made by `hardway join`"))?;
        let learned = fs::read_to_string(layout.path(LEARNED)).unwrap_or_default();
        let servers = servers(&text, &learned);
        if servers.is_empty() {
            let what = format!("find the apiserver in {}", path.display());
            return Err(Failure::new(what, "it names no address"));
        }
        Ok(Self {
            own: None,
            servers,
            identity: layout.node(),
        })
    }

    /// Takes all apiservers from the endpoints of `kubernetes`.
    fn learn(&mut self) -> Result<()> {
        let slices = self.get(SLICES)?;
        for address in endpoints(&slices) {
            if !self.servers.contains(&address) {
                self.servers.push(address);
            }
        }
        Ok(())
    }

    /// Sends a request to the first apiserver that answers.
    ///
    /// # Errors
    /// If none does.
    pub fn send(&self, request: &Request<'_>) -> Result<Answer> {
        let mut last = None;
        for server in &self.servers {
            match http::send_tls(*server, request, &self.identity) {
                Ok(answer) => return Ok(answer),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| Failure::new("ask the apiserver", "there is none")))
    }

    /// The object at a path.
    ///
    /// # Errors
    /// In the apiserver's words, or if none answers.
    pub fn get(&self, path: &str) -> Result<Value> {
        api::read(&format!("GET {path}"), &self.send(&Request::get(path))?)
    }

    /// The apiservers, how each is and which version, as far as it says so.
    pub fn api_servers(&self) -> Vec<(ApiServer, Option<Version>)> {
        let servers = self.servers.iter();
        let ask = |address: &SocketAddr| {
            let trouble = match http::get_tls(*address, "/readyz", &self.identity) {
                Ok(answer) if answer.status == 200 => None,
                Ok(answer) => Some(String::from_utf8_lossy(&answer.body).trim().to_owned()),
                Err(failure) => Some(failure.why),
            };
            let version = http::get_tls(*address, "/version", &self.identity).ok();
            let version = version.and_then(|answer| {
                let said: Value = serde_json::from_slice(&answer.body).ok()?;
                text(&said["gitVersion"]).parse().ok()
            });
            let server = ApiServer {
                address: address.to_string(),
                is_own: self.own == Some(*address),
                trouble,
            };
            (server, version)
        };
        servers.map(ask).collect()
    }

    /// Which versions run, but for this host's own.
    ///
    /// # Errors
    /// If no apiserver can say which nodes there are.
    pub fn running(&self, host: &str, servers: &[(ApiServer, Option<Version>)]) -> Result<Running> {
        let others = servers.iter().filter(|(server, _)| !server.is_own);
        let api_servers = others.filter_map(|(server, version)| {
            Some(Versioned {
                name: server.address.clone(),
                version: (*version)?,
            })
        });
        // A node knows no other.
        let nodes = match self.own {
            Some(_) => nodes(&self.get("/api/v1/nodes")?, host),
            None => Vec::new(),
        };
        Ok(Running {
            api_servers: api_servers.collect(),
            nodes,
        })
    }

    /// The Node of this host.
    ///
    /// # Errors
    /// If there is none, or no apiserver answers.
    pub fn node(&self, name: &str) -> Result<Value> {
        self.get(&format!("/api/v1/nodes/{name}"))
    }

    /// Has no more pods come to a node, or has them come again.
    ///
    /// # Errors
    /// In the apiserver's words.
    pub fn cordon(&self, name: &str, is_unschedulable: bool) -> Result<()> {
        // Kubernetes leaves the field out when it is false.
        let value = match is_unschedulable {
            true => json!(true),
            false => Value::Null,
        };
        let body = json!({"spec": {"unschedulable": value}}).to_string();
        let request = Request {
            method: "PATCH",
            path: &format!("/api/v1/nodes/{name}"),
            content_type: "application/merge-patch+json",
            body: body.as_bytes(),
        };
        api::read(&format!("cordon {name}"), &self.send(&request)?).map(drop)
    }

    /// The pods of a node.
    ///
    /// # Errors
    /// In the apiserver's words.
    pub fn pods(&self, node: &str) -> Result<Vec<Value>> {
        let list = self.get(&format!(
            "/api/v1/pods?fieldSelector=spec.nodeName%3D{node}"
        ))?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Has a pod leave its node; says why it may not leave yet, if a disruption budget has it
    /// stay.
    ///
    /// # Errors
    /// In the apiserver's words.
    pub fn evict(&self, namespace: &str, name: &str) -> Result<Option<String>> {
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"namespace": namespace, "name": name},
        });
        let body = body.to_string();
        let request = Request {
            method: "POST",
            path: &format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction"),
            content_type: "application/json",
            body: body.as_bytes(),
        };
        let answer = self.send(&request)?;
        match answer.status {
            404 => Ok(None),
            429 => {
                let status: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                Ok(Some(text(&status["message"]).to_owned()))
            }
            _ => api::read(&format!("evict {namespace}/{name}"), &answer).map(|_| None),
        }
    }
}

/// The members of etcd that count, and how each is.
///
/// # Errors
/// If none can say who they are.
pub fn members(layout: &Layout, host: &str) -> Result<Vec<Member>> {
    let client = etcd::Client::of_host(layout);
    let survey = client.survey().or_fail(|| "ask etcd for its members")?;
    let counting = survey.into_iter().filter(|(member, _)| !member.is_learner);
    Ok(counting
        .map(|(member, status)| Member {
            is_own: member.name == host,
            name: member.label(),
            trouble: status.err().map(|error| error.to_string()),
        })
        .collect())
}

/// The apiservers that a kubeconfig names, and those of the lines of a file. A kubelet writes its
/// kubeconfig as JSON, others as YAML, which JSON is as well.
fn servers(kubeconfig: &str, learned: &str) -> Vec<SocketAddr> {
    let config: serde_yaml::Value = serde_yaml::from_str(kubeconfig).unwrap_or_default();
    let clusters = config.get("clusters").and_then(|it| it.as_sequence());
    let named = clusters
        .into_iter()
        .flatten()
        .filter_map(|it| it.get("cluster")?.get("server")?.as_str())
        .filter_map(|url| url.strip_prefix("https://"));
    let mut all: Vec<SocketAddr> = Vec::new();
    for text in named.chain(learned.lines()) {
        let address = text.trim().trim_end_matches('/').parse();
        all.extend(address.ok().filter(|it| !all.contains(it)));
    }
    all
}

/// The addresses in a list of EndpointSlices.
fn endpoints(slices: &Value) -> Vec<SocketAddr> {
    let items = slices["items"].as_array().into_iter().flatten();
    let mut all = Vec::new();
    for slice in items {
        let port = slice["ports"][0]["port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok());
        let endpoints = slice["endpoints"].as_array().into_iter().flatten();
        let ready = endpoints.filter(|it| it["conditions"]["ready"] != false);
        let addresses = ready.flat_map(|it| it["addresses"].as_array().into_iter().flatten());
        all.extend(addresses.filter_map(|address| {
            let address = text(address).parse().ok()?;
            Some(SocketAddr::new(address, port.unwrap_or(API_PORT)))
        }));
    }
    all
}

/// The versions in a list of Nodes, but for one's own.
fn nodes(list: &Value, own: &str) -> Vec<Versioned> {
    let items = list["items"].as_array().into_iter().flatten();
    items
        .filter_map(|node| {
            let name = text(&node["metadata"]["name"]);
            let version = text(&node["status"]["nodeInfo"]["kubeletVersion"]);
            Some(Versioned {
                name: name.to_owned(),
                version: version.parse().ok()?,
            })
        })
        .filter(|node| node.name != own)
        .collect()
}

/// The unit of etcd as it is installed; nothing where there is none.
pub fn etcd_unit(layout: &Layout) -> String {
    let path = layout.path("usr/lib/systemd/system/hardway-etcd.service");
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apiservers_are_those_that_are_named_and_those_that_were_learned() {
        let kubeconfig = "clusters:\n- cluster:\n    server: https://10.88.0.10:6443\n  name: x\n";
        let learned = "10.88.0.10:6443\n10.88.0.20:6443\n\n";
        let address = |last: u8| SocketAddr::from(([10, 88, 0, last], 6443));
        assert_eq!(servers(kubeconfig, learned), [address(10), address(20)]);
        // As a kubelet writes it, which knows of no more servers if it is of an earlier version.
        let of_kubelet = json!({
            "kind": "Config",
            "clusters": [{"name": "x", "cluster": {"server": "https://10.88.0.10:6443"}}],
        });
        assert_eq!(servers(&of_kubelet.to_string(), ""), [address(10)]);
        assert_eq!(servers("", ""), []);
    }

    #[test]
    fn what_is_ready_is_an_endpoint() {
        let slices = json!({"items": [{
            "ports": [{"port": 6443}],
            "endpoints": [
                {"addresses": ["10.88.0.10"], "conditions": {"ready": true}},
                {"addresses": ["10.88.0.20"], "conditions": {"ready": false}},
                {"addresses": ["10.88.0.30"]},
            ],
        }]});
        let found: Vec<String> = endpoints(&slices).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.88.0.10:6443", "10.88.0.30:6443"]);
    }

    #[test]
    fn nodes_say_their_versions() {
        let node = |name: &str, version: &str| json!({"metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": version}}});
        let list = json!({"items": [node("a", "v1.33.0"), node("b", "v1.32.1"), node("c", "")]});
        let found = nodes(&list, "a");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].version.to_string(), "v1.32.1");
    }
}
