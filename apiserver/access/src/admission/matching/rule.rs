//! One rule: operations, groups, versions and resources.

use super::super::review::{Operation, ResourceKind, Review};
use crate::objects::strings;
use crate::text;
use serde_json::Value;

/// A rule of a webhook, or a named rule of a policy.
#[derive(Clone, Debug)]
pub struct Rule {
    operations: Names,
    groups: Names,
    versions: Names,
    /// Resource and subresource; either may be `*`.
    resources: Vec<(String, String)>,
    scope: Scope,
    /// Names of objects; empty for all.
    names: Vec<String>,
}

/// Some names, or all.
#[derive(Clone, Debug)]
enum Names {
    All,
    These(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    All,
    Cluster,
    Namespaced,
    /// One that there isn't.
    Unknown,
}

impl Names {
    fn of(rule: &Value, pointer: &str) -> Self {
        let named: Vec<String> = strings(rule, pointer).map(str::to_owned).collect();
        match named.iter().any(|name| name == "*") {
            true => Self::All,
            false => Self::These(named),
        }
    }

    fn have(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.iter().any(|known| known == name),
        }
    }

    /// Each of them; `*` for all.
    fn iter(&self) -> impl Iterator<Item = &str> {
        let (all, these) = match self {
            Self::All => (Some("*"), &[][..]),
            Self::These(names) => (None, names.as_slice()),
        };
        all.into_iter().chain(these.iter().map(String::as_str))
    }
}

impl Rule {
    /// Reads it.
    pub fn of(rule: &Value) -> Self {
        Self {
            operations: Names::of(rule, "/operations"),
            groups: Names::of(rule, "/apiGroups"),
            versions: Names::of(rule, "/apiVersions"),
            resources: strings(rule, "/resources")
                .map(|named| named.split_once('/').unwrap_or((named, "")))
                .map(|(resource, sub)| (resource.to_owned(), sub.to_owned()))
                .collect(),
            scope: match text(rule, "/scope") {
                "" | "*" => Scope::All,
                "Cluster" => Scope::Cluster,
                "Namespaced" => Scope::Namespaced,
                _ => Scope::Unknown,
            },
            names: strings(rule, "/resourceNames").map(str::to_owned).collect(),
        }
    }

    /// Whether a request is meant, were it for this version of its resource.
    pub fn matches(&self, review: &Review<'_>, resource: &ResourceKind, name: &str) -> bool {
        self.may_match(review, name)
            && self.groups.have(&resource.group)
            && self.versions.have(&resource.version)
            && self.has_resource(&resource.resource, review.subresource)
    }

    /// Whether a request is meant as far as that doesn't depend on the version.
    pub(super) fn may_match(&self, review: &Review<'_>, name: &str) -> bool {
        self.operations.have(review.operation.as_str())
            && self.has_scope(review)
            && (self.names.is_empty() || self.names.iter().any(|known| known == name))
    }

    fn has_scope(&self, review: &Review<'_>) -> bool {
        // A Namespace is told as being in itself, and yet is an object of the cluster.
        let of_cluster = review.is_of_namespaces() || review.namespace.is_empty();
        match self.scope {
            Scope::All => true,
            Scope::Cluster => of_cluster,
            Scope::Namespaced => !of_cluster,
            Scope::Unknown => false,
        }
    }

    fn has_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|(known, sub)| {
            (known == "*" || known == resource) && (sub == "*" || sub == subresource)
        })
    }

    /// The groups and resources that it names, without subresources; `*` stands for all.
    pub(super) fn group_resources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.groups.iter().flat_map(|group| {
            let resources = self.resources.iter();
            resources.map(move |(resource, _)| (group, resource.as_str()))
        })
    }

    /// What it names, for whoever has to look at the resources themselves: groups, versions
    /// and resources (with `*` for all), and whether it is about writes of them.
    pub fn named(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.groups.iter().flat_map(move |group| {
            self.versions.iter().flat_map(move |version| {
                let resources = self.resources.iter();
                resources.map(move |(resource, _)| (group, version, resource.as_str()))
            })
        })
    }

    /// Whether it is about an operation.
    pub fn has_operation(&self, operation: Operation) -> bool {
        self.operations.have(operation.as_str())
    }
}
