//! What readers are sent: one JSON object a line.

use super::Told;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A step.
pub(super) fn step(told: &Told) -> Bytes {
    let step = &told.step;
    let time = Timestamp::from_nanosecond(step.time.into()).unwrap_or_default();
    let mut object = Map::new();
    object.insert("type".into(), "STEP".into());
    object.insert("time".into(), format!("{time:.6}").into());
    let texts = [
        ("process", told.process),
        ("host", &told.host),
        ("resource", &step.resource),
        ("namespace", &step.namespace),
        ("name", &step.name),
        ("uid", &step.uid),
        ("auditID", &step.audit_id),
        ("what", &step.what),
    ];
    for (name, text) in texts {
        if !text.is_empty() {
            object.insert(name.into(), text.into());
        }
    }
    if let Ok(nanoseconds @ 1..) = u64::try_from(step.took) {
        let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
        object.insert("seconds".into(), seconds.into());
    }
    if !step.details.is_empty() {
        let details = step.details.iter();
        let details = details.map(|d| (d.name.clone(), d.value.as_str().into()));
        object.insert("details".into(), Value::Object(details.collect()));
    }
    line(&object.into())
}

/// All that was known when the reader came has been sent.
pub(super) fn synced() -> Bytes {
    line(&json!({"type": "SYNCED"}))
}

/// So many steps were gone before the reader took them.
pub(super) fn lost(count: u64) -> Bytes {
    line(&json!({"type": "LOST", "count": count}))
}

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_proto::api;

    #[test]
    fn a_step_is_a_line_without_what_it_does_not_say() {
        let told = Told {
            process: "kubelet",
            host: "w1".into(),
            step: api::Step {
                time: 1_700_000_000_123_456_789,
                took: 1_500_000,
                resource: "pods".into(),
                what: "sandbox".into(),
                details: vec![api::StepDetail {
                    name: "attempt".into(),
                    value: "0".into(),
                }],
                ..api::Step::default()
            },
        };
        let line = step(&told);
        assert!(line.ends_with(b"}\n"));
        let value: Value = serde_json::from_slice(&line).unwrap();
        let expected = json!({
            "type": "STEP", "time": "2023-11-14T22:13:20.123456Z", "process": "kubelet",
            "host": "w1", "resource": "pods", "what": "sandbox", "seconds": 0.0015,
            "details": {"attempt": "0"},
        });
        assert_eq!(value, expected);
    }
}
