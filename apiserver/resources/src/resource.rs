//! One row of the table.

use crate::cell::Cell;
use crate::crd::ConversionWebhook;
use crate::excerpt::Fields;
use crate::openapi::Compressed;
use crate::rows::{Handler, Strategy};
use crate::rules::conversions::Conversion;
use crate::rules::{KindRules, json};
use crate::schema::{Schema, builtin};
use serde_json::Value;
use std::sync::Arc;

/// Where objects of a resource live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In namespaces.
    Namespaced,
    /// In the cluster.
    Cluster,
}

/// One column of `kubectl get`.
#[derive(Clone)]
pub struct Column {
    /// Heading, e.g. `Ready`.
    pub name: String,
    /// OpenAPI type of the cell: `string`, `integer`, `date` …
    pub r#type: &'static str,
    /// `name` for the name column, else usually empty.
    pub format: &'static str,
    /// What it shows.
    pub description: String,
    /// 0: always shown; 1: only with `-o wide`.
    pub priority: i32,
}

/// How a resource shows itself as a `meta.k8s.io/v1` Table.
pub trait Printer: Send + Sync {
    /// The columns, in order.
    fn columns(&self) -> &[Column];
    /// Which fields of an object its cells are made of: it need have no others.
    fn looks_at(&self) -> &Fields;
    /// The cells of one object's row; one for each column.
    fn cells(&self, object: &Value) -> Vec<Cell>;
}

/// One resource: group, served version, names, and everything that differs
/// between kinds.
pub struct Resource {
    /// API group; empty for the core group.
    pub group: String,
    /// Served versions of the same shape, preferred and stored first.
    /// Another shape is a row of its own, with a [`ExternalVersion`].
    pub versions: Vec<Version>,
    /// e.g. `Pod`.
    pub kind: String,
    /// e.g. `PodList`.
    pub list_kind: String,
    /// e.g. `pods`.
    pub plural: String,
    /// e.g. `pod`.
    pub singular: String,
    /// e.g. `po`.
    pub short_names: Vec<String>,
    /// e.g. `all`.
    pub categories: Vec<String>,
    /// Where its objects live.
    pub scope: Scope,
    /// e.g. `create`, `list`; what discovery tells and the pipeline allows.
    pub verbs: Vec<String>,
    /// The etcd prefix below `/registry/`, as Kubernetes lays it out:
    /// `pods`, `services/specs`, `minions`, `apiextensions.k8s.io/customresourcedefinitions` …
    pub storage_prefix: String,
    /// The row that keeps this one's objects, if it isn't this one.
    pub external: Option<ExternalVersion>,
    /// The version that objects are written in, which need not be served.
    pub storage_version: String,
    /// Whether it has, or had, versions beside that one.
    pub has_other_versions: bool,
    /// Who converts objects between the versions, if it takes more than their name.
    pub webhook: Option<ConversionWebhook>,
    /// The release of Kubernetes that removed it, if it is here for the sake of
    /// old manifests only. Clients that go through all resources had better not
    /// meet it.
    pub removed: Option<&'static str>,
    /// How it takes PUT and DELETE.
    pub strategy: Strategy,
    /// Whether the row comes from a CustomResourceDefinition.
    pub custom: bool,
    /// The kind's own rules.
    pub rules: Box<dyn KindRules>,
}

/// What a row is that shows objects kept by another row: `extensions/v1beta1`
/// shows the Deployments of `apps/v1`, `events.k8s.io` the core group's events.
/// Kind and names are the same in both.
#[derive(Clone, Copy)]
pub struct ExternalVersion {
    /// Group of the row that keeps them.
    pub group: &'static str,
    /// The version they are kept in.
    pub version: &'static str,
    /// Between that shape and this one.
    pub conversion: Conversion,
}

impl Resource {
    /// The group of the row that keeps the objects: the identity of the
    /// resource, whichever group it is shown in.
    pub fn kept_group(&self) -> &str {
        match &self.external {
            Some(external) => external.group,
            None => &self.group,
        }
    }

    /// The version objects are kept in.
    pub fn kept_version(&self) -> &str {
        match &self.external {
            Some(external) => external.version,
            None => &self.storage_version,
        }
    }

    /// Whether objects may be kept in another form than they are served in, and one comes of
    /// the other without asking anybody.
    pub fn converts(&self) -> bool {
        self.external.is_some() || self.has_other_versions && self.webhook.is_none()
    }

    /// Fills in what this version defaults otherwise than the kept one.
    pub fn default_version(&self, object: &mut Value) {
        if let Some(external) = &self.external {
            (external.conversion.default)(object);
        }
    }

    /// Fills in what the kind defaults, and the zero values of required fields
    /// that nobody set. The object comes as it is kept.
    pub fn default(&self, kept: &mut Value) {
        self.rules.default(kept);
        self.fill_zero(kept);
    }

    /// Gives required fields of a kept object their zero values, see
    /// [`Schema::fill_zero`].
    pub fn fill_zero(&self, kept: &mut Value) {
        let keeper = self
            .external
            .as_ref()
            .and_then(|external| builtin::kind(external.group, external.version, &self.kind));
        let schema = keeper.as_ref().unwrap_or(&self.versions[0].schema);
        schema.fill_zero(kept);
    }

    /// An object of this row as it is kept.
    pub fn to_storage(&self, mut object: Value) -> Value {
        if let Some(external) = &self.external {
            (external.conversion.to_storage)(&mut object);
        }
        let api_version = api_version(self.kept_group(), self.kept_version());
        relabel(&mut object, api_version);
        object
    }

    /// A kept object as this row shows it in a version.
    pub fn to_external(&self, mut object: Value, version: &str) -> Value {
        if let Some(external) = &self.external {
            (external.conversion.to_external)(&mut object);
        }
        relabel(&mut object, self.api_version(version));
        object
    }

    /// A served version by name.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// `group/version`, or the version alone for the core group.
    pub fn api_version(&self, version: &str) -> String {
        api_version(&self.group, version)
    }

    /// The field that a label of a field selector stands for in a version: one of
    /// `metadata.name`, `metadata.namespace`, or those of [`KindRules::selectable_names`].
    ///
    /// # Errors
    /// What the client is told, in Kubernetes' words: kinds that have fields of their own
    /// say it otherwise than those that have none (`DefaultMetaV1FieldSelectorConversion`).
    pub fn selected_field<'a>(&self, version: &str, label: &'a str) -> Result<&'a str, String> {
        let rules = &self.rules;
        let has_own = self.custom || !rules.selectable_names().is_empty();
        match label {
            "metadata.name" => return Ok(label),
            "metadata.namespace" if self.namespaced() || !has_own => return Ok(label),
            _ => {}
        }
        let field = match self
            .external
            .and_then(|external| external.conversion.labels)
        {
            Some(labels) => labels
                .iter()
                .find(|(shown, _)| *shown == label)
                .map(|(_, kept)| *kept),
            None if rules.is_selectable(version, label) => Some(label),
            None => rules.label_alias(label),
        };
        field.ok_or_else(|| match has_own {
            true => rules.unknown_label(label),
            false => format!(
                "{label:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            ),
        })
    }

    /// The subresources of a version.
    pub fn subresources(&self, version: &str) -> &[Subresource] {
        let found = self.version(version);
        found.map(|it| &*it.subresources).unwrap_or_default()
    }

    /// A subresource of a version by name.
    pub fn subresource(&self, version: &str, name: &str) -> Option<&Subresource> {
        self.subresources(version).iter().find(|s| s.name == name)
    }

    /// Whether objects live in namespaces.
    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Whether the resource answers a verb.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }
}

fn relabel(object: &mut Value, api_version: String) {
    json::set(object, "apiVersion", api_version);
}

/// `group/version`, or the version alone for the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// The fields behind `scale`, as simple JSON paths such as `.spec.replicas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// Desired replicas.
    pub spec: String,
    /// Observed replicas.
    pub status: String,
    /// Selector: a label selector, a map of labels, or its text.
    pub selector: Option<String>,
}

/// One served version of a row.
pub struct Version {
    /// e.g. `v1`.
    pub name: String,
    /// Schema of this version.
    pub schema: Schema,
    /// e.g. `status`, `scale`, `log`. Versions of a custom resource may differ in these.
    pub subresources: Vec<Subresource>,
    /// Where the scale subresource reads and writes, if there is one.
    pub scale: Option<ScalePaths>,
    /// Table columns of this version.
    pub printer: Arc<dyn Printer>,
    /// A custom resource's `openAPIV3Schema` as its definition states it, for documents.
    pub open_api: Option<Compressed>,
    /// Sent as a `Warning:` header when this version is used.
    pub deprecation: Option<String>,
}

/// A subresource, as discovery tells it.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// e.g. `scale`.
    pub name: String,
    /// Group, version and kind of its body where it differs from the resource's.
    pub body: Option<(String, String, String)>,
    /// e.g. `get`, `update`, `patch`.
    pub verbs: Vec<String>,
    /// What it is.
    pub handler: Handler,
    /// Which of [`METADATA`](crate::rows::METADATA) a write of its field leaves as they are.
    pub keeps: &'static [&'static str],
}
