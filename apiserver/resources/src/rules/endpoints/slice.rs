//! EndpointSlices, as `pkg/apis/discovery/validation` checks them.

use super::{PROTOCOLS, check_application, check_number};
use crate::rules::field::{Errors, Path};
use crate::rules::json::{entries, get, has, list, list_mut, set_default, text};
use crate::rules::kind::{Kind, PLAIN};
use crate::rules::service::special_address;
use crate::rules::{addresses, labels};
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;

const MOST_ENDPOINTS: usize = 1000;
const MOST_ADDRESSES: usize = 100;
const MOST_LABELS: usize = 16;
const MOST_ZONES: usize = 8;
const MOST_PORTS: usize = 20_000;

fn warnings(object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (i, endpoint) in list(object, "endpoints").iter().enumerate() {
        let path = Path::new("endpoints").index(i).child("addresses");
        for (j, ip) in list(endpoint, "addresses").iter().enumerate() {
            let ip = ip.as_str().unwrap_or_default();
            addresses::of_ip(&mut warnings, &path.index(j), ip);
        }
    }
    warnings
}

fn check_endpoint(e: &mut Errors, path: &Path, endpoint: &Value, family: &str) {
    let (at, addresses) = (path.child("addresses"), list(endpoint, "addresses"));
    if addresses.is_empty() {
        e.required(&at, "must contain at least 1 address");
    } else if addresses.len() > MOST_ADDRESSES {
        e.too_many(&at, addresses.len(), MOST_ADDRESSES);
    }
    for (i, ip) in addresses.iter().enumerate() {
        check_address(e, &at.index(i), ip.as_str().unwrap_or_default(), family);
    }
    if has(endpoint, "nodeName") {
        let node = text(endpoint, "nodeName");
        let problems = names::is_dns1123_subdomain(node);
        e.each(&path.child("nodeName"), node, problems);
    }
    let (at, topology) = (path.child("deprecatedTopology"), "deprecatedTopology");
    let count = entries(endpoint, topology).count();
    if count > MOST_LABELS {
        e.too_many(&at, count, MOST_LABELS);
    }
    labels::check(e, &at, get(endpoint, topology));
    if has(endpoint, "hostname") {
        let host = text(endpoint, "hostname");
        e.each(&path.child("hostname"), host, names::is_dns1123_label(host));
    }
    let zones = list(get(endpoint, "hints"), "forZones");
    check_zones(e, &path.child("hints.forZones"), zones);
}

fn check_address(e: &mut Errors, path: &Path, ip: &str, family: &str) {
    match (family, ip.parse::<IpAddr>()) {
        ("FQDN", _) => e.each(path, ip, names::is_dns1123_subdomain(ip)),
        ("IPv4", Ok(IpAddr::V6(_))) => e.invalid(path, ip, "must be an IPv4 address"),
        ("IPv6", Ok(IpAddr::V4(_))) => e.invalid(path, ip, "must be an IPv6 address"),
        ("IPv4" | "IPv6", _) => {
            e.each(path, ip, names::is_ip(ip));
            for problem in special_address(ip) {
                e.invalid(path, ip, problem);
            }
        }
        // Of a family that isn't known nothing is known.
        _ => {}
    }
}

/// For whom an endpoint is.
fn check_zones(e: &mut Errors, path: &Path, zones: &[Value]) {
    if zones.len() > MOST_ZONES {
        return e.too_many(path, zones.len(), MOST_ZONES);
    }
    let mut seen = BTreeSet::new();
    for (i, zone) in zones.iter().enumerate() {
        let (at, name) = (path.index(i).child("name"), text(zone, "name"));
        if !seen.insert(name) {
            e.duplicate(&at, name);
        }
        e.each(&at, name, names::is_label_value(name));
    }
}

fn check_ports(e: &mut Errors, path: &Path, ports: &[Value]) {
    if ports.len() > MOST_PORTS {
        return e.too_many(path, ports.len(), MOST_PORTS);
    }
    let mut seen = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let path = path.index(i);
        let (at, name) = (path.child("name"), text(port, "name"));
        if !name.is_empty() {
            e.each(&at, name, names::is_dns1123_label(name));
        }
        if !seen.insert(name) {
            e.duplicate(&at, name);
        }
        let at = path.child("protocol");
        e.one_of_if_set(&at, get(port, "protocol"), &PROTOCOLS);
        if has(port, "port") {
            check_number(e, &path, port);
        }
        check_application(e, &path, port);
    }
}

fn check(e: &mut Errors, slice: &Value) {
    let family = text(slice, "addressType");
    let path = Path::new("addressType");
    if family.is_empty() {
        e.required(&path, "");
    }
    e.one_of(&path, family, &["FQDN", "IPv4", "IPv6"]);
    let (path, endpoints) = (Path::new("endpoints"), list(slice, "endpoints"));
    if endpoints.len() > MOST_ENDPOINTS {
        e.too_many(&path, endpoints.len(), MOST_ENDPOINTS);
    } else {
        for (i, endpoint) in endpoints.iter().enumerate() {
            check_endpoint(e, &path.index(i), endpoint, family);
        }
    }
    check_ports(e, &Path::new("ports"), list(slice, "ports"));
}

pub(in crate::rules) const ENDPOINT_SLICE: Kind = Kind {
    warnings: |object, _| warnings(object),
    generation: true,
    counted_metadata: &["labels"],
    default: |object| {
        for port in list_mut(object, "ports") {
            set_default(port, "name", "");
            set_default(port, "protocol", "TCP");
        }
    },
    validate: |object| Errors::collect(|e| check(e, object)),
    validate_update: |new, old| {
        let field = "addressType";
        Errors::collect(|e| e.immutable(&Path::new(field), get(new, field), get(old, field)))
    },
    ..PLAIN
};
