//! Whether a process does its work, asked the way its clients would ask.

use std::net::SocketAddr;

use crate::components;
use crate::failure::{Failure, Result};
use crate::http;
use crate::lab::config::CONTAINERD_SOCKET;
use crate::lab::{Lab, node};
use crate::plan::{Host, REGISTRY_PORT};

/// Asks a process whether it is healthy; `path` is for those that speak HTTPS.
pub fn check(lab: &Lab, host: &Host, name: &str, path: &str) -> Result<()> {
    let at = |port| SocketAddr::from((host.address, port));
    let what = || format!("{name}@{}", host.name);
    match (name, components::health_port(name)) {
        ("etcd", Some(port)) => {
            let answer = http::get_tls(at(port), "/health", &lab.etcd_client())?;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(unhealthy(what(), &answer))
            }
        }
        (_, Some(port)) => {
            // Kubernetes' proxy is asked without TLS.
            let plain = name == "proxy" && lab.swapped(host, name).is_some();
            let answer = match plain {
                true => http::get_plain(at(port), "/healthz", "")?,
                false => http::get_tls(at(port), path, &lab.administrator())?,
            };
            if answer.status == 200 {
                Ok(())
            } else {
                Err(unhealthy(what(), &answer))
            }
        }
        ("containerd", None) => {
            let init =
                node::init_pid(lab, host).ok_or_else(|| Failure::new(what(), "its host is off"))?;
            let socket = format!("/proc/{init}/root{CONTAINERD_SOCKET}");
            std::os::unix::net::UnixStream::connect(socket)
                .map(|_| ())
                .map_err(|error| Failure::new(what(), error))
        }
        _ => {
            let answer = http::get_plain(at(REGISTRY_PORT), "/v2/", "")?;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(unhealthy(what(), &answer))
            }
        }
    }
}

/// What a component leaves out because it can't read it, a line each. Nothing
/// if it can't be asked: then its health says why.
pub fn left_out(lab: &Lab, host: &Host, name: &str) -> Vec<String> {
    let Some(port) = components::health_port(name).filter(|_| name != "etcd") else {
        return Vec::new();
    };
    let address = SocketAddr::from((host.address, port));
    let answer = http::get_tls(address, "/readyz?verbose", &lab.administrator());
    answer.map_or_else(|_| Vec::new(), |answer| warnings(&answer.body))
}

/// The lines of a verbose health report that are no checks.
fn warnings(report: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(report);
    let warnings = text.lines().filter_map(|line| line.strip_prefix("[!]"));
    warnings.map(str::to_owned).collect()
}

fn unhealthy(what: String, answer: &http::Answer) -> Failure {
    let body = String::from_utf8_lossy(&answer.body);
    Failure::new(what, format!("{} {}", answer.status, body.trim()))
}

/// What the cluster says of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether its Ready condition is true.
    pub ready: bool,
    /// The subnet of its pods, once it has one.
    pub pod_cidr: Option<String>,
    /// Which start of its host it speaks of.
    pub boot_id: Option<String>,
}

/// The nodes of the cluster.
pub fn nodes(lab: &Lab) -> Result<Vec<Node>> {
    let answer = http::get_tls(lab.apiserver(), "/api/v1/nodes", &lab.administrator())?;
    if answer.status != 200 {
        return Err(unhealthy("list the nodes".to_owned(), &answer));
    }
    parse_nodes(&answer.body)
}

fn parse_nodes(body: &[u8]) -> Result<Vec<Node>> {
    let list: serde_json::Value = serde_json::from_slice(body)
        .map_err(|error| Failure::new("read the list of nodes", error))?;
    let array = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let ready = |condition: &serde_json::Value| {
        condition["type"] == "Ready" && condition["status"] == "True"
    };
    Ok(array(&list["items"])
        .iter()
        .map(|node| Node {
            name: text(&node["metadata"]["name"]).unwrap_or_default(),
            ready: array(&node["status"]["conditions"]).iter().any(ready),
            pod_cidr: text(&node["spec"]["podCIDR"]),
            boot_id: text(&node["status"]["nodeInfo"]["bootID"]),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_told_from_checks() {
        let report =
            b"[+]ping ok\n[!]services: 1 left out, unreadable; see the log\nreadyz check passed\n";
        assert_eq!(
            warnings(report),
            ["services: 1 left out, unreadable; see the log"]
        );
    }

    #[test]
    fn a_node_is_ready_when_it_says_so() {
        let body = br#"{"items":[
            {"metadata":{"name":"a"},"spec":{"podCIDR":"10.244.0.0/24"},"status":{"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"bootID":"7"}}},
            {"metadata":{"name":"b"},"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}},
            {"metadata":{"name":"c"}}]}"#;
        let node = |name: &str, ready, pod_cidr: Option<&str>| Node {
            name: name.to_owned(),
            ready,
            pod_cidr: pod_cidr.map(str::to_owned),
            boot_id: ready.then(|| "7".to_owned()),
        };
        let told = parse_nodes(body).unwrap();
        assert_eq!(
            told,
            [
                node("a", true, Some("10.244.0.0/24")),
                node("b", false, None),
                node("c", false, None)
            ]
        );
        assert!(parse_nodes(b"no").is_err());
    }
}
