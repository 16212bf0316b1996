//! Whether the clocks of all hosts agree with this one's, by the time that the server of each
//! puts into its answers.

use std::net::SocketAddr;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::Value;

use super::Line;
use crate::api::Api;
use crate::http::{self, Identity};

const WHAT: &str = "clocks";
/// Less is no matter: an answer's time has no parts of a second, and the answer takes a while.
const AGREES: i64 = 3;
const KUBELET_PORT: u16 = 10250;
const SLICE: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";

/// The clock of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// Whose it is, as `apiserver 10.88.0.20` or `node worker-1`.
    pub whose: String,
    /// By how many seconds it is ahead of this host's; less than nothing if it is behind.
    pub ahead: i64,
}

/// Asks all apiservers, and the kubelets of all nodes, that this apiserver knows of. Those that
/// don't answer are left out: that they are away is told elsewhere.
pub fn look(server: SocketAddr, identity: &Identity) -> Line {
    let api = Api::new(server, identity.clone());
    let apiservers = api
        .get(SLICE)
        .map(|slice| apiservers(&slice.unwrap_or_default()));
    let nodes = api
        .get("/api/v1/nodes")
        .map(|list| nodes(&list.unwrap_or_default()));
    match (apiservers, nodes) {
        (Ok(apiservers), Ok(nodes)) => {
            let all = apiservers.into_iter().chain(nodes);
            let clocks = all.filter_map(|(whose, address)| {
                let ahead = ahead(address, identity)?;
                Some(Clock { whose, ahead })
            });
            check(&clocks.collect::<Vec<_>>())
        }
        (Err(failure), _) | (_, Err(failure)) => {
            Line::unknown(WHAT, failure.to_string(), "see the cluster's API server")
        }
    }
}

/// How far a server's clock is ahead of this host's, if it says its time.
fn ahead(address: SocketAddr, identity: &Identity) -> Option<i64> {
    let answer = http::get_tls(address, "/healthz", identity).ok()?;
    let theirs = rfc2822::parse(answer.header("date")?).ok()?.timestamp();
    Some(theirs.duration_since(Timestamp::now()).as_secs())
}

/// Where the endpoints of the Service `kubernetes` are.
fn apiservers(slice: &Value) -> Vec<(String, SocketAddr)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let port = list(&slice["ports"])
        .first()
        .and_then(|port| port["port"].as_u64());
    let port = port.and_then(|port| u16::try_from(port).ok());
    let addresses = list(&slice["endpoints"]).into_iter();
    let addresses = addresses.flat_map(|endpoint| list(&endpoint["addresses"]));
    addresses
        .filter_map(|address| {
            let address = address.as_str()?;
            let at = SocketAddr::new(address.parse().ok()?, port?);
            Some((format!("apiserver {address}"), at))
        })
        .collect()
}

/// Where the kubelets of nodes that are Ready are.
fn nodes(list: &Value) -> Vec<(String, SocketAddr)> {
    let list_of = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let of_node = |node: Value| {
        let is_ready = |it: &Value| it["type"] == "Ready" && it["status"] == "True";
        let is_internal = |it: &&Value| it["type"] == "InternalIP";
        list_of(&node["status"]["conditions"])
            .iter()
            .find(|it| is_ready(it))?;
        let addresses = list_of(&node["status"]["addresses"]);
        let address = addresses.iter().find(is_internal)?["address"].as_str()?;
        let name = node["metadata"]["name"].as_str()?;
        let at = SocketAddr::new(address.parse().ok()?, KUBELET_PORT);
        Some((format!("node {name}"), at))
    };
    list_of(&list["items"])
        .into_iter()
        .filter_map(of_node)
        .collect()
}

/// Which of them are apart from this host's.
pub fn check(clocks: &[Clock]) -> Line {
    let apart: Vec<String> = clocks
        .iter()
        .filter(|clock| clock.ahead.abs() > AGREES)
        .map(|Clock { whose, ahead }| {
            let side = if *ahead > 0 { "ahead" } else { "behind" };
            format!("{whose} is {} s {side}", ahead.abs())
        })
        .collect();
    match (clocks.len(), apart.as_slice()) {
        (0, _) => Line::unknown(
            WHAT,
            "nobody says what time it is",
            "see the cluster's API server",
        ),
        (count, []) => Line::good(WHAT, format!("{count} servers and this host agree")),
        (_, apart) => Line::bad(
            WHAT,
            format!("compared with this host, {}", apart.join(", ")),
            "certificates, tokens and leases go by them: have them kept right on all hosts:  timedatectl; apt-get install systemd-timesyncd",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use serde_json::json;

    #[test]
    fn clocks_that_are_apart_are_told_of_by_name() {
        let clock = |whose: &str, ahead| Clock {
            whose: whose.to_owned(),
            ahead,
        };
        let well = [clock("apiserver 10.88.0.10", 0), clock("node worker-1", -3)];
        assert_eq!(check(&well).state, State::Good);
        let line = check(&[
            clock("apiserver 10.88.0.20", 600),
            clock("node worker-1", -90),
        ]);
        assert_eq!(line.state, State::Bad);
        let says = "compared with this host, apiserver 10.88.0.20 is 600 s ahead, node worker-1 is 90 s behind";
        assert_eq!(line.says, says);
        assert_eq!(check(&[]).state, State::Unknown);
    }

    #[test]
    fn servers_are_those_of_the_endpoints_and_of_nodes_that_are_ready() {
        let slice = json!({
            "ports": [{"name": "https", "port": 6443}],
            "endpoints": [{"addresses": ["10.88.0.10"]}, {"addresses": ["10.88.0.20"]}],
        });
        let found = apiservers(&slice);
        assert_eq!(
            found[1],
            (
                "apiserver 10.88.0.20".to_owned(),
                ([10, 88, 0, 20], 6443).into()
            )
        );
        let node = |name: &str, ready: &str| {
            json!({
                "metadata": {"name": name},
                "status": {
                    "conditions": [{"type": "Ready", "status": ready}],
                    "addresses": [
                        {"type": "Hostname", "address": name},
                        {"type": "InternalIP", "address": "10.88.0.11"},
                    ],
                },
            })
        };
        let list = json!({"items": [node("worker-1", "True"), node("worker-2", "Unknown")]});
        assert_eq!(
            nodes(&list),
            [("node worker-1".to_owned(), ([10, 88, 0, 11], 10250).into())]
        );
        assert!(nodes(&Value::Null).is_empty() && apiservers(&Value::Null).is_empty());
    }
}
