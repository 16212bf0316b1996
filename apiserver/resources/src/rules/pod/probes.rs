//! Probes and lifecycle hooks.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, list, text};
use hardway_proto::names;
use serde_json::Value;

/// A port by number or name.
pub fn check_port(e: &mut Errors, path: &Path, port: &Value) {
    match port {
        Value::String(name) => {
            // A name of digits alone is told apart from a number by its quotes.
            e.each(path, name, names::is_port_name(name));
        }
        other => {
            let number = other.as_i64().unwrap_or_default();
            for problem in names::is_port_number(number) {
                e.invalid(path, number, &problem);
            }
        }
    }
}

/// What a probe or hook does: exactly one thing.
fn check_handler(e: &mut Errors, path: &Path, handler: &Value, kinds: &[&str], grace: i64) {
    let mut count = 0;
    for kind in kinds.iter().filter(|k| has(handler, k)) {
        let at = path.child(kind);
        if count > 0 {
            e.forbidden(&at, "may not specify more than 1 handler type");
            continue;
        }
        count += 1;
        let action = get(handler, kind);
        match *kind {
            "exec" => {
                if list(action, "command").is_empty() {
                    e.required(&at.child("command"), "");
                }
            }
            "httpGet" => check_http(e, &at, action),
            "sleep" => {
                let seconds = int(action, "seconds").unwrap_or_default();
                if seconds < 0 || seconds > grace {
                    let detail = format!(
                        "must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                    );
                    e.invalid(&at, seconds, &detail);
                }
            }
            _ => check_port(e, &at.child("port"), get(action, "port")),
        }
    }
    if count == 0 {
        e.required(path, "must specify a handler type");
    }
}

fn check_http(e: &mut Errors, path: &Path, action: &Value) {
    if text(action, "path").is_empty() {
        e.required(&path.child("path"), "");
    }
    check_port(e, &path.child("port"), get(action, "port"));
    e.one_of(
        &path.child("scheme"),
        text(action, "scheme"),
        &["HTTP", "HTTPS"],
    );
    // Kubernetes doesn't tell of which header.
    let at = path.child("httpHeaders");
    for header in list(action, "httpHeaders") {
        let name = text(header, "name");
        e.each(&at, name, names::is_http_header_name(name));
    }
}

/// A container's probes and hooks.
pub fn check(e: &mut Errors, path: &Path, container: &Value, grace: i64) {
    if has(container, "lifecycle") {
        let path = path.child("lifecycle");
        let lifecycle = get(container, "lifecycle");
        for hook in ["postStart", "preStop"]
            .into_iter()
            .filter(|h| has(lifecycle, h))
        {
            let kinds = ["exec", "httpGet", "tcpSocket", "sleep"];
            check_handler(e, &path.child(hook), get(lifecycle, hook), &kinds, grace);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if !has(container, name) {
            continue;
        }
        let probe = get(container, name);
        let path = path.child(name);
        check_handler(
            e,
            &path,
            probe,
            &["exec", "httpGet", "tcpSocket", "grpc"],
            grace,
        );
        for field in [
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ] {
            e.non_negative(&path.child(field), int(probe, field));
        }
        if let Some(grace) = int(probe, "terminationGracePeriodSeconds") {
            let at = path.child("terminationGracePeriodSeconds");
            if grace <= 0 {
                e.invalid(&at, grace, "must be greater than 0");
            }
            if name == "readinessProbe" {
                e.invalid(&at, grace, "must not be set for readinessProbes");
            }
        }
        let threshold = int(probe, "successThreshold").unwrap_or(1);
        if name != "readinessProbe" && threshold != 1 {
            e.invalid(&path.child("successThreshold"), threshold, "must be 1");
        }
    }
}
