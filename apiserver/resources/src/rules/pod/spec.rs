//! A pod's spec as a whole.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, list, text};
use super::super::labels;
use super::{affinity, containers, security, volumes};
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;

type NameCheck = fn(&str) -> Vec<String>;

/// What is wrong with a pod's spec, in a pod or in a template.
pub fn check_spec(e: &mut Errors, path: &Path, spec: &Value) {
    volumes::check(e, &path.child("volumes"), list(spec, "volumes"));
    containers::check(e, path, spec);
    let restart = text(spec, "restartPolicy");
    if restart.is_empty() {
        e.required(&path.child("restartPolicy"), "");
    }
    e.one_of(
        &path.child("restartPolicy"),
        restart,
        &["Always", "OnFailure", "Never"],
    );
    let dns = text(spec, "dnsPolicy");
    if dns.is_empty() {
        e.required(&path.child("dnsPolicy"), "");
    }
    e.one_of(
        &path.child("dnsPolicy"),
        dns,
        &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
    );
    labels::check(e, &path.child("nodeSelector"), get(spec, "nodeSelector"));
    security::check_pod(e, &path.child("securityContext"), spec);
    security::check_host_users(e, path, spec);
    security::check_os(e, path, spec);
    if has(spec, "affinity") {
        affinity::check(e, &path.child("affinity"), get(spec, "affinity"));
    }
    dns_config(e, &path.child("dnsConfig"), spec);
    for (i, gate) in list(spec, "readinessGates").iter().enumerate() {
        let kind = text(gate, "conditionType");
        let at = path.child("readinessGates").index(i).child("conditionType");
        e.each(&at, kind, names::is_qualified_name(kind));
    }
    affinity::check_spread(
        e,
        &path.child("topologySpreadConstraints"),
        list(spec, "topologySpreadConstraints"),
    );
    let named: [(&str, NameCheck); 6] = [
        ("serviceAccountName", names::is_dns1123_subdomain),
        ("nodeName", names::is_dns1123_subdomain),
        ("hostname", names::is_dns1123_label),
        ("subdomain", names::is_dns1123_label),
        ("priorityClassName", names::is_dns1123_subdomain),
        ("runtimeClassName", names::is_dns1123_subdomain),
    ];
    for (field, check) in named {
        let value = text(spec, field);
        if !value.is_empty() {
            e.each(&path.child(field), value, check(value));
        }
    }
    if let Some(n) = int(spec, "activeDeadlineSeconds").filter(|n| !(1..=2_147_483_647).contains(n))
    {
        e.invalid(
            &path.child("activeDeadlineSeconds"),
            n,
            "must be between 1 and 2147483647, inclusive",
        );
    }
    affinity::check_tolerations(e, &path.child("tolerations"), list(spec, "tolerations"));
    host_aliases(e, &path.child("hostAliases"), list(spec, "hostAliases"));
    e.one_of(
        &path.child("preemptionPolicy"),
        text(spec, "preemptionPolicy"),
        &["Never", "PreemptLowerPriority"],
    );
    let mut gates = BTreeSet::new();
    for (i, gate) in list(spec, "schedulingGates").iter().enumerate() {
        let name = text(gate, "name");
        let at = path.child("schedulingGates").index(i);
        if name.is_empty() {
            e.required(&at.child("name"), "");
        } else if !gates.insert(name) {
            e.duplicate(&at, name);
        }
    }
    if !gates.is_empty() && !text(spec, "nodeName").is_empty() {
        e.forbidden(
            &path.child("nodeName"),
            "cannot be set until all schedulingGates have been cleared",
        );
    }
}

fn host_aliases(e: &mut Errors, path: &Path, aliases: &[Value]) {
    for (i, alias) in aliases.iter().enumerate() {
        let path = path.index(i);
        let ip = text(alias, "ip");
        e.each(&path.child("ip"), ip, names::is_ip(ip));
        for (j, hostname) in list(alias, "hostnames").iter().enumerate() {
            let name = hostname.as_str().unwrap_or_default();
            e.each(
                &path.child("hostnames").index(j),
                name,
                names::is_dns1123_subdomain(name),
            );
        }
    }
}

fn dns_config(e: &mut Errors, path: &Path, spec: &Value) {
    let config = get(spec, "dnsConfig");
    let servers = list(config, "nameservers");
    if text(spec, "dnsPolicy") == "None" {
        if config.is_null() {
            return e.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        if servers.is_empty() {
            e.required(
                &path.child("nameservers"),
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            );
        }
    }
    if servers.len() > 3 {
        e.invalid(
            &path.child("nameservers"),
            get(config, "nameservers"),
            "must not have more than 3 nameservers",
        );
    }
    for (i, server) in servers.iter().enumerate() {
        let ip = server.as_str().unwrap_or_default();
        e.each(&path.child("nameservers").index(i), ip, names::is_ip(ip));
    }
    let searches = list(config, "searches");
    if searches.len() > 32 {
        e.invalid(
            &path.child("searches"),
            get(config, "searches"),
            "must not have more than 32 search paths",
        );
    }
    for (i, option) in list(config, "options").iter().enumerate() {
        if text(option, "name").is_empty() {
            e.required(&path.child("options").index(i), "must not be empty");
        }
    }
}
