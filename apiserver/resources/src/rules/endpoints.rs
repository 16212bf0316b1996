//! Endpoints and EndpointSlices.

mod slice;

pub(super) use slice::ENDPOINT_SLICE;

use super::addresses;
use super::field::{Errors, Path};
use super::json::{default_text, has, int, list, list_mut, text};
use super::kind::{Kind, PLAIN};
use super::service::special_address;
use hardway_proto::names;
use serde_json::Value;

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

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// A port of Endpoints.
fn check_port(e: &mut Errors, path: &Path, port: &Value, name_required: bool) {
    let at = path.child("name");
    match text(port, "name") {
        "" if name_required => e.required(&at, ""),
        "" => {}
        name => e.each(&at, name, names::is_dns1123_label(name)),
    }
    check_number(e, path, port);
    e.one_of(&path.child("protocol"), text(port, "protocol"), &PROTOCOLS);
    check_application(e, path, port);
}

fn check_number(e: &mut Errors, path: &Path, port: &Value) {
    let number = int(port, "port").unwrap_or_default();
    for problem in names::is_port_number(number) {
        e.invalid(&path.child("port"), number, &problem);
    }
}

/// What is spoken at a port, if that is told.
fn check_application(e: &mut Errors, path: &Path, port: &Value) {
    if has(port, "appProtocol") {
        let protocol = text(port, "appProtocol");
        let problems = names::is_qualified_name(protocol);
        e.each(&path.child("appProtocol"), protocol, problems);
    }
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
                    check_port(e, &path.child("ports").index(j), one, ports.len() > 1);
                }
            }
        })
    },
    ..PLAIN
};
