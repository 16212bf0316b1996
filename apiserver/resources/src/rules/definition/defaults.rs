//! Defaults that a schema states must be good by that schema.

use crate::crd::Validator;
use crate::rules::FieldErrors;
use crate::rules::field::{Errors, Path};
use crate::rules::json::{entries, flag, get, has};
use crate::schema::{self, Schema};
use crate::strict;
use serde_json::{Value, json};

const EMBEDDED: &str = "x-kubernetes-embedded-resource";

/// What is wrong with the defaults of a schema that is structural.
pub(super) fn check(root: &Value, path: &Path, no_unknown: bool) -> FieldErrors {
    let has_defaults = super::schema::find(root, &|s| has(s, "default").then_some(()));
    if has_defaults.is_none() {
        return FieldErrors::new();
    }
    let validator = Validator::of(root);
    let shape = schema::custom::from_open_api(Some(root));
    let place = Place {
        schema: root,
        validator: &validator,
        shape: Some(&shape),
        embedded: None,
    };
    Errors::collect(|e| place.visit(e, path, no_unknown))
}

/// Whether a default of a schema has fields that the schema doesn't know.
pub(super) fn know_too_much(root: &Value) -> bool {
    root.is_object()
        && check(root, &Path::default(), true).len() > check(root, &Path::default(), false).len()
}

/// A schema, and what was made of it.
struct Place<'a> {
    schema: &'a Value,
    validator: &'a Validator,
    shape: Option<&'a Schema>,
    /// Within a resource's metadata: that resource, and the fields from there.
    embedded: Option<(&'a Validator, Vec<String>)>,
}

impl Place<'_> {
    fn visit(&self, e: &mut Errors, path: &Path, no_unknown: bool) {
        let default = get(self.schema, "default");
        if !default.is_null() {
            self.default(e, &path.child("default"), default, no_unknown);
        }
        if get(self.schema, "items").is_object()
            && let Some(validator) = self.validator.items.as_deref()
        {
            let shape = self.shape.and_then(Schema::items);
            let place = Place {
                schema: get(self.schema, "items"),
                validator,
                shape: shape.as_ref(),
                // Lists within metadata have no defaults worth a look.
                embedded: None,
            };
            place.visit(e, &path.child("items"), no_unknown);
        }
        let resource = flag(self.schema, EMBEDDED);
        for (name, schema) in entries(self.schema, "properties") {
            let Some(validator) = self.validator.fields.get(name) else {
                continue;
            };
            let shape = self.shape.and_then(|shape| shape.field(name));
            let embedded = match &self.embedded {
                Some((of, fields)) if !resource => {
                    let mut fields = fields.clone();
                    fields.push(name.clone());
                    Some((*of, fields))
                }
                _ if resource && ["metadata", "apiVersion", "kind"].contains(&name.as_str()) => {
                    Some((self.validator, vec![name.clone()]))
                }
                _ => None,
            };
            let place = Place {
                schema,
                validator,
                shape: shape.as_ref(),
                embedded,
            };
            place.visit(e, &path.child("properties").key(name), no_unknown);
        }
    }

    fn default(&self, e: &mut Errors, path: &Path, default: &Value, no_unknown: bool) {
        if let Some((resource, fields)) = &self.embedded {
            let mut value = default.clone();
            for field in fields.iter().rev() {
                value = json!({field: value});
            }
            for (field, text) in [("apiVersion", "validation/v1"), ("kind", "Validation")] {
                if value.get(field).is_none() {
                    value[field] = text.into();
                }
            }
            let wrong = resource.metadata(&value);
            if let Some(first) = wrong.first() {
                let why = format!("{}: {}", first.field, first.message);
                let detail = format!("must result in valid metadata: {why}");
                return e.invalid(path, default, &detail);
            }
        } else {
            if no_unknown
                && let Some(shape) = self.shape
                && strict::prune(shape, &mut default.clone()).is_ok_and(|told| !told.is_empty())
            {
                e.invalid(path, default, "must not have unknown fields");
            }
            let wrong = self.validator.metadata(default);
            if !wrong.is_empty() {
                return e.extend_below(path, wrong);
            }
        }
        e.extend_below(path, self.validator.check(default));
    }
}
