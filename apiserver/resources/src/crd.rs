//! Rows that CustomResourceDefinitions add.

mod compiled;
mod defaults;
mod embedded;
mod naming;
mod pattern;
mod priority;
mod rules;
mod selectable;
pub mod status;
mod validate;
mod webhook;

pub use priority::version_priority;
pub use webhook::ConversionWebhook;

pub(crate) use compiled::Validator;
pub(crate) use pattern::Patterns;

use crate::openapi::Compressed;
use crate::printers::custom::CustomPrinter;
use crate::resource::{Resource, ScalePaths, Scope, Subresource, Version};
use crate::rows::{self, Handler, Part};
use crate::schema;
use hardway_cel::Validations;
use rules::{CustomRules, VersionRules};
use selectable::Selectable;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// The finalizer that holds a definition until its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Why a definition can't be served.
#[derive(Debug, thiserror::Error)]
#[error("CustomResourceDefinition {name:?} can't be served: {reason}")]
pub struct Refused {
    /// Name of the definition.
    pub name: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The versions of a definition that are served.
pub fn served(crd: &Value) -> impl Iterator<Item = &Value> {
    let versions = array(&crd["spec"]["versions"]).iter();
    versions.filter(|version| version["served"] == true)
}

/// The row of a definition that serves no version, for what is left of its objects: as its
/// storage version has them. It belongs in no table.
pub fn unserved_row(crd: &Value) -> Result<Resource, Refused> {
    let mut crd = crd.clone();
    let versions = crd["spec"]["versions"].as_array_mut();
    for version in versions.into_iter().flatten() {
        version["served"] = version["storage"].clone();
    }
    // Nobody sees them any more: what could convert them may be gone already.
    crd["spec"]["conversion"] = Value::Null;
    row(&crd)
}

/// The row that a CustomResourceDefinition describes.
pub fn row(crd: &Value) -> Result<Resource, Refused> {
    let refused = |reason| Refused {
        name: string(&crd["metadata"]["name"]),
        reason,
    };
    let (spec, names) = (&crd["spec"], &crd["spec"]["names"]);
    let (group, plural, kind) = (
        string(&spec["group"]),
        string(&names["plural"]),
        string(&names["kind"]),
    );
    if group.is_empty() || plural.is_empty() || kind.is_empty() {
        return Err(refused(
            "spec.group, spec.names.plural and spec.names.kind must be set",
        ));
    }
    let mut served: Vec<&Value> = served(crd).collect();
    served.sort_by_key(|version| {
        let name = string(&version["name"]);
        (
            version["storage"] != true,
            std::cmp::Reverse(version_priority(&name)),
        )
    });
    let Some(first) = served.first() else {
        return Err(refused("spec.versions has no version with served: true"));
    };
    let mut schemas = HashMap::new();
    let mut versions = Vec::new();
    let all = array(&spec["versions"]);
    let kept_in = all.iter().find(|version| version["storage"] == true);
    let storage_version = string(&kept_in.unwrap_or(first)["name"]);
    let mut selectable = Selectable::default();
    for version in served {
        let name = string(&version["name"]);
        let raw = &version["schema"]["openAPIV3Schema"];
        let raw = raw.is_object().then_some(raw);
        let schema = schema::custom::from_open_api(raw);
        let deprecation = (version["deprecated"] == true).then(|| {
            let warning = string(&version["deprecationWarning"]);
            if warning.is_empty() {
                format!("{group}/{name} {kind} is deprecated")
            } else {
                warning
            }
        });
        let subresources = subresources(version);
        let has_status = subresources.iter().any(|sub| sub.name == "status");
        versions.push(Version {
            name: name.clone(),
            subresources,
            scale: scale_paths(&version["subresources"]["scale"]),
            schema: schema.clone(),
            printer: Arc::new(CustomPrinter::new(array(
                &version["additionalPrinterColumns"],
            ))),
            open_api: raw.map(Compressed::of),
            deprecation,
        });
        selectable.add(&name, version);
        let rules = VersionRules {
            schema,
            has_status,
            validator: raw.map(Validator::of).unwrap_or_default(),
            validations: raw.map(Validations::of_resource),
        };
        schemas.insert(name, rules);
    }
    // What is kept in a version that is served no more gets that one's defaults.
    for version in all.iter().filter(|version| version["served"] != true) {
        let raw = &version["schema"]["openAPIV3Schema"];
        let schema = schema::custom::from_open_api(raw.is_object().then_some(raw));
        let rules = VersionRules {
            schema,
            has_status: false,
            validator: Validator::default(),
            validations: None,
        };
        schemas.insert(string(&version["name"]), rules);
    }
    Ok(Resource {
        storage_prefix: format!("{group}/{plural}"),
        list_kind: or(string(&names["listKind"]), || format!("{kind}List")),
        singular: or(string(&names["singular"]), || kind.to_lowercase()),
        short_names: strings(&names["shortNames"]),
        categories: strings(&names["categories"]),
        scope: if spec["scope"] == "Cluster" {
            Scope::Cluster
        } else {
            Scope::Namespaced
        },
        verbs: rows::FULL.iter().map(|verb| (*verb).to_owned()).collect(),
        external: None,
        storage_version,
        has_other_versions: all.len() > 1,
        webhook: ConversionWebhook::of(crd),
        removed: None,
        strategy: rows::VERSIONED,
        custom: true,
        rules: Box::new(CustomRules {
            schemas,
            selectable,
        }),
        group,
        versions,
        kind,
        plural,
    })
}

/// The subresources of a version.
fn subresources(version: &Value) -> Vec<Subresource> {
    let said = &version["subresources"];
    let mut subresources = Vec::new();
    if said["scale"].is_object() {
        let body = ("autoscaling", "v1", "Scale");
        subresources.push(subresource("scale", Some(body), Handler::Part(Part::Scale)));
    }
    if said["status"].is_object() {
        subresources.push(subresource("status", None, Handler::Part(Part::Status)));
    }
    subresources
}

fn subresource(name: &str, body: Option<(&str, &str, &str)>, handler: Handler) -> Subresource {
    Subresource {
        name: name.to_owned(),
        body: body
            .map(|(group, version, kind)| (group.to_owned(), version.to_owned(), kind.to_owned())),
        verbs: ["get", "patch", "update"].map(str::to_owned).to_vec(),
        handler,
        keeps: rows::METADATA,
    }
}

fn scale_paths(scale: &Value) -> Option<ScalePaths> {
    scale.as_object()?;
    let selector = string(&scale["labelSelectorPath"]);
    Some(ScalePaths {
        spec: string(&scale["specReplicasPath"]),
        status: string(&scale["statusReplicasPath"]),
        selector: (!selector.is_empty()).then_some(selector),
    })
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn or(text: String, otherwise: impl FnOnce() -> String) -> String {
    if text.is_empty() { otherwise() } else { text }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn strings(value: &Value) -> Vec<String> {
    array(value).iter().map(string).collect()
}

#[cfg(test)]
mod tests;
