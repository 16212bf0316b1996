//! Labels of nodes that have been replaced, as `pkg/api/node/util.go` of Kubernetes
//! tells of them.

use super::field::Path;
use super::json::{entries, get, list, text};
use hardway_proto::names;
use serde_json::Value;

const DEPRECATED: [(&str, &str); 8] = [
    (
        "beta.kubernetes.io/arch",
        "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
    ),
    (
        "beta.kubernetes.io/os",
        "deprecated since v1.14; use \"kubernetes.io/os\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    (
        "node-role.kubernetes.io/master",
        "use \"node-role.kubernetes.io/control-plane\" instead",
    ),
];

/// Labels that have another name now, and that (`betaToGALabel` of
/// `pkg/apis/core/validation`).
const PRESENT_NAMES: [(&str, &str); 5] = [
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "topology.kubernetes.io/region",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/zone",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
    ),
];

/// Whether requirements of nodes are the same, but for labels that go by their present
/// name now.
pub(super) fn are_equal_but_for_names(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            let same = |(field, value): (&String, &Value)| {
                old.get(field).is_some_and(|before| {
                    are_equal_but_for_names(value, before)
                        || field == "key"
                            && PRESENT_NAMES
                                .iter()
                                .any(|(name, present)| before == name && value == present)
                })
            };
            new.len() == old.len() && new.iter().all(same)
        }
        (Value::Array(new), Value::Array(old)) => {
            let mut pairs = new.iter().zip(old);
            new.len() == old.len() && pairs.all(|(new, old)| are_equal_but_for_names(new, old))
        }
        _ => new == old,
    }
}

/// What there is to say of a label, if it is deprecated.
pub(super) fn deprecated(label: &str) -> Option<&'static str> {
    let found = DEPRECATED.iter().find(|(name, _)| *name == label);
    found.map(|(_, text)| *text)
}

/// Warnings of the requirements of a node selector's term, or of a label selector.
pub(super) fn of_expressions(
    warnings: &mut Vec<String>,
    path: &Path,
    selector: &Value,
    check_values: bool,
) {
    for (i, expression) in list(selector, "matchExpressions").iter().enumerate() {
        let path = path.child("matchExpressions").index(i);
        let key = text(expression, "key");
        if let Some(why) = deprecated(key) {
            warnings.push(format!("{}: {key} is {why}", path.child("key")));
        }
        let values = list(expression, "values").iter().enumerate();
        for (j, value) in values.filter(|_| check_values) {
            let value = value.as_str().unwrap_or_default();
            for why in names::is_label_value(value) {
                let at = path.child("values").index(j);
                warnings.push(format!("{at}: {value} is invalid, {why}"));
            }
        }
    }
}

/// Warnings of the topology of a CSIStorageCapacity.
pub(super) fn of_capacity(capacity: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let (path, topology) = (Path::new("nodeTopology"), get(capacity, "nodeTopology"));
    of_expressions(&mut warnings, &path, topology, false);
    for (label, _) in entries(topology, "matchLabels") {
        if let Some(why) = deprecated(label) {
            warnings.push(format!("{}: {why}", path.child("matchLabels").child(label)));
        }
    }
    warnings
}

/// Warnings of where a StorageClass allows volumes.
pub(super) fn of_storage_class(class: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (i, term) in list(class, "allowedTopologies").iter().enumerate() {
        for (j, expression) in list(term, "matchLabelExpressions").iter().enumerate() {
            if let Some(why) = deprecated(text(expression, "key")) {
                let path = Path::new("allowedTopologies").index(i);
                let path = path.child("matchLabelExpressions").index(j).child("key");
                warnings.push(format!("{path}: {why}"));
            }
        }
    }
    warnings
}

/// Warnings of where pods of a RuntimeClass run.
pub(super) fn of_runtime_class(class: &Value) -> Vec<String> {
    let labels = entries(get(class, "scheduling"), "nodeSelector");
    let found = labels.filter_map(|(label, _)| deprecated(label));
    let warnings = found.map(|why| format!("scheduling.nodeSelector: {why}"));
    warnings.collect()
}
