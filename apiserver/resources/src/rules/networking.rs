//! Ingresses, NetworkPolicies, and the addresses of Services.

use super::field::{Errors, Path};
use super::json::{default_text, get, has, int, is_empty, list, list_mut, object_mut, set, text};
use super::kind::{Kind, PLAIN, WITH_STATUS};
use super::{labels, pod};
use hardway_proto::names;
use serde_json::{Value, json};

fn backend(e: &mut Errors, path: &Path, backend: &Value) {
    let (service, resource) = (get(backend, "service"), get(backend, "resource"));
    match (service.is_null(), resource.is_null()) {
        (true, true) => e.required(path, ""),
        (false, false) => e.invalid(path, "", "cannot set both resource and service backends"),
        (true, false) => {}
        (false, true) => {
            let at = path.child("service");
            let name = text(service, "name");
            if name.is_empty() {
                e.required(&at.child("name"), "");
            } else {
                e.each(&at.child("name"), name, names::is_dns1035_label(name));
            }
            let port = get(service, "port");
            let (named, number) = (text(port, "name"), int(port, "number").unwrap_or_default());
            if !named.is_empty() && number != 0 {
                e.invalid(path, "", "cannot set both port name & port number");
            } else if named.is_empty() {
                for problem in names::is_port_number(number) {
                    e.invalid(&at.child("port.number"), number, &problem);
                }
            }
        }
    }
}

fn check_ingress(e: &mut Errors, ingress: &Value) {
    let (path, spec) = (Path::new("spec"), get(ingress, "spec"));
    let rules = list(spec, "rules");
    if rules.is_empty() && !has(spec, "defaultBackend") {
        e.invalid(
            &path,
            get(spec, "rules"),
            "either `defaultBackend` or `rules` must be specified",
        );
    }
    if has(spec, "defaultBackend") {
        backend(
            e,
            &path.child("defaultBackend"),
            get(spec, "defaultBackend"),
        );
    }
    for (i, rule) in rules.iter().enumerate() {
        let path = path.child("rules").index(i);
        let host = text(rule, "host");
        if !host.is_empty() {
            let at = path.child("host");
            if host.parse::<std::net::IpAddr>().is_ok() {
                e.invalid(&at, host, "must be a DNS name, not an IP address");
            } else if host.contains('*') {
                e.each(&at, host, names::is_wildcard_dns1123_subdomain(host));
            } else {
                e.each(&at, host, names::is_dns1123_subdomain(host));
            }
        }
        if !has(rule, "http") {
            continue;
        }
        let path = path.child("http.paths");
        let paths = list(get(rule, "http"), "paths");
        if paths.is_empty() {
            e.required(&path, "");
        }
        for (j, one) in paths.iter().enumerate() {
            let path = path.index(j);
            let kind = text(one, "pathType");
            let place = text(one, "path");
            match kind {
                "" => e.required(&path.child("pathType"), "pathType must be specified"),
                "Exact" | "Prefix" if !place.starts_with('/') => {
                    e.invalid(&path.child("path"), place, "must be an absolute path");
                }
                "Exact" | "Prefix" | "ImplementationSpecific" => {}
                other => e.not_supported(
                    &path.child("pathType"),
                    other,
                    &["Exact", "ImplementationSpecific", "Prefix"],
                ),
            }
            backend(e, &path.child("backend"), get(one, "backend"));
        }
    }
}

pub(super) const INGRESS: Kind = Kind {
    status: r#"{"loadBalancer":{}}"#,
    validate: |ingress| Errors::collect(|e| check_ingress(e, ingress)),
    ..WITH_STATUS
};

pub(super) const INGRESS_CLASS: Kind = Kind {
    generation: true,
    validate_update: |new, old| {
        let field = |object| get(get(object, "spec"), "controller");
        Errors::collect(|e| e.immutable(&Path::new("spec.controller"), field(new), field(old)))
    },
    ..PLAIN
};

fn default_policy(policy: &mut Value) {
    let Some(spec) = object_mut(policy, "spec") else {
        return;
    };
    if is_empty(get(spec, "policyTypes")) {
        let mut types = vec![json!("Ingress")];
        if !is_empty(get(spec, "egress")) {
            types.push(json!("Egress"));
        }
        set(spec, "policyTypes", types);
    }
    for direction in ["ingress", "egress"] {
        for rule in list_mut(spec, direction) {
            for port in list_mut(rule, "ports") {
                default_text(port, "protocol", "TCP");
            }
        }
    }
}

fn check_policy(e: &mut Errors, policy: &Value) {
    let (path, spec) = (Path::new("spec"), get(policy, "spec"));
    labels::check_selector(e, &path.child("podSelector"), get(spec, "podSelector"));
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (i, rule) in list(spec, direction).iter().enumerate() {
            let path = path.child(direction).index(i);
            for (j, port) in list(rule, "ports").iter().enumerate() {
                let path = path.child("ports").index(j);
                e.one_of(
                    &path.child("protocol"),
                    text(port, "protocol"),
                    &["SCTP", "TCP", "UDP"],
                );
                if has(port, "port") {
                    pod::check_port(e, &path.child("port"), get(port, "port"));
                }
            }
            for (j, peer) in list(rule, peers).iter().enumerate() {
                check_peer(e, &path.child(peers).index(j), peer);
            }
        }
    }
    for (i, kind) in list(spec, "policyTypes").iter().enumerate() {
        let at = path.child("policyTypes").index(i);
        e.one_of(
            &at,
            kind.as_str().unwrap_or_default(),
            &["Egress", "Ingress"],
        );
    }
}

fn check_peer(e: &mut Errors, path: &Path, peer: &Value) {
    let selected = has(peer, "podSelector") || has(peer, "namespaceSelector");
    for field in ["podSelector", "namespaceSelector"] {
        labels::check_selector(e, &path.child(field), get(peer, field));
    }
    let block = get(peer, "ipBlock");
    if block.is_null() {
        if !selected {
            e.required(path, "must specify a peer");
        }
        return;
    }
    if selected {
        e.forbidden(path, "may not specify both ipBlock and another peer");
    }
    let at = path.child("ipBlock.cidr");
    match text(block, "cidr") {
        "" => e.required(&at, ""),
        cidr => check_cidr(e, &at, cidr),
    }
    for (i, except) in list(block, "except").iter().enumerate() {
        let at = path.child("ipBlock.except").index(i);
        check_cidr(e, &at, except.as_str().unwrap_or_default());
    }
}

fn check_cidr(e: &mut Errors, path: &Path, cidr: &str) {
    if !cidr.contains('/') || cidr.parse::<ipnetwork::IpNetwork>().is_err() {
        e.invalid(
            path,
            cidr,
            "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        );
    }
}

pub(super) const NETWORK_POLICY: Kind = Kind {
    generation: true,
    default: default_policy,
    validate: |policy| Errors::collect(|e| check_policy(e, policy)),
    ..PLAIN
};

/// An IPAddress's name is the address, in canonical form.
fn address_name(name: &str) -> Vec<String> {
    match name.parse::<std::net::IpAddr>() {
        Ok(ip) if ip.to_string() == name => Vec::new(),
        Ok(_) => vec!["must be a canonical format IP address".to_owned()],
        Err(_) => names::is_ip(name),
    }
}

pub(super) const IP_ADDRESS: Kind = Kind {
    name: address_name,
    generation: true,
    validate: |address| {
        Errors::collect(|e| {
            if !has(get(address, "spec"), "parentRef") {
                e.required(&Path::new("spec.parentRef"), "");
            }
        })
    },
    validate_update: |new, old| {
        let parent = |object| get(get(object, "spec"), "parentRef");
        Errors::collect(|e| e.immutable(&Path::new("spec.parentRef"), parent(new), parent(old)))
    },
    ..PLAIN
};

pub(super) const SERVICE_CIDR: Kind = Kind {
    generation: false,
    validate: |range| {
        Errors::collect(|e| {
            let cidrs = list(get(range, "spec"), "cidrs");
            if cidrs.is_empty() {
                e.required(&Path::new("spec.cidrs"), "at least one CIDR required");
            }
            for (i, cidr) in cidrs.iter().enumerate() {
                let path = Path::new("spec.cidrs").index(i);
                check_cidr(e, &path, cidr.as_str().unwrap_or_default());
            }
        })
    },
    ..WITH_STATUS
};
