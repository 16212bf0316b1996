//! The table itself: built-in rows, and custom ones that come and go.

use crate::resource::{Resource, ScalePaths, Scope, Subresource, Version};
use crate::{custom, printers, rows, rules, schema};
use parking_lot::RwLock;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// All resources the server knows. Readers take a snapshot and keep it for as
/// long as a request lasts; adding or removing a custom row replaces it.
pub struct Registry {
    current: RwLock<Arc<Snapshot>>,
}

/// The table at one moment.
#[derive(Clone, Default)]
pub struct Snapshot {
    rows: Vec<Arc<Resource>>,
    by_group: HashMap<String, HashMap<String, usize>>,
    generation: u64,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// The built-in rows.
    pub fn new() -> Self {
        let rows = rows::all().map(|row| Arc::new(built_in(row))).collect();
        Self {
            current: RwLock::new(Arc::new(Snapshot::of(rows, 0))),
        }
    }

    /// The table as it is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.read().clone()
    }

    /// The row that serves a resource in a version.
    pub fn lookup(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.current.read().lookup(group, version, plural).cloned()
    }

    /// The row of a resource, whatever its versions.
    pub fn resource(&self, group: &str, plural: &str) -> Option<Arc<Resource>> {
        self.current.read().resource(group, plural).cloned()
    }

    /// The row that serves a kind in a version.
    pub fn lookup_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Resource>> {
        self.current
            .read()
            .lookup_kind(group, version, kind)
            .cloned()
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Resource>> + use<> {
        self.snapshot().rows.clone().into_iter()
    }

    /// Adds (or replaces) the row of a CustomResourceDefinition. Tells why if
    /// the definition can't be served; the table is unchanged then.
    pub fn add_custom(&self, crd: &Value) -> Result<Arc<Resource>, custom::Refused> {
        let row = Arc::new(custom::row(crd)?);
        self.change(|rows| {
            rows.retain(|r| !(r.custom && r.group == row.group && r.plural == row.plural));
            rows.push(row.clone());
        });
        Ok(row)
    }

    /// Takes out a custom row.
    pub fn remove_custom(&self, group: &str, plural: &str) {
        self.change(|rows| rows.retain(|r| !(r.custom && r.group == group && r.plural == plural)));
    }

    fn change(&self, edit: impl FnOnce(&mut Vec<Arc<Resource>>)) {
        let mut current = self.current.write();
        let mut rows = current.rows.clone();
        edit(&mut rows);
        *current = Arc::new(Snapshot::of(rows, current.generation + 1));
    }
}

impl Snapshot {
    fn of(rows: Vec<Arc<Resource>>, generation: u64) -> Self {
        let mut by_group: HashMap<String, HashMap<String, usize>> = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            by_group
                .entry(row.group.clone())
                .or_default()
                .entry(row.plural.clone())
                .or_insert(index);
        }
        Self {
            rows,
            by_group,
            generation,
        }
    }

    /// Counts changes; equal generations are equal tables.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// All rows.
    pub fn rows(&self) -> &[Arc<Resource>] {
        &self.rows
    }

    /// The row of a resource, whatever its versions.
    pub fn resource(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        let index = *self.by_group.get(group)?.get(plural)?;
        Some(&self.rows[index])
    }

    /// The row that serves a resource in a version.
    pub fn lookup(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resource(group, plural)
            .filter(|row| row.version(version).is_some())
    }

    /// The row that serves a kind in a version.
    pub fn lookup_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.rows
            .iter()
            .find(|row| row.group == group && row.kind == kind && row.version(version).is_some())
    }

    /// The named groups, in Kubernetes' order of priority, custom ones last
    /// and by name.
    pub fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = self.by_group.keys().map(String::as_str).collect();
        groups.retain(|group| !group.is_empty());
        groups.sort_by_key(|group| {
            let place = rows::GROUPS.iter().position(|g| g == group);
            (place.unwrap_or(rows::GROUPS.len()), *group)
        });
        groups
    }

    /// The served versions of a group, preferred first.
    pub fn versions(&self, group: &str) -> Vec<&str> {
        let mut versions: Vec<&str> = Vec::new();
        for row in self.rows.iter().filter(|row| row.group == group) {
            for version in &row.versions {
                if !versions.contains(&version.name.as_str()) {
                    versions.push(&version.name);
                }
            }
        }
        versions.sort_by_key(|version| std::cmp::Reverse(custom::version_priority(version)));
        versions
    }

    /// The rows of a group in a version, by plural name.
    pub fn of_version(&self, group: &str, version: &str) -> Vec<&Arc<Resource>> {
        let mut rows: Vec<_> = self
            .rows
            .iter()
            .filter(|row| row.group == group && row.version(version).is_some())
            .collect();
        rows.sort_by(|a, b| a.plural.cmp(&b.plural));
        rows
    }
}

/// What clients of a deprecated kind are warned of.
fn deprecation(kind: &str) -> Option<String> {
    let text = match kind {
        "ComponentStatus" => "v1 ComponentStatus is deprecated in v1.19+",
        "Endpoints" => {
            "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

fn built_in(row: &rows::Row) -> Resource {
    let versions = row.versions.iter().map(|version| Version {
        name: (*version).to_owned(),
        schema: schema::builtin::kind(row.group, version, row.kind)
            .expect("the build script refuses rows without a schema"),
        printer: printers::for_kind(row.group, version, row.kind),
        open_api: None,
        deprecation: deprecation(row.kind),
    });
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    let subresources = row.subresources.iter().map(|sub| Subresource {
        name: sub.name.to_owned(),
        body: sub
            .body
            .map(|(group, version, kind)| (group.to_owned(), version.to_owned(), kind.to_owned())),
        verbs: owned(sub.verbs),
    });
    let scale = row.subresources.iter().any(|sub| sub.name == "scale");
    Resource {
        group: row.group.to_owned(),
        versions: versions.collect(),
        kind: row.kind.to_owned(),
        list_kind: format!("{}List", row.kind),
        plural: row.plural.to_owned(),
        singular: row.kind.to_lowercase(),
        short_names: owned(row.short_names),
        categories: owned(row.categories),
        scope: if row.namespaced {
            Scope::Namespaced
        } else {
            Scope::Cluster
        },
        verbs: owned(row.verbs),
        subresources: subresources.collect(),
        storage_prefix: if row.prefix.is_empty() {
            row.plural.to_owned()
        } else {
            row.prefix.to_owned()
        },
        scale: scale.then(|| ScalePaths {
            spec: ".spec.replicas".into(),
            status: ".status.replicas".into(),
            selector: Some(".spec.selector".into()),
        }),
        alias_of: (row.group == "events.k8s.io").then_some(("", "events")),
        custom: false,
        rules: rules::for_kind(row.group, row.kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_rows_by_resource_and_by_kind() {
        let registry = Registry::new();
        let pods = registry.lookup("", "v1", "pods").expect("pods");
        assert_eq!((pods.kind.as_str(), pods.singular.as_str()), ("Pod", "pod"));
        assert!(pods.namespaced() && pods.subresource("eviction").is_some());
        let hpa = registry
            .lookup_kind("autoscaling", "v1", "HorizontalPodAutoscaler")
            .expect("hpa");
        assert_eq!(hpa.versions[0].name, "v2");
        assert!(registry.lookup("", "v2", "pods").is_none());
        assert_eq!(
            registry
                .resource("", "nodes")
                .expect("nodes")
                .storage_prefix,
            "minions"
        );
    }

    #[test]
    fn custom_rows_come_and_go() {
        let registry = Registry::new();
        let before = registry.snapshot().generation();
        let crd = json!({
            "metadata": {"name": "crontabs.stable.example.com"},
            "spec": {
                "group": "stable.example.com",
                "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"]},
                "scope": "Namespaced",
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "subresources": {"status": {}, "scale": {
                        "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }],
            },
        });
        registry.add_custom(&crd).expect("a good definition");
        let row = registry
            .lookup("stable.example.com", "v1", "crontabs")
            .expect("added");
        assert_eq!(
            (row.singular.as_str(), row.list_kind.as_str()),
            ("crontab", "CronTabList")
        );
        assert_eq!(row.storage_prefix, "stable.example.com/crontabs");
        assert!(row.subresource("status").is_some() && row.scale.is_some());
        assert_eq!(
            registry.snapshot().groups().last(),
            Some(&"stable.example.com")
        );
        registry.remove_custom("stable.example.com", "crontabs");
        assert!(
            registry
                .lookup("stable.example.com", "v1", "crontabs")
                .is_none()
        );
        assert!(registry.snapshot().generation() > before);
    }
}
