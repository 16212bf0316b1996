//! Nodes.

use super::field::{Errors, Path};
use super::json::{entries, flag, get, is_empty, list, object_mut, set, text};
use super::kind::{Kind, PLAIN};
use super::pod;
use hardway_proto::names;
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
    let spec = get(node, "spec");
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
    for (i, cidr) in list(spec, "podCIDRs").iter().enumerate() {
        let cidr = cidr.as_str().unwrap_or_default();
        if cidr.parse::<ipnetwork::IpNetwork>().is_err() || !cidr.contains('/') {
            e.invalid(
                &Path::new("spec.podCIDRs").index(i),
                cidr,
                "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            );
        }
    }
    check_status(e, node);
}

fn check_status(e: &mut Errors, node: &Value) {
    let status = get(node, "status");
    for field in ["capacity", "allocatable"] {
        for (name, amount) in entries(status, field) {
            let path = Path::new("status").child(field).child(name);
            pod::check_quantity(e, &path, amount);
        }
    }
    let mut addresses = HashSet::new();
    for (i, address) in list(status, "addresses").iter().enumerate() {
        if !addresses.insert(address) {
            e.duplicate(&Path::new("status.addresses").index(i), address);
        }
    }
}

/// `podCIDR` is the first of `podCIDRs`; either may be given.
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
    } else if !one.is_empty() && first.is_empty() {
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
    validate_status: |node, _| Errors::collect(|e| check_status(e, node)),
    validate_update: |new, old| {
        Errors::collect(|e| {
            let (new, old) = (get(new, "spec"), get(old, "spec"));
            if !is_empty(get(old, "podCIDRs")) && get(new, "podCIDRs") != get(old, "podCIDRs") {
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
        })
    },
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
        assert_eq!(KindRules::validate_update(&NODE, &new, &node).len(), 1);
    }
}
