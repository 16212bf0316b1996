//! The table itself: built-in rows, and custom ones that come and go.

use crate::resource::{
    ExternalVersion, Resource, ScalePaths, Scope, Subresource, Version, api_version,
};
use crate::rules::conversions;
use crate::{crd, printers, rows, rules, schema};
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
    /// Rows by group and plural name, the one that keeps the objects first.
    by_group: HashMap<String, HashMap<String, Vec<usize>>>,
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

    /// Adds (or replaces) a custom row.
    pub fn put_custom(&self, row: Arc<Resource>) {
        self.change(|rows| {
            rows.retain(|r| !(r.custom && r.group == row.group && r.plural == row.plural));
            rows.push(row);
        });
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
        let mut by_group: HashMap<String, HashMap<String, Vec<usize>>> = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            by_group
                .entry(row.group.clone())
                .or_default()
                .entry(row.plural.clone())
                .or_default()
                .push(index);
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

    /// The row of a resource, whatever its versions; the present one if there
    /// are several.
    pub fn resource(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.named(group, plural).next()
    }

    fn named(&self, group: &str, plural: &str) -> impl Iterator<Item = &Arc<Resource>> {
        let group = self.by_group.get(group);
        let indexes = group.and_then(|group| group.get(plural));
        let indexes = indexes.into_iter().flatten();
        indexes.map(|index| &self.rows[*index])
    }

    /// An object of a resource that is in one `group/version`, in another one,
    /// and the schema there; `None` unless both show the resource's objects.
    pub fn convert(
        &self,
        of: &Resource,
        object: &Value,
        from: &str,
        to: &str,
    ) -> Option<(schema::Schema, Value)> {
        let find = |api_version: &str| {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            self.lookup(group, version, &of.plural)
                .filter(|row| row.kept_group() == of.kept_group())
        };
        let (from, shown) = (find(from)?, find(to)?);
        let version = to.rsplit('/').next().unwrap_or(to);
        let schema = shown.version(version)?.schema.clone();
        let kept = from.to_storage(object.clone());
        Some((schema, shown.to_external(kept, version)))
    }

    /// Other groups that show the objects of a row.
    pub fn also_in(&self, row: &Resource) -> Vec<String> {
        let mut groups: Vec<String> = self
            .rows
            .iter()
            .filter(|other| {
                other
                    .external
                    .is_some_and(|external| external.group == row.group)
                    && other.group != row.group
                    && other.plural == row.plural
            })
            .map(|other| other.group.clone())
            .collect();
        groups.dedup();
        groups
    }

    /// The row that serves a resource in a version.
    pub fn lookup(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.named(group, plural)
            .find(|row| row.version(version).is_some())
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
        versions.sort_by_key(|version| std::cmp::Reverse(crd::version_priority(version)));
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
fn deprecation(row: &rows::Row, version: &str) -> Option<String> {
    if let (Some((since, until)), Some((group, present))) = (row.deprecated, row.shows) {
        return Some(format!(
            "{} {kind} is deprecated in v{since}+, unavailable in v{until}+; use {} {kind}",
            api_version(row.group, version),
            api_version(group, present),
            kind = row.kind,
        ));
    }
    let text = match row.kind {
        "ComponentStatus" => "v1 ComponentStatus is deprecated in v1.19+",
        "Endpoints" => {
            "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

fn built_in(row: &rows::Row) -> Resource {
    let external = row.shows.map(|(group, version)| ExternalVersion {
        group,
        version,
        conversion: conversions::find(row.group, row.versions[0], row.kind),
    });
    let removed = row.deprecated.map(|(_, removed)| removed);
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    let subresources = row.subresources.iter().map(|sub| Subresource {
        name: sub.name.to_owned(),
        body: sub
            .body
            .map(|(group, version, kind)| (group.to_owned(), version.to_owned(), kind.to_owned())),
        verbs: owned(sub.verbs),
        handler: sub.handler,
        keeps: sub.keeps,
    });
    let subresources: Vec<Subresource> = subresources.collect();
    let scale = subresources.iter().any(|sub| sub.name == "scale");
    let versions = row.versions.iter().map(|version| Version {
        name: (*version).to_owned(),
        subresources: subresources.clone(),
        scale: scale.then(|| ScalePaths {
            spec: ".spec.replicas".into(),
            status: ".status.replicas".into(),
            selector: Some(".spec.selector".into()),
        }),
        schema: schema::builtin::kind(row.group, version, row.kind)
            .expect("the build script refuses rows without a schema"),
        printer: match row.shows {
            // What is printed hasn't changed.
            Some((group, version)) if removed.is_some() => {
                printers::for_kind(group, version, row.kind)
            }
            _ => printers::for_kind(row.group, version, row.kind),
        },
        open_api: None,
        deprecation: deprecation(row, version),
    });
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
        storage_prefix: if row.prefix.is_empty() {
            row.plural.to_owned()
        } else {
            row.prefix.to_owned()
        },
        external,
        storage_version: row.versions[0].to_owned(),
        has_other_versions: row.versions.len() > 1,
        webhook: None,
        removed,
        strategy: row.strategy,
        custom: false,
        rules: rules::for_row(row),
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
        assert!(pods.namespaced() && pods.subresource("v1", "eviction").is_some());
        let hpa = registry
            .lookup_kind("autoscaling", "v1", "HorizontalPodAutoscaler")
            .expect("hpa");
        assert_eq!(hpa.kept_version(), "v2");
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
    fn old_versions_are_the_same_objects() {
        let registry = Registry::new();
        let find = |group, version, plural| registry.lookup(group, version, plural).expect(plural);
        let present = find("apps", "v1", "deployments");
        for (group, version) in [
            ("extensions", "v1beta1"),
            ("apps", "v1beta1"),
            ("apps", "v1beta2"),
        ] {
            let old = find(group, version, "deployments");
            assert_eq!(old.storage_prefix, present.storage_prefix);
            assert_eq!((old.kept_group(), old.kept_version()), ("apps", "v1"));
        }
        let row = registry.resource("apps", "deployments").expect("apps");
        assert!(row.external.is_none(), "the present row is found first");
        let table = registry.snapshot();
        assert_eq!(table.also_in(&present), ["extensions"]);
        let ingress = find("networking.k8s.io", "v1", "ingresses");
        assert_eq!(table.also_in(&ingress), ["extensions"]);
        let warning = |group, version, plural| {
            let row = find(group, version, plural);
            row.versions[0].deprecation.clone().unwrap_or_default()
        };
        assert_eq!(
            warning("extensions", "v1beta1", "ingresses"),
            "extensions/v1beta1 Ingress is deprecated in v1.14+, unavailable in v1.22+; use networking.k8s.io/v1 Ingress"
        );
        assert_eq!(
            warning("apps", "v1beta2", "deployments"),
            "apps/v1beta2 Deployment is deprecated in v1.9+, unavailable in v1.16+; use apps/v1 Deployment"
        );
        assert_eq!(warning("apps", "v1", "deployments"), "");
    }

    #[test]
    fn every_face_keeps_its_objects_where_the_present_row_does() {
        let table = Registry::new().snapshot();
        for row in table.rows().iter().filter(|row| row.external.is_some()) {
            let kept = table.lookup(row.kept_group(), row.kept_version(), &row.plural);
            let kept = kept.unwrap_or_else(|| panic!("{} {}", row.group, row.plural));
            assert_eq!(kept.storage_prefix, row.storage_prefix);
            assert_eq!((&kept.kind, kept.scope), (&row.kind, row.scope));
        }
    }

    /// The labels of each kind in Kubernetes 1.33: `AddFieldLabelConversionFunc` in
    /// `pkg/apis/GROUP/VERSION/conversion.go` (`core`, `events`, `batch`, `certificates`);
    /// those not named here know metadata alone.
    #[test]
    fn objects_are_selected_by_kubernetes_labels() {
        let involved = |prefix: &str| -> Vec<String> {
            let fields = "apiVersion fieldPath kind name namespace resourceVersion uid";
            let names = fields.split(' ').map(|field| format!("{prefix}.{field}"));
            names.collect()
        };
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let pod = "spec.host spec.hostNetwork spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName status.nominatedNodeName status.phase status.podIP status.podIPs";
        let known = [
            ("", "v1", "Pod", words(pod)),
            ("", "v1", "Node", words("spec.unschedulable")),
            ("", "v1", "Namespace", words("status.phase")),
            ("", "v1", "Secret", words("type")),
            ("", "v1", "Service", words("spec.clusterIP spec.type")),
            ("", "v1", "ReplicationController", words("status.replicas")),
            (
                "",
                "v1",
                "Event",
                [
                    involved("involvedObject"),
                    words("reason reportingComponent source type"),
                ]
                .concat(),
            ),
            (
                "events.k8s.io",
                "v1",
                "Event",
                [
                    involved("regarding"),
                    words("reason reportingController type"),
                ]
                .concat(),
            ),
            // Of the documentation's table of supported fields.
            ("apps", "v1", "ReplicaSet", words("status.replicas")),
            ("batch", "v1", "Job", words("status.successful")),
            (
                "certificates.k8s.io",
                "v1",
                "CertificateSigningRequest",
                words("spec.signerName"),
            ),
        ];
        let mut labels: Vec<&String> = known.iter().flat_map(|(.., labels)| labels).collect();
        let more = words("name spec.nosuch");
        labels.extend(&more);
        let registry = Registry::new();
        for row in registry.iter().filter(|row| row.removed.is_none()) {
            let version = row.versions[0].name.as_str();
            let own = known.iter().find(|(group, _, kind, _)| {
                (*group, *kind) == (row.group.as_str(), row.kind.as_str())
            });
            for label in &labels {
                let told = row.selected_field(version, label);
                let is_known = own.is_some_and(|(.., own)| own.contains(label));
                assert_eq!(
                    told.is_ok(),
                    is_known,
                    "{} {}: {label}",
                    row.group,
                    row.kind
                );
            }
            assert!(row.selected_field(version, "metadata.name").is_ok());
            let in_namespace = row.selected_field(version, "metadata.namespace");
            let is_known = row.namespaced() || own.is_none();
            assert_eq!(in_namespace.is_ok(), is_known, "{}", row.kind);
        }
        let told = |group, plural, label| {
            let row = registry.resource(group, plural).expect(plural);
            row.selected_field("v1", label).map(str::to_owned)
        };
        assert_eq!(told("", "pods", "spec.host"), Ok("spec.nodeName".into()));
        assert_eq!(
            told("events.k8s.io", "events", "reportingController"),
            Ok("reportingComponent".into())
        );
        for (group, plural, why) in [
            ("", "pods", "field label not supported: a.b"),
            (
                "batch",
                "jobs",
                r#"field label "a.b" not supported for Job"#,
            ),
            (
                "networking.k8s.io",
                "ingresses",
                r#""a.b" is not a known field selector: only "metadata.name", "metadata.namespace""#,
            ),
        ] {
            assert_eq!(told(group, plural, "a.b"), Err(why.into()));
        }
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
        registry.put_custom(Arc::new(crd::row(&crd).expect("a good definition")));
        let row = registry
            .lookup("stable.example.com", "v1", "crontabs")
            .expect("added");
        assert_eq!(
            (row.singular.as_str(), row.list_kind.as_str()),
            ("crontab", "CronTabList")
        );
        assert_eq!(row.storage_prefix, "stable.example.com/crontabs");
        assert!(row.subresource("v1", "status").is_some() && row.versions[0].scale.is_some());
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
