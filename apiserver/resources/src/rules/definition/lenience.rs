//! What an update may leave as wrong as it was: what is asked of definitions has
//! become more over time, and those that are stored have to stay changeable.

use super::open_api::{TYPES, is_set_of_structures, keys_are_there};
use super::schema::find;
use super::{conversion, defaults, schema_of, structural};
use crate::rules::field::Path;
use crate::rules::json::{get, list, text};
use hardway_cel::Validations;
use serde_json::Value;
use std::collections::BTreeSet;

/// What isn't asked; nothing by default.
#[derive(Debug, Default)]
pub(super) struct Lenience {
    /// That every version has a schema, not only those that are served.
    pub schemas: bool,
    /// That schemas are structural.
    pub structure: bool,
    /// That types are those of OpenAPI.
    pub types: bool,
    /// That defaults have no fields that the schema doesn't know.
    pub unknown_in_defaults: bool,
    /// That elements of sets are compared as a whole.
    pub sets: bool,
    /// That the keys of associative lists are always there.
    pub map_keys: bool,
    /// That a conversion webhook takes a review that is known.
    pub reviews: bool,
    /// That selectable fields are few.
    pub selectable: bool,
    /// That rules are right and not expensive.
    pub rules: bool,
    /// That these expressions of rules can be read by the version of Kubernetes before.
    pub expressions: BTreeSet<String>,
}

impl Lenience {
    /// Towards a new spec, for what the definition is like already.
    pub(super) fn of(new: &Value, old: &Value) -> Self {
        let spec = get(old, "spec");
        let versions = list(spec, "versions");
        let any = |look: &dyn Fn(&Value) -> bool| {
            let schemas = versions.iter().map(schema_of);
            let mut schemas = schemas.filter(|schema| schema.is_object());
            schemas.any(|schema| find(schema, &|s| look(s).then_some(())).is_some())
        };
        let review = list(
            get(get(spec, "conversion"), "webhook"),
            "conversionReviewVersions",
        );
        let selectable = |spec: &Value| -> Vec<Value> {
            let versions = list(spec, "versions").iter();
            versions
                .map(|v| get(v, "selectableFields").clone())
                .collect()
        };
        let old_selectable = selectable(spec);
        let expressions: BTreeSet<String> = versions
            .iter()
            .flat_map(|v| Validations::expressions(schema_of(v)))
            .collect();
        Self {
            schemas: versions.iter().any(|v| schema_of(v).is_null()),
            structure: structural::condition(old).is_some(),
            types: any(&|s| {
                !["", "null"].contains(&text(s, "type")) && !TYPES.contains(&text(s, "type"))
            }),
            unknown_in_defaults: versions
                .iter()
                .any(|v| defaults::know_too_much(schema_of(v))),
            sets: any(&is_set_of_structures),
            map_keys: any(&|s| !keys_are_there(s, &Path::default()).is_empty()),
            reviews: !review.is_empty() && !conversion::knows_review(get(spec, "conversion")),
            rules: versions
                .iter()
                .any(|v| !Validations::faults(schema_of(v), "", &expressions).is_empty()),
            expressions,
            selectable: selectable(new) == old_selectable
                && old_selectable
                    .iter()
                    .any(|fields| fields.as_array().is_some_and(|f| f.len() > 8)),
        }
    }
}
