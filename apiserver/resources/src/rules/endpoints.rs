//! Endpoints and EndpointSlices.

use super::addresses;
use super::field::{Errors, Path};
use super::json::{default_text, get, has, int, list, list_mut, set_default, text};
use super::kind::{Kind, PLAIN};
use super::service::special_address;
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;

fn address(e: &mut Errors, path: &Path, ip: &str) {
    e.each(path, ip, names::is_ip(ip));
    for problem in special_address(ip) {
        e.invalid(path, ip, problem);
    }
}

/// An address of Endpoints, and whose it is.
fn check_address(e: &mut Errors, path: &Path, entry: &Value) {
    let (at, ip) = (path.child("ip"), text(entry, "ip"));
    e.each(&at, ip, names::is_ip(ip));
    let host = text(entry, "hostname");
    if !host.is_empty() {
        e.each(&path.child("hostname"), host, names::is_dns1123_label(host));
    }
    if has(entry, "nodeName") {
        let node = text(entry, "nodeName");
        let problems = names::is_dns1123_subdomain(node);
        e.each(&path.child("nodeName"), node, problems);
    }
    if ip.parse::<std::net::IpAddr>().is_err() {
        e.invalid(&at, ip, "must be a valid IP address");
    }
    for problem in special_address(ip) {
        e.invalid(&at, ip, problem);
    }
}

fn port(e: &mut Errors, path: &Path, port: &Value, name_required: bool) {
    let name = text(port, "name");
    if name.is_empty() {
        if name_required {
            e.required(&path.child("name"), "");
        }
    } else {
        e.each(&path.child("name"), name, names::is_dns1123_label(name));
    }
    let number = int(port, "port").unwrap_or_default();
    for problem in names::is_port_number(number) {
        e.invalid(&path.child("port"), number, &problem);
    }
    e.one_of(
        &path.child("protocol"),
        text(port, "protocol"),
        &["SCTP", "TCP", "UDP"],
    );
}

fn endpoints_warnings(object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (i, subset) in list(object, "subsets").iter().enumerate() {
        let path = Path::new("subsets").index(i);
        for field in ["addresses", "notReadyAddresses"] {
            for (j, entry) in list(subset, field).iter().enumerate() {
                let path = path.child(field).index(j).child("ip");
                addresses::of_ip(&mut warnings, &path, text(entry, "ip"));
            }
        }
    }
    warnings
}

fn slice_warnings(object: &Value) -> Vec<String> {
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

pub(super) const ENDPOINTS: Kind = Kind {
    warnings: |object, _| endpoints_warnings(object),
    default: |object| {
        for subset in list_mut(object, "subsets") {
            for port in list_mut(subset, "ports") {
                default_text(port, "protocol", "TCP");
            }
        }
    },
    validate: |object| {
        Errors::collect(|e| {
            for (i, subset) in list(object, "subsets").iter().enumerate() {
                let path = Path::new("subsets").index(i);
                let (ready, not) = (list(subset, "addresses"), list(subset, "notReadyAddresses"));
                if ready.is_empty() && not.is_empty() {
                    e.required(&path, "must specify `addresses` or `notReadyAddresses`");
                }
                for (field, addresses) in [("addresses", ready), ("notReadyAddresses", not)] {
                    for (j, entry) in addresses.iter().enumerate() {
                        check_address(e, &path.child(field).index(j), entry);
                    }
                }
                let ports = list(subset, "ports");
                for (j, one) in ports.iter().enumerate() {
                    port(e, &path.child("ports").index(j), one, ports.len() > 1);
                }
            }
        })
    },
    ..PLAIN
};

pub(super) const ENDPOINT_SLICE: Kind = Kind {
    warnings: |object, _| slice_warnings(object),
    generation: true,
    counted_metadata: &["labels"],
    default: |object| {
        for port in list_mut(object, "ports") {
            set_default(port, "name", "");
            set_default(port, "protocol", "TCP");
        }
    },
    validate: |object| {
        Errors::collect(|e| {
            let family = text(object, "addressType");
            if family.is_empty() {
                e.required(&Path::new("addressType"), "");
            }
            e.one_of(&Path::new("addressType"), family, &["FQDN", "IPv4", "IPv6"]);
            let endpoints = list(object, "endpoints");
            if endpoints.len() > 1000 {
                e.too_many(&Path::new("endpoints"), endpoints.len(), 1000);
            }
            for (i, endpoint) in endpoints.iter().enumerate() {
                let path = Path::new("endpoints").index(i);
                let host = text(endpoint, "hostname");
                if !host.is_empty() {
                    e.each(&path.child("hostname"), host, names::is_dns1123_label(host));
                }
                let path = path.child("addresses");
                let addresses = list(endpoint, "addresses");
                if addresses.is_empty() {
                    e.required(&path, "must contain at least 1 address");
                } else if addresses.len() > 100 {
                    e.too_many(&path, addresses.len(), 100);
                }
                for (j, ip) in addresses.iter().enumerate() {
                    let ip = ip.as_str().unwrap_or_default();
                    let path = path.index(j);
                    match (family, ip.parse::<std::net::IpAddr>()) {
                        ("FQDN", _) => e.each(&path, ip, names::is_dns1123_subdomain(ip)),
                        ("IPv4", Ok(std::net::IpAddr::V6(_))) => {
                            e.invalid(&path, ip, "must be an IPv4 address")
                        }
                        ("IPv6", Ok(std::net::IpAddr::V4(_))) => {
                            e.invalid(&path, ip, "must be an IPv6 address")
                        }
                        _ => address(e, &path, ip),
                    }
                }
            }
            let ports = list(object, "ports");
            if ports.len() > 20000 {
                e.too_many(&Path::new("ports"), ports.len(), 20000);
            }
            let mut seen = BTreeSet::new();
            for (i, one) in ports.iter().enumerate() {
                let path = Path::new("ports").index(i);
                let name = text(one, "name");
                if !seen.insert(name) {
                    e.duplicate(&path.child("name"), name);
                }
                if has(one, "port") {
                    port(e, &path, one, false);
                }
                let protocol = text(one, "appProtocol");
                if !protocol.is_empty() {
                    let problems = names::is_qualified_name(protocol);
                    e.each(&path.child("appProtocol"), protocol, problems);
                }
            }
        })
    },
    validate_update: |new, old| {
        let field = "addressType";
        Errors::collect(|e| e.immutable(&Path::new(field), get(new, field), get(old, field)))
    },
    ..PLAIN
};
