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
            let answer = http::get_tls(at(port), path, &lab.administrator())?;
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

fn unhealthy(what: String, answer: &http::Answer) -> Failure {
    let body = String::from_utf8_lossy(&answer.body);
    Failure::new(what, format!("{} {}", answer.status, body.trim()))
}

/// Names of the nodes and whether each is Ready.
pub fn nodes(lab: &Lab) -> Result<Vec<(String, bool)>> {
    let host = lab.plan.control_plane();
    let address = SocketAddr::from((host.address, crate::plan::API_PORT));
    let answer = http::get_tls(address, "/api/v1/nodes", &lab.administrator())?;
    if answer.status != 200 {
        return Err(unhealthy("list the nodes".to_owned(), &answer));
    }
    parse_nodes(&answer.body)
}

fn parse_nodes(body: &[u8]) -> Result<Vec<(String, bool)>> {
    let list: serde_json::Value = serde_json::from_slice(body)
        .map_err(|error| Failure::new("read the list of nodes", error))?;
    let nodes = list["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let ready = |node: &serde_json::Value| {
        let conditions = node["status"]["conditions"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        conditions
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    Ok(nodes
        .iter()
        .map(|node| {
            (
                node["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                ready(node),
            )
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_it_says_so() {
        let body = br#"{"items":[
            {"metadata":{"name":"a"},"status":{"conditions":[{"type":"Ready","status":"True"}]}},
            {"metadata":{"name":"b"},"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}},
            {"metadata":{"name":"c"}}]}"#;
        let told = parse_nodes(body).unwrap();
        assert_eq!(
            told,
            [
                ("a".to_owned(), true),
                ("b".to_owned(), false),
                ("c".to_owned(), false)
            ]
        );
        assert!(parse_nodes(b"no").is_err());
    }
}
