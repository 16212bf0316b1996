//! The subresource finalize: what holds a namespace.

use crate::pipeline::Target;
use crate::pipeline::part::{ObjectPart, with_field};
use hardway_resources::rules::{Findings, KindRules};
use serde_json::Value;
use std::borrow::Cow;

pub(super) struct Finalize;

impl ObjectPart for Finalize {
    fn place(&self, target: &Target, old: &Value, sent: Cow<'_, Value>) -> Value {
        with_field(target, old, &sent, ["spec", "finalizers"])
    }

    fn prepare(&self, target: &Target, new: &mut Value, old: &Value, _applied: bool) {
        *new = self.place(target, old, Cow::Borrowed(new));
    }

    fn validate(&self, rules: &dyn KindRules, new: &Value, _old: &Value) -> Findings {
        rules.validate(new).into()
    }
}
