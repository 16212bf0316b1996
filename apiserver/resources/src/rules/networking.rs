//! Ingresses, NetworkPolicies, and the addresses of Services.

mod ingress;
mod service_addresses;

pub(super) use ingress::{INGRESS, INGRESS_CLASS, domain_prefixed};
pub(super) use service_addresses::{IP_ADDRESS, SERVICE_CIDR};

use super::field::{Errors, Path};
use super::json::{get, has, int, is_empty, list, list_mut, object_mut, set, set_default, text};
use super::kind::{Kind, PLAIN};
use super::{addresses, labels, pod};
use hardway_proto::names;
use serde_json::{Value, json};

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
                set_default(port, "protocol", "TCP");
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
                e.one_of_if_set(
                    &path.child("protocol"),
                    get(port, "protocol"),
                    &["TCP", "UDP", "SCTP"],
                );
                if has(port, "port") {
                    pod::check_port(e, &path.child("port"), get(port, "port"));
                }
                if let Some(end) = int(port, "endPort") {
                    check_end(e, &path.child("endPort"), get(port, "port"), end);
                }
            }
            for (j, peer) in list(rule, peers).iter().enumerate() {
                check_peer(e, &path.child(peers).index(j), peer);
            }
        }
    }
    let at = path.child("policyTypes");
    let types = list(spec, "policyTypes");
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        return e.invalid(&at, get(spec, "policyTypes"), detail);
    }
    for (i, kind) in types.iter().enumerate() {
        e.one_of_if_set(&at.index(i), kind, &["Ingress", "Egress"]);
    }
}

/// The end of a range of ports.
fn check_end(e: &mut Errors, path: &Path, port: &Value, end: i64) {
    match port {
        Value::Null => {
            let detail = "may not be specified when `port` is not specified";
            e.invalid(path, end, detail);
        }
        Value::String(_) => {
            let detail = "may not be specified when `port` is non-numeric";
            e.invalid(path, end, detail);
        }
        port => {
            if port.as_i64().is_some_and(|port| end < port) {
                e.invalid(path, port, "must be greater than or equal to `port`");
            }
            for problem in names::is_port_number(end) {
                e.invalid(path, end, &problem);
            }
        }
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
        let except = except.as_str().unwrap_or_default();
        check_cidr(e, &at, except);
        let parse = |cidr: &str| cidr.parse::<ipnetwork::IpNetwork>().ok();
        if let (Some(whole), Some(part)) = (parse(text(block, "cidr")), parse(except))
            && (!whole.contains(part.network()) || whole.prefix() >= part.prefix())
        {
            e.invalid(&at, except, "must be a strict subset of `cidr`");
        }
    }
}

pub(super) fn check_cidr(e: &mut Errors, path: &Path, cidr: &str) {
    // The crate takes netmasks as well, which Go doesn't.
    let length = cidr.split_once('/').map_or("", |(_, length)| length);
    let is_length = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    if !is_length || cidr.parse::<ipnetwork::IpNetwork>().is_err() {
        e.invalid(
            path,
            cidr,
            "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        );
    }
}

fn policy_warnings(policy: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        let path = Path::new("spec").child(direction);
        let rules = list(get(policy, "spec"), direction).iter().enumerate();
        for (i, rule) in rules {
            for (j, peer) in list(rule, peers).iter().enumerate() {
                let path = path.index(i).child(peers).index(j).child("ipBlock");
                let block = get(peer, "ipBlock");
                addresses::of_cidr(&mut warnings, &path.child("cidr"), text(block, "cidr"));
                for (k, except) in list(block, "except").iter().enumerate() {
                    let path = path.child("except").index(k);
                    let except = except.as_str().unwrap_or_default();
                    addresses::of_cidr(&mut warnings, &path, except);
                }
            }
        }
    }
    warnings
}

pub(super) const NETWORK_POLICY: Kind = Kind {
    warnings: |policy, _| policy_warnings(policy),
    generation: true,
    default: default_policy,
    validate: |policy| Errors::collect(|e| check_policy(e, policy)),
    ..PLAIN
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_may_be_meant_otherwise_are_warned_of() {
        let block = |cidr: &str| json!({"ipBlock": {"cidr": cidr, "except": ["10.1.2.3/24"]}});
        let policy = json!({"spec": {"ingress": [{"from": [block("10.0.0.0/8")]}],
            "egress": [{}, {"to": [block("10.9.0.0/8")]}]}});
        let of = |at: &str, rest: &str| format!("spec.{at}: CIDR value {rest}");
        let except = r#""10.1.2.3/24" is ambiguous in this context (should be "10.1.2.0/24" or "10.1.2.3/32"?)"#;
        assert_eq!(
            policy_warnings(&policy),
            [
                of("ingress[0].from[0].ipBlock.except[0]", except),
                of(
                    "egress[1].to[0].ipBlock.cidr",
                    r#""10.9.0.0/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.9.0.0/32"?)"#
                ),
                of("egress[1].to[0].ipBlock.except[0]", except),
            ]
        );
    }
}
