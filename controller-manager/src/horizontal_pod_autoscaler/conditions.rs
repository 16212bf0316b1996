//! The conditions of an autoscaler.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Whether its target can be scaled.
pub const ABLE: &str = "AbleToScale";
/// Whether its metrics say how many replicas there should be.
pub const ACTIVE: &str = "ScalingActive";
/// Whether it would have more or fewer if it might.
pub const LIMITED: &str = "ScalingLimited";

/// Sets a condition; its time is that of its last change from true to false or back.
pub fn set(
    status: &mut HorizontalPodAutoscalerStatus,
    r#type: &str,
    is_true: bool,
    reason: &str,
    message: impl Into<String>,
    now: Timestamp,
) {
    let conditions = status.conditions.get_or_insert_default();
    let known = conditions.iter().position(|known| known.type_ == r#type);
    let at = known.unwrap_or_else(|| {
        conditions.push(HorizontalPodAutoscalerCondition {
            type_: r#type.into(),
            ..HorizontalPodAutoscalerCondition::default()
        });
        conditions.len() - 1
    });
    let condition = &mut conditions[at];
    let text = if is_true { "True" } else { "False" };
    if condition.status != text {
        condition.status = text.into();
        condition.last_transition_time = Some(Time(now));
    }
    condition.reason = Some(reason.into());
    condition.message = Some(message.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_until_it_changes() {
        let mut status = HorizontalPodAutoscalerStatus::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        set(&mut status, ABLE, true, "SucceededGetScale", "a", at(1));
        set(&mut status, ACTIVE, true, "ValidMetricFound", "b", at(2));
        set(&mut status, ABLE, true, "ReadyForNewScale", "c", at(3));
        set(
            &mut status,
            ACTIVE,
            false,
            "FailedGetPodsMetric",
            "d",
            at(4),
        );
        let conditions = status.conditions.unwrap();
        let shown = conditions.iter().map(|c| {
            let since = c
                .last_transition_time
                .as_ref()
                .map(|time| time.0.as_second());
            (
                c.type_.as_str(),
                c.status.as_str(),
                c.message.as_deref().unwrap(),
                since.unwrap(),
            )
        });
        let expected = [(ABLE, "True", "c", 1), (ACTIVE, "False", "d", 4)];
        assert!(shown.eq(expected));
    }
}
