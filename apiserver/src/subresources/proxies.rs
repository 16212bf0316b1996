//! pods/proxy and services/proxy: where a request goes on to.

use super::join_port;
use crate::pipeline::{Pipeline, Target};
use hardway_client::tls;
use hardway_proto::Status;
use hardway_streams::Upstream;
use serde_json::Value;
use std::net::IpAddr;

/// `[scheme:]name[:port]` in its parts.
pub fn split_name(name: &str) -> (&str, &str, &str) {
    let parts: Vec<&str> = name.split(':').collect();
    match parts.as_slice() {
        [scheme @ ("http" | "https"), name, port] => (scheme, name, port),
        [name, port] => ("", name, port),
        [name] => ("", name, ""),
        _ => ("", name, ""),
    }
}

/// The path to ask for; a proxy without path means the root.
pub fn path(rest: &str, query: &str) -> String {
    let path = if rest.is_empty() { "/" } else { rest };
    match query.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{query}"),
    }
}

/// Where a pod or a service is reached.
pub fn upstream(
    pipeline: &Pipeline,
    target: &Target,
    object: &Value,
    rest: &str,
    query: &str,
) -> Result<Upstream, Status> {
    let (scheme, name, port) = split_name(&target.name);
    let (host, port) = match target.plural() {
        "pods" => pod(object, port).ok_or_else(|| {
            Status::bad_request(format!("pod {name} has no address, or no port {port:?}"))
        })?,
        _ => service(pipeline, target, object, port).ok_or_else(|| {
            Status::unavailable(format!("no endpoints available for service {name:?}"))
        })?,
    };
    proxyable(&host)?;
    Ok(Upstream {
        address: join_port(&host, port),
        server_name: host,
        common_name: None,
        // No credentials of the client's are passed on to it.
        tls: (scheme == "https").then(tls::unverified),
        path_and_query: path(rest, query),
    })
}

fn pod(pod: &Value, port: &str) -> Option<(String, u64)> {
    let host = pod["status"]["podIP"].as_str()?;
    let ports = || {
        pod["spec"]["containers"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|container| container["ports"].as_array().into_iter().flatten())
    };
    let number = match port {
        "" => ports()
            .find_map(|port| port["containerPort"].as_u64())
            .unwrap_or(80),
        port => match port.parse() {
            Ok(number) => number,
            Err(_) => ports().find(|p| p["name"] == port)?["containerPort"].as_u64()?,
        },
    };
    Some((host.to_owned(), number))
}

/// A ready endpoint behind a port of the service, by number or name.
fn service(
    pipeline: &Pipeline,
    target: &Target,
    service: &Value,
    port: &str,
) -> Option<(String, u64)> {
    let ports = service["spec"]["ports"].as_array()?;
    let wanted = match port {
        "" => ports.first()?,
        port => ports.iter().find(|p| {
            p["name"] == port || p["port"].as_u64().map(|n| n.to_string()).as_deref() == Some(port)
        })?,
    };
    let key = format!("{}/{}", target.namespace, split_name(&target.name).1);
    let endpoints = pipeline.cache.of("", "endpoints")?.get(&key)?.value();
    let mut found = Vec::new();
    for subset in endpoints["subsets"].as_array()? {
        let port = subset["ports"].as_array()?.iter().find(|port| {
            port["name"].as_str().unwrap_or_default() == wanted["name"].as_str().unwrap_or_default()
        });
        let Some(port) = port.and_then(|port| port["port"].as_u64()) else {
            continue;
        };
        for address in subset["addresses"].as_array().into_iter().flatten() {
            let pod = |name: &str| {
                let key = format!("{}/{name}", target.namespace);
                Some(pipeline.cache.of("", "pods")?.get(&key)?.value())
            };
            let ip = pod_address(address, &target.namespace, pod);
            found.extend(ip.map(|ip| (ip.to_owned(), port)));
        }
    }
    // Spread over all of them, as good as at random.
    let index = pipeline.cache.revision() as usize % found.len().max(1);
    found.into_iter().nth(index)
}

/// The IP of an endpoint, if it really is that of a pod of the namespace:
/// whoever writes Endpoints must not choose where the server connects to.
fn pod_address<'a>(
    address: &'a Value,
    namespace: &str,
    find: impl FnOnce(&str) -> Option<Value>,
) -> Option<&'a str> {
    let (ip, reference) = (address["ip"].as_str()?, &address["targetRef"]);
    let home = reference["namespace"].as_str().unwrap_or(namespace);
    if reference["kind"] != "Pod" || home != namespace {
        return None;
    }
    let pod = find(reference["name"].as_str()?)?;
    let status = &pod["status"];
    let all = status["podIPs"].as_array().into_iter().flatten();
    let mut ips = all.map(|one| &one["ip"]).chain([&status["podIP"]]);
    ips.any(|own| own == ip).then_some(ip)
}

/// Refuses addresses that mean this host or its link rather than a pod or a node.
pub fn proxyable(host: &str) -> Result<(), Status> {
    let forbidden = match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => {
            ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
        }
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback()
                || ip.is_unicast_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
        }
        Err(_) => {
            let name = host.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    };
    match forbidden {
        true => Err(Status::bad_request(format!("address not allowed: {host}"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_carry_scheme_and_port() {
        assert_eq!(split_name("web"), ("", "web", ""));
        assert_eq!(split_name("web:80"), ("", "web", "80"));
        assert_eq!(split_name("https:web:"), ("https", "web", ""));
    }

    #[test]
    fn pods_ports_by_number_name_or_first() {
        let object = json!({"status": {"podIP": "10.1.1.1"},
            "spec": {"containers": [{"ports": [{"name": "web", "containerPort": 3000}]}]}});
        assert_eq!(pod(&object, "web"), Some(("10.1.1.1".into(), 3000)));
        assert_eq!(pod(&object, "81"), Some(("10.1.1.1".into(), 81)));
        assert_eq!(pod(&object, ""), Some(("10.1.1.1".into(), 3000)));
        assert_eq!(pod(&object, "nope"), None);
    }

    #[test]
    fn the_server_itself_is_no_target() {
        for host in [
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "::ffff:127.0.0.1",
            "localhost",
            "LocalHost.",
            "a.localhost",
        ] {
            assert_eq!(proxyable(host).unwrap_err().code, 400, "{host}");
        }
        for host in ["10.244.1.5", "fd00::5", "worker-1"] {
            assert!(proxyable(host).is_ok(), "{host}");
        }
    }

    #[test]
    fn only_endpoints_that_are_pods_are_reached() {
        let find = |name: &str| {
            (name == "p")
                .then(|| json!({"status": {"podIP": "10.1.1.1", "podIPs": [{"ip": "fd00::1"}]}}))
        };
        let reference = json!({"kind": "Pod", "namespace": "shop", "name": "p"});
        let ok = |ip: &str, reference: &Value| {
            let address = json!({"ip": ip, "targetRef": reference});
            pod_address(&address, "shop", find).is_some()
        };
        assert!(ok("10.1.1.1", &reference) && ok("fd00::1", &reference));
        assert!(!ok("10.88.0.10", &reference));
        assert!(!ok("10.1.1.1", &Value::Null));
        for (field, value) in [("kind", "Node"), ("namespace", "other"), ("name", "q")] {
            let mut other = reference.clone();
            other[field] = value.into();
            assert!(!ok("10.1.1.1", &other), "{field}");
        }
    }

    #[test]
    fn paths() {
        assert_eq!(path("", ""), "/");
        assert_eq!(path("/a/b", "c=d"), "/a/b?c=d");
    }
}
