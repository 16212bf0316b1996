//! The subresource approval: the conditions of a CertificateSigningRequest.

use crate::pipeline::Target;
use crate::pipeline::part::{ObjectPart, with_field};
use hardway_resources::rules::{Findings, KindRules};
use serde_json::Value;
use std::borrow::Cow;

pub(super) struct Approval;

impl ObjectPart for Approval {
    fn place(&self, target: &Target, old: &Value, sent: Cow<'_, Value>) -> Value {
        with_field(target, old, &sent, ["status", "conditions"])
    }

    /// Decisions are dated as the signer's are.
    fn prepare(&self, target: &Target, new: &mut Value, old: &Value, _applied: bool) {
        target.resource.rules.prepare_status_update(new, old);
    }

    fn validate(&self, rules: &dyn KindRules, new: &Value, old: &Value) -> Findings {
        let mut errors = rules.validate(new);
        errors.extend(rules.validate_update(new, old));
        errors.into()
    }
}
