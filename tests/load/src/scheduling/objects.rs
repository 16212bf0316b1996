//! Nodes that nobody is on, and pods for them.

use super::case::Shape;
use serde_json::{Value, json};

/// Label of what belongs to a run.
pub const LABEL: &str = "hardway-load";

/// A node as large as those of scheduler_perf, in a zone.
pub fn node(name: &str, run: &str, zone: u64) -> Value {
    let room = json!({"cpu": "4", "memory": "32Gi", "pods": "110"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name,
            "topology.kubernetes.io/zone": format!("zone-{zone}"),
            LABEL: run,
        }},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{
                "type": "Ready",
                "status": "True",
                "reason": "KubeletReady",
                "message": "simulated",
            }],
        },
    })
}

/// The Lease by which a node is known to live, renewed `now`.
pub fn lease(name: &str, run: &str, now: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease", "labels": {LABEL: run}},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now},
    })
}

/// The class of pods for which others have to go. Pods may not say their priority by
/// themselves.
pub fn priority_class(name: &str, run: &str) -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name, "labels": {LABEL: run}},
        "value": 10,
        "description": "pods of a load test",
    })
}

/// A pod. `run` is given where the cluster has other nodes, too, which it must not get.
pub fn pod(name: &str, shape: Shape, class: &str, run: Option<&str>) -> Value {
    let cpu = match shape {
        Shape::Plain | Shape::NodeAffinity | Shape::AntiAffinity | Shape::Spread => "100m",
        Shape::Low => "900m",
        Shape::High => "3",
        Shape::Large => "9",
    };
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"shape": format!("{shape:?}").to_lowercase()}},
        "spec": {
            "automountServiceAccountToken": false,
            // It has to be gone at once when others need its place: no kubelet ends it.
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "pause",
                "image": "registry.k8s.io/pause:3.9",
                "ports": [{"containerPort": 80}],
                "resources": {"requests": {"cpu": cpu, "memory": "500Mi"}},
            }],
        },
    });
    let spec = &mut pod["spec"];
    if let Some(run) = run {
        spec["nodeSelector"] = json!({LABEL: run});
    }
    let own = json!({"matchLabels": {"shape": format!("{shape:?}").to_lowercase()}});
    match shape {
        Shape::NodeAffinity => {
            let zones = json!([{"key": "topology.kubernetes.io/zone", "operator": "In",
                "values": ["zone-0", "zone-1"]}]);
            spec["affinity"] = json!({"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution":
                    {"nodeSelectorTerms": [{"matchExpressions": zones}]}}});
        }
        Shape::AntiAffinity => {
            spec["affinity"] = json!({"podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution":
                    [{"labelSelector": own, "topologyKey": "kubernetes.io/hostname"}]}});
        }
        Shape::Spread => {
            spec["topologySpreadConstraints"] = json!([{"maxSkew": 5,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule", "labelSelector": own}]);
        }
        Shape::High => spec["priorityClassName"] = json!(class),
        Shape::Plain | Shape::Low | Shape::Large => {}
    }
    pod
}

/// A Service that no pod is behind.
pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"nobody": "is"}, "ports": [{"port": 80}]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_say_of_others_what_they_are_themselves() {
        let pod_of = |shape| pod("p", shape, "high", None);
        let apart = pod_of(Shape::AntiAffinity);
        let terms = &apart["spec"]["affinity"]["podAntiAffinity"];
        let term = &terms["requiredDuringSchedulingIgnoredDuringExecution"][0];
        let selected = &term["labelSelector"]["matchLabels"];
        assert_eq!(selected, &apart["metadata"]["labels"]);
        let spread = pod_of(Shape::Spread);
        let selected = &spread["spec"]["topologySpreadConstraints"][0]["labelSelector"];
        assert_eq!(selected["matchLabels"], spread["metadata"]["labels"]);
        assert_eq!(pod_of(Shape::High)["spec"]["priorityClassName"], "high");
        let class = &pod_of(Shape::Low)["spec"]["priorityClassName"];
        assert!(class.is_null());
    }

    #[test]
    fn in_a_cluster_with_other_nodes_pods_ask_for_those_of_the_run() {
        let alone = pod("p", Shape::Plain, "", None);
        assert!(alone["spec"]["nodeSelector"].is_null());
        let shared = pod("p", Shape::Plain, "", Some("run"));
        let labels = &node("n", "run", 0)["metadata"]["labels"];
        assert_eq!(shared["spec"]["nodeSelector"][LABEL], labels[LABEL]);
    }
}
