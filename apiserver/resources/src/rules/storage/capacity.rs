//! CSIStorageCapacities, as `pkg/apis/storage/validation` checks them.

use crate::rules::field::{Errors, Path};
use crate::rules::json::{get, has, text};
use crate::rules::kind::{Kind, PLAIN};
use crate::rules::{FieldErrors, labels, node_labels, pod};
use hardway_proto::names;
use serde_json::Value;

/// `maximumVolumeSize` may be anything, as in Kubernetes.
fn check(capacity: &Value, old: Option<&Value>) -> FieldErrors {
    Errors::collect(|e| {
        let (at, topology) = (Path::new("nodeTopology"), get(capacity, "nodeTopology"));
        // Nobody looked at the values of expressions once: where some were wrong, they may be.
        let were_wrong = |old: &Value| {
            let before = get(old, "nodeTopology");
            !Errors::collect(|e| labels::check_selector(e, &at, before)).is_empty()
        };
        labels::check_selector_with(e, &at, topology, old.is_some_and(were_wrong));
        let class = text(capacity, "storageClassName");
        let problems = names::is_dns1123_subdomain(class);
        e.each(&Path::new("storageClassName"), class, problems);
        if has(capacity, "capacity") {
            pod::check_quantity(e, &Path::new("capacity"), get(capacity, "capacity"));
        }
    })
}

pub(in crate::rules) const CAPACITY: Kind = Kind {
    warnings: |capacity, _| node_labels::of_capacity(capacity),
    validate: |capacity| check(capacity, None),
    validate_changed: Some(|new, old| {
        let mut causes = check(new, Some(old));
        causes.extend(Errors::collect(|e| {
            for field in ["nodeTopology", "storageClassName"] {
                e.immutable(&Path::new(field), get(new, field), get(old, field));
            }
        }));
        causes
    }),
    ..PLAIN
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;
    use serde_json::json;

    /// Cases of `TestCSIStorageCapacityUpdate`.
    #[test]
    fn what_was_asked_for_stays() {
        let capacity = |value: &str, class: &str| {
            json!({"storageClassName": class, "capacity": "1Gi", "nodeTopology": {"matchExpressions":
                [{"key": "a", "operator": "In", "values": [value]}]}})
        };
        let change = |new: &Value, old: &Value| -> Vec<String> {
            let causes = KindRules::validate_changed(&CAPACITY, new, old).causes;
            causes
                .into_iter()
                .map(|cause| format!("{}: {}", cause.field, cause.message))
                .collect()
        };
        let old = capacity("b", "c");
        let mut more = old.clone();
        more["capacity"] = json!("2Gi");
        assert_eq!(change(&more, &old), [""; 0]);
        assert_eq!(
            change(&capacity("x", "y"), &old),
            [
                r#"nodeTopology: Invalid value: {"matchExpressions":[{"key":"a","operator":"In","values":["x"]}]}: field is immutable"#,
                r#"storageClassName: Invalid value: "y": field is immutable"#,
            ]
        );
        // One of before values were looked at.
        let wrong = capacity("no value", "c");
        assert_eq!(KindRules::validate(&CAPACITY, &wrong).len(), 1);
        assert_eq!(change(&wrong, &wrong), [""; 0]);
    }
}
