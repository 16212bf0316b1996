//! A pod's spec as a whole.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, list, text};
use super::super::labels;
use super::options::Options;
use super::{affinity, containers, resources, security, volumes, windows};
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;

/// Characters of a list of search paths, with the spaces between them.
const MAX_SEARCHES_LENGTH: usize = 2048;

/// What is wrong with a pod's spec, in a pod or in a template (`ValidatePodSpec`).
pub fn check_spec(e: &mut Errors, path: &Path, spec: &Value, options: Options) {
    let mounted = list(spec, "volumes");
    let mounted = volumes::check(e, &path.child("volumes"), mounted, options);
    containers::check(e, path, spec, &mounted, options);
    containers::host_network_ports(e, path, spec, options);
    one_of(
        e,
        path,
        spec,
        "restartPolicy",
        &["Always", "OnFailure", "Never"],
    );
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(e, path, spec, "dnsPolicy", &policies);
    labels::check(e, &path.child("nodeSelector"), get(spec, "nodeSelector"));
    security::check_pod(e, &path.child("securityContext"), spec, options);
    if has(spec, "affinity") {
        affinity::check(e, &path.child("affinity"), get(spec, "affinity"), options);
    }
    dns_config(e, &path.child("dnsConfig"), spec);
    for (i, gate) in list(spec, "readinessGates").iter().enumerate() {
        let kind = text(gate, "conditionType");
        let at = path.child("readinessGates").index(i).child("conditionType");
        e.each(&at, kind, names::is_qualified_name(kind));
    }
    scheduling_gates(e, &path.child("schedulingGates"), spec);
    affinity::check_spread(
        e,
        &path.child("topologySpreadConstraints"),
        list(spec, "topologySpreadConstraints"),
        options,
    );
    windows::check_host_process(e, path, spec);
    security::check_host_users(e, path, spec);
    named(
        e,
        path,
        spec,
        "serviceAccountName",
        names::is_dns1123_subdomain,
    );
    named(e, path, spec, "nodeName", names::is_dns1123_subdomain);
    if let Some(n) = int(spec, "activeDeadlineSeconds").filter(|n| !(1..=2_147_483_647).contains(n))
    {
        e.invalid(
            &path.child("activeDeadlineSeconds"),
            n,
            "must be between 1 and 2147483647, inclusive",
        );
    }
    named(e, path, spec, "hostname", names::is_dns1123_label);
    named(e, path, spec, "subdomain", names::is_dns1123_label);
    affinity::check_tolerations(e, &path.child("tolerations"), list(spec, "tolerations"));
    host_aliases(e, &path.child("hostAliases"), list(spec, "hostAliases"));
    named(
        e,
        path,
        spec,
        "priorityClassName",
        names::is_dns1123_subdomain,
    );
    if let Some(class) = get(spec, "runtimeClassName").as_str() {
        let at = path.child("runtimeClassName");
        e.each(&at, class, names::is_dns1123_subdomain(class));
    }
    if has(spec, "preemptionPolicy") {
        let policies = ["PreemptLowerPriority", "Never"];
        one_of(e, path, spec, "preemptionPolicy", &policies);
    }
    let at = path.child("overhead");
    resources::check_overhead(e, &at, get(spec, "overhead"), options);
    security::check_os(e, path, spec);
}

/// A text that has to be one of a few.
fn one_of(e: &mut Errors, path: &Path, spec: &Value, field: &str, known: &[&str]) {
    match text(spec, field) {
        "" => e.required(&path.child(field), ""),
        value => e.one_of(&path.child(field), value, known),
    }
}

/// A name, if there is one.
fn named(e: &mut Errors, path: &Path, spec: &Value, field: &str, check: fn(&str) -> Vec<String>) {
    let name = text(spec, field);
    if !name.is_empty() {
        e.each(&path.child(field), name, check(name));
    }
}

fn scheduling_gates(e: &mut Errors, path: &Path, spec: &Value) {
    let mut seen = BTreeSet::new();
    for (i, gate) in list(spec, "schedulingGates").iter().enumerate() {
        let (at, name) = (path.index(i), text(gate, "name"));
        e.each(&at, name, names::is_qualified_name(name));
        if !seen.insert(name) {
            e.duplicate(&at, name);
        }
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
            return e.required(
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
    let words = searches.iter().filter_map(Value::as_str);
    let length: usize = words.map(|word| word.len() + 1).sum();
    if length.saturating_sub(1) > MAX_SEARCHES_LENGTH {
        let detail = format!(
            "must not have more than {MAX_SEARCHES_LENGTH} characters (including spaces) in the search list"
        );
        e.invalid(&path.child("searches"), get(config, "searches"), &detail);
    }
    for (i, search) in searches.iter().enumerate() {
        let search = search.as_str().unwrap_or_default();
        // The root alone is fine, and so is a dot at the end.
        if search != "." {
            let domain = search.strip_suffix('.').unwrap_or(search);
            let problems = names::is_dns1123_subdomain_with_underscore(domain);
            e.each(&path.child("searches").index(i), domain, problems);
        }
    }
    for (i, option) in list(config, "options").iter().enumerate() {
        if text(option, "name").is_empty() {
            e.required(&path.child("options").index(i), "must not be empty");
        }
    }
}
