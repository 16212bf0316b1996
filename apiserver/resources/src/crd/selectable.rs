//! Fields of custom resources that can be selected by.

use crate::jsonpath;
use crate::rules::json::{list, text};
use serde_json::Value;

/// The selectable fields of all served versions.
#[derive(Default)]
pub(super) struct Selectable(Vec<Field>);

struct Field {
    /// `spec.color`.
    name: String,
    /// The versions that say so.
    versions: Vec<String>,
}

impl Selectable {
    /// Adds those of a version.
    pub fn add(&mut self, version: &str, definition: &Value) {
        for field in list(definition, "selectableFields") {
            let name = text(field, "jsonPath").trim_start_matches('.');
            match self.0.iter_mut().find(|field| field.name == name) {
                Some(field) => field.versions.push(version.to_owned()),
                None => self.0.push(Field {
                    name: name.to_owned(),
                    versions: vec![version.to_owned()],
                }),
            }
        }
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|field| field.name.clone()).collect()
    }

    /// What an object has there, in the same order; nothing is the same as an empty text.
    pub fn values(&self, object: &Value) -> Vec<String> {
        let value = |field: &Field| {
            let names = field.name.split('.');
            let mut names = names.filter(|name| !name.is_empty());
            let value = names.try_fold(object, |value, name| value.get(name));
            match value {
                None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => String::new(),
                Some(scalar) => jsonpath::text(scalar),
            }
        };
        self.0.iter().map(value).collect()
    }

    /// Whether objects can be selected by it in a version.
    pub fn is_in(&self, version: &str, name: &str) -> bool {
        let mut fields = self.0.iter().filter(|field| field.name == name);
        fields.any(|field| field.versions.iter().any(|v| v == version))
    }
}
