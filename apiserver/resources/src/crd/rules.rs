//! What the schemas of a custom resource ask of its objects.

use super::selectable::Selectable;
use super::{Validator, defaults};
use crate::rules::field::{Errors, Path};
use crate::rules::{FieldErrors, Findings, KindRules, carry_over, meta};
use crate::schema::Schema;
use hardway_cel::Validations;
use hardway_proto::status::Cause;
use serde_json::Value;
use std::collections::HashMap;

/// What the schema of one version asks of its objects.
pub(super) struct VersionRules {
    pub schema: Schema,
    /// Whether only the subresource writes the status.
    pub has_status: bool,
    pub validator: Validator,
    pub validations: Option<Validations>,
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
pub(super) struct CustomRules {
    pub schemas: HashMap<String, VersionRules>,
    pub selectable: Selectable,
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
