//! An autoscaler that can't scale.

use crate::causes::{Cause, lasts};
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::words::one_line;

pub(super) const CAUSE: Cause = Cause {
    name: "autoscaler",
    about: "a HorizontalPodAutoscaler that can't scale, or has reached its most",
    kinds: &["HorizontalPodAutoscaler"],
    reads: &["APIService", "Deployment", "ReplicaSet", "StatefulSet"],
    find,
};

/// Metrics of a new pod are there within a minute.
const PATIENCE: i64 = 60;

fn find<'a>(cluster: &Cluster<'a>, scaler: &Object<'a>) -> Vec<Finding> {
    let mut all = Vec::new();
    for kind in ["AbleToScale", "ScalingActive"] {
        let condition = scaler.condition(kind).filter(|it| it.status == "False");
        let Some(condition) = condition.filter(|it| lasts(cluster, it.since, PATIENCE)) else {
            continue;
        };
        // Whose target wants no pods is switched off, as it says.
        if condition.reason == "ScalingDisabled" {
            let finding = Finding::info("is switched off: its target has no replicas")
                .says([scaler.told_by(&condition)]);
            all.push(finding);
            continue;
        }
        let missing = condition.message.contains("missing request for");
        let metrics = condition.message.contains("metrics.k8s.io")
            || condition.message.contains("metrics API");
        let finding = Finding::error(format!("can't scale: {}", one_line(condition.message)))
            .since(condition.since)
            .says([scaler.told_by(&condition)]);
        let finding = match (condition.reason, missing, metrics) {
            ("FailedGetScale", ..) => finding.run("name a target that is there", scaler.kubectl("edit")),
            (_, true, _) => finding.advise("give every container of the target a request of what is measured (sidecars as well)"),
            (_, _, true) if cluster.get("APIService", "", "v1beta1.metrics.k8s.io").is_none() => {
                finding.run("nothing serves metrics: have a metrics server", "hardway addons enable metrics-server")
            }
            _ => finding.run("see whether metrics come", format!("kubectl top pods{}", scaler.flag())),
        };
        // The metrics server's own trouble is told at its APIService.
        all.push(if metrics { finding.symptom() } else { finding });
    }
    let limited = scaler
        .condition("ScalingLimited")
        .filter(|it| it.status == "True" && it.reason == "TooManyReplicas");
    if let Some(limited) = limited {
        let most = scaler.value.number("/spec/maxReplicas").unwrap_or_default();
        let finding = Finding::warning(format!("wants more pods than its most, {most}"))
            .key("limited")
            .since(limited.since)
            .says([scaler.told_by(&limited)])
            .run("allow it more", scaler.kubectl("edit"));
        all.push(finding);
    }
    all
}

#[cfg(test)]
mod tests {
    use crate::fixtures::one;
    use serde_json::{Value, json};

    #[test]
    fn what_keeps_it_from_scaling_is_told() {
        let scaler = |condition: Value| {
            let value = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {"maxReplicas": 3},
                "status": {"conditions": [condition]}});
            one(&[("HorizontalPodAutoscaler", value)])
        };
        let told = scaler(
            json!({"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric",
            "message": "the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container web of Pod web-1"}),
        );
        assert!(
            told.remedies[0].advice.starts_with("give every container"),
            "{told:?}"
        );
        let told = scaler(
            json!({"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric",
            "message": "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"}),
        );
        assert_eq!(
            told.remedies[0].command.as_deref(),
            Some("hardway addons enable metrics-server")
        );
        let told = scaler(
            json!({"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas",
            "message": "the desired replica count is more than the maximum replica count"}),
        );
        assert_eq!(told.summary, "wants more pods than its most, 3");
    }
}
