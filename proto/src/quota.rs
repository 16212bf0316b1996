//! What objects use of a ResourceQuota: the apiserver refuses by it, and the controller
//! shows it (`pkg/quota/v1/evaluator/core` in Kubernetes).

use crate::quantity::{Format, Quantity};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

mod counted;

pub use counted::Counted;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// Reads a map of quantities; what can't be read has been refused before.
pub fn amounts(object: &Value, pointer: &str) -> Amounts {
    let fields = object.pointer(pointer).and_then(Value::as_object);
    fields
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), Quantity::from_json(value).ok()?)))
        .collect()
}

/// What a container is to be counted with: what it asks for, or what it has while it is being
/// resized, if that is more (`determineContainerReqs` and `determineContainerLimits` in
/// Kubernetes' `k8s.io/component-helpers/resource`).
fn container_amounts(pod: &Value, container: &Value, statuses: &str, what: &str) -> Amounts {
    let pointer = format!("/resources/{what}");
    let asked = amounts(container, &pointer);
    let name = text(container, "/name");
    let mut statuses = items(pod, statuses).iter();
    let status = statuses.find(|status| text(status, "/name") == name);
    let Some(status) = status.filter(|status| status["resources"].is_object()) else {
        return asked;
    };
    let mut counted = amounts(status, &pointer);
    if what == "requests" {
        raise(&mut counted, amounts(status, "/allocatedResources"));
    }
    let mut conditions = items(pod, "/status/conditions").iter();
    // The node hasn't so much, and never will.
    let is_infeasible = conditions.any(|condition| {
        text(condition, "/type") == "PodResizePending" && text(condition, "/reason") == "Infeasible"
    });
    if !is_infeasible {
        raise(&mut counted, asked);
    }
    counted
}

/// The larger of both, for each resource.
fn raise(to: &mut Amounts, other: Amounts) {
    for (name, amount) in other {
        let highest = to.entry(name).or_insert(amount);
        *highest = (*highest).max(amount);
    }
}

/// What a pod asks for in total: its containers together with the init
/// containers that stay, or its greediest init container; and its overhead.
pub fn pod_total(pod: &Value, what: &str) -> Amounts {
    let pointer = format!("/resources/{what}");
    total(pod, what, |container, _| amounts(container, &pointer))
}

/// What it counts with: of containers that are being resized what they have, if that is more.
fn pod_counted(pod: &Value, what: &str) -> Amounts {
    total(pod, what, |container, statuses| {
        container_amounts(pod, container, statuses, what)
    })
}

/// The total, from what each container needs, whose status is in a list of the pod.
fn total(pod: &Value, what: &str, of: impl Fn(&Value, &str) -> Amounts) -> Amounts {
    let add = |to: &mut Amounts, more: &Amounts| {
        for (name, amount) in more {
            *to.entry(name.clone()).or_default() += *amount;
        }
    };
    let mut total = Amounts::new();
    for container in items(pod, "/spec/containers") {
        add(&mut total, &of(container, "/status/containerStatuses"));
    }
    let (mut staying, mut peak) = (Amounts::new(), Amounts::new());
    for container in items(pod, "/spec/initContainers") {
        let needed = if text(container, "/restartPolicy") == "Always" {
            add(
                &mut staying,
                &of(container, "/status/initContainerStatuses"),
            );
            staying.clone()
        } else {
            let mut needed = amounts(container, &format!("/resources/{what}"));
            add(&mut needed, &staying);
            needed
        };
        raise(&mut peak, needed);
    }
    add(&mut total, &staying);
    raise(&mut total, peak);
    let overhead = amounts(pod, "/spec/overhead");
    // Overhead counts as a limit only where there is one.
    for (name, amount) in overhead {
        if what == "requests" || total.contains_key(&name) {
            *total.entry(name).or_default() += amount;
        }
    }
    total
}

/// When a pod that is being deleted is given up: twice its time to end after it was asked
/// to, as Kubernetes has it. Whatever keeps it then takes no part of a quota any more.
pub fn given_up_at(pod: &Value) -> Option<Timestamp> {
    let ends: Timestamp = text(pod, "/metadata/deletionTimestamp").parse().ok()?;
    let grace = pod.pointer("/metadata/deletionGracePeriodSeconds")?;
    let grace = SignedDuration::from_secs(grace.as_i64()?);
    ends.checked_add(grace).ok()
}

/// What an object uses at a time, by the names quotas have for it.
pub fn usage(group: &str, resource: &str, object: &Value, now: Timestamp) -> Amounts {
    Counted::of(group, resource, object).usage(now)
}

/// What an object uses by its kind, as long as it is not given up.
fn uses(group: &str, resource: &str, object: &Value) -> Amounts {
    let one = Quantity::from_value(1, Format::DecimalSi);
    let mut usage = Amounts::new();
    match (group, resource) {
        ("", "pods") => {
            if matches!(text(object, "/status/phase"), "Succeeded" | "Failed") {
                return usage;
            }
            usage.insert("pods".into(), one);
            for (what, amount) in pod_counted(object, "requests") {
                usage.insert(format!("requests.{what}"), amount);
                usage.insert(what, amount);
            }
            for (what, amount) in pod_counted(object, "limits") {
                usage.insert(format!("limits.{what}"), amount);
            }
        }
        ("", "services") => {
            usage.insert("services".into(), one);
            let ports = items(object, "/spec/ports").len();
            let has_node_ports =
                object.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
            let node_ports =
                Quantity::from_value(i64::try_from(ports).unwrap_or(i64::MAX), Format::DecimalSi);
            match text(object, "/spec/type") {
                "NodePort" => drop(usage.insert("services.nodeports".into(), node_ports)),
                "LoadBalancer" => {
                    usage.insert("services.loadbalancers".into(), one);
                    if has_node_ports {
                        usage.insert("services.nodeports".into(), node_ports);
                    }
                }
                _ => {}
            }
        }
        ("", "persistentvolumeclaims") => {
            usage.insert("persistentvolumeclaims".into(), one);
            let class = text(object, "/spec/storageClassName");
            let storage = amounts(object, "/spec/resources/requests")
                .get("storage")
                .copied();
            let prefix = format!("{class}.storageclass.storage.k8s.io/");
            if !class.is_empty() {
                usage.insert(format!("{prefix}persistentvolumeclaims"), one);
            }
            if let Some(storage) = storage {
                usage.insert("requests.storage".into(), storage);
                if !class.is_empty() {
                    usage.insert(format!("{prefix}requests.storage"), storage);
                }
            }
        }
        ("", "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas") => {
            usage.insert(resource.into(), one);
        }
        _ => {}
    }
    usage
}

/// The group and resource whose objects use what a quota limits under a name.
pub fn counted_by(what: &str) -> (&str, &str) {
    if let Some(object) = what.strip_prefix("count/") {
        let (resource, group) = object.split_once('.').unwrap_or((object, ""));
        return (group, resource);
    }
    let resource = match what {
        "configmaps" | "replicationcontrollers" | "resourcequotas" | "secrets" => what,
        "services" | "services.loadbalancers" | "services.nodeports" => "services",
        "persistentvolumeclaims" | "requests.storage" => "persistentvolumeclaims",
        _ if what.contains(".storageclass.storage.k8s.io/") => "persistentvolumeclaims",
        _ => "pods",
    };
    ("", resource)
}

/// Whether an object is among those that a quota is about.
pub fn matches_scopes(quota: &Value, resource: &str, object: &Value) -> bool {
    counted::is_within(quota, counted::Pod::of(resource, object).as_ref())
}

fn is_best_effort(pod: &Value) -> bool {
    let has_none = |what| {
        pod_total(pod, what)
            .keys()
            .all(|name| name != "cpu" && name != "memory")
    };
    has_none("requests") && has_none("limits")
}

/// The string at a JSON pointer, or `""`.
fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// The elements of the array at a JSON pointer; none if there is no array.
fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    let found = object.pointer(pointer).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

/// The strings of the array at a JSON pointer.
fn strings<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> {
    items(object, pointer).iter().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_tell_what_is_counted() {
        for (what, counted) in [
            ("pods", ("", "pods")),
            ("requests.cpu", ("", "pods")),
            ("requests.example.com/gpu", ("", "pods")),
            ("hugepages-2Mi", ("", "pods")),
            ("services.nodeports", ("", "services")),
            ("requests.storage", ("", "persistentvolumeclaims")),
            (
                "gold.storageclass.storage.k8s.io/requests.storage",
                ("", "persistentvolumeclaims"),
            ),
            ("secrets", ("", "secrets")),
            ("count/secrets", ("", "secrets")),
            ("count/replicasets.apps", ("apps", "replicasets")),
            (
                "count/knobs.shop.example.com",
                ("shop.example.com", "knobs"),
            ),
        ] {
            assert_eq!(counted_by(what), counted, "{what}");
        }
    }

    #[test]
    fn usage_has_the_names_of_quotas() {
        let pod = json!({"spec": {"containers": [{"name": "c", "resources": {
            "requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}}]}});
        let now = Timestamp::now();
        let used = usage("", "pods", &pod, now);
        let shown: Vec<String> = used.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let all = "count/pods=1 cpu=100m limits.cpu=1 pods=1 requests.cpu=100m";
        assert_eq!(shown.join(" "), all);
        let done = json!({"status": {"phase": "Failed"}});
        assert_eq!(usage("", "pods", &done, now).len(), 1);
        let scoped = |scope: &str| json!({"spec": {"scopes": [scope]}});
        assert!(matches_scopes(&scoped("NotBestEffort"), "pods", &pod));
        assert!(!matches_scopes(&scoped("Terminating"), "pods", &pod));
    }

    /// `TestPodResourceRequests` and `TestPodResourceLimits` of
    /// `k8s.io/component-helpers/resource`.
    #[test]
    fn while_a_pod_is_resized_the_larger_amount_counts() {
        let counted = |asked: &str, has: &str, reason: &str| {
            let list = |cpu: &str| json!({"requests": {"cpu": cpu}, "limits": {"cpu": cpu}});
            let pod = json!({
                "spec": {"containers": [{"name": "c", "resources": list(asked)}]},
                "status": {
                    "conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}],
                    "containerStatuses": [{"name": "c", "resources": list(has),
                        "allocatedResources": {"cpu": "200m"}}],
                },
            });
            let used = usage("", "pods", &pod, Timestamp::now());
            ["requests.cpu", "limits.cpu"].map(|name| used[name].to_string())
        };
        assert_eq!(counted("1", "300m", "Deferred"), ["1", "1"]);
        assert_eq!(counted("100m", "300m", ""), ["300m", "300m"]);
        assert_eq!(counted("100m", "100m", ""), ["200m", "100m"]);
        assert_eq!(counted("64", "300m", "Infeasible"), ["300m", "300m"]);
    }

    #[test]
    fn pods_that_do_not_end_in_time_are_given_up() {
        let pod = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:30Z",
            "deletionGracePeriodSeconds": 30}, "spec": {"containers": []}});
        let at = |time: &str| usage("", "pods", &pod, time.parse().unwrap());
        assert_eq!(at("2026-01-01T00:01:00Z")["pods"].to_string(), "1");
        assert!(!at("2026-01-01T00:01:01Z").contains_key("pods"));
        assert!(at("2026-01-01T00:01:01Z").contains_key("count/pods"));
    }
}
