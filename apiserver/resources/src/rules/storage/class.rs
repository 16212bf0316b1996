//! StorageClasses, as `pkg/apis/storage/validation` checks them.

use super::super::field::{Errors, Path};
use super::super::json::{entries, get, has, list, set_default, text};
use super::super::kind::{Kind, PLAIN};
use super::super::node_labels;
use hardway_proto::names;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most parameters, and what they may weigh in bytes.
const MOST_PARAMETERS: usize = 512;
const HEAVIEST_PARAMETERS: usize = 256 * 1024;

pub const STORAGE_CLASS: Kind = Kind {
    warnings: |class, _| node_labels::of_storage_class(class),
    default: |class| {
        set_default(class, "reclaimPolicy", "Delete");
        set_default(class, "volumeBindingMode", "Immediate");
    },
    validate: |class| {
        Errors::collect(|e| {
            let path = Path::new("provisioner");
            match text(class, "provisioner") {
                "" => e.required(&path, ""),
                name => e.each(&path, name, names::is_qualified_name(&name.to_lowercase())),
            }
            check_parameters(e, class);
            e.one_of(
                &Path::new("reclaimPolicy"),
                text(class, "reclaimPolicy"),
                &["Delete", "Retain"],
            );
            let modes = ["Immediate", "WaitForFirstConsumer"];
            let mode = text(class, "volumeBindingMode");
            if !modes.contains(&mode) {
                e.not_supported(&Path::new("volumeBindingMode"), mode, &modes);
            }
            check_topologies(e, list(class, "allowedTopologies"));
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            for field in ["parameters", "provisioner", "reclaimPolicy"] {
                if get(new, field) != get(old, field) {
                    let detail = format!("updates to {field} are forbidden.");
                    e.forbidden(&Path::new(field), &detail);
                }
            }
            let field = "volumeBindingMode";
            e.immutable(&Path::new(field), get(new, field), get(old, field));
        })
    },
    ..PLAIN
};

fn check_parameters(e: &mut Errors, class: &Value) {
    let path = Path::new("parameters");
    if entries(class, "parameters").count() > MOST_PARAMETERS {
        return e.too_long(&path, MOST_PARAMETERS);
    }
    let mut weight = 0;
    for (key, value) in entries(class, "parameters") {
        if key.is_empty() {
            e.invalid(&path, key, "field can not be empty.");
        }
        weight += key.len() + value.as_str().map_or(0, str::len);
    }
    if weight > HEAVIEST_PARAMETERS {
        e.too_long(&path, HEAVIEST_PARAMETERS);
    }
}

fn check_topologies(e: &mut Errors, topologies: &[Value]) {
    let mut earlier: Vec<BTreeMap<&str, BTreeSet<&str>>> = Vec::new();
    for (i, term) in topologies.iter().enumerate() {
        let path = Path::new("allowedTopologies")
            .index(i)
            .child("matchLabelExpressions");
        let mut values_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (j, requirement) in list(term, "matchLabelExpressions").iter().enumerate() {
            let path = path.index(j);
            let mut values = BTreeSet::new();
            if !has(requirement, "values") || list(requirement, "values").is_empty() {
                e.required(&path.child("values"), "");
            }
            for (k, value) in list(requirement, "values").iter().enumerate() {
                let value = value.as_str().unwrap_or_default();
                if !values.insert(value) {
                    e.duplicate(&path.child("values").index(k), value);
                }
            }
            let key = text(requirement, "key");
            e.each(&path.child("key"), key, names::is_qualified_name(key));
            if values_of.insert(key, values).is_some() {
                e.duplicate(&path.child("key"), key);
            }
        }
        // Kubernetes compares with as many empty terms as there are terms, too.
        let unsaid = match values_of.is_empty() {
            true => topologies.len(),
            false => 0,
        };
        let same = earlier.iter().filter(|term| **term == values_of).count();
        for _ in 0..unsaid + same {
            e.duplicate(&path, "");
        }
        earlier.push(values_of);
    }
}
