//! The subresource status: what has become of an object.

use crate::pipeline::part::ObjectPart;
use crate::pipeline::{Target, metadata};
use hardway_resources::rules::{Findings, KindRules};
use serde_json::Value;

pub(super) struct StatusPart;

impl ObjectPart for StatusPart {
    fn prepare(&self, target: &Target, new: &mut Value, old: &Value, applied: bool) {
        metadata::keep_in_subresource(new, old, target.kept_metadata());
        if !applied {
            metadata::take_owners(new, old);
        }
        target.resource.rules.prepare_status_update(new, old);
    }

    fn validate(&self, rules: &dyn KindRules, new: &Value, old: &Value) -> Findings {
        rules.validate_status_update(new, old)
    }
}
