//! Where the pods behind a Service's port are.

use crate::routes::{Backend, Port};
use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Why a backend has nobody to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// It names a Service that isn't there.
    #[error("there is no such Service")]
    Service,
    /// The Service has no such port.
    #[error("the Service has no such port")]
    Port,
    /// The Service stands for a name, wherever that leads.
    #[error("Services of type ExternalName are not asked: their name may lead anywhere")]
    ExternalName,
    /// The port is not one of TCP.
    #[error("the Service's port is not one of TCP")]
    Protocol,
}

/// What a Service's port says that it speaks, where that is nothing this controller speaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the port's appProtocol is {0:?}, and this controller asks in HTTP/1.1 in the clear all the same"
)]
pub struct ForeignProtocol(String);

/// The addresses behind a backend, asked in turn.
#[derive(Debug, Default)]
pub struct Endpoints {
    addresses: Vec<SocketAddr>,
    /// Shared with those that are in its place later, so that turns go on.
    next: Arc<AtomicUsize>,
}

impl Endpoints {
    /// These addresses, in the turn of those that were there before.
    pub fn new(addresses: Vec<SocketAddr>, before: Option<&Self>) -> Self {
        let next = before.map(|before| before.next.clone()).unwrap_or_default();
        Self { addresses, next }
    }

    /// Those to ask: the one whose turn it is, then the others.
    pub fn in_turn(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let count = self.addresses.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed) % count.max(1);
        let (before, after) = self.addresses.split_at(first.min(count));
        after.iter().chain(before).copied()
    }

    /// All of them.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// The addresses behind a backend: ready ones, or if there are none, those that still serve
/// while they leave.
///
/// # Errors
/// If nobody can be asked, whatever pods there are.
pub fn find(
    backend: &Backend,
    service: Option<&Service>,
    slices: &[Arc<EndpointSlice>],
) -> Result<Vec<SocketAddr>, Missing> {
    let port = port(backend, service)?;
    if port.protocol.as_deref().unwrap_or("TCP") != "TCP" {
        return Err(Missing::Protocol);
    }
    let name = port.name.as_deref().unwrap_or_default();
    let mut found = [Vec::new(), Vec::new()];
    for slice in slices {
        let mut ports = slice.ports.iter().flatten();
        let port = ports.find(|port| port.name.as_deref().unwrap_or_default() == name);
        let Some(number) = port.and_then(|port| u16::try_from(port.port?).ok()) else {
            continue;
        };
        for endpoint in &slice.endpoints {
            let Some(rank) = rank(endpoint) else { continue };
            let addresses = endpoint.addresses.iter().filter_map(|ip| ip.parse().ok());
            found[rank].extend(addresses.map(|ip| SocketAddr::new(ip, number)));
        }
    }
    let [ready, leaving] = found;
    let mut chosen = if ready.is_empty() { leaving } else { ready };
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// Whether a backend's port says that it speaks something else than is spoken to it: HTTP/1.1,
/// and WebSockets by way of it (KEP-3726 has the names with `kubernetes.io/`).
pub fn foreign_protocol(backend: &Backend, service: Option<&Service>) -> Option<ForeignProtocol> {
    let named = port(backend, service).ok()?.app_protocol.as_deref()?;
    let known = ["http", "ws", "kubernetes.io/ws"];
    let is_known = known.iter().any(|known| named.eq_ignore_ascii_case(known));
    (!is_known).then(|| ForeignProtocol(named.to_owned()))
}

/// The Service's port that is meant.
fn port<'a>(backend: &Backend, service: Option<&'a Service>) -> Result<&'a ServicePort, Missing> {
    let spec = service.and_then(|service| service.spec.as_ref());
    let spec = spec.ok_or(Missing::Service)?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return Err(Missing::ExternalName);
    }
    let mut ports = spec.ports.iter().flatten();
    let port = ports.find(|port| match &backend.port {
        Port::Name(name) => port.name.as_ref() == Some(name),
        Port::Number(number) => port.port == i32::from(*number),
    });
    port.ok_or(Missing::Port)
}

/// 0 for ready ones, 1 for those that leave and still serve.
fn rank(endpoint: &Endpoint) -> Option<usize> {
    let Some(conditions) = &endpoint.conditions else {
        return Some(0);
    };
    if conditions.ready.unwrap_or(true) {
        return Some(0);
    }
    (conditions.serving == Some(true) && conditions.terminating == Some(true)).then_some(1)
}

/// The Service of a slice.
pub fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let labels = slice.metadata.labels.as_ref()?;
    let name = labels.get("kubernetes.io/service-name")?;
    Some(ObjectKey::new(slice.namespace(), name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn backend(port: Port) -> Backend {
        Backend {
            service: ObjectKey::new("d", "web"),
            port,
        }
    }

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap()
    }

    fn slice(endpoints: Value) -> Vec<Arc<EndpointSlice>> {
        let slice = json!({"metadata": {}, "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080}, {"name": "admin", "port": 9000}]});
        vec![Arc::new(serde_json::from_value(slice).unwrap())]
    }

    fn web() -> Service {
        service(
            json!({"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81},
            {"name": "dns", "port": 53, "protocol": "UDP"}]}),
        )
    }

    #[test]
    fn ports_are_found_by_name_and_number() {
        let slices = slice(json!([{"addresses": ["10.0.0.1"]}]));
        let find = |port| find(&backend(port), Some(&web()), &slices);
        let at = |port: u16| Ok(vec![SocketAddr::from(([10, 0, 0, 1], port))]);
        assert_eq!(find(Port::Number(80)), at(8080));
        assert_eq!(find(Port::Name("admin".into())), at(9000));
        assert_eq!(find(Port::Number(8080)), Err(Missing::Port));
        assert_eq!(find(Port::Number(53)), Err(Missing::Protocol));
    }

    #[test]
    fn ready_ones_go_before_those_that_leave() {
        let endpoint = |last: u8, ready: bool, serving: bool, terminating: bool| {
            json!({"addresses": [format!("10.0.0.{last}")],
                "conditions": {"ready": ready, "serving": serving, "terminating": terminating}})
        };
        let last = |endpoints: Value| {
            let found = find(&backend(Port::Number(80)), Some(&web()), &slice(endpoints));
            let octet = |address: &SocketAddr| match address {
                SocketAddr::V4(address) => address.ip().octets()[3],
                SocketAddr::V6(_) => 0,
            };
            found.unwrap().iter().map(octet).collect::<Vec<_>>()
        };
        let (ready, leaving) = (
            endpoint(1, true, true, false),
            endpoint(2, false, true, true),
        );
        let late = endpoint(3, false, false, false);
        assert_eq!(last(json!([ready, leaving, late])), [1]);
        assert_eq!(last(json!([leaving, late])), [2]);
        assert_eq!(last(json!([late])), [0u8; 0]);
    }

    #[test]
    fn ports_that_speak_something_else_are_told() {
        for (protocol, is_foreign) in [
            (None, false),
            (Some("http"), false),
            (Some("kubernetes.io/ws"), false),
            (Some("https"), true),
            (Some("kubernetes.io/h2c"), true),
            (Some("kubernetes.io/wss"), true),
            (Some("example.com/own"), true),
        ] {
            let service = service(json!({"ports": [{"port": 80, "appProtocol": protocol}]}));
            let foreign = foreign_protocol(&backend(Port::Number(80)), Some(&service));
            let expected = protocol.filter(|_| is_foreign);
            let expected = expected.map(|name| ForeignProtocol(name.to_owned()));
            assert_eq!(foreign, expected, "{protocol:?}");
        }
    }

    #[test]
    fn nobody_is_asked_where_a_name_leads() {
        let named = service(json!({"type": "ExternalName", "externalName": "metadata.internal"}));
        let find = |service| find(&backend(Port::Number(80)), service, &[]);
        assert_eq!(find(Some(&named)), Err(Missing::ExternalName));
        assert_eq!(find(None), Err(Missing::Service));
    }

    #[test]
    fn turns_go_on_when_addresses_change() {
        let address = |last: u8| SocketAddr::from(([10, 0, 0, last], 80));
        let first = Endpoints::new(vec![address(1), address(2)], None);
        let asked: Vec<_> = first.in_turn().collect();
        assert_eq!(asked, [address(1), address(2)]);
        let second = Endpoints::new(vec![address(1), address(2), address(3)], Some(&first));
        assert_eq!(second.in_turn().next(), Some(address(2)));
        assert_eq!(second.in_turn().next(), Some(address(3)));
        assert_eq!(Endpoints::default().in_turn().next(), None);
    }
}
