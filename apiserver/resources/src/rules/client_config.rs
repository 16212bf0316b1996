//! Where a webhook is called: for conversions and for admission. In the words of
//! `k8s.io/apiserver/pkg/util/webhook/validation.go`.

use super::field::{Errors, Path};
use super::json::{get, has, int, text};
use hardway_proto::names;
use serde_json::Value;

/// A `clientConfig`: a URL or a Service.
pub(super) fn check(e: &mut Errors, path: &Path, client: &Value) {
    match (has(client, "url"), has(client, "service")) {
        (true, false) => url(e, &path.child("url"), text(client, "url")),
        (false, true) => service(e, &path.child("service"), get(client, "service")),
        _ => e.required(path, "exactly one of url or service is required"),
    }
}

fn url(e: &mut Errors, path: &Path, url: &str) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme != "https" {
        let detail = format!("'https' is the only allowed URL scheme{FORM}");
        e.invalid(path, scheme, &detail);
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.is_empty() || scheme.is_empty() {
        e.invalid(path, "", &format!("host must be specified{FORM}"));
    }
    for (part, detail) in [
        (user, "user information is not permitted in the URL"),
        (fragment, "fragments are not permitted in the URL"),
        (query, "query parameters are not permitted in the URL"),
    ] {
        if !part.is_empty() {
            e.invalid(path, part, detail);
        }
    }
}

fn service(e: &mut Errors, path: &Path, service: &Value) {
    for field in ["name", "namespace"] {
        if text(service, field).is_empty() {
            e.required(&path.child(field), &format!("service {field} is required"));
        }
    }
    let port = int(service, "port").unwrap_or(443);
    let problems = names::is_port_number(port);
    if !problems.is_empty() {
        let detail = format!("port is not valid: {}", problems.join(","));
        e.invalid(&path.child("port"), port, &detail);
    }
    let (at, whole) = (path.child("path"), text(service, "path"));
    if ["", "/"].contains(&whole) {
        return;
    }
    if whole == "//" {
        return e.invalid(&at, whole, "segment[0] may not be empty");
    }
    if !whole.starts_with('/') {
        e.invalid(&at, whole, "must start with a '/'");
    }
    let trimmed = whole.get(1..).unwrap_or_default();
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    for (i, segment) in trimmed.split('/').enumerate() {
        if segment.is_empty() {
            e.invalid(&at, whole, &format!("segment[{i}] may not be empty"));
            continue;
        }
        for problem in names::is_dns1123_subdomain(segment) {
            e.invalid(&at, whole, &format!("segment[{i}]: {problem}"));
        }
    }
}
