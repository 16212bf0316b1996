//! What problems are found by, of objects of which a cluster has thousands.

use serde_json::Value;

use crate::object::{Json, Object};
use crate::relations::is_well;

/// What causes about other objects read of a pod that is well itself: who it is, what it takes
/// of its node, and what it offers to Services.
const POD: &[(&str, &[&str])] = &[
    (
        "metadata",
        &[
            "name",
            "namespace",
            "uid",
            "labels",
            "ownerReferences",
            "creationTimestamp",
        ],
    ),
    (
        "spec",
        &[
            "nodeName",
            "containers",
            "initContainers",
            "volumes",
            "overhead",
            "resources",
            "hostNetwork",
        ],
    ),
    ("status", &["phase", "conditions"]),
];
const CONTAINER: &[&str] = &["name", "restartPolicy", "ports", "resources"];
/// The volumes that are claims.
const CLAIMS: &[&str] = &["persistentVolumeClaim", "ephemeral"];
const EVENT: &[&str] = &[
    "involvedObject",
    "reason",
    "message",
    "count",
    "series",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
];

/// An object without what [`problems`](crate::problems) has no use for: the same problems are
/// found, in a fraction of the memory. [`explain`](crate::explain) wants its subject whole.
pub fn condense(kind: &str, mut object: Value) -> Value {
    match kind {
        "Pod" if is_plain(&object) => condense_pod(&mut object),
        "Event" => keep(&mut object, EVENT),
        _ => {}
    }
    object
}

/// Whether nothing is the matter with a pod, and nothing was.
fn is_plain(value: &Value) -> bool {
    let pod = Object { kind: "Pod", value };
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let mut containers = lists.iter().flat_map(|list| value.list(list));
    pod.deleted().is_none()
        && value.text("/status/phase") == Some("Running")
        && is_well(&pod)
        && !containers.any(|it| {
            let has_waited = it.pointer("/state/waiting").is_some();
            let has_ended = it.pointer("/lastState/terminated").is_some();
            let restarts = it.number("/restartCount").unwrap_or_default();
            let code = it.number("/state/terminated/exitCode");
            has_waited || has_ended || restarts > 0 || code.is_some_and(|code| code != 0)
        })
}

fn condense_pod(pod: &mut Value) {
    for (part, fields) in POD {
        if let Some(part) = pod.get_mut(*part) {
            keep(part, fields);
        }
    }
    for list in ["/spec/containers", "/spec/initContainers"] {
        for container in list_mut(pod, list).into_iter().flatten() {
            keep(container, CONTAINER);
            if let Some(resources) = container.get_mut("resources") {
                keep(resources, &["requests"]);
            }
        }
    }
    if let Some(volumes) = list_mut(pod, "/spec/volumes") {
        volumes.retain(|volume| CLAIMS.iter().any(|claim| volume.get(claim).is_some()));
        volumes.shrink_to_fit();
    }
    if let Some(conditions) = list_mut(pod, "/status/conditions") {
        conditions.retain(|it| it.text("/type") == Some("Ready"));
        conditions.shrink_to_fit();
    }
}

fn list_mut<'a>(object: &'a mut Value, pointer: &str) -> Option<&'a mut Vec<Value>> {
    object.pointer_mut(pointer)?.as_array_mut()
}

/// Takes all but these fields away.
fn keep(object: &mut Value, fields: &[&str]) {
    if let Value::Object(object) = object {
        object.retain(|name, _| fields.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fixtures::{NOW, event};
    use crate::{Diagnosis, Listing, Snapshot, everything, problems, resource};
    use serde_json::json;

    fn pod(name: &str, ready: &str, restarts: u32) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"},
                "annotations": {"a": "b"}, "creationTimestamp": "2025-01-01T00:00:00Z"},
            "spec": {
                "nodeName": "worker-1",
                "containers": [{
                    "name": "main", "image": "web:1", "env": [{"name": "A", "value": "B"}],
                    "ports": [{"name": "http", "containerPort": 8080, "hostPort": 80}],
                    "resources": {"requests": {"cpu": "1500m"}, "limits": {"cpu": "2"}},
                    "readinessProbe": {"httpGet": {"port": "http"}},
                }],
                "volumes": [
                    {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                    {"name": "token", "projected": {"sources": []}},
                ],
            },
            "status": {
                "phase": "Running",
                "conditions": [{"type": "PodScheduled", "status": "True"},
                    {"type": "Ready", "status": ready, "lastTransitionTime": "2025-01-01T00:01:00Z"}],
                "containerStatuses": [{"name": "main", "ready": ready == "True", "restartCount": restarts,
                    "state": {"running": {"startedAt": "2025-01-01T00:01:00Z"}},
                    "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2025-01-01T00:09:00Z"}}}],
            },
        })
    }

    fn well(name: &str) -> Value {
        let mut pod = pod(name, "True", 0);
        pod["status"]["containerStatuses"][0]["lastState"] = json!({});
        pod
    }

    /// A cluster in which much is wrong that has to do with pods that are well.
    fn cluster() -> Vec<(&'static str, Value)> {
        let waits = json!({"metadata": {"name": "waits", "namespace": "default", "uid": "waits"},
            "spec": {"containers": [{"name": "main", "ports": [{"containerPort": 80, "hostPort": 80}],
                "resources": {"requests": {"cpu": "1"}}}]},
            "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": "0/1 nodes are available"}]}});
        let mut apart = waits.clone();
        apart["metadata"]["name"] = json!("apart");
        apart["spec"]["affinity"] = json!({"podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "host",
                "labelSelector": {"matchLabels": {"app": "web"}}}]}});
        let service = |name: &str, port: &str| {
            json!({"metadata": {"name": name, "namespace": "default"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": port}]}})
        };
        vec![
            ("Pod", well("one")),
            ("Pod", well("two")),
            ("Pod", pod("restarts", "True", 3)),
            ("Pod", pod("unready", "False", 0)),
            ("Pod", waits),
            ("Pod", apart),
            ("Service", service("web", "http")),
            ("Service", service("wrong", "https")),
            (
                "Node",
                json!({"metadata": {"name": "worker-1", "labels": {"host": "worker-1"}},
                "status": {"allocatable": {"cpu": "4", "pods": "110"},
                    "conditions": [{"type": "Ready", "status": "True"}]}}),
            ),
            (
                "PersistentVolumeClaim",
                json!({"metadata": {"name": "data", "namespace": "default",
                "deletionTimestamp": "2025-01-01T00:00:00Z", "finalizers": ["kubernetes.io/pvc-protection"]},
                "spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"}}),
            ),
            event(
                "Pod",
                "unready",
                "Unhealthy",
                "Readiness probe failed: HTTP probe failed with 500",
            ),
            event(
                "Pod",
                "waits",
                "FailedScheduling",
                "0/1 nodes are available: 1 Insufficient cpu",
            ),
        ]
    }

    fn found(change: impl Fn(&str, Value) -> Value) -> Vec<Diagnosis> {
        let mut snapshot = Snapshot::new(NOW.parse().unwrap());
        for resource in everything() {
            snapshot.put(resource, Listing::Read(Vec::new()));
        }
        for (kind, object) in cluster() {
            let object = Arc::new(change(kind, object));
            snapshot.put(resource(kind).unwrap(), Listing::Read(vec![object]));
        }
        problems(&snapshot, None)
    }

    #[test]
    fn the_same_problems_are_found() {
        let all = found(|_, object| object);
        let mut causes: Vec<&str> = all.iter().map(|it| it.cause.as_str()).collect();
        causes.sort_unstable();
        causes.dedup();
        for cause in ["crash", "deleting", "pending", "probe", "service"] {
            assert!(causes.contains(&cause), "{cause} is not among {causes:?}");
        }
        assert_eq!(found(condense), all);
    }

    #[test]
    fn of_pods_that_are_well_little_is_left() {
        let whole = well("one");
        let left = condense("Pod", whole.clone());
        let container = left.pointer("/spec/containers/0").unwrap();
        for field in ["env", "image", "readinessProbe"] {
            assert_eq!(container.get(field), None, "{field}");
        }
        assert_eq!(left.list("/spec/volumes").len(), 1);
        assert_eq!(left.list("/status/conditions").len(), 1);
        assert_eq!(left.pointer("/status/containerStatuses"), None);
        assert_eq!(condense("Pod", left.clone()), left);
        let troubled = [pod("restarts", "True", 3), pod("unready", "False", 0)];
        for pod in troubled {
            assert_eq!(condense("Pod", pod.clone()), pod);
        }
        assert_eq!(condense("Node", whole.clone()), whole);
    }
}
