//! Which paths of the Kubernetes API are passed on. Pure.

use crate::failure::Failure;
use http::StatusCode;
use percent_encoding::percent_decode_str;

/// Where the API begins, and what is said of it.
const ROOTS: &[&str] = &[
    "api", "apis", "openapi", "version", "healthz", "livez", "readyz",
];

/// The steps of all processes, which hardway's API server tells besides.
const STEPS: &str = "/debug/hardway/steps";

/// Whether a path is passed on as it is.
///
/// # Errors
/// 400 for one that could mean another one; 403 for one that leads elsewhere.
pub fn check(path: &str) -> Result<(), Failure> {
    let bad = |what: &str| {
        let message = format!("{path:?} is not passed on: {what}");
        Err(Failure::new(StatusCode::BAD_REQUEST, message))
    };
    let Some(inner) = path.strip_prefix('/') else {
        return bad("it begins with no slash");
    };
    // One slash at the end is how some ask for the root of a group.
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let mut segments = Vec::new();
    for segment in inner.split('/') {
        let Ok(decoded) = percent_decode_str(segment).decode_utf8() else {
            return bad("it is no UTF-8");
        };
        let control = |c: char| c.is_control() || matches!(c, '/' | '\\' | '%');
        if decoded.is_empty() || decoded == "." || decoded == ".." || decoded.contains(control) {
            return bad("it has a segment that could mean another path");
        }
        segments.push(decoded);
    }
    let refused = |message: &str| Err(Failure::new(StatusCode::FORBIDDEN, message));
    if !ROOTS.iter().any(|root| segments[0] == *root) && path != STEPS {
        return refused("only the Kubernetes API is passed on");
    }
    if leads_elsewhere(&segments) {
        let message = "what a proxied pod, Service or node answers is not shown as the dashboard: \
            use kubectl port-forward";
        return refused(message);
    }
    Ok(())
}

/// `…/pods/NAME/proxy`, the same of Services and nodes, and the form of old (`/api/v1/proxy/…`).
fn leads_elsewhere<S: AsRef<str>>(segments: &[S]) -> bool {
    let at = |index: usize| segments.get(index).map(AsRef::as_ref);
    if (at(0), at(1)) != (Some("api"), Some("v1")) {
        return false;
    }
    let resource = if at(2) == Some("namespaces") { 4 } else { 2 };
    at(2) == Some("proxy") || at(resource + 2) == Some("proxy")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(path: &str) -> u16 {
        check(path).map_or_else(|failure| failure.code().as_u16(), |()| 200)
    }

    #[test]
    fn the_api_is_passed_on() {
        for path in [
            "/api",
            "/apis/",
            "/version",
            "/debug/hardway/steps",
            "/openapi/v3/apis/apps/v1",
            "/api/v1/namespaces/default/pods/web/log",
            "/api/v1/namespaces/proxy/pods",
            "/api/v1/namespaces/a/configmaps/proxy",
            "/apis/apps/v1/namespaces/a/deployments/web/scale",
            "/apis/example.org/v1/things/a%20b",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node-proxier",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
        ] {
            assert_eq!(code(path), 200, "{path}");
        }
    }

    #[test]
    fn paths_that_could_mean_others_are_not() {
        for path in [
            "",
            "api",
            "//api",
            "/api//v1",
            "/api/../metrics",
            "/api/v1/./pods",
            "/api/%2e%2e/metrics",
            "/api/v1/%2E/pods",
            "/api/v1/pods%2f..%2f..",
            "/api/v1/pods%5c..",
            "/api/v1/%252e%252e/x",
            "/api/v1/a%00b",
            "/api/v1/%ff",
        ] {
            assert_eq!(code(path), 400, "{path}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_not() {
        for path in [
            "/metrics",
            "/logs/kubelet.log",
            "/debug/pprof/profile",
            "/debug/hardway/steps/x",
            "/api/v1/namespaces/a/pods/b/proxy",
            "/api/v1/namespaces/a/services/https:b:/proxy/index.html",
            "/api/v1/nodes/n/proxy/configz",
            "/api/v1/proxy/namespaces/a/pods/b",
            "/api/v1/nodes/n/%70roxy/configz",
        ] {
            assert_eq!(code(path), 403, "{path}");
        }
    }
}
