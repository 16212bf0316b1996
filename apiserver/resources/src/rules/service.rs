//! Services. Addresses and node ports are given out by the API server itself.

mod balancer_status;
mod checks;
mod cluster_ips;

pub(super) use balancer_status::check_ingress_status;
pub(super) use checks::special_address;

use super::addresses;
use super::field::{Errors, Path};
use super::json::{
    default_text, ensure_object, get, has, int, is_empty, list, list_mut, object_mut, set,
    set_default, text,
};
use super::kind::{Kind, PLAIN};
use hardway_proto::names;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

fn default_service(service: &mut Value) {
    default_spec(service);
    balancer_status::default(service);
}

fn default_spec(service: &mut Value) {
    let Some(spec) = ensure_object(service, "spec") else {
        return;
    };
    default_text(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "ClientIP" => set_default(
            spec,
            "sessionAffinityConfig",
            json!({"clientIP": {"timeoutSeconds": 10800}}),
        ),
        "None" => drop(super::json::remove(spec, "sessionAffinityConfig")),
        _ => {}
    }
    default_text(spec, "type", "ClusterIP");
    for port in list_mut(spec, "ports") {
        default_text(port, "protocol", "TCP");
        let target = get(port, "targetPort");
        if target.is_null() || target == &json!(0) || target == &json!("") {
            let number = get(port, "port").clone();
            set(port, "targetPort", number);
        }
        if int(port, "nodePort") == Some(0) {
            super::json::remove(port, "nodePort");
        }
    }
    let kind = text(spec, "type").to_owned();
    let external = !list(spec, "externalIPs").is_empty() && kind == "ClusterIP";
    if ["NodePort", "LoadBalancer"].contains(&kind.as_str()) || external {
        default_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if ["NodePort", "LoadBalancer", "ClusterIP"].contains(&kind.as_str()) {
        set_default(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set_default(spec, "allocateLoadBalancerNodePorts", true);
    }
    if text(spec, "sessionAffinity") == "ClientIP"
        && let Some(config) =
            object_mut(spec, "sessionAffinityConfig").and_then(|c| object_mut(c, "clientIP"))
    {
        set_default(config, "timeoutSeconds", 10800);
    }
}

/// Whether it has no address of its own: its name leads to its endpoints.
fn is_headless(spec: &Value) -> bool {
    text(spec, "clusterIP") == "None"
}

fn is_balanced(spec: &Value) -> bool {
    text(spec, "type") == "LoadBalancer"
}

/// Whether balancers ask a port whether a node has endpoints.
fn needs_health_check(spec: &Value) -> bool {
    is_balanced(spec) && text(spec, "externalTrafficPolicy") == "Local"
}

/// What a change of type takes away, and what a client needn't repeat.
fn prepare_update(new: &mut Value, old: &Value) {
    let (before, after) = (
        get(old, "spec").clone(),
        text(get(new, "spec"), "type").to_owned(),
    );
    let Some(spec) = object_mut(new, "spec") else {
        return;
    };
    // What only balancers have goes with the type, or with the policy that asks for checks,
    // unless the client changed it (`dropTypeDependentFields` of Kubernetes).
    for (field, stays) in [
        ("allocateLoadBalancerNodePorts", is_balanced(spec)),
        ("loadBalancerClass", is_balanced(spec)),
        ("healthCheckNodePort", needs_health_check(spec)),
    ] {
        if !stays && get(spec, field) == get(&before, field) {
            super::json::remove(spec, field);
        }
    }
    if after == "ExternalName" {
        // What the old type had been given goes, unless the client changed it.
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if get(spec, field) == get(&before, field) && text(&before, "type") != "ExternalName" {
                super::json::remove(spec, field);
            }
        }
        for port in list_mut(spec, "ports") {
            super::json::remove(port, "nodePort");
        }
        super::json::remove(spec, "externalTrafficPolicy");
        super::json::remove(spec, "internalTrafficPolicy");
        return;
    }
    // An address once given stays, even if the client's copy lacks it.
    if text(&before, "type") != "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies"] {
            if is_empty(get(spec, field)) && !is_empty(get(&before, field)) {
                set(spec, field, get(&before, field).clone());
            }
        }
        if has(&before, "ipFamilyPolicy") {
            set_default(
                spec,
                "ipFamilyPolicy",
                get(&before, "ipFamilyPolicy").clone(),
            );
        }
        cluster_ips::pair(spec, &before);
    }
    if !["NodePort", "LoadBalancer"].contains(&after.as_str()) {
        // Kubernetes drops node ports that were kept only by not being removed.
        let ports = list(&before, "ports").iter();
        let unchanged: HashSet<&Value> = ports
            .map(|port| get(port, "nodePort"))
            .filter(|node| !node.is_null())
            .collect();
        for port in list_mut(spec, "ports") {
            let node = get(port, "nodePort").clone();
            if unchanged.contains(&node) {
                super::json::remove(port, "nodePort");
            }
        }
        if list(spec, "externalIPs").is_empty() {
            super::json::remove(spec, "externalTrafficPolicy");
        }
        return;
    }
    let identity = |port: &Value| (get(port, "port").clone(), get(port, "protocol").clone());
    let mut nodes = HashMap::new();
    for port in list(&before, "ports") {
        nodes
            .entry(identity(port))
            .or_insert_with(|| int(port, "nodePort"));
    }
    for port in list_mut(spec, "ports") {
        if int(port, "nodePort").unwrap_or_default() != 0 {
            continue;
        }
        if let Some(node) = nodes.get(&identity(port)).copied().flatten() {
            set(port, "nodePort", node);
        }
    }
}

/// What of a Service means nothing, as `pkg/api/service/warnings.go` of Kubernetes
/// tells it.
fn warnings(service: &Value) -> Vec<String> {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    let spec = get(service, "spec");
    let mut warnings: Vec<String> = Vec::new();
    if has(get(get(service, "metadata"), "annotations"), HINTS) {
        warnings.push(format!(
            "annotation {HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"
        ));
    }
    let each = |warnings: &mut Vec<String>, field: &str, of: fn(&mut Vec<String>, &Path, &str)| {
        let path = Path::new("spec").child(field);
        for (i, address) in list(spec, field).iter().enumerate() {
            of(
                warnings,
                &path.index(i),
                address.as_str().unwrap_or_default(),
            );
        }
    };
    each(&mut warnings, "clusterIPs", addresses::of_ip);
    let kind = text(spec, "type");
    if kind == "ClusterIP" && text(spec, "clusterIP") == "None" {
        for (ignored, field) in [
            (has(spec, "loadBalancerIP"), "loadBalancerIP"),
            (!is_empty(get(spec, "externalIPs")), "externalIPs"),
            (text(spec, "sessionAffinity") != "None", "SessionAffinity"),
        ] {
            if ignored {
                warnings.push(format!("spec.{field} is ignored for headless services"));
            }
        }
    }
    each(&mut warnings, "externalIPs", addresses::of_ip);
    let path = Path::new("spec.loadBalancerIP");
    addresses::of_ip(&mut warnings, &path, text(spec, "loadBalancerIP"));
    each(
        &mut warnings,
        "loadBalancerSourceRanges",
        addresses::of_cidr,
    );
    let external = kind == "ExternalName";
    if external && !is_empty(get(spec, "externalIPs")) {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !external && !text(spec, "externalName").is_empty() {
        warnings
            .push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    warnings
}

pub(super) const SERVICE: Kind = Kind {
    warnings: |service, _| warnings(service),
    name: names::is_dns1035_label,
    status: r#"{"loadBalancer":{}}"#,
    default: default_service,
    prepare_update,
    validate: |service| checks::check(service, None),
    validate_changed: Some(|new, old| checks::check(new, Some(old))),
    validate_status: |new, _| Errors::collect(|e| balancer_status::check(e, new)),
    fields: |service| {
        let spec = get(service, "spec");
        vec![
            ("spec.clusterIP", text(spec, "clusterIP").to_owned()),
            ("spec.type", text(spec, "type").to_owned()),
        ]
    },
    ..PLAIN
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;

    fn service(spec: Value) -> Value {
        let mut service = json!({"metadata": {"name": "web"}, "spec": spec});
        SERVICE.default(&mut service);
        service
    }

    fn texts(causes: &[hardway_proto::status::Cause]) -> Vec<String> {
        let causes = causes.iter();
        causes
            .map(|c| format!("{}: {}", c.field, c.message))
            .collect()
    }

    fn messages(service: &Value) -> Vec<String> {
        texts(&KindRules::validate(&SERVICE, service))
    }

    fn changed(new: &Value, old: &Value) -> Vec<String> {
        texts(&KindRules::validate_changed(&SERVICE, new, old).causes)
    }

    #[test]
    fn defaults() {
        let web =
            service(json!({"type": "NodePort", "ports": [{"port": 80}], "selector": {"a": "b"}}));
        assert_eq!(
            web["spec"],
            json!({
                "type": "NodePort", "sessionAffinity": "None", "selector": {"a": "b"},
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
                "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster",
            })
        );
        assert_eq!(messages(&web), [""; 0]);
        assert_eq!(
            messages(&service(
                json!({"clusterIP": "None", "selector": {"a": "b"}})
            )),
            [""; 0]
        );
    }

    #[test]
    fn errors() {
        let web = service(
            json!({"type": "Cluster", "ports": [{"port": 0}, {"name": "a", "port": 80, "nodePort": 30000}]}),
        );
        assert_eq!(
            messages(&web),
            [
                "spec.ports[0].name: Required value",
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
                r#"spec.type: Unsupported value: "Cluster": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort""#,
            ]
        );
        assert_eq!(
            messages(&service(json!({}))),
            ["spec.ports: Required value"]
        );
    }

    #[test]
    fn what_a_balancer_was_given_stays() {
        let old = service(
            json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local",
            "loadBalancerClass": "a.b/c", "healthCheckNodePort": 30001, "ports": [{"port": 80}]}),
        );
        assert_eq!(changed(&old, &old), [""; 0]);
        let mut new = old.clone();
        new["spec"]["loadBalancerClass"] = json!("a.b/d");
        new["spec"]["healthCheckNodePort"] = json!(30002);
        assert_eq!(
            changed(&new, &old),
            [
                r#"spec.loadBalancerClass: Invalid value: "a.b/d": may not change once set"#,
                "spec.healthCheckNodePort: Forbidden: field is immutable",
            ]
        );
        new["spec"]["type"] = json!("ClusterIP");
        KindRules::prepare_update(&SERVICE, &mut new, &old);
        assert_eq!(
            changed(&new, &old)[0],
            "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"
        );
    }

    #[test]
    fn an_address_stays() {
        let old = service(
            json!({"type": "NodePort", "clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"],
            "ports": [{"port": 80, "nodePort": 30061}]}),
        );
        let mut new = service(json!({"type": "NodePort", "ports": [{"port": 80}]}));
        KindRules::prepare_update(&SERVICE, &mut new, &old);
        assert_eq!(new["spec"]["clusterIP"], "10.96.0.5");
        assert_eq!(new["spec"]["ports"][0]["nodePort"], 30061);
        assert_eq!(changed(&new, &old), [""; 0]);
        // Its list follows, unless the client changed that too.
        new["spec"]["clusterIP"] = json!("10.96.0.6");
        KindRules::prepare_update(&SERVICE, &mut new, &old);
        assert_eq!(
            changed(&new, &old),
            [r#"spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set"#]
        );
    }
}
