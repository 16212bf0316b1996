//! What may change in the resources of a pod that exists (`ValidatePodResize` in Kubernetes'
//! `pkg/apis/core/validation`, `dropNonResizeUpdates` in `pkg/registry/core/pod`).

use super::super::FieldErrors;
use super::super::field::{Errors, Path};
use super::super::json::{get, list, list_mut, remove, set, text};
use super::qos::qos_class;
use hardway_proto::quantity::Quantity;
use serde_json::{Map, Value};

/// What can be changed.
const RESIZABLE: [&str; 2] = ["cpu", "memory"];

/// Takes over what a resize is about: resources and policies of containers, by name. All
/// else that was sent is dropped.
pub fn take_resources(pod: &mut Value, sent: &Value) {
    let Some(spec) = pod.get_mut("spec") else {
        return;
    };
    for field in ["containers", "initContainers"] {
        let sent = list(get(sent, "spec"), field);
        for container in list_mut(spec, field) {
            let name = text(container, "name");
            let Some(new) = sent.iter().find(|new| text(new, "name") == name) else {
                continue;
            };
            for field in ["resources", "resizePolicy"] {
                match get(new, field) {
                    Value::Null => drop(remove(container, field)),
                    value => set(container, field, value.clone()),
                }
            }
        }
    }
}

/// What is wrong with a change of resources; called in addition to what checks the pod.
pub fn validate_resize(new: &Value, old: &Value) -> FieldErrors {
    Errors::collect(|e| {
        if let Some(why) = never(old) {
            e.forbidden(&Path::default(), why);
            return;
        }
        let path = Path::new("spec");
        let (after, before) = (get(new, "spec"), get(old, "spec"));
        let class = text(get(old, "status"), "qosClass");
        let class = if class.is_empty() {
            qos_class(before)
        } else {
            class
        };
        if qos_class(after) != class {
            let detail = "Pod QOS Class may not change as a result of resizing";
            e.invalid(&path, class, detail);
        }
        if !is_supported(old) {
            e.forbidden(&path, "Pod running on node without support for resize");
        }
        let pairs = |field: &'static str| {
            list(after, field)
                .iter()
                .zip(list(before, field))
                .enumerate()
        };
        for (i, (new, old)) in pairs("initContainers").filter(|(_, (_, old))| is_sidecar(old)) {
            let at = path.child("initContainers").index(i);
            container(e, &at.child("resources"), new, old);
        }
        for (i, (new, old)) in pairs("containers") {
            let at = path.child("containers").index(i);
            container(e, &at.child("resources"), new, old);
        }
        for (_, (new, old)) in pairs("containers") {
            if settled(new) != settled(old) {
                e.forbidden(&path, "only cpu and memory resources are mutable");
            }
        }
        for (_, (new, old)) in pairs("initContainers") {
            if is_sidecar(new) && settled(new) != settled(old) {
                let detail = "only cpu and memory resources for sidecar containers are mutable";
                e.forbidden(&path, detail);
            } else if !is_sidecar(new) && new != old {
                let detail = "resources for non-sidecar init containers are immutable";
                e.forbidden(&path, detail);
            }
        }
    })
}

/// Why a pod can't be resized at all.
fn never(pod: &Value) -> Option<&'static str> {
    let whole = get(get(pod, "spec"), "resources");
    let has = |field| get(whole, field).as_object().is_some_and(|m| !m.is_empty());
    let annotations = get(get(pod, "metadata"), "annotations");
    if has("requests") || has("limits") {
        Some("pods with pod-level resources cannot be resized")
    } else if !get(annotations, "kubernetes.io/config.mirror").is_null() {
        Some("static pods cannot be resized")
    } else if text(get(get(pod, "spec"), "os"), "name") == "windows" {
        Some("windows pods cannot be resized")
    } else {
        None
    }
}

/// A kubelet that knows of resizing tells what running containers have.
fn is_supported(pod: &Value) -> bool {
    let mut statuses = list(get(pod, "status"), "containerStatuses").iter();
    let running = statuses.find(|status| !get(get(status, "state"), "running").is_null());
    running.is_none_or(|status| !get(status, "resources").is_null())
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "restartPolicy") == "Always"
}

/// Nothing that was asked for goes, and memory isn't taken from what runs.
fn container(e: &mut Errors, path: &Path, new: &Value, old: &Value) {
    for kind in ["requests", "limits"] {
        let after = get(get(new, "resources"), kind);
        let before = get(get(old, "resources"), kind).as_object();
        let mut names = before.into_iter().flat_map(Map::keys);
        if names.any(|name| get(after, name).is_null()) {
            let detail = format!("resource {kind} cannot be removed");
            e.forbidden(&path.child(kind), &detail);
        }
    }
    let mut policies = list(new, "resizePolicy").iter();
    let policy = policies.find(|policy| text(policy, "resourceName") == "memory");
    if policy.is_some_and(|policy| text(policy, "restartPolicy") == "RestartContainer") {
        return;
    }
    let limit = |container: &Value| {
        let limits = get(get(container, "resources"), "limits");
        let memory = get(limits, "memory");
        (!memory.is_null()).then(|| Quantity::from_json(memory).unwrap_or_default())
    };
    let fate = match (limit(new), limit(old)) {
        (Some(after), Some(before)) if after < before => "decreased",
        (Some(_), None) => "added",
        _ => return,
    };
    let detail = format!("memory limits cannot be {fate} unless resizePolicy is RestartContainer");
    e.forbidden(&path.child("limits").key("memory"), &detail);
}

/// A container without what may change in it.
fn settled(container: &Value) -> Value {
    let mut container = container.clone();
    let mut resources = Map::new();
    for (kind, amounts) in get(&container, "resources")
        .as_object()
        .into_iter()
        .flatten()
    {
        let mut amounts = amounts.clone();
        if let Some(amounts) = amounts.as_object_mut() {
            RESIZABLE
                .iter()
                .for_each(|name| drop(amounts.remove(*name)));
        }
        let is_empty = amounts.as_object().is_some_and(Map::is_empty);
        if !amounts.is_null() && !is_empty {
            resources.insert(kind.clone(), amounts);
        }
    }
    set(&mut container, "resources", resources);
    container
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(resources: Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [
            {"name": "c", "image": "i", "resources": resources},
        ]}, "status": {"qosClass": "Burstable"}})
    }

    fn told(new: &Value, old: &Value) -> Vec<String> {
        let errors = validate_resize(new, old).into_iter();
        errors
            .map(|c| format!("{}: {}", c.field, c.message))
            .collect()
    }

    fn base() -> Value {
        pod(json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}))
    }

    /// `TestValidatePodResize` of `pkg/apis/core/validation/validation_test.go`.
    #[test]
    fn cpu_and_memory_may_change_as_long_as_the_class_stays() {
        let old = base();
        let refused = |resources: Value, words: &[&str]| {
            assert_eq!(told(&pod(resources), &old), words);
        };
        let more = json!({"requests": {"cpu": "200m", "memory": "32Mi"}, "limits": {"memory": "256Mi", "cpu": "1"}});
        refused(more, &[]);
        let less =
            json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "100Mi"}});
        refused(
            less.clone(),
            &[
                "spec.containers[0].resources.limits[memory]: Forbidden: memory limits cannot be decreased unless resizePolicy is RestartContainer",
            ],
        );
        let fewer = json!({"requests": {"cpu": "100m"}, "limits": {"memory": "128Mi"}});
        refused(
            fewer,
            &[
                "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
            ],
        );
        let other = json!({"requests": {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "1Gi"}, "limits": {"memory": "128Mi"}});
        refused(
            other,
            &["spec: Forbidden: only cpu and memory resources are mutable"],
        );
        let guaranteed = json!({"requests": {"cpu": "1", "memory": "128Mi"}, "limits": {"memory": "128Mi", "cpu": "1"}});
        refused(
            guaranteed,
            &[
                "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing",
            ],
        );
        let mut willing = (base(), pod(less));
        for pod in [&mut willing.0, &mut willing.1] {
            pod["spec"]["containers"][0]["resizePolicy"] =
                json!([{"resourceName": "memory", "restartPolicy": "RestartContainer"}]);
        }
        assert!(told(&willing.1, &willing.0).is_empty());
    }

    #[test]
    fn some_pods_are_never_resized() {
        let mut mirror = base();
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "h"});
        assert_eq!(
            told(&mirror, &mirror),
            [": Forbidden: static pods cannot be resized"]
        );
        let mut silent = base();
        silent["status"]["containerStatuses"] = json!([{"name": "c", "state": {"running": {}}}]);
        assert_eq!(
            told(&silent, &silent),
            ["spec: Forbidden: Pod running on node without support for resize"]
        );
    }

    #[test]
    fn only_resources_are_taken_by_the_name_of_the_container() {
        let mut old = base();
        let sent = json!({"spec": {"nodeName": "elsewhere", "containers": [
            {"name": "other", "resources": {}},
            {"name": "c", "image": "evil", "resources": {"limits": {"cpu": "1"}}},
        ]}});
        take_resources(&mut old, &sent);
        let container = &old["spec"]["containers"][0];
        assert_eq!(container["resources"], json!({"limits": {"cpu": "1"}}));
        assert_eq!(container["image"], "i");
        assert_eq!(old["spec"]["nodeName"], Value::Null);
    }
}
