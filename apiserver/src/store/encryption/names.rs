//! The names of resources in a configuration.

use std::collections::BTreeSet;

/// Whether the names of an entry are names, and exclude each other.
pub(super) fn check(names: &[String], path: &str, problems: &mut Vec<String>) {
    let path = format!("{path}.resources");
    if names.is_empty() {
        problems.push(format!(
            "{path}: Required value: at least one {path} is required"
        ));
    }
    let all: BTreeSet<&String> = names.iter().collect();
    if all.len() < names.len() {
        problems.push(format!(
            "{path}: Invalid value: {names:?}: the same resource cannot be specified multiple times"
        ));
    }
    let covers = |wide: &str, name: &str| {
        wide != name
            && match wide.strip_prefix("*.") {
                Some("*") => true,
                Some(group) => name.split_once('.').map_or("", |(_, group)| group) == group,
                None => false,
            }
    };
    if all
        .iter()
        .any(|wide| all.iter().any(|name| covers(wide, name)))
    {
        problems.push(format!(
            "{path}: Invalid value: {names:?}: using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked"
        ));
    }
    for (at, name) in names.iter().enumerate() {
        let (resource, group) = name.split_once('.').unwrap_or((name, ""));
        let wrong = if name.to_lowercase() != *name {
            "resource name should not contain capital letters"
        } else if name == "*" {
            "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
        } else if resource.is_empty() {
            "resource name should not be empty"
        } else if matches!(
            name.as_str(),
            "apiserveripinfo" | "serviceipallocations" | "servicenodeportallocations"
        ) {
            "resources which do not have REST API/s cannot be encrypted"
        } else if group == "events.k8s.io" {
            "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file"
        } else if group == "extensions" {
            "'extensions' group has been removed and cannot be used for encryption"
        } else if group == "*" && resource != "*" {
            "encrypting the same resource across groups is not supported"
        } else {
            continue;
        };
        problems.push(format!("{path}[{at}]: Invalid value: {name:?}: {wrong}"));
    }
}
