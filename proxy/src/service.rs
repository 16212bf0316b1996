//! What a Service means on one node: addresses, ports, and which endpoints
//! traffic may go to.

use hardway_proto::Kind;
use ipnetwork::Ipv4Network;
use k8s_openapi::api::core::v1::{Service, ServicePort as ApiPort};
use k8s_openapi::api::discovery::v1::{Endpoint as ApiEndpoint, EndpointSlice};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Kubernetes' default `sessionAffinityConfig.clientIP.timeoutSeconds`.
const DEFAULT_AFFINITY_SECONDS: i32 = 10_800;

/// Transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    fn parse(name: Option<&str>) -> Option<Self> {
        match name.unwrap_or("TCP") {
            "TCP" => Some(Protocol::Tcp),
            "UDP" => Some(Protocol::Udp),
            "SCTP" => Some(Protocol::Sctp),
            _ => None,
        }
    }

    /// As nftables and conntrack spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

/// Where traffic can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The pod's address.
    pub ip: Ipv4Addr,
    /// The pod's port.
    pub port: u16,
    /// Whether the pod is on this node.
    pub local: bool,
}

/// One port of a Service, as this node has to treat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Cluster IPs.
    pub cluster_ips: Vec<Ipv4Addr>,
    /// External and load balancer IPs.
    pub external_ips: Vec<Ipv4Addr>,
    /// Load balancer IPs that only some may use.
    pub guarded_ips: Vec<Ipv4Addr>,
    /// Who may use them; none is within another.
    pub sources: Vec<Ipv4Network>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port on these addresses.
    pub port: u16,
    /// Port on every node.
    pub node_port: Option<u16>,
    /// Seconds a client sticks to an endpoint.
    pub affinity: Option<u32>,
    /// All usable endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Endpoints for traffic to the cluster IP.
    pub internal: Vec<Endpoint>,
    /// Endpoints for traffic from outside the cluster.
    pub external: Vec<Endpoint>,
    /// Traffic from outside stays on this node, with its source address.
    pub external_local: bool,
}

fn is_true(flag: Option<bool>) -> bool {
    flag == Some(true)
}

/// Where this proxy is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its node.
    pub node: &'a str,
    /// The node's zone.
    pub zone: Option<&'a str>,
    /// The node's address.
    pub address: Option<Ipv4Addr>,
}

/// What balancers outside ask a node about a Service that keeps their traffic on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// At which port.
    pub port: u16,
    /// How many ready endpoints the node has.
    pub endpoints: usize,
}

/// An endpoint of a slice, as far as choosing depends on it.
struct Candidate<'a> {
    endpoint: Endpoint,
    /// Fit for new connections.
    ready: bool,
    /// Leaving, but still serving: fit if nothing better is left.
    leaving: bool,
    /// The zones it is for; none means all.
    zones: Vec<&'a str>,
}

fn candidates<'a>(
    port: &ApiPort,
    slices: &'a [Arc<EndpointSlice>],
    node: &str,
) -> Vec<Candidate<'a>> {
    let name = port.name.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    for slice in slices.iter().filter(|s| s.address_type == "IPv4") {
        let number = slice
            .ports
            .iter()
            .flatten()
            .find(|p| p.name.as_deref().unwrap_or_default() == name)
            .and_then(|p| u16::try_from(p.port?).ok());
        let Some(number) = number else {
            continue;
        };
        for endpoint in &slice.endpoints {
            let (ready, leaving) = usable(endpoint);
            let addresses = endpoint.addresses.iter().filter_map(|a| a.parse().ok());
            found.extend(addresses.map(|ip| Candidate {
                endpoint: Endpoint {
                    ip,
                    port: number,
                    local: endpoint.node_name.as_deref() == Some(node),
                },
                ready,
                leaving,
                zones: hinted(endpoint),
            }));
        }
    }
    found
}

/// Whether an endpoint is ready, and whether it is leaving but still serving.
fn usable(endpoint: &ApiEndpoint) -> (bool, bool) {
    let Some(conditions) = &endpoint.conditions else {
        return (true, false);
    };
    let ready = conditions.ready.unwrap_or(true);
    let fallback = is_true(conditions.serving) && is_true(conditions.terminating);
    (ready, fallback)
}

fn hinted(endpoint: &ApiEndpoint) -> Vec<&str> {
    let hints = endpoint.hints.as_ref();
    let zones = hints.and_then(|hints| hints.for_zones.as_deref());
    let zones = zones.unwrap_or_default().iter();
    zones.map(|zone| zone.name.as_str()).collect()
}

/// The ready ones, or, if there are none, those that still serve while they are leaving.
fn choose<'a>(candidates: impl Iterator<Item = &'a Candidate<'a>> + Clone) -> Vec<Endpoint> {
    let of = |fit: fn(&Candidate<'_>) -> bool| -> Vec<Endpoint> {
        let fit = candidates.clone().filter(|candidate| fit(candidate));
        fit.map(|candidate| candidate.endpoint).collect()
    };
    let mut chosen = of(|candidate| candidate.ready);
    if chosen.is_empty() {
        chosen = of(|candidate| candidate.leaving);
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// Those on this node.
fn local(candidates: &[Candidate<'_>]) -> Vec<Endpoint> {
    choose(candidates.iter().filter(|c| c.endpoint.local))
}

/// Those in the whole cluster, or those for this node's zone: if every ready one says for
/// which zones it is, and one of them is for this one (`topologyModeFromHints` in
/// `pkg/proxy/topology.go`).
fn anywhere(candidates: &[Candidate<'_>], zone: Option<&str>) -> Vec<Endpoint> {
    let ready = || candidates.iter().filter(|c| c.ready);
    let here = |c: &&Candidate<'_>| zone.is_some_and(|zone| c.zones.contains(&zone));
    match ready().all(|c| !c.zones.is_empty()) && ready().any(|c| here(&c)) {
        true => choose(candidates.iter().filter(here)),
        false => choose(candidates.iter()),
    }
}

/// What is asked about a Service on a node, if anything is.
pub fn health_check(
    service: &Service,
    slices: &[Arc<EndpointSlice>],
    node: &str,
) -> Option<HealthCheck> {
    let spec = service.spec.as_ref()?;
    let local = spec.external_traffic_policy.as_deref() == Some("Local");
    if !local || spec.type_.as_deref() != Some("LoadBalancer") {
        return None;
    }
    let port = u16::try_from(spec.health_check_node_port?).ok()?;
    let slices = slices.iter().filter(|s| s.address_type == "IPv4");
    let endpoints = slices.flat_map(|slice| &slice.endpoints);
    let endpoints = endpoints
        .filter(|endpoint| endpoint.node_name.as_deref() == Some(node) && usable(endpoint).0);
    let addresses: BTreeSet<&String> = endpoints.flat_map(|it| &it.addresses).collect();
    (port != 0).then_some(HealthCheck {
        port,
        endpoints: addresses.len(),
    })
}

/// Who may use a Service's load balancer IPs; none means everybody. A node that may is let
/// in also where its packets come back from a balancer with the balancer's own address, as by
/// kube-proxy.
fn sources(service: &Service, balancer_ips: &[Ipv4Addr], place: Place<'_>) -> Vec<Ipv4Network> {
    let ranges = service
        .spec
        .as_ref()
        .map(|spec| &spec.load_balancer_source_ranges);
    let ranges = ranges.into_iter().flatten().flatten();
    let ranges = ranges.filter_map(|range| range.trim().parse::<Ipv4Network>().ok());
    let mut sources: Vec<Ipv4Network> = ranges.collect();
    let is_node_in = |range: &Ipv4Network| place.address.is_some_and(|ip| range.contains(ip));
    if sources.iter().any(is_node_in) {
        sources.extend(balancer_ips.iter().copied().map(Ipv4Network::from));
    }
    // The kernel takes no range within another; two ranges are apart, or one has the other.
    sources.sort_by_key(|range| range.prefix());
    let mut widest: Vec<Ipv4Network> = Vec::new();
    for range in sources {
        if !widest.iter().any(|wider| wider.contains(range.network())) {
            widest.push(range);
        }
    }
    // That of all addresses has swallowed the others, and is no bound.
    widest.retain(|range| range.prefix() > 0);
    widest
}

/// Reads a Service with its slices for a node. Empty for headless ones and
/// those that are just a name.
pub fn read(service: &Service, slices: &[Arc<EndpointSlice>], place: Place<'_>) -> Vec<Port> {
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let parse = |list: &Option<Vec<String>>| -> Vec<Ipv4Addr> {
        list.iter()
            .flatten()
            .filter_map(|ip| ip.parse().ok())
            .collect()
    };
    let mut cluster_ips = parse(&spec.cluster_ips);
    cluster_ips.extend(
        spec.cluster_ip
            .iter()
            .filter_map(|ip| ip.parse::<Ipv4Addr>().ok()),
    );
    cluster_ips.sort_unstable();
    cluster_ips.dedup();
    if cluster_ips.is_empty() || spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let mut external_ips = parse(&spec.external_ips);
    let ingress = service
        .status
        .as_ref()
        .and_then(|s| s.load_balancer.as_ref()?.ingress.as_ref());
    let balancer_ips: Vec<Ipv4Addr> = ingress
        .into_iter()
        .flatten()
        .filter(|i| i.ip_mode.as_deref() != Some("Proxy"))
        .filter_map(|i| i.ip.as_ref()?.parse().ok())
        .collect();
    external_ips.extend(&balancer_ips);
    let sources = sources(service, &balancer_ips, place);
    let guarded_ips = match sources.is_empty() {
        true => Vec::new(),
        false => balancer_ips,
    };
    let affinity = (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
        let configured = spec
            .session_affinity_config
            .as_ref()
            .and_then(|c| c.client_ip.as_ref()?.timeout_seconds);
        u32::try_from(configured.unwrap_or(DEFAULT_AFFINITY_SECONDS)).unwrap_or(1)
    });
    let internal_local = spec.internal_traffic_policy.as_deref() == Some("Local");
    let external_local = spec.external_traffic_policy.as_deref() == Some("Local");
    let ports = spec.ports.iter().flatten();
    ports
        .filter_map(|port| {
            let Some(protocol) = Protocol::parse(port.protocol.as_deref()) else {
                tracing::warn!(service = service.name(), protocol = ?port.protocol, "unknown protocol");
                return None;
            };
            let candidates = candidates(port, slices, place.node);
            let of = |is_local| match is_local {
                true => local(&candidates),
                false => anywhere(&candidates, place.zone),
            };
            Some(Port {
                cluster_ips: cluster_ips.clone(),
                external_ips: external_ips.clone(),
                guarded_ips: guarded_ips.clone(),
                sources: sources.clone(),
                protocol,
                port: u16::try_from(port.port).ok()?,
                node_port: port
                    .node_port
                    .and_then(|p| u16::try_from(p).ok())
                    .filter(|&p| p != 0),
                affinity,
                endpoints: of(false),
                internal: of(internal_local),
                external: of(external_local),
                external_local,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ON_A: Place<'_> = Place {
        node: "a",
        zone: Some("z"),
        address: Some(Ipv4Addr::new(192, 168, 0, 1)),
    };

    fn slice(endpoints: serde_json::Value) -> Vec<Arc<EndpointSlice>> {
        let slice = json!({"metadata": {}, "addressType": "IPv4",
            "ports": [{"name": "", "port": 3000}], "endpoints": endpoints});
        vec![Arc::new(serde_json::from_value(slice).unwrap())]
    }

    fn service(spec: serde_json::Value) -> Service {
        let mut all = json!({"clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"],
            "ports": [{"port": 80, "nodePort": 30080}]});
        all.as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": all})).unwrap()
    }

    fn endpoint(ip: &str, node: &str, ready: bool, leaving: bool) -> serde_json::Value {
        json!({"addresses": [ip], "nodeName": node,
            "conditions": {"ready": ready, "serving": true, "terminating": leaving}})
    }

    #[test]
    fn ready_endpoints_or_else_those_that_still_serve() {
        let both = json!([
            endpoint("10.0.0.1", "a", true, false),
            endpoint("10.0.0.2", "b", false, true)
        ]);
        let ports = read(&service(json!({})), &slice(both), ON_A);
        assert_eq!(ports[0].endpoints.len(), 1);
        assert!(ports[0].endpoints[0].local);
        let last = json!([endpoint("10.0.0.2", "b", false, true)]);
        assert_eq!(
            read(&service(json!({})), &slice(last), ON_A)[0]
                .endpoints
                .len(),
            1
        );
    }

    #[test]
    fn policies_keep_traffic_on_the_node() {
        let both = || {
            slice(json!([
                endpoint("10.0.0.1", "a", true, false),
                endpoint("10.0.0.2", "b", true, false)
            ]))
        };
        let local =
            service(json!({"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"}));
        let port = read(&local, &both(), ON_A).remove(0);
        assert_eq!(
            (
                port.endpoints.len(),
                port.internal.len(),
                port.external.len()
            ),
            (2, 1, 1)
        );
        assert!(port.external_local);
    }

    #[test]
    fn traffic_stays_in_its_zone_if_all_say_where_they_are_for() {
        let hinted = |ip: &str, ready: bool, zones: &[&str]| {
            let mut endpoint = endpoint(ip, "b", ready, !ready);
            let zones = zones.iter().map(|zone| json!({"name": zone}));
            endpoint["hints"] = json!({"forZones": zones.collect::<Vec<_>>()});
            endpoint
        };
        let chosen = |endpoints: serde_json::Value, zone: Option<&str>| {
            let place = Place { zone, ..ON_A };
            let port = read(&service(json!({})), &slice(endpoints), place).remove(0);
            let last = |endpoint: &Endpoint| endpoint.ip.octets()[3];
            port.internal.iter().map(last).collect::<Vec<_>>()
        };
        let all = || {
            json!([
                hinted("10.0.0.1", true, &["z"]),
                hinted("10.0.0.2", true, &["y"]),
                hinted("10.0.0.3", true, &["z", "y"]),
                // Those that are leaving may say what they like.
                hinted("10.0.0.4", false, &[]),
            ])
        };
        assert_eq!(chosen(all(), Some("z")), [1, 3]);
        assert_eq!(chosen(all(), Some("y")), [2, 3]);
        // Nobody is for this zone, or the node has none.
        assert_eq!(chosen(all(), Some("x")), [1, 2, 3]);
        assert_eq!(chosen(all(), None), [1, 2, 3]);
        let mut one_silent = all();
        one_silent[1]["hints"] = json!(null);
        assert_eq!(chosen(one_silent, Some("z")), [1, 2, 3]);
        let leaving = json!([hinted("10.0.0.1", false, &["y"])]);
        assert_eq!(chosen(leaving, Some("z")), [1]);
    }

    #[test]
    fn hints_are_nothing_to_local_traffic() {
        let mut here = endpoint("10.0.0.1", "a", true, false);
        here["hints"] = json!({"forZones": [{"name": "y"}]});
        let mut there = endpoint("10.0.0.2", "b", true, false);
        there["hints"] = json!({"forZones": [{"name": "z"}]});
        let local = service(json!({"externalTrafficPolicy": "Local"}));
        let port = read(&local, &slice(json!([here, there])), ON_A).remove(0);
        assert!(port.external[0].local && port.external.len() == 1);
        assert!(!port.internal[0].local && port.internal.len() == 1);
    }

    fn balanced(spec: serde_json::Value, entries: serde_json::Value) -> Service {
        let mut service = service(spec);
        service.spec.as_mut().unwrap().type_ = Some("LoadBalancer".into());
        let status = json!({"loadBalancer": {"ingress": entries}});
        service.status = serde_json::from_value(status).unwrap();
        service
    }

    fn networks(port: &Port) -> Vec<String> {
        port.sources.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_of_balancers_are_served_unless_the_balancer_is_a_proxy() {
        let entries = json!([{"ip": "192.0.2.1", "ipMode": "VIP"}, {"ip": "192.0.2.2"},
            {"ip": "192.0.2.3", "ipMode": "Proxy"}, {"hostname": "a.b"}, {"ip": "2001:db8::1"}]);
        let spec = json!({"externalIPs": ["198.51.100.1"], "ports": [
            {"name": "a", "port": 53, "protocol": "TCP"}, {"name": "b", "port": 53, "protocol": "UDP"}]});
        let ports = read(&balanced(spec, entries), &[], ON_A);
        let told: Vec<_> = ports[0]
            .external_ips
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(told, ["198.51.100.1", "192.0.2.1", "192.0.2.2"]);
        // No node port was wanted, and both protocols are served.
        let told: Vec<_> = ports.iter().map(|p| (p.protocol, p.node_port)).collect();
        assert_eq!(told, [(Protocol::Tcp, None), (Protocol::Udp, None)]);
        assert!(ports[0].guarded_ips.is_empty());
    }

    #[test]
    fn source_ranges_guard_the_addresses_of_balancers_alone() {
        let entries = || json!([{"ip": "192.0.2.1"}]);
        let port = |ranges: &[&str]| {
            let spec = json!({"externalIPs": ["198.51.100.1"], "loadBalancerSourceRanges": ranges});
            read(&balanced(spec, entries()), &[], ON_A).remove(0)
        };
        let guarded = port(&[
            "10.1.0.0/16",
            " 10.0.0.0/8",
            "172.16.0.1/32",
            "2001:db8::/32",
        ]);
        assert_eq!(guarded.guarded_ips, [Ipv4Addr::new(192, 0, 2, 1)]);
        assert_eq!(networks(&guarded), ["10.0.0.0/8", "172.16.0.1/32"]);
        // The node may, and comes back with the balancer's address.
        let nodes = port(&["192.168.0.0/24"]);
        assert_eq!(networks(&nodes), ["192.168.0.0/24", "192.0.2.1/32"]);
        for everybody in [&["0.0.0.0/0", "10.0.0.0/8"][..], &["2001:db8::/32"], &[]] {
            let port = port(everybody);
            assert!(port.guarded_ips.is_empty() && port.sources.is_empty());
        }
    }

    #[test]
    fn balancers_ask_about_services_that_stay_on_the_node() {
        let slices = slice(json!([
            endpoint("10.0.0.1", "a", true, false),
            endpoint("10.0.0.2", "a", true, false),
            endpoint("10.0.0.3", "a", false, true),
            endpoint("10.0.0.4", "b", true, false)
        ]));
        let check = |spec: serde_json::Value| {
            health_check(&balanced(spec, json!([])), &slices, "a").map(|it| (it.port, it.endpoints))
        };
        let local = json!({"externalTrafficPolicy": "Local", "healthCheckNodePort": 32000});
        assert_eq!(check(local), Some((32000, 2)));
        assert_eq!(check(json!({"healthCheckNodePort": 32000})), None);
        assert_eq!(check(json!({"externalTrafficPolicy": "Local"})), None);
    }

    #[test]
    fn headless_services_have_no_rules() {
        let headless = service(json!({"clusterIP": "None", "clusterIPs": ["None"]}));
        assert!(read(&headless, &[], ON_A).is_empty());
    }
}
