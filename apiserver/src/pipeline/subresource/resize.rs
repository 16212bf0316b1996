//! The subresource resize: the containers of a pod that exists get other resources.

use crate::pipeline::part::ObjectPart;
use crate::pipeline::{Target, metadata};
use hardway_resources::rules::{Findings, KindRules, pod};
use serde_json::Value;
use std::borrow::Cow;

pub(super) struct Resize;

impl ObjectPart for Resize {
    fn place(&self, target: &Target, old: &Value, sent: Cow<'_, Value>) -> Value {
        let mut object = old.clone();
        metadata::take_with_part(&mut object, &sent, target.kept_metadata());
        metadata::take_owners(&mut object, &sent);
        pod::take_resources(&mut object, &sent);
        metadata::carry_version(&mut object, &sent);
        object
    }

    fn prepare(&self, target: &Target, new: &mut Value, old: &Value, _applied: bool) {
        *new = self.place(target, old, Cow::Borrowed(new));
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn validate(&self, rules: &dyn KindRules, new: &Value, old: &Value) -> Findings {
        let mut errors = rules.validate_again(new, old);
        errors.extend(pod::validate_resize(new, old));
        errors.into()
    }
}
