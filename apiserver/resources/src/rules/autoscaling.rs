//! HorizontalPodAutoscalers: stored as v2, served as v1 too.

mod metrics;

use super::field::{Errors, Path};
use super::json::{get, int, is_empty, list, object_mut, remove, set, set_default, text};
use super::kind::{Kind, WITH_STATUS};
use serde_json::{Map, Value, json};

/// The v2 fields that v1 can't tell are kept in these annotations.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

fn is_cpu(metric: &Value) -> bool {
    let resource = get(metric, "resource");
    text(metric, "type") == "Resource"
        && text(resource, "name") == "cpu"
        && text(get(resource, "target"), "type") == "Utilization"
}

fn cpu_metric(percent: i64) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": percent}}})
}

/// As v1 shows it.
pub(super) fn to_v1(object: &mut Value) {
    let mut kept = Map::new();
    if let Some(spec) = object_mut(object, "spec") {
        let mut metrics = match remove(spec, "metrics") {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        if let Some(at) = metrics.iter().position(is_cpu) {
            let cpu = metrics.remove(at);
            let target = get(get(&cpu, "resource"), "target");
            set(
                spec,
                "targetCPUUtilizationPercentage",
                get(target, "averageUtilization").clone(),
            );
        }
        if !metrics.is_empty() {
            kept.insert(METRICS.into(), Value::Array(metrics).to_string().into());
        }
        if let Some(behavior) = remove(spec, "behavior").filter(|b| !b.is_null()) {
            kept.insert(BEHAVIOR.into(), behavior.to_string().into());
        }
    }
    if let Some(status) = object_mut(object, "status") {
        set_default(status, "currentReplicas", 0);
        let current = remove(status, "currentMetrics").unwrap_or_default();
        remove(status, "conditions");
        let cpu = current.as_array().into_iter().flatten();
        let mut cpu = cpu.filter(|m| text(get(m, "resource"), "name") == "cpu");
        if let Some(metric) = cpu.next() {
            let used = get(
                get(get(metric, "resource"), "current"),
                "averageUtilization",
            );
            set(status, "currentCPUUtilizationPercentage", used.clone());
        }
    }
    if kept.is_empty() {
        return;
    }
    if let Some(annotations) = object_mut(object, "metadata")
        .and_then(|meta| super::json::ensure_object(meta, "annotations"))
    {
        for (key, value) in kept {
            set(annotations, &key, value);
        }
    }
}

/// What v1 showed, as it is kept.
pub(super) fn to_v2(object: &mut Value) {
    let mut metrics = Vec::new();
    let mut behavior = Value::Null;
    if let Some(annotations) =
        object_mut(object, "metadata").and_then(|m| object_mut(m, "annotations"))
    {
        let mut take = |key| -> Value {
            let text = remove(annotations, key);
            let parsed = text
                .as_ref()
                .and_then(Value::as_str)
                .map(serde_json::from_str);
            parsed.and_then(Result::ok).unwrap_or_default()
        };
        if let Value::Array(list) = take(METRICS) {
            metrics = list;
        }
        behavior = take(BEHAVIOR);
    }
    if let Some(spec) = object_mut(object, "spec") {
        if let Some(percent) =
            remove(spec, "targetCPUUtilizationPercentage").and_then(|p| p.as_i64())
        {
            metrics.insert(0, cpu_metric(percent));
        }
        if !metrics.is_empty() {
            set(spec, "metrics", metrics);
        }
        if !behavior.is_null() {
            set(spec, "behavior", behavior);
        }
    }
    if let Some(status) = object_mut(object, "status")
        && let Some(used) =
            remove(status, "currentCPUUtilizationPercentage").filter(|u| !u.is_null())
    {
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": used}}});
        set(status, "currentMetrics", vec![metric]);
    }
}

pub(super) const AUTOSCALER: Kind = Kind {
    status: r#"{"desiredReplicas":0,"currentMetrics":null}"#,
    generation: false,
    default: |object| {
        if let Some(spec) = object_mut(object, "spec") {
            set_default(spec, "minReplicas", 1);
            if is_empty(get(spec, "metrics")) {
                set(spec, "metrics", vec![cpu_metric(80)]);
            }
            metrics::default_behavior(spec);
        }
    },
    validate: |object| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(object, "spec"));
            let min = int(spec, "minReplicas").unwrap_or(1);
            let max = int(spec, "maxReplicas").unwrap_or_default();
            if min < 1 {
                e.invalid(
                    &path.child("minReplicas"),
                    min,
                    "must be greater than or equal to 1",
                );
            }
            if max < 1 {
                e.invalid(&path.child("maxReplicas"), max, "must be greater than 0");
            }
            if max < min {
                e.invalid(
                    &path.child("maxReplicas"),
                    max,
                    "must be greater than or equal to `minReplicas`",
                );
            }
            let target = get(spec, "scaleTargetRef");
            metrics::check_reference(e, &path.child("scaleTargetRef"), target);
            metrics::check(e, &path.child("metrics"), list(spec, "metrics"), min);
            metrics::check_behavior(e, &path.child("behavior"), get(spec, "behavior"));
        })
    },
    validate_status: super::status::autoscaler,
    ..WITH_STATUS
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_and_back() {
        let v2 = json!({"metadata": {"name": "a", "annotations": {}}, "spec": {
            "maxReplicas": 3, "metrics": [cpu_metric(70), {"type": "Pods"}]}});
        let mut object = v2.clone();
        to_v1(&mut object);
        assert_eq!(
            object["spec"],
            json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 70})
        );
        to_v2(&mut object);
        assert_eq!(object, v2);
    }
}
