//! One object of each kind that a component uses typed, with as little as is
//! accepted.

use serde_json::{Value, json};

fn workload(kind: &str, more: Value) -> Value {
    let labels = json!({"a": "b"});
    let mut spec = json!({"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}});
    for (name, value) in more.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    json!({"kind": kind, "spec": spec})
}

/// Everything but the name.
pub fn of(group: &str, kind: &str) -> Value {
    let pod = json!({"containers": [{"name": "c", "image": "i"}]});
    let job = json!({"template": {"spec": {"restartPolicy": "Never",
        "containers": [{"name": "c", "image": "i"}]}}});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"});
    match kind {
        "Pod" => json!({"spec": pod}),
        "PodTemplate" => json!({"template": {"spec": pod}}),
        "ReplicationController" => json!({"spec": {"selector": {"a": "b"},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod}}}),
        "DaemonSet" | "Deployment" | "ReplicaSet" => workload(kind, json!({})),
        "StatefulSet" => workload(kind, json!({"serviceName": "s"})),
        "Job" => json!({"spec": job}),
        "CronJob" => json!({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": job}}}),
        "Event" if group.is_empty() => {
            json!({"involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}})
        }
        "Event" => json!({"regarding": {"kind": "Pod", "namespace": "default", "name": "p"},
            "eventTime": "2026-01-02T03:04:05.000000Z", "reportingController": "a/b",
            "reportingInstance": "i", "action": "a", "reason": "r", "type": "Normal"}),
        "PersistentVolume" => json!({"spec": {"capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}}),
        "PersistentVolumeClaim" => json!({"spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}}),
        "Service" => json!({"spec": {"ports": [{"port": 80}]}}),
        "ControllerRevision" => json!({"revision": 1, "data": {"a": 1}}),
        "HorizontalPodAutoscaler" => json!({"spec": {"maxReplicas": 2,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}),
        "CertificateSigningRequest" => json!({"spec": {"signerName": "example.com/x",
            "usages": ["client auth"], "request": CSR}}),
        "EndpointSlice" => {
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]})
        }
        "Ingress" => {
            json!({"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}})
        }
        "RuntimeClass" => json!({"handler": "runc"}),
        "ClusterRoleBinding" | "RoleBinding" => json!({"roleRef": role}),
        "PriorityClass" => json!({"value": 1}),
        "CSIDriver" => json!({"spec": {}}),
        "CSINode" => json!({"spec": {"drivers": []}}),
        "CSIStorageCapacity" => json!({"storageClassName": "s"}),
        "VolumeAttachment" => json!({"spec": {"attacher": "example.com", "nodeName": "n",
            "source": {"persistentVolumeName": "v"}}}),
        "StorageClass" => json!({"provisioner": "example.com/x"}),
        "IngressClass" => json!({"spec": {"controller": "example.com/x"}}),
        _ => json!({}),
    }
}

/// `openssl req -new -newkey ed25519 -nodes -keyout /dev/null -subj /CN=x`, in base64.
const CSR: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHTE1EOENBUUF3RERFS01BZ0dBMVVFQXd3QmVEQXFNQVVHQXl0bGNBTWhBSWZnc2dha2dZa1ZIcGUvdVVwdgpwemNLaGd5NS9Walo5WXRxU0QxdTN0VnFvQUF3QlFZREsyVndBMEVBQyswNUhrb3hlV3Vuc3d5OTg1RWk4Vk1VCnRYR1ZyWkdDTU1VOTZGeU5ZUFJTazNRR3VJTUdkNCtIQXA2MDVielNuZ2JscXBxUVBSVWMwL1NhbWVSM0JRPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";
