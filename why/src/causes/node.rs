//! A node that is not ready, under pressure, or closed to new pods.

use crate::causes::Cause;
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Condition, Json, Object};
use crate::words::{count, span};

pub(super) const CAUSE: Cause = Cause {
    name: "node",
    about: "a node that is not ready, under pressure, or closed to new pods",
    kinds: &["Node"],
    reads: &["Lease", "Event", "Pod"],
    find,
};

/// The kubelet's heartbeat; a node is given up when it is older than the controller manager's
/// `--node-monitor-grace-period` (50 seconds since Kubernetes 1.32).
const GRACE: i64 = 50;

/// Conditions of the kubelet that are bad when true, and what each means for pods.
const PRESSURE: &[(&str, &str)] = &[
    (
        "MemoryPressure",
        "the kubelet evicts pods to win memory back",
    ),
    (
        "DiskPressure",
        "the kubelet removes images and evicts pods to win space back",
    ),
    ("PIDPressure", "there are hardly any process numbers left"),
    (
        "NetworkUnavailable",
        "the node has no route for its pods yet",
    ),
];

fn find<'a>(cluster: &Cluster<'a>, node: &Object<'a>) -> Vec<Finding> {
    let mut all = Vec::new();
    match node.condition("Ready") {
        Some(ready) if ready.status == "True" => {}
        ready => all.push(not_ready(cluster, node, ready.as_ref())),
    }
    for (kind, means) in PRESSURE {
        let condition = node.condition(kind).filter(|it| it.status == "True");
        let Some(condition) = condition else { continue };
        let finding = Finding::warning(format!("has {kind}: {means}"))
            .since(condition.since)
            .key(*kind)
            .says([node.told_by(&condition)])
            .says(event(
                cluster,
                node,
                &["EvictionThresholdMet", "FreeDiskSpaceFailed"],
            ))
            .run("see what uses it up", node.kubectl("describe"));
        all.push(finding);
    }
    if node.value.flag("/spec/unschedulable") {
        let finding = Finding::info("is cordoned: no new pods are scheduled to it")
            .key("cordoned")
            .says([node.field("/spec/unschedulable", "true")])
            .run(
                "open it to new pods",
                format!("kubectl uncordon {}", node.name()),
            );
        all.push(finding);
    }
    all
}

fn not_ready<'a>(
    cluster: &Cluster<'a>,
    node: &Object<'a>,
    ready: Option<&Condition<'a>>,
) -> Finding {
    let status = ready.map_or("Unknown", |it| it.status);
    let silent = status == "Unknown";
    let pods = cluster.all("Pod").iter();
    let pods = pods
        .filter(|pod| pod.value.text("/spec/nodeName") == Some(node.name()))
        .count();
    let on_it = match pods {
        0 => String::new(),
        pods => format!("; {} on it", count(pods, "pod")),
    };
    let summary = match (silent, ready) {
        (true, None) => format!("is not Ready: its kubelet has never told of itself{on_it}"),
        (true, Some(_)) => {
            format!("is not Ready: its kubelet has stopped telling of itself{on_it}")
        }
        (false, Some(it)) if !it.message.is_empty() => {
            format!(
                "is not Ready: {}{on_it}",
                crate::words::one_line(it.message)
            )
        }
        (false, _) => format!("is not Ready{on_it}"),
    };
    let lease = cluster.get("Lease", "kube-node-lease", node.name());
    let renewed = lease.and_then(|it| Some((it, it.value.time("/spec/renewTime")?)));
    let heartbeat = renewed.map(|(lease, at)| {
        let age = cluster.seconds_since(at);
        let verdict = if age > GRACE {
            ", longer than the 50 s allowed"
        } else {
            ""
        };
        let mut said = lease.field(
            "/spec/renewTime",
            format!("last renewed {} ago{verdict}", span(age)),
        );
        said.since = Some(at);
        said
    });
    let taints: Vec<String> = node
        .value
        .list("/spec/taints")
        .iter()
        .filter_map(|it| Some(format!("{}:{}", it.text("/key")?, it.text("/effect")?)))
        .collect();
    let taints = (!taints.is_empty()).then(|| node.field("/spec/taints", taints.join(", ")));
    let finding = Finding::error(summary)
        .since(ready.and_then(|it| it.since))
        .key("ready")
        .says(ready.map(|it| node.told_by(it)))
        .says(heartbeat)
        .says(taints);
    match silent {
        true => finding
            .run(
                "see on the host whether it runs, and whether its kubelet does",
                format!("ssh {} systemctl status kubelet hardway-kubelet", node.name()),
            )
            .advise("if the host will not come back, delete the node: its pods are then made anew elsewhere"),
        false => finding
            .run("see what the node tells of itself", node.kubectl("describe"))
            .run(
                "read its kubelet's log on the host",
                format!("ssh {} journalctl -u kubelet -u hardway-kubelet -n 50", node.name()),
            ),
    }
}

fn event(
    cluster: &Cluster<'_>,
    node: &Object<'_>,
    reasons: &[&str],
) -> Option<crate::diagnosis::Evidence> {
    cluster.event(node, reasons).map(|it| it.evidence())
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{found, one, says};
    use serde_json::json;

    #[test]
    fn a_node_that_is_silent_is_told_with_its_lease() {
        let node = json!({"metadata": {"name": "worker-1"}, "spec": {"taints": [
            {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown",
                "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": "2025-01-01T00:05:00Z"}]}});
        let lease = json!({"metadata": {"name": "worker-1", "namespace": "kube-node-lease"},
            "spec": {"renewTime": "2025-01-01T00:04:00.000000Z"}});
        let pod = json!({"metadata": {"name": "web", "namespace": "default"},
            "spec": {"nodeName": "worker-1"}, "status": {"phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}]}});
        let told = one(&[("Node", node), ("Lease", lease), ("Pod", pod)]);
        assert_eq!(told.subject.to_string(), "node/worker-1");
        assert_eq!(
            told.summary,
            "is not Ready: its kubelet has stopped telling of itself; 1 pod on it"
        );
        says(&told, "Kubelet stopped posting node status.");
        says(&told, "last renewed 6m ago, longer than the 50 s allowed");
        says(&told, "node.kubernetes.io/unreachable:NoExecute");
    }

    #[test]
    fn pressure_is_a_warning_and_a_good_node_nothing() {
        let ready = json!({"type": "Ready", "status": "True"});
        let node =
            |conditions| json!({"metadata": {"name": "a"}, "status": {"conditions": conditions}});
        assert_eq!(found(&[("Node", node(json!([ready])))]), []);
        let pressure = json!({"type": "DiskPressure", "status": "True",
            "reason": "KubeletHasDiskPressure", "message": "kubelet has disk pressure"});
        let told = one(&[("Node", node(json!([ready, pressure])))]);
        assert_eq!(told.severity, crate::Severity::Warning);
        says(&told, "kubelet has disk pressure");
    }
}
