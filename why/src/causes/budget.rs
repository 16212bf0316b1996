//! A disruption budget that allows no eviction, so that drains wait for ever.

use hardway_proto::labels::Selector;
use serde_json::Value;

use crate::causes::Cause;
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};

pub(super) const CAUSE: Cause = Cause {
    name: "budget",
    about: "a PodDisruptionBudget that allows no eviction, or selects nothing",
    kinds: &["PodDisruptionBudget"],
    reads: &["Pod"],
    find,
};

fn find<'a>(cluster: &Cluster<'a>, budget: &Object<'a>) -> Vec<Finding> {
    let number = |pointer: &str| budget.value.number(pointer);
    let allowed = budget.condition("DisruptionAllowed");
    if let Some(failed) = allowed.filter(|it| it.reason == "SyncFailed") {
        let finding = Finding::error(format!(
            "can't be computed, and allows no eviction: {}",
            failed.message
        ))
        .says([budget.told_by(&failed)])
        .run("correct it", budget.kubectl("edit"));
        return vec![finding];
    }
    let expected = number("/status/expectedPods").unwrap_or_default();
    if number("/status/disruptionsAllowed").is_none_or(|it| it > 0) || expected == 0 {
        return Vec::new();
    }
    let healthy = number("/status/currentHealthy").unwrap_or_default();
    let desired = number("/status/desiredHealthy").unwrap_or_default();
    let says = budget.field(
        "/status",
        format!("{healthy} healthy, {desired} needed, {expected} expected, 0 disruptions allowed"),
    );
    let by_design = desired >= expected;
    let finding = match by_design {
        true => Finding::warning(format!(
            "allows no eviction, ever: it needs {desired} healthy pods of {expected}; a drain of their nodes waits for ever"
        ))
        .run("allow at least one: maxUnavailable 1, or more replicas than minAvailable", budget.kubectl("edit")),
        false => Finding::warning(format!("allows no eviction now: {healthy} healthy pods, {desired} needed"))
            .symptom()
            .run("see its pods", format!("kubectl get pods{} -l {}", budget.flag(), selector(budget))),
    };
    let closed = cluster
        .all("Node")
        .iter()
        .filter(|it| it.value.flag("/spec/unschedulable"));
    let closed: Vec<&str> = closed.map(Object::name).collect();
    let drains = budget.compared(format!(
        "cordoned and perhaps being drained: {}",
        closed.join(", ")
    ));
    vec![
        finding
            .says([says])
            .says((!closed.is_empty()).then_some(drains))
            .says(allowed.map(|it| budget.told_by(&it))),
    ]
}

fn selector(budget: &Object<'_>) -> String {
    let selector = budget
        .value
        .pointer("/spec/selector")
        .unwrap_or(&Value::Null);
    Selector::from_json(selector).map_or_else(|_| String::new(), |it| format!("'{it}'"))
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{found, one, says};
    use serde_json::json;

    #[test]
    fn budgets_that_block_are_told() {
        let budget = |healthy: i64, desired: i64, allowed: i64| {
            json!({"metadata": {"name": "db", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "db"}}}, "status": {"expectedPods": 3,
            "currentHealthy": healthy, "desiredHealthy": desired, "disruptionsAllowed": allowed,
            "conditions": [{"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods"}]}})
        };
        let kind = "PodDisruptionBudget";
        let told = one(&[(kind, budget(3, 3, 0))]);
        assert!(
            told.summary.starts_with("allows no eviction, ever"),
            "{}",
            told.summary
        );
        says(&told, "InsufficientPods");
        let told = one(&[(kind, budget(1, 2, 0))]);
        assert_eq!(
            told.summary,
            "allows no eviction now: 1 healthy pods, 2 needed"
        );
        assert_eq!(
            told.remedies[0].command.as_deref(),
            Some("kubectl get pods -n default -l 'app=db'")
        );
        assert_eq!(found(&[(kind, budget(3, 2, 1))]), []);
    }
}
