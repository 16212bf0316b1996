//! Names of resources, in quotas and limits (`pkg/apis/core/helper`).

use super::super::field::{Errors, Path};
use hardway_proto::names;

/// What quotas count that is whole, and is no share of a node.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];
/// What else they limit.
const MEASURED: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}

/// Whether quotas limit it.
pub fn is_of_quota(name: &str) -> bool {
    COUNTED.contains(&name) || MEASURED.contains(&name) || is_huge_page(name)
}

/// Whether there is no half of it.
pub fn is_integer(name: &str) -> bool {
    let is_native = !name.contains('/') || name.contains("kubernetes.io/");
    COUNTED.contains(&name) || !is_native && !name.starts_with("requests.")
}

/// Whether Kubernetes knows it though it names no domain.
pub fn is_standard(name: &str) -> bool {
    is_of_quota(name) || name == "storage"
}

/// A qualified name, and one that is known if it names no domain.
pub fn resource_name(e: &mut Errors, path: &Path, name: &str) {
    let problems = names::is_qualified_name(name);
    if !problems.is_empty() {
        return e.each(path, name, problems);
    }
    if !name.contains('/') && !is_standard(name) {
        let detail = "must be a standard resource type or fully qualified";
        e.invalid(path, name, detail);
    }
}
