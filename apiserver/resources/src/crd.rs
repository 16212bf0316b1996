//! Rows that CustomResourceDefinitions add.

mod compiled;
mod defaults;
mod embedded;
mod naming;
mod pattern;
mod selectable;
pub mod status;
mod validate;
mod webhook;

pub use webhook::ConversionWebhook;

pub(crate) use compiled::Validator;
pub(crate) use pattern::Patterns;

use crate::openapi::Compressed;
use crate::printers::custom::CustomPrinter;
use crate::resource::{Resource, ScalePaths, Scope, Subresource, Version};
use crate::rows::{self, Handler, Part};
use crate::rules::field::{Errors, Path};
use crate::rules::{FieldErrors, Findings, KindRules, carry_over, meta};
use crate::schema::{self, Schema};
use hardway_cel::Validations;
use hardway_proto::status::Cause;
use selectable::Selectable;
use serde_json::Value;
use std::collections::HashMap;

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
            printer: Box::new(CustomPrinter::new(array(
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

/// Kubernetes' order of versions: v2 before v1 before v1beta1 before v1alpha1
/// before anything else. Greater is preferred.
pub fn version_priority(version: &str) -> (u8, u32, u32) {
    let parse = || -> Option<(u8, u32, u32)> {
        let rest = version.strip_prefix('v')?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let major = rest[..digits].parse().ok()?;
        match &rest[digits..] {
            "" => Some((3, major, 0)),
            stage => {
                let (level, minor) = match stage.strip_prefix("beta") {
                    Some(minor) => (2, minor),
                    None => (1, stage.strip_prefix("alpha")?),
                };
                Some((level, major, minor.parse().ok()?))
            }
        }
    };
    parse().unwrap_or((0, 0, 0))
}

/// What the schema of one version asks of its objects.
struct VersionRules {
    schema: Schema,
    /// Whether only the subresource writes the status.
    has_status: bool,
    validator: Validator,
    validations: Option<Validations>,
}

impl VersionRules {
    /// What is wrong with an object, and with what it has become if it was another before.
    fn check(&self, object: &Value, old: Option<&Value>) -> Findings {
        let mut errors = self.validator.check_change(object, old);
        errors.extend(self.validator.metadata(object));
        self.with_validations(object, old, errors)
    }

    /// What the schema's own rules say of an object besides, unless what is wrong with it
    /// already keeps them from reading it.
    fn with_validations(
        &self,
        object: &Value,
        old: Option<&Value>,
        mut errors: FieldErrors,
    ) -> Findings {
        let Some(validations) = self.validations.as_ref().filter(|v| !v.is_empty()) else {
            return errors.into();
        };
        if errors
            .iter()
            .any(|cause| BLOCKING.contains(&cause.reason.as_str()))
        {
            errors.push(Cause {
                reason: "FieldValueInvalid".into(),
                message: "Invalid value: \"null\": some validation rules were not checked because the object was invalid; correct the existing errors to complete validation".into(),
                field: "<nil>".into(),
            });
            return errors.into();
        }
        let mut findings = validations.check(object, old);
        findings.causes.splice(0..0, errors);
        findings
    }
}

/// With such errors an object isn't what its schema's rules are about.
const BLOCKING: [&str; 5] = [
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
];

/// What a custom resource's schemas ask of its objects.
struct CustomRules {
    schemas: HashMap<String, VersionRules>,
    selectable: Selectable,
}

impl CustomRules {
    fn of(&self, object: &Value) -> Option<&VersionRules> {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        self.schemas
            .get(api_version.rsplit('/').next().unwrap_or_default())
    }
}

impl KindRules for CustomRules {
    fn takes_any_finalizer(&self) -> bool {
        true
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        meta::of_finalizers(new, old)
    }

    fn default(&self, object: &mut Value) {
        if let Some(VersionRules { schema, .. }) = self.of(object) {
            defaults::fill(schema, object);
        }
    }

    fn default_stored(&self, object: &mut Value) -> bool {
        match self.of(object) {
            Some(VersionRules { schema, .. }) if schema.has_defaults() => {
                defaults::fill(schema, object)
            }
            _ => false,
        }
    }

    fn prepare_status_update(&self, new: &mut Value, old: &Value) {
        // Everything but status stays as it was; metadata is the pipeline's.
        let mut fields: Vec<String> = [&*new, old]
            .iter()
            .filter_map(|object| object.as_object())
            .flat_map(|map| map.keys().cloned())
            .collect();
        fields.retain(|f| !matches!(f.as_str(), "status" | "metadata" | "apiVersion" | "kind"));
        for field in fields {
            carry_over(new, old, &field);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        if self.of(object).is_some_and(|rules| rules.has_status)
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        if self.of(new).is_some_and(|rules| rules.has_status) {
            carry_over(new, old, "status");
        }
    }

    fn has_status(&self) -> bool {
        self.schemas.values().any(|rules| rules.has_status)
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Value) -> FieldErrors {
        let rules = self.of(object);
        rules.map_or_else(FieldErrors::new, |rules| rules.check(object, None).causes)
    }

    fn validate_changed(&self, new: &Value, old: &Value) -> Findings {
        let rules = self.of(new);
        rules.map_or_else(Findings::default, |rules| rules.check(new, Some(old)))
    }

    fn validate_status_update(&self, new: &Value, old: &Value) -> Findings {
        let Some(rules) = self.of(new) else {
            return Findings::default();
        };
        let errors = Errors::collect(|e| {
            if let (Some(status), Some(validator)) =
                (new.get("status"), rules.validator.fields.get("status"))
            {
                let path = Path::new("status");
                e.extend_below(&path, validator.check_change(status, old.get("status")));
                e.extend_below(&path, validator.metadata(status));
            }
        });
        rules.with_validations(new, Some(old), errors)
    }

    fn selectable_names(&self) -> Vec<String> {
        self.selectable.names()
    }

    fn selectable_values(&self, object: &Value) -> Vec<String> {
        self.selectable.values(object)
    }

    fn is_selectable(&self, version: &str, name: &str) -> bool {
        self.selectable.is_in(version, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn crontab() -> Resource {
        row(&json!({"metadata": {"name": "crontabs.example.com"}, "spec": {
            "group": "example.com",
            "names": {"plural": "crontabs", "kind": "CronTab"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object",
                "properties": {"spec": {
                    "type": "object",
                    "required": ["cronSpec"],
                    "properties": {
                        "cronSpec": {"type": "string", "pattern": "^\\d+$"},
                        "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
                        "mode": {"type": "string", "enum": ["a", "b"]},
                    },
                }},
            }}}],
        }}))
        .expect("a good definition")
    }

    /// As Kubernetes' `CRDValidationRatcheting`: what was so before refuses no update.
    #[test]
    fn what_is_wrong_and_unchanged_is_let_be() {
        let text = json!({"type": "string", "maxLength": 3});
        let element =
            json!({"type": "object", "properties": {"name": {"type": "string"}, "to": text}});
        let mut map = json!({"type": "array", "items": element, "x-kubernetes-list-type": "map"});
        map["x-kubernetes-list-map-keys"] = json!(["name"]);
        let atomic = json!({"type": "object", "additionalProperties": text, "x-kubernetes-map-type": "atomic"});
        let fields = json!({"one": text, "list": {"type": "array", "items": text}, "map": map, "atomic": atomic});
        let row = row(
            &json!({"metadata": {"name": "crontabs.example.com"}, "spec": {
                "group": "example.com",
                "names": {"plural": "crontabs", "kind": "CronTab"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                    "openAPIV3Schema": {"type": "object", "properties": {
                        "spec": {"type": "object", "required": ["must"], "properties": fields},
                    }},
                }}],
            }}),
        )
        .expect("a good definition");
        let object =
            |spec: &Value| json!({"apiVersion": "example.com/v1", "kind": "CronTab", "spec": spec});
        let old = json!({"one": "long", "list": ["long"], "map": [{"name": "a", "to": "long"}],
            "atomic": {"a": "long"}});
        for (at, new, refused) in [
            ("/other", json!(1), vec!["spec.must"]),
            ("/one", json!("longer"), vec!["spec.must", "spec.one"]),
            (
                "/list",
                json!(["long", "b"]),
                vec!["spec.list[0]", "spec.must"],
            ),
            (
                "/map",
                json!([{"name": "b"}, {"name": "a", "to": "long"}]),
                vec!["spec.must"],
            ),
            (
                "/map",
                json!([{"name": "a", "to": "longer"}]),
                vec!["spec.map[0].to", "spec.must"],
            ),
            ("/atomic", json!({"a": "long", "b": "b"}), vec!["spec.must"]),
        ] {
            let mut spec = old.clone();
            spec[&at[1..]] = new;
            let found = row.rules.validate_changed(&object(&spec), &object(&old));
            let causes = found.causes;
            let mut fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
            fields.sort_unstable();
            assert_eq!(fields, refused, "{at}");
        }
        let same = row.rules.validate_changed(&object(&old), &object(&old));
        assert_eq!(same, Findings::default());
    }

    #[test]
    fn rules_of_the_schema_hold() {
        let row = row(&json!({"metadata": {"name": "crontabs.example.com"}, "spec": {
            "group": "example.com",
            "names": {"plural": "crontabs", "kind": "CronTab"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {
                            "type": "object",
                            "required": ["least"],
                            "properties": {"least": {"type": "integer"}, "most": {"type": "integer"}},
                            "x-kubernetes-validations": [
                                {"rule": "!has(self.most) || self.least <= self.most"},
                                {"rule": "self.least >= oldSelf.least", "message": "may not sink"},
                            ],
                        },
                        "status": {"type": "object", "properties": {"now": {"type": "integer"}}},
                    },
                    "x-kubernetes-validations": [
                        {"rule": "!has(self.status) || self.status.now >= self.spec.least"},
                    ],
                }}}],
        }}))
        .expect("a good definition");
        let object = |least: i64, most: i64, now: i64| {
            json!({"apiVersion": "example.com/v1", "kind": "CronTab", "metadata": {"name": "c"},
                "spec": {"least": least, "most": most}, "status": {"now": now}})
        };
        let told = |causes: FieldErrors| -> Vec<String> {
            let shown = |cause: Cause| format!("{}: {}", cause.field, cause.message);
            causes.into_iter().map(shown).collect()
        };
        let rules = &row.rules;
        let good = object(1, 2, 1);
        assert_eq!(told(rules.validate(&good)), [""; 0]);
        assert_eq!(
            told(rules.validate(&object(3, 2, 3))),
            [
                r#"spec: Invalid value: "object": failed rule: !has(self.most) || self.least <= self.most"#
            ]
        );
        assert_eq!(
            told(rules.validate_changed(&object(0, 2, 1), &good).causes),
            [r#"spec: Invalid value: "object": may not sink"#]
        );
        assert_eq!(
            told(rules.validate_status_update(&object(1, 2, 0), &good).causes),
            [
                r#"<nil>: Invalid value: "object": failed rule: !has(self.status) || self.status.now >= self.spec.least"#
            ]
        );
        // Rules are about objects that are otherwise right.
        let mut odd = object(3, 2, 3);
        odd["spec"].as_object_mut().unwrap().remove("least");
        assert_eq!(
            told(rules.validate(&odd)),
            [
                "spec.least: Required value",
                r#"<nil>: Invalid value: "null": some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"#,
            ]
        );
        let wrong = object(3, 2, 3);
        let mut relabelled = wrong.clone();
        relabelled["metadata"]["labels"] = json!({"a": "b"});
        let warning = r#"spec: Invalid value: "object": failed rule: !has(self.most) || self.least <= self.most"#;
        for found in [
            rules.validate_changed(&relabelled, &wrong),
            rules.validate_status_update(&relabelled, &wrong),
        ] {
            assert_eq!(
                (told(found.causes), found.warnings),
                (vec![], vec![warning.to_owned()])
            );
        }
    }

    /// Kubernetes holds the whole object against the schema, metadata too.
    #[test]
    fn names_are_as_the_schema_says() {
        let text = json!({"type": "string", "pattern": "^db-"});
        let row = row(
            &json!({"metadata": {"name": "crontabs.example.com"}, "spec": {
                "group": "example.com",
                "names": {"plural": "crontabs", "kind": "CronTab"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                    "openAPIV3Schema": {"type": "object", "properties": {
                        "metadata": {"type": "object", "properties": {"name": text}},
                    }},
                }}],
            }}),
        )
        .expect("a good definition");
        let object = |name: &str, label: &str| {
            json!({"apiVersion": "example.com/v1", "kind": "CronTab",
                "metadata": {"name": name, "labels": {"a": label}}})
        };
        assert_eq!(row.rules.validate(&object("db-1", "")), []);
        let found = row.rules.validate(&object("web", ""));
        let found: Vec<_> = found
            .iter()
            .map(|c| (c.field.as_str(), c.message.as_str()))
            .collect();
        let why = r#"Invalid value: "web": metadata.name in body should match '^db-'"#;
        assert_eq!(found, [("metadata.name", why)]);
        let kept = row
            .rules
            .validate_changed(&object("web", "b"), &object("web", "a"));
        assert_eq!(kept, Findings::default());
    }

    #[test]
    fn defaults_and_validates_by_the_schema() {
        let row = crontab();
        let mut good =
            json!({"apiVersion": "example.com/v1", "kind": "CronTab", "spec": {"cronSpec": "5"}});
        row.rules.default(&mut good);
        assert_eq!(good["spec"]["replicas"], 1);
        assert!(row.rules.validate(&good).is_empty());

        let bad = json!({"apiVersion": "example.com/v1", "spec": {"replicas": 11, "mode": "c"}});
        let mut told: Vec<String> = row
            .rules
            .validate(&bad)
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        told.sort();
        assert_eq!(
            told,
            [
                "spec.cronSpec: Required value",
                r#"spec.mode: Unsupported value: "c": supported values: "a", "b""#,
                "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10",
            ]
        );
        let wrong =
            json!({"apiVersion": "example.com/v1", "spec": {"cronSpec": "x", "replicas": "y"}});
        let told: Vec<String> = row
            .rules
            .validate(&wrong)
            .into_iter()
            .map(|c| c.message)
            .collect();
        assert_eq!(
            told,
            [
                r#"Invalid value: "x": spec.cronSpec in body should match '^\d+$'"#,
                r#"Invalid value: "string": spec.replicas in body must be of type integer: "string""#,
            ]
        );
    }

    fn definition(spec: Value) -> Value {
        json!({"metadata": {"name": "lists.example.com"}, "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "lists", "singular": "list", "kind": "List", "listKind": "ListList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}],
        }})
    }

    #[test]
    fn long_lists_take_no_longer_than_they_are() {
        let items = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        let row = row(&definition(json!({"type": "array", "items": items,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]})))
        .expect("a good definition");
        let object = |count: usize, different: usize| {
            let items = (0..count).map(|n| json!({"name": format!("{}", n % different)}));
            json!({"apiVersion": "example.com/v1", "spec": items.collect::<Vec<_>>()})
        };
        let start = std::time::Instant::now();
        assert!(row.rules.validate(&object(150_000, 150_000)).is_empty());
        // Nobody reads a hundred thousand causes.
        let causes = row.rules.validate(&object(150_000, 1));
        assert_eq!(causes.len(), 100);
        assert_eq!(causes[0].reason, "FieldValueDuplicate");
        // Each with each would be 10^10 comparisons.
        let took = start.elapsed();
        assert!(took < std::time::Duration::from_secs(20), "{took:?}");
    }

    #[test]
    fn definitions_with_patterns_that_cannot_be_used_are_refused() {
        let rows = crate::Registry::new();
        let definitions = rows
            .resource("apiextensions.k8s.io", "customresourcedefinitions")
            .expect("definitions are a resource");
        let refused = |pattern: &str| {
            let spec = json!({"type": "array", "items": {"type": "string", "pattern": pattern}});
            let causes = definitions.rules.validate(&definition(spec));
            let of_pattern = causes
                .into_iter()
                .find(|c| c.field.ends_with("items.pattern"));
            of_pattern.map(|cause| (cause.field, cause.message))
        };
        assert_eq!(refused(r"^[\w-]+$"), None);
        let (field, why) = refused("((a{100}){100}){100}").expect("it is too large");
        assert_eq!(
            field,
            "spec.validation.openAPIV3Schema.properties[spec].items.pattern"
        );
        assert!(
            why.contains("must be a valid regular expression, but isn't"),
            "{why}"
        );
        assert!(refused("(").is_some());
    }

    #[test]
    fn versions_in_kubernetes_order() {
        let mut versions = ["v1alpha1", "foo", "v1", "v10", "v1beta2", "v2", "v1beta1"];
        versions.sort_by_key(|v| std::cmp::Reverse(version_priority(v)));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]
        );
    }
}
