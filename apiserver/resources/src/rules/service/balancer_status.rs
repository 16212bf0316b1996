//! Where balancers are reached: what the status of a Service or an Ingress says of it.

use super::is_balanced;
use crate::rules::field::{Errors, Path};
use crate::rules::json::{get, has, list, list_mut, object_mut, set_default, text};
use hardway_proto::names;
use serde_json::Value;
use std::net::IpAddr;

/// An address that isn't said to be a proxy's is given to the nodes.
pub(super) fn default(service: &mut Value) {
    if !is_balanced(get(service, "spec")) {
        return;
    }
    let status = object_mut(service, "status").and_then(|s| object_mut(s, "loadBalancer"));
    for entry in status.into_iter().flat_map(|s| list_mut(s, "ingress")) {
        if !text(entry, "ip").is_empty() {
            set_default(entry, "ipMode", "VIP");
        }
    }
}

/// `ValidateLoadBalancerStatus` of Kubernetes, for Services.
pub(super) fn check(e: &mut Errors, service: &Value) {
    let entries = entries(service);
    let path = Path::new("status.loadBalancer.ingress");
    if !is_balanced(get(service, "spec")) && !entries.is_empty() {
        let detail = "may only be used when `spec.type` is 'LoadBalancer'";
        return e.forbidden(&path, detail);
    }
    for (i, entry) in entries.iter().enumerate() {
        let path = path.index(i);
        check_ip(e, &path, entry);
        let at = path.child("ipMode");
        match (has(entry, "ipMode"), text(entry, "ip").is_empty()) {
            (true, true) => e.forbidden(&at, "may not be specified when `ip` is not set"),
            (false, false) => e.required(&at, "must be specified when `ip` is set"),
            _ => e.one_of_if_set(&at, get(entry, "ipMode"), &["Proxy", "VIP"]),
        }
        check_hostname(e, &path, entry);
    }
}

/// `ValidateIngressLoadBalancerStatus` of Kubernetes.
pub(in crate::rules) fn check_ingress_status(e: &mut Errors, ingress: &Value) {
    for (i, entry) in entries(ingress).iter().enumerate() {
        let path = Path::new("status.loadBalancer.ingress").index(i);
        check_ip(e, &path, entry);
        check_hostname(e, &path, entry);
    }
}

fn entries(object: &Value) -> &[Value] {
    list(get(get(object, "status"), "loadBalancer"), "ingress")
}

fn check_ip(e: &mut Errors, path: &Path, entry: &Value) {
    let ip = text(entry, "ip");
    if !ip.is_empty() {
        e.each(&path.child("ip"), ip, names::is_ip(ip));
    }
}

fn check_hostname(e: &mut Errors, path: &Path, entry: &Value) {
    let (at, host) = (path.child("hostname"), text(entry, "hostname"));
    if host.is_empty() {
        return;
    }
    e.each(&at, host, names::is_dns1123_subdomain(host));
    if host.parse::<IpAddr>().is_ok() {
        e.invalid(&at, host, "must be a DNS name, not an IP address");
    }
}

#[cfg(test)]
mod tests {
    use super::super::SERVICE;
    use crate::rules::KindRules;
    use serde_json::json;

    /// Cases of `TestValidateLoadBalancerStatus`.
    #[test]
    fn where_a_balancer_is_reached() {
        for (entry, expected) in [
            (json!({"ip": "1.2.3.4"}), vec![]),
            (json!({"ip": "1.2.3.4", "ipMode": "Proxy"}), vec![]),
            (json!({"hostname": "a.b"}), vec![]),
            (
                json!({"ip": "x", "ipMode": ""}),
                vec![
                    r#"ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#,
                    r#"ipMode: Unsupported value: "": supported values: "Proxy", "VIP""#,
                ],
            ),
            (
                json!({"hostname": "1.2.3.4", "ipMode": "VIP"}),
                vec![
                    "ipMode: Forbidden: may not be specified when `ip` is not set",
                    r#"hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address"#,
                ],
            ),
        ] {
            let mut service = json!({"spec": {"type": "LoadBalancer"},
                "status": {"loadBalancer": {"ingress": [entry]}}});
            SERVICE.default(&mut service);
            let causes = KindRules::validate_status_update(&SERVICE, &service, &service).causes;
            let told = causes.into_iter().map(|cause| {
                let field = cause
                    .field
                    .rsplit('.')
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                format!("{field}: {}", cause.message)
            });
            assert_eq!(told.collect::<Vec<_>>(), expected, "{service}");
        }
        let service = json!({"spec": {"type": "ClusterIP"},
            "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}});
        assert_eq!(
            KindRules::validate_status_update(&SERVICE, &service, &service).causes[0].message,
            "Forbidden: may only be used when `spec.type` is 'LoadBalancer'"
        );
    }
}
