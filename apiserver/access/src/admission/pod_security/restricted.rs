//! The restricted level: current hardening practice, all of it.

use super::Violation;
use super::containers::{all, named, quote, which};
use crate::objects::{items, strings};
use crate::text;
use serde_json::Value;
use std::collections::BTreeSet;

const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What the restricted level forbids beyond the baseline.
pub fn check(spec: &Value) -> Vec<Violation> {
    let is_windows = text(spec, "/os/name") == "windows";
    let mut found = Vec::new();
    let mut tell = |reason: &'static str, details: Vec<String>| {
        if !details.is_empty() {
            found.push(Violation {
                reason,
                detail: details.join("; "),
            });
        }
    };
    if !is_windows {
        let escalating = which(spec, |c| {
            c.pointer("/securityContext/allowPrivilegeEscalation") != Some(&Value::Bool(false))
        });
        tell(
            "allowPrivilegeEscalation != false",
            must(
                &escalating,
                "container",
                "set securityContext.allowPrivilegeEscalation=false",
            ),
        );
        tell("unrestricted capabilities", capabilities(spec));
    }
    tell("restricted volume types", volumes(spec));
    tell("runAsNonRoot != true", non_root(spec));
    tell("runAsUser=0", root_user(spec));
    if !is_windows {
        tell("seccompProfile", seccomp(spec));
    }
    found
}

fn must(names: &[&str], noun: &str, what: &str) -> Vec<String> {
    match names.is_empty() {
        true => Vec::new(),
        false => vec![format!("{} must {what}", named(noun, names))],
    }
}

fn capabilities(spec: &Value) -> Vec<String> {
    let drops_all =
        |c: &Value| strings(c, "/securityContext/capabilities/drop").any(|name| name == "ALL");
    let keeping = which(spec, |c| !drops_all(c));
    let mut details = must(
        &keeping,
        "container",
        "set securityContext.capabilities.drop=[\"ALL\"]",
    );
    let added = |c: &Value| -> BTreeSet<String> {
        strings(c, "/securityContext/capabilities/add")
            .filter(|name| *name != "NET_BIND_SERVICE")
            .map(str::to_owned)
            .collect()
    };
    let adding = which(spec, |c| !added(c).is_empty());
    if !adding.is_empty() {
        let bad: BTreeSet<String> = all(spec).flat_map(added).collect();
        let bad: Vec<String> = bad.into_iter().collect();
        details.push(format!(
            "{} must not include {} in securityContext.capabilities.add",
            named("container", &adding),
            quote(&bad)
        ));
    }
    details
}

fn volumes(spec: &Value) -> Vec<String> {
    let kind = |volume: &Value| -> Option<String> {
        let mut kinds = volume.as_object()?.keys().filter(|key| *key != "name");
        kinds
            .find(|kind| !VOLUMES.contains(&kind.as_str()))
            .cloned()
    };
    let bad: Vec<&Value> = items(spec, "/volumes")
        .iter()
        .filter(|v| kind(v).is_some())
        .collect();
    if bad.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = bad.iter().map(|v| text(v, "/name")).collect();
    let kinds: BTreeSet<String> = bad.iter().filter_map(|v| kind(v)).collect();
    let kinds: Vec<String> = kinds.into_iter().collect();
    let verb = if names.len() == 1 { "uses" } else { "use" };
    let noun = if kinds.len() == 1 { "type" } else { "types" };
    vec![format!(
        "{} {verb} restricted volume {noun} {}",
        named("volume", &names),
        quote(&kinds)
    )]
}

fn non_root(spec: &Value) -> Vec<String> {
    let of = |o: &Value| {
        o.pointer("/securityContext/runAsNonRoot")
            .and_then(Value::as_bool)
    };
    let denying = which(spec, |c| of(c) == Some(false));
    let silent = which(spec, |c| of(c).is_none());
    let mut details = Vec::new();
    if of(spec) == Some(false) {
        details.push("pod must not set securityContext.runAsNonRoot=false".to_owned());
    }
    if !denying.is_empty() {
        details.push(format!(
            "{} must not set securityContext.runAsNonRoot=false",
            named("container", &denying)
        ));
    }
    if details.is_empty() && of(spec) != Some(true) && !silent.is_empty() {
        details = must(
            &silent,
            "pod or container",
            "set securityContext.runAsNonRoot=true",
        );
    }
    details
}

fn root_user(spec: &Value) -> Vec<String> {
    let is_root = |o: &Value| {
        o.pointer("/securityContext/runAsUser")
            .and_then(Value::as_i64)
            == Some(0)
    };
    let mut setters = Vec::new();
    if is_root(spec) {
        setters.push("pod".to_owned());
    }
    let names = which(spec, is_root);
    if !names.is_empty() {
        setters.push(named("container", &names));
    }
    match setters.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "{} must not set runAsUser=0",
            setters.join(" and ")
        )],
    }
}

fn seccomp(spec: &Value) -> Vec<String> {
    let of = |o: &Value| text(o, "/securityContext/seccompProfile/type").to_owned();
    let is_good = |profile: &str| matches!(profile, "RuntimeDefault" | "Localhost");
    let pod = of(spec);
    if !pod.is_empty() && !is_good(&pod) {
        return vec![format!(
            "pod must not set securityContext.seccompProfile.type to {pod:?}"
        )];
    }
    let wrong = which(spec, |c| !of(c).is_empty() && !is_good(&of(c)));
    if !wrong.is_empty() {
        return vec![format!(
            "{} must not set securityContext.seccompProfile.type to \"Unconfined\"",
            named("container", &wrong)
        )];
    }
    let silent = which(spec, |c| of(c).is_empty());
    match is_good(&pod) {
        true => Vec::new(),
        false => must(
            &silent,
            "pod or container",
            "set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        ),
    }
}
