//! Changes that must stay possible: of a type, and of what an older version has stored.

use crate::common::Lab;
use serde_json::{Value, json};

const SERVICES: &str = "/api/v1/namespaces/default/services";

async fn patched(lab: &Lab, path: &str, patch: Value) -> Value {
    let (code, object) = lab.merge(path, &patch).await;
    assert_eq!(code, 200, "{object}");
    object
}

/// As `dropTypeDependentFields` of Kubernetes' `pkg/registry/core/service` lets them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_can_become_another_service() {
    let lab = Lab::start().await;
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local",
                      "loadBalancerClass": "example.com/lb",
                      "selector": {"a": "b"}, "ports": [{"port": 80}]});
    for (name, kind) in [("a", "ClusterIP"), ("b", "NodePort"), ("c", "ExternalName")] {
        let service = json!({"metadata": {"name": name}, "spec": spec});
        let made = lab.create(SERVICES, &service).await;
        assert_eq!(made["spec"]["allocateLoadBalancerNodePorts"], true);
        assert_ne!(made["spec"]["healthCheckNodePort"], Value::Null);
        let mut change = json!({"spec": {"type": kind}});
        if kind == "ExternalName" {
            change["spec"]["externalName"] = json!("example.com");
        }
        let path = format!("{SERVICES}/{name}");
        let object = patched(&lab, &path, change).await;
        for gone in [
            "allocateLoadBalancerNodePorts",
            "loadBalancerClass",
            "healthCheckNodePort",
        ] {
            assert_eq!(object["spec"][gone], Value::Null, "{kind}: {object}");
        }
    }
    let service = json!({"metadata": {"name": "d"}, "spec": spec});
    lab.create(SERVICES, &service).await;
    let cluster = json!({"spec": {"externalTrafficPolicy": "Cluster"}});
    let object = patched(&lab, &format!("{SERVICES}/d"), cluster).await;
    assert_eq!(object["spec"]["healthCheckNodePort"], Value::Null);
    assert_eq!(object["spec"]["loadBalancerClass"], "example.com/lb");
}

/// Kubernetes gives defaults to what it reads from etcd as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_before_a_default_can_be_changed() {
    let lab = Lab::start().await;
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let object = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "restored", "namespace": "default", "uid": "u-1",
                     "creationTimestamp": "2026-01-01T00:00:00Z",
                     "finalizers": ["kubernetes.io/pvc-protection"]},
        "spec": {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
                 "resources": {"requests": {"storage": "1Gi"}},
                 "dataSource": {"kind": "PersistentVolumeClaim", "name": "other"}},
        "status": {"phase": "Pending"}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "old", "namespace": "default", "uid": "u-2", "generation": 1,
                     "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"backoffLimit": 6, "completionMode": "NonIndexed", "completions": 1,
            "parallelism": 1, "suspend": true,
            "podFailurePolicy": {"rules": [{"action": "Ignore",
                "onPodConditions": [{"type": "DisruptionTarget"}]}]},
            "selector": {"matchLabels": {"controller-uid": "u-2"}},
            "template": {"metadata": {"labels": {"controller-uid": "u-2", "job-name": "old"}},
                "spec": {"containers": [{"name": "c", "image": "i"}],
                         "restartPolicy": "Never"}}}});
    let mut etcd = lab.etcd_client().await;
    for (key, object) in [
        ("persistentvolumeclaims/default/restored", object),
        ("jobs/default/old", job),
    ] {
        let key = format!("/registry/{key}");
        etcd.put(key, object.to_string(), None).await.unwrap();
    }
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    for path in [format!("{claims}/restored"), format!("{jobs}/old")] {
        let there = async || lab.get(&path).await.0 == 200;
        lab.until("it is seen", there).await;
        let labels = json!({"metadata": {"labels": {"a": "b"}}});
        let changed = patched(&lab, &path, labels).await;
        assert_eq!(changed["metadata"]["labels"]["a"], "b");
        // What is served can be sent back as it is.
        let (_, served) = lab.get(&path).await;
        let (code, same) = lab.put(&path, &served).await;
        assert_eq!(
            (code, &same["metadata"]["resourceVersion"]),
            (200, &served["metadata"]["resourceVersion"]),
            "{same}"
        );
    }
    let none = json!({"metadata": {"finalizers": null}});
    patched(&lab, &format!("{claims}/restored"), none).await;
}
