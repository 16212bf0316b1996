//! HorizontalPodAutoscalers.

mod metrics;

use super::field::{Errors, Path};
use super::json::{get, int, is_empty, list, object_mut, set, set_default};
use super::kind::{Kind, WITH_STATUS};
use serde_json::{Value, json};

fn cpu_metric(percent: i64) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": percent}}})
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
