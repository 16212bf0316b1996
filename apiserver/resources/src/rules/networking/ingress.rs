//! Ingresses and their classes, as `pkg/apis/networking/validation` checks them.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, list, object_mut, set_default, text};
use super::super::kind::{Kind, PLAIN, WITH_STATUS};
use super::super::service::check_ingress_status;
use hardway_proto::names;
use serde_json::Value;

/// How a class was named before there was a field for it.
const OLD_CLASS: &str = "kubernetes.io/ingress.class";
/// What a path can't have within, and can't end with.
const SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const SUFFIXES: [&str; 2] = ["/..", "/."];

fn backend(e: &mut Errors, path: &Path, backend: &Value) {
    let (service, resource) = (get(backend, "service"), get(backend, "resource"));
    match (service.is_null(), resource.is_null()) {
        (true, true) => e.invalid(path, "", "resource or service backend is required"),
        (false, false) => e.invalid(path, "", "cannot set both resource and service backends"),
        (true, false) => reference(e, &path.child("resource"), resource),
        (false, true) => {
            let at = path.child("service");
            match text(service, "name") {
                "" => e.required(&at.child("name"), ""),
                name => e.each(&at.child("name"), name, names::is_dns1035_label(name)),
            }
            let port = get(service, "port");
            let (named, number) = (text(port, "name"), int(port, "number").unwrap_or_default());
            match (named, number) {
                ("", 0) => e.required(path, "port name or number is required"),
                ("", number) => {
                    for problem in names::is_port_number(number) {
                        e.invalid(&at.child("port.number"), number, &problem);
                    }
                }
                (named, 0) => e.each(&at.child("port.name"), named, names::is_port_name(named)),
                _ => e.invalid(path, "", "cannot set both port name & port number"),
            }
        }
    }
}

/// An object of any kind in the same namespace.
fn reference(e: &mut Errors, path: &Path, reference: &Value) {
    if has(reference, "apiGroup") {
        let group = text(reference, "apiGroup");
        let problems = names::is_dns1123_subdomain(group);
        e.each(&path.child("apiGroup"), group, problems);
    }
    for field in ["kind", "name"] {
        match text(reference, field) {
            "" => e.required(&path.child(field), &format!("{field} is required")),
            name => e.each(&path.child(field), name, names::is_path_segment(name)),
        }
    }
}

fn host(e: &mut Errors, path: &Path, host: &str) {
    let problems = match host.contains('*') {
        true => names::is_wildcard_dns1123_subdomain(host),
        false => names::is_dns1123_subdomain(host),
    };
    e.each(path, host, problems);
}

fn check_path(e: &mut Errors, path: &Path, one: &Value) {
    let at = path.child("path");
    let place = text(one, "path");
    let relative = !place.starts_with('/');
    if !has(one, "pathType") {
        return e.required(&path.child("pathType"), "pathType must be specified");
    }
    match text(one, "pathType") {
        "Exact" | "Prefix" => {
            if relative {
                e.invalid(&at, place, "must be an absolute path");
            }
            for sequence in SEQUENCES.iter().filter(|s| place.contains(**s)) {
                e.invalid(&at, place, &format!("must not contain '{sequence}'"));
            }
            for suffix in SUFFIXES.iter().filter(|s| place.ends_with(**s)) {
                e.invalid(&at, place, &format!("cannot end with '{suffix}'"));
            }
        }
        "ImplementationSpecific" => {
            if !place.is_empty() && relative {
                e.invalid(&at, place, "must be an absolute path");
            }
        }
        other => e.not_supported(
            &path.child("pathType"),
            other,
            &["Exact", "ImplementationSpecific", "Prefix"],
        ),
    }
    backend(e, &path.child("backend"), get(one, "backend"));
}

/// Whether an Ingress names Secrets that can't be: those from before their names were
/// checked may stay so (`AllowInvalidSecretName` of Kubernetes).
fn has_invalid_secret(ingress: &Value) -> bool {
    let all = list(get(ingress, "spec"), "tls").iter();
    let mut names = all.map(|tls| text(tls, "secretName"));
    names.any(|name| !name.is_empty() && !names::is_dns1123_subdomain(name).is_empty())
}

fn check(e: &mut Errors, ingress: &Value, old: Option<&Value>) {
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
        let at = path.child("defaultBackend");
        backend(e, &at, get(spec, "defaultBackend"));
    }
    for (i, rule) in rules.iter().enumerate() {
        let path = path.child("rules").index(i);
        let name = text(rule, "host");
        if name.parse::<std::net::IpAddr>().is_ok() {
            let detail = "must be a DNS name, not an IP address";
            e.invalid(&path.child("host"), name, detail);
        } else if !name.is_empty() {
            host(e, &path.child("host"), name);
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
            check_path(e, &path.index(j), one);
        }
    }
    let checks_secrets = !old.is_some_and(has_invalid_secret);
    for (i, tls) in list(spec, "tls").iter().enumerate() {
        let path = path.child("tls").index(i);
        for (j, name) in list(tls, "hosts").iter().enumerate() {
            let at = path.child("hosts").index(j);
            host(e, &at, name.as_str().unwrap_or_default());
        }
        let secret = text(tls, "secretName");
        if checks_secrets && !secret.is_empty() {
            let problems = names::is_dns1123_subdomain(secret);
            e.each(&path.child("secretName"), secret, problems);
        }
    }
    if has(spec, "ingressClassName") {
        let class = text(spec, "ingressClassName");
        let problems = names::is_dns1123_subdomain(class);
        e.each(&path.child("ingressClassName"), class, problems);
    }
}

/// Of new ones alone: those that were stored may have two classes.
fn check_class(e: &mut Errors, ingress: &Value) {
    let annotations = get(get(ingress, "metadata"), "annotations");
    let spec = get(ingress, "spec");
    let old = text(annotations, OLD_CLASS);
    if has(annotations, OLD_CLASS)
        && has(spec, "ingressClassName")
        && old != text(spec, "ingressClassName")
    {
        e.invalid(
            &Path::new("annotations").child(OLD_CLASS),
            old,
            "must match `ingressClassName` when both are specified",
        );
    }
}

/// Told when one is created, not again with each change.
fn warnings(ingress: &Value, old: Option<&Value>) -> Vec<String> {
    let annotations = get(get(ingress, "metadata"), "annotations");
    let named_as_before =
        has(annotations, OLD_CLASS) && !has(get(ingress, "spec"), "ingressClassName");
    match old.is_none() && named_as_before {
        true => vec![format!(
            "annotation {OLD_CLASS:?} is deprecated, please use 'spec.ingressClassName' instead"
        )],
        false => Vec::new(),
    }
}

pub const INGRESS: Kind = Kind {
    warnings,
    status: r#"{"loadBalancer":{}}"#,
    validate: |ingress| {
        Errors::collect(|e| {
            check(e, ingress, None);
            check_class(e, ingress);
        })
    },
    validate_changed: Some(|new, old| Errors::collect(|e| check(e, new, Some(old)))),
    validate_status: |new, _| Errors::collect(|e| check_ingress_status(e, new)),
    ..WITH_STATUS
};

/// A name below a domain, such as `example.com/controller`.
pub fn domain_prefixed(e: &mut Errors, path: &Path, name: &str) {
    if name.is_empty() {
        return e.required(path, "");
    }
    match name.split_once('/') {
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            e.each(path, domain, names::is_dns1123_subdomain(domain));
            let allowed = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
            if !rest.chars().all(allowed) {
                let regex = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
                let detail = names::regex_message("Invalid path", regex, &[]);
                e.invalid(path, rest, &detail);
            }
        }
        _ => e.invalid(
            path,
            name,
            "must be a domain-prefixed path (such as \"acme.io/foo\")",
        ),
    }
}

pub const INGRESS_CLASS: Kind = Kind {
    generation: true,
    default: |class| {
        if let Some(parameters) =
            object_mut(class, "spec").and_then(|spec| object_mut(spec, "parameters"))
        {
            set_default(parameters, "scope", "Cluster");
        }
    },
    validate: |class| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(class, "spec"));
            let controller = text(spec, "controller");
            if controller.len() > 250 {
                e.too_long(&path.child("controller"), 250);
            }
            domain_prefixed(e, &path.child("controller"), controller);
            if has(spec, "parameters") {
                check_parameters(e, &path.child("parameters"), get(spec, "parameters"));
            }
        })
    },
    validate_update: |new, old| {
        let field = |object| get(get(object, "spec"), "controller");
        Errors::collect(|e| e.immutable(&Path::new("spec.controller"), field(new), field(old)))
    },
    ..PLAIN
};

fn check_parameters(e: &mut Errors, path: &Path, parameters: &Value) {
    reference(e, path, parameters);
    let at = path.child("namespace");
    match (text(parameters, "scope"), has(parameters, "namespace")) {
        ("Namespace", false) => e.required(&at, "`parameters.scope` is set to 'Namespace'"),
        ("Namespace", true) => {
            let namespace = text(parameters, "namespace");
            e.each(&at, namespace, names::is_dns1123_label(namespace));
        }
        ("Cluster", true) => e.forbidden(&at, "`parameters.scope` is set to 'Cluster'"),
        ("Cluster", false) => {}
        (other, _) => {
            e.not_supported(&path.child("scope"), other, &["Cluster", "Namespace"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The text is of `pkg/registry/networking/ingress/strategy.go`.
    #[test]
    fn a_class_named_as_before_is_warned_of() {
        let named = json!({"metadata": {"annotations": {OLD_CLASS: "nginx"}}, "spec": {}});
        let text = "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead";
        assert_eq!(warnings(&named, None), [text]);
        assert_eq!(warnings(&named, Some(&named)), [""; 0]);
        let mut both = named.clone();
        both["spec"]["ingressClassName"] = json!("nginx");
        assert_eq!(warnings(&both, None), [""; 0]);
        assert_eq!(warnings(&json!({"spec": {}}), None), [""; 0]);
    }
}
