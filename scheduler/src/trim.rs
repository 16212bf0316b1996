//! What is kept of pods and nodes: the scheduler holds all of a cluster, and looks at little of
//! each. Environments, probes, mounts and annotations are most of many pods.

use crate::images;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Node, Pod};

/// Keeps of a pod what placing it, or others beside it, goes by.
pub fn pod(pod: &mut Pod) {
    pod.metadata.annotations = None;
    if let Some(spec) = &mut pod.spec {
        spec.containers.iter_mut().for_each(container);
        let initial = spec.init_containers.iter_mut().flatten();
        initial.for_each(container);
        spec.security_context = None;
        spec.host_aliases = None;
        spec.image_pull_secrets = None;
        spec.dns_config = None;
    }
    if let Some(status) = &mut pod.status {
        let main = status.container_statuses.iter_mut().flatten();
        let initial = status.init_container_statuses.iter_mut().flatten();
        main.chain(initial).for_each(container_status);
        status.ephemeral_container_statuses = None;
        status.pod_ips = None;
        status.host_ips = None;
    }
}

fn container(container: &mut Container) {
    *container = Container {
        name: std::mem::take(&mut container.name),
        image: container.image.take(),
        ports: container.ports.take(),
        resources: container.resources.take(),
        restart_policy: container.restart_policy.take(),
        ..Container::default()
    };
}

/// While a pod is being resized, what its containers have counts as well.
fn container_status(status: &mut ContainerStatus) {
    *status = ContainerStatus {
        name: std::mem::take(&mut status.name),
        resources: status.resources.take(),
        allocated_resources: status.allocated_resources.take(),
        ..ContainerStatus::default()
    };
}

/// Keeps of a node what it has for pods, and what it wants of them.
pub fn node(node: &mut Node) {
    node.metadata.annotations = None;
    if let Some(status) = node.status.take() {
        let kept = node.status.get_or_insert_default();
        kept.allocatable = status.allocatable;
        kept.images = status.images;
        // As all who look for one want them: the cache would have to copy the node.
        if let Some(images) = &mut kept.images {
            images::sort(images);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod_info::PodInfo;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn what_a_pod_asks_for_is_the_same_without_what_is_thrown_away() {
        let resources = json!({"requests": {"cpu": "1", "memory": "1Gi"}});
        let whole: Pod = serde_json::from_value(json!({
            "metadata": {"namespace": "d", "name": "p", "labels": {"a": "b"},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            "spec": {
                "initContainers": [{"name": "i", "image": "x", "restartPolicy": "Always",
                    "resources": resources, "env": [{"name": "A", "value": "b"}]}],
                "containers": [{"name": "c", "image": "y", "args": ["z"], "resources": resources,
                    "ports": [{"containerPort": 80, "hostPort": 80}],
                    "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
                "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
                "tolerations": [{"operator": "Exists"}],
            },
            "status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": true,
                "restartCount": 1, "image": "y", "imageID": "sha256:0",
                "allocatedResources": {"cpu": "3"},
                "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}}]},
        }))
        .unwrap();
        let mut trimmed = whole.clone();
        pod(&mut trimmed);
        let text = serde_json::to_string(&trimmed).unwrap();
        for gone in ["last-applied", "env", "args", "volumeMounts", "sha256"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        let (whole, trimmed) = (
            PodInfo::new(Arc::new(whole)),
            PodInfo::new(Arc::new(trimmed)),
        );
        assert_eq!(trimmed.requests, whole.requests);
        assert_eq!(trimmed.requests.milli_cpu, 4000, "the resize counts");
        assert_eq!(trimmed.scored_requests, whole.scored_requests);
        assert_eq!(trimmed.host_ports.len(), 1);
        assert_eq!(trimmed.claims, ["data"]);
        let spec = trimmed.spec().unwrap();
        assert_eq!(spec.containers[0].image.as_deref(), Some("y"));
        assert!(spec.tolerations.is_some());
    }

    #[test]
    fn a_node_keeps_what_it_has_for_pods() {
        let mut whole: Node = serde_json::from_value(json!({
            "metadata": {"name": "n", "labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {"allocatable": {"cpu": "4"}, "capacity": {"cpu": "8"},
                "images": [{"names": ["x"], "sizeBytes": 7}],
                "conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap();
        node(&mut whole);
        let kept = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "n", "labels": {"a": "b"}},
            "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {"allocatable": {"cpu": "4"}, "images": [{"names": ["x"], "sizeBytes": 7}]},
        });
        assert_eq!(serde_json::to_value(&whole).unwrap(), kept);
    }
}
