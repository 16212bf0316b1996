//! Deployments and sets of pods that have not got as far as they are to.

use crate::causes::{Cause, lasts};
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};

pub(super) const CAUSE: Cause = Cause {
    name: "rollout",
    about: "a Deployment, StatefulSet, DaemonSet or set of replicas that lacks pods, does not get on, or is paused",
    kinds: &[
        "Deployment",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
        "DaemonSet",
    ],
    reads: &["Pod"],
    find,
};

/// Pods need a while to start; until then nothing is wrong.
const PATIENCE: i64 = 60;

fn find<'a>(cluster: &Cluster<'a>, object: &Object<'a>) -> Vec<Finding> {
    let Some(numbers) = Numbers::of(object) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    if object.value.flag("/spec/paused") {
        let finding = Finding::info("is paused: changes of its template are not rolled out")
            .key("paused")
            .says([object.field("/spec/paused", "true")])
            .run(
                "go on with the rollout",
                format!(
                    "kubectl rollout resume deployment/{}{}",
                    object.name(),
                    object.flag()
                ),
            );
        all.push(finding);
    }
    let conditions = ["Progressing", "Available", "ReplicaFailure"];
    let bad = conditions.iter().filter_map(|kind| {
        let bad = if *kind == "ReplicaFailure" {
            "True"
        } else {
            "False"
        };
        object.condition(kind).filter(|it| it.status == bad)
    });
    let bad: Vec<_> = bad.collect();
    let deadline = bad.iter().any(|it| it.reason == "ProgressDeadlineExceeded");
    let owner_tells = cluster.owner(object).is_some();
    if numbers.ready < numbers.wanted || deadline {
        let since = bad
            .iter()
            .filter_map(|it| it.since)
            .min()
            .or(object.created());
        let fresh = !lasts(cluster, since, PATIENCE) && !deadline;
        let summary = match deadline {
            true => format!("its rollout is stuck: {numbers}, and its progress deadline is over"),
            false => format!("has {numbers}"),
        };
        let finding = match (fresh || owner_tells, numbers.ready) {
            (true, _) => Finding::info(summary),
            (false, 0) => Finding::error(summary),
            (false, _) => Finding::warning(summary),
        };
        let finding = finding
            .symptom()
            .since(since)
            .says([object.field("/status", numbers.to_string())])
            .says(bad.iter().map(|it| object.told_by(it)))
            .run(
                "see its pods",
                format!("kubectl get pods{} -o wide", object.flag()),
            );
        all.push(match (deadline, object.kind) {
            (true, "Deployment") => finding.run(
                "go back to what worked",
                format!(
                    "kubectl rollout undo deployment/{}{}",
                    object.name(),
                    object.flag()
                ),
            ),
            _ => finding,
        });
    }
    all
}

struct Numbers {
    wanted: i64,
    ready: i64,
    updated: Option<i64>,
}

impl std::fmt::Display for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} pods ready", self.ready, self.wanted)?;
        match self.updated.filter(|it| *it < self.wanted) {
            Some(updated) => write!(f, ", {updated} of the new template"),
            None => Ok(()),
        }
    }
}

impl Numbers {
    fn of(object: &Object<'_>) -> Option<Self> {
        let number = |pointer: &str| object.value.number(pointer);
        if object.kind == "DaemonSet" {
            return Some(Self {
                wanted: number("/status/desiredNumberScheduled")?,
                ready: number("/status/numberReady").unwrap_or_default(),
                updated: number("/status/updatedNumberScheduled"),
            });
        }
        let updated = matches!(object.kind, "Deployment" | "StatefulSet");
        Some(Self {
            wanted: number("/spec/replicas").unwrap_or(1),
            ready: number("/status/readyReplicas").unwrap_or_default(),
            updated: updated.then(|| number("/status/updatedReplicas").unwrap_or_default()),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{NOW, ask, found, one, says};
    use serde_json::{Value, json};

    fn deployment(created: &str, status: Value) -> (&'static str, Value) {
        let value = json!({"metadata": {"name": "web", "namespace": "default", "uid": "d",
            "creationTimestamp": created}, "spec": {"replicas": 3}, "status": status});
        ("Deployment", value)
    }

    #[test]
    fn a_deadline_that_is_over_is_told() {
        let status = json!({"readyReplicas": 2, "updatedReplicas": 1, "conditions": [
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
             "message": "ReplicaSet \"web-2\" has timed out progressing."}]});
        let told = one(&[deployment("2025-01-01T00:00:00Z", status)]);
        assert_eq!(
            told.summary,
            "its rollout is stuck: 2 of 3 pods ready, 1 of the new template, and its progress deadline is over"
        );
        says(&told, "has timed out progressing");
        assert_eq!(
            told.remedies[1].command.as_deref(),
            Some("kubectl rollout undo deployment/web -n default")
        );
    }

    #[test]
    fn what_has_just_begun_is_no_trouble_and_a_pause_is_explained() {
        let status = json!({"readyReplicas": 1, "updatedReplicas": 3});
        assert_eq!(found(&[deployment(NOW, status.clone())]), []);
        let (kind, mut paused) = deployment(NOW, json!({"readyReplicas": 3}));
        paused["spec"]["paused"] = json!(true);
        assert_eq!(found(&[(kind, paused.clone())]), []);
        let told = ask(&[(kind, paused)], "Deployment", "web");
        assert!(told.summary.starts_with("is paused"), "{}", told.summary);
        assert!(!told.is_wrong());
        let daemon = json!({"metadata": {"name": "net", "namespace": "default"},
            "status": {"desiredNumberScheduled": 2, "numberReady": 0}});
        assert_eq!(
            one(&[("DaemonSet", daemon)]).summary,
            "has 0 of 2 pods ready"
        );
    }
}
