//! What is in the simulated cluster.

use serde_json::{Value, json};

/// The namespace of all that has one.
pub const NAMESPACE: &str = "simulated";
/// The ConfigMap that is in every pod.
pub const ROOT_CA: &str = "kube-root-ca.crt";
/// Endpoints of each Service.
const ENDPOINTS: u64 = 10;

/// The name of a node.
pub fn node_name(number: u64) -> String {
    format!("node-{number}")
}

/// A node.
pub fn node(number: u64) -> Value {
    let name = node_name(number);
    let room = json!({"cpu": "32", "memory": "128Gi", "pods": "110", "ephemeral-storage": "1Ti"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": format!("zone-{}", number % 3),
        }},
        "status": {
            "capacity": room,
            "allocatable": room,
            "addresses": [{"type": "Hostname", "address": name}],
            "conditions": conditions("2026-01-01T00:00:00Z"),
        },
    })
}

/// What a kubelet says of its node every few minutes although nothing has changed.
pub fn status(now: &str) -> Value {
    json!({"status": {"conditions": conditions(now)}})
}

fn conditions(now: &str) -> Value {
    let all = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID"),
        ("Ready", "True", "KubeletReady"),
    ];
    let all = all.map(|(kind, status, reason)| {
        json!({"type": kind, "status": status, "reason": reason, "message": "simulated",
            "lastHeartbeatTime": now, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    });
    json!(all)
}

/// A node's Lease, renewed `now`.
pub fn lease(node: &str, now: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": node, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": now},
    })
}

/// A pod that a node has.
pub fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "simulated"}},
        "spec": {
            "nodeName": node,
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "app",
                "image": "registry.example/app:1",
                "ports": [{"containerPort": 8080, "name": "http"}],
                "env": [{"name": "NODE", "value": node}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
            }],
            "volumes": [{"name": "ca", "configMap": {"name": ROOT_CA}}],
        },
    })
}

/// What a kubelet says of a pod that it has started.
pub fn running(now: &str) -> Value {
    let conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": now}));
    json!({"status": {
        "phase": "Running",
        "startTime": now,
        "podIP": "10.200.0.2",
        "podIPs": [{"ip": "10.200.0.2"}],
        "conditions": conditions,
        "containerStatuses": [{
            "name": "app", "ready": true, "started": true, "restartCount": 0,
            "image": "registry.example/app:1", "imageID": "sha256:0",
            "state": {"running": {"startedAt": now}},
        }],
    }})
}

/// The ConfigMap that is in every pod.
pub fn root_ca() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": ROOT_CA},
        "data": {"ca.crt": "x".repeat(1100)},
    })
}

/// The name of a Service and of its slice.
pub fn service_name(number: u64) -> String {
    format!("service-{number}")
}

/// A Service.
pub fn service(number: u64) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service_name(number)},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    })
}

/// Its endpoints. They differ from turn to turn, in one address.
pub fn slice(number: u64, turn: u64, version: &str) -> Value {
    json!({
        "apiVersion": format!("discovery.k8s.io/{version}"),
        "kind": "EndpointSlice",
        "metadata": {"name": service_name(number), "labels": {
            "kubernetes.io/service-name": service_name(number),
            "endpointslice.kubernetes.io/managed-by": "hardway-load",
        }},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints(number, turn),
    })
}

/// The change of one address of a slice.
pub fn moved(number: u64, turn: u64) -> Value {
    json!({"endpoints": endpoints(number, turn)})
}

fn endpoints(number: u64, turn: u64) -> Value {
    let endpoints = (0..ENDPOINTS).map(|index| {
        let last = if index == 0 { turn % 200 } else { index } + 2;
        let address = format!("10.{}.{}.{last}", 200 + number / 250 % 50, number % 250);
        json!({"addresses": [address], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "namespace": NAMESPACE,
                "name": format!("pod-of-{number}-{index}")}})
    });
    endpoints.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_moves_in_each_turn() {
        let (before, after) = (endpoints(3, 1), endpoints(3, 2));
        let pairs = before
            .as_array()
            .unwrap()
            .iter()
            .zip(after.as_array().unwrap());
        assert_eq!(pairs.filter(|(before, after)| before != after).count(), 1);
        assert_eq!(moved(3, 1)["endpoints"], slice(3, 1, "v1")["endpoints"]);
    }
}
