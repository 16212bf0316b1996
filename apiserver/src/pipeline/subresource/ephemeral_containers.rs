//! The subresource ephemeralcontainers: containers come to a pod that runs.

use crate::pipeline::Target;
use crate::pipeline::part::{ObjectPart, with_field};
use hardway_proto::status::Cause;
use hardway_resources::rules::{Findings, KindRules};
use serde_json::Value;
use std::borrow::Cow;

pub(super) struct EphemeralContainers;

impl ObjectPart for EphemeralContainers {
    fn place(&self, target: &Target, old: &Value, sent: Cow<'_, Value>) -> Value {
        with_field(target, old, &sent, ["spec", "ephemeralContainers"])
    }

    fn prepare(&self, target: &Target, new: &mut Value, old: &Value, _applied: bool) {
        *new = self.place(target, old, Cow::Borrowed(new));
    }

    fn validate(&self, rules: &dyn KindRules, new: &Value, old: &Value) -> Findings {
        let mut errors = rules.validate_again(new, old);
        errors.extend(only_added(new, old));
        errors.into()
    }
}

/// Ephemeral containers come, but neither change nor go.
fn only_added(new: &Value, old: &Value) -> Vec<Cause> {
    let list = |pod: &Value| pod["spec"]["ephemeralContainers"].as_array().cloned();
    let now = list(new).unwrap_or_default();
    let before = list(old).unwrap_or_default();
    before
        .iter()
        .filter(|one| !now.contains(one))
        .map(|one| {
            let name = &one["name"];
            let fate = match now.iter().any(|other| other["name"] == *name) {
                true => "changed",
                false => "removed",
            };
            Cause {
                reason: "FieldValueForbidden".into(),
                message: format!(
                    "Forbidden: existing ephemeral containers {name} may not be {fate}\n"
                ),
                field: "spec.ephemeralContainers".into(),
            }
        })
        .collect()
}
