//! Nodes.

use super::field::{Errors, Path};
use super::json::{entries, flag, get, is_empty, list, object_mut, set, text};
use super::kind::{Kind, PLAIN};
use super::{networking, pod};
use hardway_proto::names;
use ipnetwork::IpNetwork;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};

fn default_status(node: &mut Value) {
    if let Some(status) = object_mut(node, "status") {
        pod::canonical_map(status, "capacity");
        pod::canonical_map(status, "allocatable");
        // What isn't said to be reserved can be used.
        if is_empty(get(status, "allocatable")) && !is_empty(get(status, "capacity")) {
            let capacity = get(status, "capacity").clone();
            set(status, "allocatable", capacity);
        }
    }
}

fn check(e: &mut Errors, node: &Value) {
    check_taints(e, get(node, "spec"));
    check_resources(e, node);
    check_ranges(e, get(get(node, "spec"), "podCIDRs"));
}

fn check_taints(e: &mut Errors, spec: &Value) {
    let mut seen = BTreeSet::new();
    for (i, taint) in list(spec, "taints").iter().enumerate() {
        // As Kubernetes names them.
        let path = Path::new("metadata.taints").index(i);
        let (key, effect) = (text(taint, "key"), text(taint, "effect"));
        e.each(&path.child("key"), key, names::is_qualified_name(key));
        let value = text(taint, "value");
        e.each(&path.child("value"), value, names::is_label_value(value));
        if effect.is_empty() {
            e.required(&path.child("effect"), "");
        }
        e.one_of(
            &path.child("effect"),
            effect,
            &["NoSchedule", "PreferNoSchedule", "NoExecute"],
        );
        if !seen.insert((key, effect)) {
            let detail = "taints must be unique by key and effect pair";
            e.duplicate_of(&path, taint, detail);
        }
    }
}

/// The ranges of a node's pods: at most one of each family.
fn check_ranges(e: &mut Errors, ranges: &Value) {
    let path = Path::new("spec.podCIDRs");
    let listed = || ranges.as_array().into_iter().flatten();
    let texts = || listed().map(|range| range.as_str().unwrap_or_default());
    for (i, range) in texts().enumerate() {
        networking::check_cidr(e, &path.index(i), range);
    }
    let count = listed().count();
    if count < 2 {
        return;
    }
    let parse = |range: &str| range.parse::<IpNetwork>();
    let wrong = texts().find(|range| parse(range).is_err());
    if let Some(range) = wrong {
        let why = format!(
            "invalid PodCIDRs. failed to check with dual stack with error:failed to parse cidr value:{range:?} with error:invalid CIDR address: {range}"
        );
        e.internal(&path, &why);
    }
    let families: BTreeSet<bool> = texts()
        .filter_map(|range| parse(range).ok())
        .map(|range| range.is_ipv4())
        .collect();
    if count > 2 || wrong.is_some() || families.len() < 2 {
        let detail = "may specify no more than one CIDR for each IP family";
        e.invalid(&path, ranges, detail);
    }
    let mut seen = BTreeSet::new();
    for (i, range) in texts().enumerate() {
        if !seen.insert(range) {
            e.duplicate(&path.index(i), range);
        }
    }
}

fn check_resources(e: &mut Errors, node: &Value) {
    for field in ["capacity", "allocatable"] {
        for (name, amount) in entries(get(node, "status"), field) {
            let path = Path::new("status").child(field).child(name);
            pod::check_quantity(e, &path, amount);
        }
    }
}

/// `ValidateNodeUpdate` of Kubernetes: ranges that a node gets later aren't looked at.
fn check_change(e: &mut Errors, node: &Value, old: &Value) {
    check_resources(e, node);
    let mut addresses = HashSet::new();
    let listed = list(get(node, "status"), "addresses").iter();
    for (i, address) in listed.enumerate() {
        if !addresses.insert(address) {
            e.duplicate(&Path::new("status.addresses").index(i), address);
        }
    }
    let (new, old) = (get(node, "spec"), get(old, "spec"));
    let (now, before) = (list(new, "podCIDRs"), list(old, "podCIDRs"));
    let changes = match now.len() == before.len() {
        true => now
            .iter()
            .zip(before)
            .filter(|(now, before)| now != before)
            .count(),
        false => usize::from(!before.is_empty()),
    };
    for _ in 0..changes {
        e.forbidden(
            &Path::new("spec.podCIDRs"),
            "node updates may not change podCIDR except from \"\" to valid",
        );
    }
    let id = get(old, "providerID");
    if !is_empty(id) && get(new, "providerID") != id {
        e.forbidden(
            &Path::new("spec.providerID"),
            "node updates may not change providerID except from \"\" to valid",
        );
    }
    check_taints(e, new);
    if text(new, "externalID") != text(old, "externalID") {
        e.forbidden(&Path::new("spec.externalID"), "may not be updated");
    }
}

/// `podCIDR` is the first of `podCIDRs`. Either may be given; of two that differ the older
/// field counts.
fn pair_cidrs(node: &mut Value) {
    let Some(spec) = object_mut(node, "spec") else {
        return;
    };
    let one = text(spec, "podCIDR").to_owned();
    let first = list(spec, "podCIDRs")
        .first()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if one.is_empty() && !first.is_empty() {
        set(spec, "podCIDR", first);
    } else if one != first {
        set(spec, "podCIDRs", vec![one]);
    }
}

/// Fields that mean nothing any more (`pkg/registry/core/node/strategy.go`).
fn warnings(node: &Value) -> Vec<String> {
    let spec = get(node, "spec");
    let mut warnings = Vec::new();
    if !get(spec, "configSource").is_null() {
        warnings.push("spec.configSource: the feature is removed".to_owned());
    }
    if !text(spec, "externalID").is_empty() {
        let why = "spec.externalID: this field is deprecated, and is unused by Kubernetes";
        warnings.push(why.to_owned());
    }
    warnings
}

pub(super) const NODE: Kind = Kind {
    warnings: |node, _| warnings(node),
    // Unlike others a node is created with its status: the kubelet knows it.
    status: "",
    default: |node| {
        pair_cidrs(node);
        default_status(node);
    },
    prepare_update: |new, old| super::carry_over(new, old, "status"),
    validate: |node| Errors::collect(|e| check(e, node)),
    validate_status: |new, old| Errors::collect(|e| check_change(e, new, old)),
    validate_changed: Some(|new, old| Errors::collect(|e| check_change(e, new, old))),
    fields: |node| {
        vec![(
            "spec.unschedulable",
            flag(get(node, "spec"), "unschedulable").to_string(),
        )]
    },
    ..PLAIN
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;
    use serde_json::json;

    #[test]
    fn fields_that_mean_nothing_are_warned_of() {
        let node = json!({"spec": {"configSource": {}, "externalID": "x"}});
        assert_eq!(
            warnings(&node),
            [
                "spec.configSource: the feature is removed",
                "spec.externalID: this field is deprecated, and is unused by Kubernetes"
            ]
        );
        assert_eq!(warnings(&json!({"spec": {"externalID": ""}})), [""; 0]);
    }

    #[test]
    fn nodes() {
        let mut node = json!({"metadata": {"name": "n"}, "spec": {"podCIDR": "10.0.0.0/24", "taints": [
            {"key": "a", "effect": "Never"}]}, "status": {"capacity": {"cpu": "2000m"}}});
        NODE.default(&mut node);
        assert_eq!(node["spec"]["podCIDRs"], json!(["10.0.0.0/24"]));
        assert_eq!(node["status"]["allocatable"], json!({"cpu": "2"}));
        assert_eq!(
            KindRules::validate(&NODE, &node)[0].message,
            r#"Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute""#
        );
        let address = json!({"type": "InternalIP", "address": "10.0.0.1"});
        let twice = json!({"status": {"addresses": [address, address]}});
        let found = KindRules::validate_status_update(&NODE, &twice, &node).causes;
        assert_eq!(found[0].field, "status.addresses[1]");
        let mut new = node.clone();
        new["spec"]["podCIDRs"] = json!(["10.0.1.0/24"]);
        let change = |new: &Value, old: &Value| -> Vec<String> {
            let causes = KindRules::validate_changed(&NODE, new, old).causes;
            causes.into_iter().map(|cause| cause.field).collect()
        };
        node["spec"]["taints"] = json!([]);
        new["spec"]["taints"] = json!([]);
        assert_eq!(change(&new, &node), ["spec.podCIDRs"]);
        new["spec"]["externalID"] = json!("x");
        new["spec"]["podCIDRs"] = json!(["10.0.0.0/24", "fd00::/64"]);
        assert_eq!(change(&new, &node), ["spec.podCIDRs", "spec.externalID"]);
        // The older field counts, of a range that comes later nothing is asked.
        new["spec"] = json!({"podCIDR": "x", "podCIDRs": ["10.0.0.0/24"]});
        NODE.default(&mut new);
        assert_eq!(new["spec"]["podCIDRs"], json!(["x"]));
        assert_eq!(change(&new, &json!({})), [""; 0]);
        assert_eq!(
            KindRules::validate(&NODE, &new)[0].field,
            "spec.podCIDRs[0]"
        );
    }
}
