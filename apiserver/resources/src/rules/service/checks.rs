//! What is wrong with a Service, as `ValidateService` of Kubernetes tells it.

use super::{cluster_ips, is_balanced, is_headless, needs_health_check};
use crate::rules::FieldErrors;
use crate::rules::field::{Errors, Path};
use crate::rules::json::{get, has, int, is_empty, list, text};
use crate::rules::networking::check_cidr;
use crate::rules::{labels, pod};
use hardway_proto::names;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const POLICIES: [&str; 2] = ["Cluster", "Local"];
/// Where a kubelet listens: no balancer may lead there.
const KUBELET_PORT: i64 = 10250;
const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const MODE: &str = "service.kubernetes.io/topology-mode";
const OF_BALANCERS: &str = "may only be used when `type` is 'LoadBalancer'";
/// How the sources of a balancer were named before there was a field for them.
const OLD_SOURCES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// What is wrong with a Service, or with its change.
pub(super) fn check(service: &Value, old: Option<&Value>) -> FieldErrors {
    let spec = get(service, "spec");
    // Kubernetes gives addresses out before it looks at the rest: of what hinders that it
    // tells by itself.
    let causes = Errors::collect(|e| cluster_ips::check(e, spec));
    if !causes.is_empty() {
        return causes;
    }
    Errors::collect(|e| {
        if let Some(old) = old {
            check_change(e, spec, get(old, "spec"));
        }
        check_whole(e, service);
    })
}

fn check_change(e: &mut Errors, new: &Value, old: &Value) {
    cluster_ips::check_change(e, new, old);
    let class = "loadBalancerClass";
    if is_balanced(new) && is_balanced(old) && get(new, class) != get(old, class) {
        let at = Path::new("spec").child(class);
        e.invalid(&at, get(new, class), "may not change once set");
    }
    // Kubernetes looks at the class for the change and for the whole.
    balancer_class(e, new);
    let port = |spec: &Value| int(spec, "healthCheckNodePort").unwrap_or_default();
    // One that isn't said is kept.
    if needs_health_check(new) && needs_health_check(old) && ![0, port(old)].contains(&port(new)) {
        let at = Path::new("spec.healthCheckNodePort");
        e.forbidden(&at, "field is immutable");
    }
}

fn check_whole(e: &mut Errors, service: &Value) {
    let (path, spec) = (Path::new("spec"), get(service, "spec"));
    let annotations = get(get(service, "metadata"), "annotations");
    if has(annotations, MODE)
        && has(annotations, HINTS)
        && get(annotations, MODE) != get(annotations, HINTS)
    {
        let detail = format!("must match annotations[{HINTS}] when both are specified");
        let at = Path::new("metadata.annotations").key(MODE);
        e.invalid(&at, text(annotations, MODE), &detail);
    }
    let kind = text(spec, "type");
    let ports = list(spec, "ports");
    if ports.is_empty() && !is_headless(spec) && kind != "ExternalName" {
        e.required(&path.child("ports"), "");
    }
    by_type(e, &path, spec);
    let mut named = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let at = path.child("ports").index(i);
        check_port(e, &at, port, ports.len() > 1, &mut named);
    }
    labels::check(e, &path.child("selector"), get(spec, "selector"));
    affinity(e, &path, spec);
    for (i, ip) in list(spec, "externalIPs").iter().enumerate() {
        let ip = ip.as_str().unwrap_or_default();
        let at = path.child("externalIPs").index(i);
        e.each(&at, ip, names::is_ip(ip));
        for problem in special_address(ip) {
            e.invalid(&at, ip, problem);
        }
    }
    e.one_of(
        &path.child("type"),
        kind,
        &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
    );
    same_ports(e, &path.child("ports"), ports, kind);
    sources(e, service);
    traffic(e, &path, spec);
}

fn by_type(e: &mut Errors, path: &Path, spec: &Value) {
    let kind = text(spec, "type");
    if kind == "LoadBalancer" {
        for (i, port) in list(spec, "ports").iter().enumerate() {
            if int(port, "port") == Some(KUBELET_PORT) {
                let detail = format!(
                    "may not expose port {KUBELET_PORT} externally since it is used by kubelet"
                );
                e.invalid(&path.child("ports").index(i), KUBELET_PORT, &detail);
            }
        }
    }
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let detail = format!("may not be set to 'None' for {kind} services");
            e.invalid(&path.child("clusterIPs[0]"), "None", &detail);
        }
        "ExternalName" => external_name(e, path, spec),
        _ => {}
    }
}

fn external_name(e: &mut Errors, path: &Path, spec: &Value) {
    // An address alone is the first of its kind.
    let addressed = !is_empty(get(spec, "clusterIP")) || !is_empty(get(spec, "clusterIPs"));
    for (field, is_set) in [
        ("clusterIPs", addressed),
        ("ipFamilies", !is_empty(get(spec, "ipFamilies"))),
        ("ipFamilyPolicy", has(spec, "ipFamilyPolicy")),
    ] {
        if is_set {
            e.forbidden(
                &path.child(field),
                "may not be set for ExternalName services",
            );
        }
    }
    let name = text(spec, "externalName");
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        e.required(&path.child("externalName"), "");
    } else {
        e.each(
            &path.child("externalName"),
            name,
            names::is_dns1123_subdomain(name),
        );
    }
}

fn check_port<'a>(
    e: &mut Errors,
    path: &Path,
    port: &'a Value,
    one_of_many: bool,
    named: &mut BTreeSet<&'a str>,
) {
    let (name, protocol) = (text(port, "name"), text(port, "protocol"));
    if !name.is_empty() {
        e.each(&path.child("name"), name, names::is_dns1123_label(name));
        if !named.insert(name) {
            e.duplicate(&path.child("name"), name);
        }
    } else if one_of_many {
        e.required(&path.child("name"), "");
    }
    let number = int(port, "port").unwrap_or_default();
    for problem in names::is_port_number(number) {
        e.invalid(&path.child("port"), number, &problem);
    }
    if protocol.is_empty() {
        e.required(&path.child("protocol"), "");
    }
    e.one_of(&path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]);
    pod::check_port(e, &path.child("targetPort"), get(port, "targetPort"));
    if has(port, "appProtocol") {
        let protocol = text(port, "appProtocol");
        let problems = names::is_qualified_name(protocol);
        e.each(&path.child("appProtocol"), protocol, problems);
    }
}

/// Ports that are there twice, or can't be there.
fn same_ports(e: &mut Errors, path: &Path, ports: &[Value], kind: &str) {
    let node = |port: &Value| int(port, "nodePort").unwrap_or_default();
    if kind == "ClusterIP" {
        for (i, _) in ports.iter().enumerate().filter(|(_, port)| node(port) != 0) {
            let at = path.index(i).child("nodePort");
            e.forbidden(&at, "may not be used when `type` is 'ClusterIP'");
        }
    }
    let mut nodes = BTreeSet::new();
    for (i, port) in ports.iter().enumerate().filter(|(_, port)| node(port) != 0) {
        if !nodes.insert((text(port, "protocol"), node(port))) {
            e.duplicate(&path.index(i).child("nodePort"), node(port));
        }
    }
    let mut seen = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let (protocol, number) = (text(port, "protocol"), int(port, "port"));
        if !seen.insert((protocol, number)) {
            let key = json!({"port": number.unwrap_or_default(), "protocol": protocol});
            e.duplicate(&path.index(i), &key);
        }
    }
}

fn affinity(e: &mut Errors, path: &Path, spec: &Value) {
    let affinity = text(spec, "sessionAffinity");
    e.one_of(
        &path.child("sessionAffinity"),
        affinity,
        &["ClientIP", "None"],
    );
    if affinity == "ClientIP" {
        let at = path.child("sessionAffinityConfig.clientIP.timeoutSeconds");
        let config = get(get(spec, "sessionAffinityConfig"), "clientIP");
        let seconds = int(config, "timeoutSeconds").unwrap_or_default();
        if !(1..=86400).contains(&seconds) {
            e.invalid(&at, seconds, "must be greater than 0 and less than 86400");
        }
    }
}

/// Why an address can't be that of an endpoint or an outside address.
pub(in crate::rules) fn special_address(ip: &str) -> Vec<&'static str> {
    let Ok(ip) = ip.parse::<std::net::IpAddr>() else {
        return Vec::new();
    };
    let link_local = match ip {
        std::net::IpAddr::V4(v4) => v4.is_link_local(),
        std::net::IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    };
    [
        (
            ip.is_unspecified(),
            "may not be unspecified (0.0.0.0 or ::)",
        ),
        (
            ip.is_loopback(),
            "may not be in the loopback range (127.0.0.0/8, ::1/128)",
        ),
        (
            link_local,
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
        ),
        (
            ip.is_multicast()
                && matches!(ip, std::net::IpAddr::V4(v4) if v4.octets()[..3] == [224, 0, 0]),
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        ),
    ]
    .into_iter()
    .filter_map(|(broken, message)| broken.then_some(message))
    .collect()
}

fn traffic(e: &mut Errors, path: &Path, spec: &Value) {
    let at = path.child("allocateLoadBalancerNodePorts");
    if has(spec, "allocateLoadBalancerNodePorts") && !is_balanced(spec) {
        e.forbidden(&at, OF_BALANCERS);
    }
    balancer_class(e, spec);
    let external = text(spec, "externalTrafficPolicy");
    let at = path.child("externalTrafficPolicy");
    let takes = ["NodePort", "LoadBalancer"].contains(&text(spec, "type"))
        || !list(spec, "externalIPs").is_empty();
    match (takes, external) {
        (false, "") => {}
        (false, _) => e.invalid(
            &at,
            external,
            "may only be set for externally-accessible services",
        ),
        (true, "") => e.required(&at, ""),
        (true, _) => e.one_of(&at, external, &POLICIES),
    }
    let at = path.child("healthCheckNodePort");
    match int(spec, "healthCheckNodePort").unwrap_or_default() {
        0 => {}
        port if !needs_health_check(spec) => e.invalid(
            &at,
            port,
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        ),
        port => {
            for problem in names::is_port_number(port) {
                e.invalid(&at, port, &problem);
            }
        }
    }
    e.one_of_if_set(
        &path.child("internalTrafficPolicy"),
        get(spec, "internalTrafficPolicy"),
        &POLICIES,
    );
    e.one_of_if_set(
        &path.child("trafficDistribution"),
        get(spec, "trafficDistribution"),
        &["PreferClose"],
    );
}

/// Who balances, which is a balancer's alone to say.
fn balancer_class(e: &mut Errors, spec: &Value) {
    if !has(spec, "loadBalancerClass") {
        return;
    }
    let at = Path::new("spec.loadBalancerClass");
    if !is_balanced(spec) {
        return e.forbidden(&at, OF_BALANCERS);
    }
    let class = text(spec, "loadBalancerClass");
    e.each(&at, class, names::is_qualified_name(class));
}

/// Whom a load balancer serves.
fn sources(e: &mut Errors, service: &Value) {
    let spec = get(service, "spec");
    let balanced = text(spec, "type") == "LoadBalancer";
    let annotations = get(get(service, "metadata"), "annotations");
    let named = list(spec, "loadBalancerSourceRanges");
    if !named.is_empty() {
        // As Kubernetes spells it.
        let path = Path::new("spec.LoadBalancerSourceRanges");
        if !balanced {
            e.forbidden(&path, OF_BALANCERS);
        }
        for (i, range) in named.iter().enumerate() {
            let range = range.as_str().unwrap_or_default().trim();
            check_cidr(e, &path.index(i), range);
        }
    } else if has(annotations, OLD_SOURCES) {
        let path = Path::new("metadata.annotations").key(OLD_SOURCES);
        if !balanced {
            e.forbidden(&path, OF_BALANCERS);
        }
        let ranges = text(annotations, OLD_SOURCES).trim();
        for range in ranges.split(',').filter(|_| !ranges.is_empty()) {
            check_cidr(e, &path, range.trim());
        }
    }
}
