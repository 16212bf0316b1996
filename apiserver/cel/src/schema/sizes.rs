//! How large values of a schema can be in a request of the largest size: what the costs of
//! expressions are estimated by. The numbers are those of Kubernetes
//! (`k8s.io/apiserver/pkg/cel`, `limits.go` and `common/schemas.go`).

use super::{Form, Format, Schema};
use crate::cost::SizeRange;
use serde_json::Value as Json;

/// Bytes of the largest request.
const REQUEST: u64 = 3 * 1024 * 1024;

/// What is known of the size of a schema's values.
pub(super) struct Bounds {
    /// Characters, bytes, elements or entries, at most.
    pub most: u64,
    /// Bytes of the shortest JSON.
    pub least_bytes: u64,
}

const fn bounds(most: u64, least_bytes: u64) -> Bounds {
    Bounds { most, least_bytes }
}

pub(super) const BOOL: Bounds = bounds(0, 4);
pub(super) const NUMBER: Bounds = bounds(0, 1);
pub(super) const EMPTY_OBJECT: Bounds = bounds(0, 2);

/// A limit of the schema; a negative one is none at all.
fn limit(schema: &Json, key: &str) -> Option<u64> {
    let limit = schema[key].as_i64()?;
    Some(u64::try_from(limit).unwrap_or_default())
}

pub(super) fn int_or_string(schema: &Json) -> Bounds {
    let most = limit(schema, "maxLength").map(bytes_of);
    bounds(most.unwrap_or(REQUEST - 2), 1)
}

/// A character has up to four bytes.
fn bytes_of(characters: u64) -> u64 {
    characters.saturating_mul(4)
}

pub(super) fn string(schema: &Json, format: Format) -> Bounds {
    match format {
        Format::Byte => bounds(limit(schema, "maxLength").unwrap_or(REQUEST - 2), 2),
        Format::Duration => bounds(32, 3),
        Format::Date => bounds(12, 12),
        Format::DateTime => bounds(32, 21),
        Format::None => {
            let allowed = schema["enum"].as_array().filter(|list| !list.is_empty());
            let longest = allowed.map(|list| {
                let lengths = list.iter().filter_map(Json::as_str).map(str::len);
                lengths.max().unwrap_or_default() as u64
            });
            let most = limit(schema, "maxLength").map(bytes_of).or(longest);
            bounds(most.unwrap_or(REQUEST - 2), 2)
        }
    }
}

pub(super) fn list(schema: &Json, items: &Schema) -> Bounds {
    let fitting = (REQUEST - 2) / (items.least_bytes + 1);
    bounds(limit(schema, "maxItems").unwrap_or(fitting), 2)
}

pub(super) fn map(schema: &Json, values: &Schema) -> Bounds {
    // Quotation marks of the key, a colon and a comma are between values.
    let fitting = (REQUEST - 2) / (values.least_bytes + 6);
    bounds(limit(schema, "maxProperties").unwrap_or(fitting), 2)
}

impl Schema {
    /// The size of what is found on a way through it: names of fields, `@items` of a list,
    /// `@keys` and `@values` of a map. `None` if the schema has no such way.
    pub fn size_at(&self, path: &[String]) -> Option<SizeRange> {
        let Some((first, rest)) = path.split_first() else {
            return Some(SizeRange::new(0, self.most));
        };
        match (&self.form, first.as_str()) {
            (Form::Map(_), "@keys") => rest.is_empty().then_some(SizeRange::fixed(0)),
            (Form::Map(element) | Form::List { items: element, .. }, "@values" | "@items") => {
                element.size_at(rest)
            }
            (Form::Object { fields }, name) => fields.get(name)?.schema.size_at(rest),
            _ => None,
        }
    }
}
