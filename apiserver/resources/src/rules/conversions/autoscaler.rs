//! HorizontalPodAutoscalers of autoscaling/v1, which has a field for the use of CPU alone:
//! all else that v2 has is in annotations there, in forms of their own
//! (`pkg/apis/autoscaling/v1/conversion.go`).

use crate::rules::json::{
    ensure_object, get, has, is_empty, object_mut, remove, set, set_default, text,
};
use serde_json::{Map, Value, json};

/// Metrics that aren't the use of CPU.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
/// All metrics as they were last.
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// Fields of the two forms of a target, or of a value that was measured.
struct Names {
    value: &'static str,
    average: &'static str,
    utilization: &'static str,
    /// Where v2 has them.
    within: &'static str,
}

const TARGETS: Names = Names {
    value: "targetValue",
    average: "targetAverageValue",
    utilization: "targetAverageUtilization",
    within: "target",
};

const CURRENT: Names = Names {
    value: "currentValue",
    average: "currentAverageValue",
    utilization: "currentAverageUtilization",
    within: "current",
};

/// As v1 shows it.
pub fn to_v1(object: &mut Value) {
    drop_annotations(object);
    let mut kept = Map::new();
    let mut keep = |key: &str, value: Value| kept.insert(key.to_owned(), value.to_string().into());
    if let Some(spec) = object_mut(object, "spec") {
        let metrics = taken_list(spec, "metrics");
        if let Some(cpu) = metrics.iter().find(|metric| is_of_cpu(metric)) {
            let percent = get(get(get(cpu, "resource"), "target"), "averageUtilization");
            if !percent.is_null() {
                set(spec, "targetCPUUtilizationPercentage", percent.clone());
            }
        }
        let is_told = |metric: &Value| {
            let target = get(get(metric, "resource"), "target");
            is_of_cpu(metric) && has(target, "averageUtilization")
        };
        let others = metrics.iter().filter(|metric| !is_told(metric));
        let others: Vec<Value> = others.map(|metric| shown(metric, &TARGETS)).collect();
        if !others.is_empty() {
            keep(METRICS, others.into());
        }
        if let Some(behavior) = remove(spec, "behavior").filter(|behavior| !behavior.is_null()) {
            keep(BEHAVIOR, capitalized(&behavior));
        }
    }
    if let Some(status) = object_mut(object, "status") {
        set_default(status, "currentReplicas", 0);
        let current = taken_list(status, "currentMetrics");
        let percent = current.iter().rev().filter(|metric| is_of_cpu(metric));
        let mut percent =
            percent.map(|cpu| get(get(get(cpu, "resource"), "current"), "averageUtilization"));
        if let Some(percent) = percent.find(|percent| !percent.is_null()) {
            set(status, "currentCPUUtilizationPercentage", percent.clone());
        }
        if !current.is_empty() {
            let current: Vec<Value> = current.iter().map(|m| shown(m, &CURRENT)).collect();
            keep(CURRENT_METRICS, current.into());
        }
        let conditions = taken_list(status, "conditions");
        if !conditions.is_empty() {
            keep(CONDITIONS, conditions.into());
        }
    }
    if kept.is_empty() {
        return;
    }
    let annotations =
        object_mut(object, "metadata").and_then(|meta| ensure_object(meta, "annotations"));
    if let Some(annotations) = annotations {
        for (key, value) in kept {
            set(annotations, &key, value);
        }
    }
}

/// What v1 showed, as it is kept.
pub fn to_v2(object: &mut Value) {
    let annotations = get(get(object, "metadata"), "annotations");
    let read = |key: &str| serde_json::from_str::<Value>(text(annotations, key)).ok();
    let (metrics, behavior) = (read(METRICS), read(BEHAVIOR));
    let (current, conditions) = (read(CURRENT_METRICS), read(CONDITIONS));
    drop_annotations(object);
    let all = |list: &Value, names: &Names| -> Option<Vec<Value>> {
        let list = list.as_array()?.iter();
        Some(list.map(|metric| kept(metric, names)).collect())
    };
    if let Some(spec) = object_mut(object, "spec") {
        let mut metrics = metrics
            .and_then(|metrics| all(&metrics, &TARGETS))
            .unwrap_or_default();
        let percent = remove(spec, "targetCPUUtilizationPercentage");
        if let Some(percent) = percent.filter(|percent| !percent.is_null()) {
            metrics.push(json!({"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": percent}}}));
        }
        if !metrics.is_empty() {
            set(spec, "metrics", metrics);
        }
        let behavior = behavior.map(|behavior| uncapitalized(&behavior));
        if let Some(behavior) = behavior.filter(|b| b.as_object().is_some_and(|b| !b.is_empty())) {
            set(spec, "behavior", behavior);
        }
    }
    if let Some(status) = object_mut(object, "status") {
        let percent = remove(status, "currentCPUUtilizationPercentage");
        if let Some(percent) = percent.filter(|percent| !percent.is_null()) {
            let cpu = json!({"name": "cpu", "current": {"averageUtilization": percent}});
            let metric = json!({"type": "Resource", "resource": cpu});
            set(status, "currentMetrics", vec![metric]);
        }
        if let Some(current) = current.and_then(|current| all(&current, &CURRENT)) {
            set(status, "currentMetrics", current);
        }
        if let Some(Value::Array(conditions)) = conditions {
            set(status, "conditions", conditions);
        }
    }
}

fn taken_list(object: &mut Value, field: &str) -> Vec<Value> {
    match remove(object, field) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn is_of_cpu(metric: &Value) -> bool {
    text(metric, "type") == "Resource" && text(get(metric, "resource"), "name") == "cpu"
}

fn drop_annotations(object: &mut Value) {
    let Some(meta) = object_mut(object, "metadata") else {
        return;
    };
    let Some(annotations) = object_mut(meta, "annotations") else {
        return;
    };
    let keys = [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR];
    let dropped = keys.map(|key| remove(annotations, key).is_some());
    if dropped.contains(&true) && is_empty(annotations) {
        remove(meta, "annotations");
    }
}

/// Copies a field under another name, if it is there.
fn copy(from: &Value, field: &str, to: &mut Value, name: &str) {
    let value = get(from, field);
    if !value.is_null() {
        set(to, name, value.clone());
    }
}

/// The source of a metric, and the name of its field.
fn source_of(metric: &Value) -> (&'static str, &Value) {
    let name = match text(metric, "type") {
        "Object" => "object",
        "Pods" => "pods",
        "ContainerResource" => "containerResource",
        "External" => "external",
        _ => "resource",
    };
    (name, get(metric, name))
}

/// A metric as v1's annotations have it.
fn shown(metric: &Value, names: &Names) -> Value {
    let (field, source) = source_of(metric);
    let (measured, known) = (get(source, names.within), get(source, "metric"));
    let mut shown = json!({});
    let of_resource = matches!(field, "resource" | "containerResource");
    match of_resource {
        true => {
            copy(source, "name", &mut shown, "name");
            copy(source, "container", &mut shown, "container");
            copy(
                measured,
                "averageUtilization",
                &mut shown,
                names.utilization,
            );
            copy(measured, "averageValue", &mut shown, names.average);
        }
        false => {
            set(&mut shown, "metricName", text(known, "name"));
            let selector = if field == "external" {
                "metricSelector"
            } else {
                "selector"
            };
            copy(known, "selector", &mut shown, selector);
            let average = if field == "object" {
                "averageValue"
            } else {
                names.average
            };
            copy(measured, "averageValue", &mut shown, average);
            copy(measured, "value", &mut shown, names.value);
        }
    }
    // What Go's types always have.
    let always = match (field, names.within) {
        ("object", _) => Some(names.value),
        ("pods", _) => Some(names.average),
        ("external", "current") => Some(names.value),
        (_, "current") if of_resource => Some(names.average),
        _ => None,
    };
    if let Some(always) = always {
        set_default(&mut shown, always, "0");
    }
    copy(source, "describedObject", &mut shown, "target");
    let mut metric = json!({"type": get(metric, "type")});
    set(&mut metric, field, shown);
    metric
}

/// A metric of v1's annotations as it is kept.
fn kept(metric: &Value, names: &Names) -> Value {
    let (field, shown) = source_of(metric);
    let mut measured = json!({});
    let mut source = json!({});
    if matches!(field, "resource" | "containerResource") {
        copy(shown, "name", &mut source, "name");
        copy(shown, "container", &mut source, "container");
        copy(
            shown,
            names.utilization,
            &mut measured,
            "averageUtilization",
        );
        copy(shown, names.average, &mut measured, "averageValue");
    } else {
        let mut known = json!({"name": text(shown, "metricName")});
        let selector = if field == "external" {
            "metricSelector"
        } else {
            "selector"
        };
        copy(shown, selector, &mut known, "selector");
        set(&mut source, "metric", known);
        let average = if field == "object" {
            "averageValue"
        } else {
            names.average
        };
        copy(shown, average, &mut measured, "averageValue");
        // The value that Go writes where there is none isn't one to reach.
        let is_average = field == "object" && has(shown, average);
        if names.within == "current" || !is_average {
            copy(shown, names.value, &mut measured, "value");
        }
        copy(shown, "target", &mut source, "describedObject");
    }
    if names.within == "target" {
        let kind = if has(&measured, "averageUtilization") {
            "Utilization"
        } else if has(&measured, "value") {
            "Value"
        } else {
            "AverageValue"
        };
        set(&mut measured, "type", kind);
    }
    set(&mut source, names.within, measured);
    let mut metric = json!({"type": get(metric, "type")});
    set(&mut metric, field, source);
    metric
}

/// Behavior is written as Go's internal type, whose fields have no other names.
fn capitalized(value: &Value) -> Value {
    renamed(value, &|first| first.to_ascii_uppercase())
}

/// And read as Go reads it: whatever the case of a name's first letter.
fn uncapitalized(value: &Value) -> Value {
    without_nulls(renamed(value, &|first| first.to_ascii_lowercase()))
}

fn renamed(value: &Value, first: &dyn Fn(char) -> char) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let mut letters = name.chars();
                let name = letters.next().map(first).into_iter().chain(letters);
                (name.collect::<String>(), renamed(value, first))
            });
            Value::Object(fields.collect())
        }
        Value::Array(list) => list.iter().map(|value| renamed(value, first)).collect(),
        plain => plain.clone(),
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            let fields = fields.map(|(name, value)| (name, without_nulls(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(object: &Value, key: &str) -> Value {
        let text = object["metadata"]["annotations"][key].as_str();
        text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
    }

    fn v2() -> Value {
        let described = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let selector = json!({"matchLabels": {"a": "b"}});
        json!({
            "metadata": {"name": "a", "annotations": {"own": "stays"}},
            "spec": {"maxReplicas": 3,
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5, "selectPolicy": "Max",
                    "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]}},
                "metrics": [
                    {"type": "Resource", "resource": {"name": "memory",
                        "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                    {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
                        "target": {"type": "Utilization", "averageUtilization": 60}}},
                    {"type": "Pods", "pods": {"metric": {"name": "rps", "selector": selector},
                        "target": {"type": "AverageValue", "averageValue": "10"}}},
                    {"type": "Object", "object": {"metric": {"name": "queue"}, "describedObject": described,
                        "target": {"type": "AverageValue", "averageValue": "5"}}},
                    {"type": "External", "external": {"metric": {"name": "jobs", "selector": selector},
                        "target": {"type": "Value", "value": "30"}}},
                    {"type": "Resource", "resource": {"name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 70}}},
                ]},
            "status": {"currentReplicas": 1, "desiredReplicas": 1,
                "conditions": [{"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"}],
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
                    "current": {"averageUtilization": 40, "averageValue": "80m"}}}]},
        })
    }

    /// The names are those of `k8s.io/api/autoscaling/v1`.
    #[test]
    fn what_v1_has_no_field_for_is_in_annotations() {
        let mut object = v2();
        to_v1(&mut object);
        assert_eq!(
            object["spec"],
            json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 70})
        );
        let selector = json!({"matchLabels": {"a": "b"}});
        let described = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        assert_eq!(
            annotation(&object, METRICS),
            json!([
                {"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}},
                {"type": "ContainerResource", "containerResource":
                    {"name": "cpu", "container": "c", "targetAverageUtilization": 60}},
                {"type": "Pods", "pods":
                    {"metricName": "rps", "selector": selector, "targetAverageValue": "10"}},
                {"type": "Object", "object": {"metricName": "queue", "target": described,
                    "averageValue": "5", "targetValue": "0"}},
                {"type": "External", "external":
                    {"metricName": "jobs", "metricSelector": selector, "targetValue": "30"}},
            ])
        );
        assert_eq!(
            annotation(&object, BEHAVIOR),
            json!({"ScaleDown": {"StabilizationWindowSeconds": 5, "SelectPolicy": "Max",
                "Policies": [{"Type": "Pods", "Value": 4, "PeriodSeconds": 15}]}})
        );
        assert_eq!(object["status"]["currentCPUUtilizationPercentage"], 40);
        assert_eq!(
            annotation(&object, CURRENT_METRICS),
            json!([{"type": "Resource", "resource": {"name": "cpu",
                "currentAverageUtilization": 40, "currentAverageValue": "80m"}}])
        );
        assert_eq!(
            annotation(&object, CONDITIONS),
            v2()["status"]["conditions"]
        );
    }

    #[test]
    fn v1_and_back() {
        let mut object = v2();
        to_v1(&mut object);
        to_v2(&mut object);
        assert_eq!(object, v2());
    }

    #[test]
    fn annotations_that_others_wrote_are_read() {
        let metrics = json!([{"type": "Resource", "resource": {"name": "memory", "targetAverageUtilization": 60}}]);
        let behavior = json!({"ScaleUp": null, "ScaleDown": {"SelectPolicy": "Min", "Policies": null, "Tolerance": null}});
        let mut object = json!({
            "metadata": {"annotations": {METRICS: metrics.to_string(), BEHAVIOR: behavior.to_string(),
                CONDITIONS: "unreadable"}},
            "spec": {"targetCPUUtilizationPercentage": 50}});
        to_v2(&mut object);
        assert_eq!(object["metadata"], json!({}));
        let of = |name: &str, percent: i64| {
            json!({"type": "Resource", "resource": {"name": name,
                "target": {"type": "Utilization", "averageUtilization": percent}}})
        };
        assert_eq!(
            object["spec"],
            json!({"metrics": [of("memory", 60), of("cpu", 50)],
                "behavior": {"scaleDown": {"selectPolicy": "Min"}}})
        );
    }
}
