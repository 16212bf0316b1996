//! Services. Addresses and node ports are given out by the API server itself.

use super::field::{Errors, Path};
use super::json::{
    default_text, ensure_object, get, has, int, is_empty, list, list_mut, object_mut, set,
    set_default, text,
};
use super::kind::{Kind, PLAIN};
use super::networking::check_cidr;
use super::{addresses, labels, pod};
use hardway_proto::names;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap, HashSet};

fn default_service(service: &mut Value) {
    let Some(spec) = ensure_object(service, "spec") else {
        return;
    };
    default_text(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "ClientIP" => set_default(
            spec,
            "sessionAffinityConfig",
            json!({"clientIP": {"timeoutSeconds": 10800}}),
        ),
        "None" => drop(super::json::remove(spec, "sessionAffinityConfig")),
        _ => {}
    }
    default_text(spec, "type", "ClusterIP");
    for port in list_mut(spec, "ports") {
        default_text(port, "protocol", "TCP");
        let target = get(port, "targetPort");
        if target.is_null() || target == &json!(0) || target == &json!("") {
            let number = get(port, "port").clone();
            set(port, "targetPort", number);
        }
        if int(port, "nodePort") == Some(0) {
            super::json::remove(port, "nodePort");
        }
    }
    let kind = text(spec, "type").to_owned();
    let external = !list(spec, "externalIPs").is_empty() && kind == "ClusterIP";
    if ["NodePort", "LoadBalancer"].contains(&kind.as_str()) || external {
        default_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if ["NodePort", "LoadBalancer", "ClusterIP"].contains(&kind.as_str()) {
        default_text(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set_default(spec, "allocateLoadBalancerNodePorts", true);
    }
    if text(spec, "sessionAffinity") == "ClientIP"
        && let Some(config) =
            object_mut(spec, "sessionAffinityConfig").and_then(|c| object_mut(c, "clientIP"))
    {
        set_default(config, "timeoutSeconds", 10800);
    }
}

fn check(e: &mut Errors, service: &Value) {
    let (path, spec) = (Path::new("spec"), get(service, "spec"));
    let kind = text(spec, "type");
    let headless = text(spec, "clusterIP") == "None";
    let ports = list(spec, "ports");
    if ports.is_empty() && !headless && kind != "ExternalName" {
        e.required(&path.child("ports"), "");
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            e.invalid(&path.child("clusterIPs[0]"), "None", &detail);
        }
        "ExternalName" => external_name(e, &path, spec),
        _ => {}
    }
    e.one_of(
        &path.child("type"),
        kind,
        &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
    );
    check_ports(e, &path.child("ports"), ports, kind);
    labels::check(e, &path.child("selector"), get(spec, "selector"));
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
    addresses(e, &path, spec);
    sources(e, service);
    traffic(e, &path, spec, kind);
}

fn external_name(e: &mut Errors, path: &Path, spec: &Value) {
    // An address alone is the first of its kind.
    let addressed = !is_empty(get(spec, "clusterIP")) || !is_empty(get(spec, "clusterIPs"));
    for (field, is_set) in [
        ("clusterIPs", addressed),
        ("ipFamilies", !is_empty(get(spec, "ipFamilies"))),
        ("ipFamilyPolicy", !is_empty(get(spec, "ipFamilyPolicy"))),
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

fn check_ports(e: &mut Errors, path: &Path, ports: &[Value], kind: &str) {
    let (mut named, mut numbered, mut nodes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (i, port) in ports.iter().enumerate() {
        let path = path.index(i);
        let (name, protocol) = (text(port, "name"), text(port, "protocol"));
        if name.is_empty() {
            if ports.len() > 1 {
                e.required(&path.child("name"), "");
            }
        } else {
            e.each(&path.child("name"), name, names::is_dns1123_label(name));
            if !named.insert(name) {
                e.duplicate(&path.child("name"), name);
            }
        }
        let number = int(port, "port").unwrap_or_default();
        for problem in names::is_port_number(number) {
            e.invalid(&path.child("port"), number, &problem);
        }
        if protocol.is_empty() {
            e.required(&path.child("protocol"), "");
        }
        e.one_of(&path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]);
        let target = get(port, "targetPort");
        pod::check_port(e, &path.child("targetPort"), target);
        let application = text(port, "appProtocol");
        if !application.is_empty() {
            e.each(
                &path.child("appProtocol"),
                application,
                names::is_qualified_name(application),
            );
        }
        if !numbered.insert((protocol, number)) {
            let key = json!({"port": number, "protocol": protocol});
            e.duplicate(&path, &key);
        }
        let node = int(port, "nodePort").unwrap_or_default();
        if node != 0 {
            if !["NodePort", "LoadBalancer"].contains(&kind) {
                e.forbidden(
                    &path.child("nodePort"),
                    "may not be used when `type` is 'ClusterIP'",
                );
            } else if !nodes.insert((protocol, node)) {
                e.duplicate(&path.child("nodePort"), node);
            }
        }
    }
}

fn addresses(e: &mut Errors, path: &Path, spec: &Value) {
    let own = list(spec, "clusterIPs");
    let first = text(spec, "clusterIP");
    if let Some(head) = own.first() {
        let head = head.as_str().unwrap_or_default();
        if !first.is_empty() && head != first {
            e.invalid(
                &path.child("clusterIPs"),
                get(spec, "clusterIPs"),
                "first value must match `clusterIP`",
            );
        }
    }
    let families = own.iter().filter_map(Value::as_str);
    for (i, ip) in families.chain(first_alone(own, first)).enumerate() {
        if !["None", ""].contains(&ip) {
            e.each(&path.child("clusterIPs").index(i), ip, names::is_ip(ip));
        }
    }
    let mut seen = BTreeSet::new();
    for (i, family) in list(spec, "ipFamilies").iter().enumerate() {
        let family = family.as_str().unwrap_or_default();
        e.one_of(
            &path.child("ipFamilies").index(i),
            family,
            &["IPv4", "IPv6"],
        );
        if !seen.insert(family) {
            e.duplicate(&path.child("ipFamilies").index(i), family);
        }
    }
    e.one_of(
        &path.child("ipFamilyPolicy"),
        text(spec, "ipFamilyPolicy"),
        &["PreferDualStack", "RequireDualStack", "SingleStack"],
    );
    for (i, ip) in list(spec, "externalIPs").iter().enumerate() {
        let ip = ip.as_str().unwrap_or_default();
        let at = path.child("externalIPs").index(i);
        e.each(&at, ip, names::is_ip(ip));
        for problem in special_address(ip) {
            e.invalid(&at, ip, problem);
        }
    }
}

fn first_alone<'a>(all: &[Value], first: &'a str) -> Option<&'a str> {
    (all.is_empty() && !first.is_empty()).then_some(first)
}

/// Why an address can't be that of an endpoint or an outside address.
pub(super) fn special_address(ip: &str) -> Vec<&'static str> {
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

fn traffic(e: &mut Errors, path: &Path, spec: &Value, kind: &str) {
    let policies = ["Cluster", "Local"];
    let external = text(spec, "externalTrafficPolicy");
    let at = path.child("externalTrafficPolicy");
    let takes =
        ["NodePort", "LoadBalancer"].contains(&kind) || !list(spec, "externalIPs").is_empty();
    if takes && external.is_empty() {
        e.required(&at, "");
    } else if !takes && !external.is_empty() {
        e.invalid(
            &at,
            external,
            "may only be set for externally-accessible services",
        );
    }
    e.one_of(&at, external, &policies);
    e.one_of(
        &path.child("internalTrafficPolicy"),
        text(spec, "internalTrafficPolicy"),
        &policies,
    );
    for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if has(spec, field) && kind != "LoadBalancer" {
            e.forbidden(&path.child(field), OF_BALANCERS);
        }
    }
    let distribution = text(spec, "trafficDistribution");
    let at = path.child("trafficDistribution");
    e.one_of(&at, distribution, &["PreferClose"]);
    let at = path.child("healthCheckNodePort");
    let checks = kind == "LoadBalancer" && external == "Local";
    match int(spec, "healthCheckNodePort").unwrap_or_default() {
        0 => {}
        port if !checks => e.invalid(
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
}

const OF_BALANCERS: &str = "may only be used when `type` is 'LoadBalancer'";
/// How the sources of a balancer were named before there was a field for them.
const OLD_SOURCES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

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

/// What a change of type takes away, and what a client needn't repeat.
fn prepare_update(new: &mut Value, old: &Value) {
    let (before, after) = (
        get(old, "spec").clone(),
        text(get(new, "spec"), "type").to_owned(),
    );
    let Some(spec) = object_mut(new, "spec") else {
        return;
    };
    // What only balancers have goes with the type, or with the policy that asks for checks,
    // unless the client changed it (`dropTypeDependentFields` of Kubernetes).
    let balanced = after == "LoadBalancer";
    let checked = balanced && text(spec, "externalTrafficPolicy") == "Local";
    for (field, stays) in [
        ("allocateLoadBalancerNodePorts", balanced),
        ("loadBalancerClass", balanced),
        ("healthCheckNodePort", checked),
    ] {
        if !stays && get(spec, field) == get(&before, field) {
            super::json::remove(spec, field);
        }
    }
    if after == "ExternalName" {
        // What the old type had been given goes, unless the client changed it.
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if get(spec, field) == get(&before, field) && text(&before, "type") != "ExternalName" {
                super::json::remove(spec, field);
            }
        }
        for port in list_mut(spec, "ports") {
            super::json::remove(port, "nodePort");
        }
        super::json::remove(spec, "externalTrafficPolicy");
        super::json::remove(spec, "internalTrafficPolicy");
        return;
    }
    // An address once given stays, even if the client's copy lacks it.
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if is_empty(get(spec, field))
            && !is_empty(get(&before, field))
            && text(&before, "type") != "ExternalName"
        {
            set(spec, field, get(&before, field).clone());
        }
    }
    if !["NodePort", "LoadBalancer"].contains(&after.as_str()) {
        // Kubernetes drops node ports that were kept only by not being removed.
        let ports = list(&before, "ports").iter();
        let unchanged: HashSet<&Value> = ports
            .map(|port| get(port, "nodePort"))
            .filter(|node| !node.is_null())
            .collect();
        for port in list_mut(spec, "ports") {
            let node = get(port, "nodePort").clone();
            if unchanged.contains(&node) {
                super::json::remove(port, "nodePort");
            }
        }
        if list(spec, "externalIPs").is_empty() {
            super::json::remove(spec, "externalTrafficPolicy");
        }
        return;
    }
    let identity = |port: &Value| (get(port, "port").clone(), get(port, "protocol").clone());
    let mut nodes = HashMap::new();
    for port in list(&before, "ports") {
        nodes
            .entry(identity(port))
            .or_insert_with(|| int(port, "nodePort"));
    }
    for port in list_mut(spec, "ports") {
        if int(port, "nodePort").unwrap_or_default() != 0 {
            continue;
        }
        if let Some(node) = nodes.get(&identity(port)).copied().flatten() {
            set(port, "nodePort", node);
        }
    }
}

/// What of a Service means nothing, as `pkg/api/service/warnings.go` of Kubernetes
/// tells it.
fn warnings(service: &Value) -> Vec<String> {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    let spec = get(service, "spec");
    let mut warnings: Vec<String> = Vec::new();
    if has(get(get(service, "metadata"), "annotations"), HINTS) {
        warnings.push(format!(
            "annotation {HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"
        ));
    }
    let each = |warnings: &mut Vec<String>, field: &str, of: fn(&mut Vec<String>, &Path, &str)| {
        let path = Path::new("spec").child(field);
        for (i, address) in list(spec, field).iter().enumerate() {
            of(
                warnings,
                &path.index(i),
                address.as_str().unwrap_or_default(),
            );
        }
    };
    each(&mut warnings, "clusterIPs", addresses::of_ip);
    let kind = text(spec, "type");
    if kind == "ClusterIP" && text(spec, "clusterIP") == "None" {
        for (ignored, field) in [
            (has(spec, "loadBalancerIP"), "loadBalancerIP"),
            (!is_empty(get(spec, "externalIPs")), "externalIPs"),
            (text(spec, "sessionAffinity") != "None", "SessionAffinity"),
        ] {
            if ignored {
                warnings.push(format!("spec.{field} is ignored for headless services"));
            }
        }
    }
    each(&mut warnings, "externalIPs", addresses::of_ip);
    let path = Path::new("spec.loadBalancerIP");
    addresses::of_ip(&mut warnings, &path, text(spec, "loadBalancerIP"));
    each(
        &mut warnings,
        "loadBalancerSourceRanges",
        addresses::of_cidr,
    );
    let external = kind == "ExternalName";
    if external && !is_empty(get(spec, "externalIPs")) {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !external && !text(spec, "externalName").is_empty() {
        warnings
            .push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    warnings
}

pub(super) const SERVICE: Kind = Kind {
    warnings: |service, _| warnings(service),
    name: names::is_dns1035_label,
    status: r#"{"loadBalancer":{}}"#,
    default: default_service,
    prepare_update,
    validate: |service| Errors::collect(|e| check(e, service)),
    validate_update: |new, old| {
        Errors::collect(|e| {
            let (new, old) = (get(new, "spec"), get(old, "spec"));
            let external = |s| text(s, "type") == "ExternalName";
            if !external(new) && !external(old) && !text(old, "clusterIP").is_empty() {
                let at = Path::new("spec.clusterIPs[0]");
                if text(new, "clusterIP") != text(old, "clusterIP") {
                    e.invalid(&at, get(new, "clusterIPs"), "may not change once set");
                }
            }
        })
    },
    fields: |service| {
        let spec = get(service, "spec");
        vec![
            ("spec.clusterIP", text(spec, "clusterIP").to_owned()),
            ("spec.type", text(spec, "type").to_owned()),
        ]
    },
    ..PLAIN
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;

    fn service(spec: Value) -> Value {
        let mut service = json!({"metadata": {"name": "web"}, "spec": spec});
        SERVICE.default(&mut service);
        service
    }

    fn messages(service: &Value) -> Vec<String> {
        let causes = KindRules::validate(&SERVICE, service);
        causes
            .iter()
            .map(|c| format!("{}: {}", c.field, c.message))
            .collect()
    }

    #[test]
    fn defaults() {
        let web =
            service(json!({"type": "NodePort", "ports": [{"port": 80}], "selector": {"a": "b"}}));
        assert_eq!(
            web["spec"],
            json!({
                "type": "NodePort", "sessionAffinity": "None", "selector": {"a": "b"},
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
                "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster",
            })
        );
        assert_eq!(messages(&web), [""; 0]);
        assert_eq!(
            messages(&service(
                json!({"clusterIP": "None", "selector": {"a": "b"}})
            )),
            [""; 0]
        );
    }

    #[test]
    fn errors() {
        let web = service(
            json!({"type": "Cluster", "ports": [{"port": 0}, {"name": "a", "port": 80, "nodePort": 30000}]}),
        );
        assert_eq!(
            messages(&web),
            [
                r#"spec.type: Unsupported value: "Cluster": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort""#,
                "spec.ports[0].name: Required value",
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            ]
        );
        assert_eq!(
            messages(&service(json!({}))),
            ["spec.ports: Required value"]
        );
    }

    #[test]
    fn an_address_stays() {
        let old = service(
            json!({"type": "NodePort", "clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"],
            "ports": [{"port": 80, "nodePort": 30061}]}),
        );
        let mut new = service(json!({"type": "NodePort", "ports": [{"port": 80}]}));
        KindRules::prepare_update(&SERVICE, &mut new, &old);
        assert_eq!(new["spec"]["clusterIP"], "10.96.0.5");
        assert_eq!(new["spec"]["ports"][0]["nodePort"], 30061);
        assert!(KindRules::validate_update(&SERVICE, &new, &old).is_empty());
        new["spec"]["clusterIP"] = json!("10.96.0.6");
        new["spec"]["clusterIPs"] = json!(["10.96.0.6"]);
        assert_eq!(
            KindRules::validate_update(&SERVICE, &new, &old)[0].message,
            r#"Invalid value: ["10.96.0.6"]: may not change once set"#
        );
    }
}
