//! The baseline level: nothing that is known to escalate.

use super::Violation;
use super::containers::{all, named, quote, which};
use crate::objects::{fields, is_true, items, strings};
use crate::text;
use serde_json::Value;
use std::collections::BTreeSet;

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
];
const SELINUX_TYPES: [&str; 5] = [
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];

/// What the baseline forbids in a pod. Without `alone`, the checks that the
/// restricted level does more strictly itself are left out.
pub fn check(metadata: &Value, spec: &Value, alone: bool) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut tell = |reason: &'static str, details: Vec<String>| {
        if !details.is_empty() {
            found.push(Violation {
                reason,
                detail: details.join(", "),
            });
        }
    };
    tell("forbidden AppArmor profile", app_armor(metadata, spec));
    if alone {
        tell("non-default capabilities", capabilities(spec));
    }
    let namespaces = ["hostNetwork", "hostPID", "hostIPC"];
    let namespaces = namespaces
        .iter()
        .filter(|n| is_true(spec, &format!("/{n}")));
    tell(
        "host namespaces",
        namespaces.map(|n| format!("{n}=true")).collect(),
    );
    if alone {
        tell("hostPath volumes", host_paths(spec));
    }
    tell("hostPort", host_ports(spec));
    let privileged = which(spec, |c| is_true(c, "/securityContext/privileged"));
    tell(
        "privileged",
        must_not(&privileged, "securityContext.privileged=true"),
    );
    let unmasked = which(spec, |c| {
        !matches!(text(c, "/securityContext/procMount"), "" | "Default")
    });
    tell(
        "procMount",
        must_not(&unmasked, "securityContext.procMount to \"Unmasked\""),
    );
    tell("seLinuxOptions", se_linux(spec));
    if alone {
        tell("seccompProfile", seccomp(spec));
    }
    let sysctls: Vec<String> = items(spec, "/securityContext/sysctls")
        .iter()
        .map(|sysctl| text(sysctl, "/name").to_owned())
        .filter(|name| !SYSCTLS.contains(&name.as_str()))
        .collect();
    tell("forbidden sysctls", sysctls);
    tell("hostProcess", host_process(spec));
    found
}

fn must_not(names: &[&str], what: &str) -> Vec<String> {
    match names.is_empty() {
        true => Vec::new(),
        false => vec![format!("{} must not set {what}", named("container", names))],
    }
}

fn app_armor(metadata: &Value, spec: &Value) -> Vec<String> {
    let mut details = Vec::new();
    let is_wrong = |profile: &str| !matches!(profile, "" | "RuntimeDefault" | "Localhost");
    let pointer = "/securityContext/appArmorProfile/type";
    if is_wrong(text(spec, pointer)) {
        details.push(format!(
            "pod must not set AppArmor profile type to {:?}",
            text(spec, pointer)
        ));
    }
    let wrong = which(spec, |c| is_wrong(text(c, pointer)));
    if !wrong.is_empty() {
        details.push(format!(
            "{} must not set AppArmor profile type to \"Unconfined\"",
            named("container", &wrong)
        ));
    }
    for (key, value) in fields(metadata, "/annotations") {
        let value = value.as_str().unwrap_or_default();
        let is_allowed =
            value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
        if key.starts_with("container.apparmor.security.beta.kubernetes.io/") && !is_allowed {
            details.push(format!("{key}={value:?}"));
        }
    }
    details
}

fn capabilities(spec: &Value) -> Vec<String> {
    let added = |c: &Value| -> BTreeSet<String> {
        strings(c, "/securityContext/capabilities/add")
            .filter(|name| !CAPABILITIES.contains(name))
            .map(str::to_owned)
            .collect()
    };
    let names = which(spec, |c| !added(c).is_empty());
    if names.is_empty() {
        return Vec::new();
    }
    let bad: BTreeSet<String> = all(spec).flat_map(added).collect();
    let bad: Vec<String> = bad.into_iter().collect();
    vec![format!(
        "{} must not include {} in securityContext.capabilities.add",
        named("container", &names),
        quote(&bad)
    )]
}

fn host_paths(spec: &Value) -> Vec<String> {
    let volumes: Vec<&str> = items(spec, "/volumes")
        .iter()
        .filter(|v| v.get("hostPath").is_some_and(Value::is_object))
        .map(|v| text(v, "/name"))
        .collect();
    match volumes.is_empty() {
        true => Vec::new(),
        false => vec![named("volume", &volumes)],
    }
}

fn host_ports(spec: &Value) -> Vec<String> {
    let ports = |c: &Value| -> Vec<i64> {
        let ports = items(c, "/ports")
            .iter()
            .filter_map(|p| p.get("hostPort")?.as_i64());
        ports.filter(|port| *port != 0).collect()
    };
    let names = which(spec, |c| !ports(c).is_empty());
    if names.is_empty() {
        return Vec::new();
    }
    let used: BTreeSet<i64> = all(spec).flat_map(ports).collect();
    let told: Vec<String> = used.iter().map(i64::to_string).collect();
    let verb = if names.len() == 1 { "uses" } else { "use" };
    let noun = if told.len() == 1 {
        "hostPort"
    } else {
        "hostPorts"
    };
    vec![format!(
        "{} {verb} {noun} {}",
        named("container", &names),
        told.join(", ")
    )]
}

fn se_linux(spec: &Value) -> Vec<String> {
    let options = |o: &Value, field: &str| {
        text(o, &format!("/securityContext/seLinuxOptions/{field}")).to_owned()
    };
    let wrong_type = |o: &Value| !SELINUX_TYPES.contains(&options(o, "type").as_str());
    let is_wrong = |o: &Value| {
        wrong_type(o) || !options(o, "user").is_empty() || !options(o, "role").is_empty()
    };
    let mut setters = Vec::new();
    if is_wrong(spec) {
        setters.push("pod".to_owned());
    }
    let names = which(spec, is_wrong);
    if !names.is_empty() {
        setters.push(named("container", &names));
    }
    if setters.is_empty() {
        return Vec::new();
    }
    let whole: Vec<&Value> = std::iter::once(spec).chain(all(spec)).collect();
    let mut bad = Vec::new();
    let types: BTreeSet<String> = whole
        .iter()
        .filter(|o| wrong_type(o))
        .map(|o| options(o, "type"))
        .collect();
    if !types.is_empty() {
        let types: Vec<String> = types.into_iter().collect();
        let plural = if types.len() == 1 { "" } else { "s" };
        bad.push(format!("type{plural} {}", quote(&types)));
    }
    for field in ["user", "role"] {
        if whole.iter().any(|o| !options(o, field).is_empty()) {
            bad.push(format!("{field} may not be set"));
        }
    }
    vec![format!(
        "{} set forbidden securityContext.seLinuxOptions: {}",
        setters.join(" and "),
        bad.join("; ")
    )]
}

fn seccomp(spec: &Value) -> Vec<String> {
    let is_unconfined = |o: &Value| text(o, "/securityContext/seccompProfile/type") == "Unconfined";
    let mut setters = Vec::new();
    if is_unconfined(spec) {
        setters.push("pod".to_owned());
    }
    let names = which(spec, is_unconfined);
    if !names.is_empty() {
        setters.push(named("container", &names));
    }
    match setters.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "{} must not set securityContext.seccompProfile.type to \"Unconfined\"",
            setters.join(" and ")
        )],
    }
}

fn host_process(spec: &Value) -> Vec<String> {
    let is_host = |o: &Value| is_true(o, "/securityContext/windowsOptions/hostProcess");
    let mut setters = Vec::new();
    if is_host(spec) {
        setters.push("pod".to_owned());
    }
    let names = which(spec, is_host);
    if !names.is_empty() {
        setters.push(named("container", &names));
    }
    match setters.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "{} must not set securityContext.windowsOptions.hostProcess=true",
            setters.join(" and ")
        )],
    }
}
