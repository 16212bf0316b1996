//! A custom resource's schema, made ready when its definition is read: what
//! every one of its objects is held against.

use super::pattern::Patterns;
use crate::rules::FieldErrors;
use crate::rules::field::{Errors, Path};
use crate::schema::Fields;
use regex::Regex;
use serde_json::{Number, Value};
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A schema made ready.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Validator {
    /// By name, those of an object.
    pub fields: Fields<Shared>,
    /// Of a list's elements.
    pub items: Option<Shared>,
    pub(super) kind: Option<String>,
    pub(super) int_or_string: bool,
    pub(super) nullable: bool,
    pub(super) required: Vec<String>,
    pub(super) additional: Option<Shared>,
    /// Elements of the list differ, in these fields if any are named.
    pub(super) unique: Option<Vec<String>>,
    pub(super) properties: Range<u64>,
    pub(super) elements: Range<u64>,
    pub(super) length: Range<u64>,
    pub(super) pattern: Option<Pattern>,
    pub(super) format: Option<String>,
    pub(super) value: Range<Number>,
    pub(super) exclusive: (bool, bool),
    pub(super) multiple_of: Option<Number>,
    /// Empty: any.
    pub(super) allowed: Vec<Value>,
    pub(super) all_of: Vec<Shared>,
    pub(super) any_of: Vec<Shared>,
    pub(super) one_of: Vec<Shared>,
    pub(super) not: Option<Shared>,
    /// It is a resource with `apiVersion`, `kind` and `metadata` of its own.
    pub(super) embedded: bool,
    /// So is one below it, or it itself.
    pub(super) holds_embedded: bool,
}

/// A schema within another. What is the same is there once, in whichever places it is
/// said; so two are equal if they are one.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Validator>);

impl Deref for Shared {
    type Target = Validator;

    fn deref(&self) -> &Validator {
        &self.0
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Shared {}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// The least and the most of something.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Range<T> {
    pub least: Option<T>,
    pub most: Option<T>,
}

impl<T> Default for Range<T> {
    fn default() -> Self {
        Self {
            least: None,
            most: None,
        }
    }
}

/// A regular expression and its text. One that can't be compiled matches nothing:
/// definitions are refused for it, but there may be one from before.
#[derive(Debug)]
pub(super) struct Pattern {
    pub text: String,
    regex: Option<Arc<Regex>>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Pattern {
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex
            .as_ref()
            .is_some_and(|regex| regex.is_match(text))
    }
}

impl Validator {
    /// Makes a schema ready.
    pub fn of(schema: &Value) -> Self {
        Compiler::default().compile(schema)
    }

    /// What of a value the schema doesn't allow; paths begin at the value.
    pub fn check(&self, value: &Value) -> FieldErrors {
        self.check_change(value, None)
    }

    /// What of a value the schema doesn't allow, but for parts that are as they were in the
    /// value that it replaces.
    pub fn check_change(&self, value: &Value, old: Option<&Value>) -> FieldErrors {
        let mut causes = FieldErrors::new();
        super::validate::value(self, value, old, &mut causes);
        causes
    }

    /// What is wrong with the metadata of embedded resources; paths begin at the value.
    pub fn metadata(&self, value: &Value) -> FieldErrors {
        Errors::collect(|e| super::embedded::check(e, self, value, &Path::default()))
    }
}

/// Makes the parts of one schema ready.
#[derive(Default)]
struct Compiler {
    patterns: Patterns,
    known: HashSet<Arc<Validator>>,
}

impl Compiler {
    /// A schema within the one that is made ready.
    fn part(&mut self, schema: &Value) -> Shared {
        let validator = self.compile(schema);
        if let Some(known) = self.known.get(&validator) {
            return Shared(known.clone());
        }
        let validator = Arc::new(validator);
        self.known.insert(validator.clone());
        Shared(validator)
    }

    fn compile(&mut self, schema: &Value) -> Validator {
        let text = |key: &str| schema[key].as_str().map(str::to_owned);
        let flag = |key: &str| schema[key] == true;
        let number = |key: &str| schema[key].as_number().cloned();
        let range = |least: &str, most: &str| Range {
            least: schema[least].as_u64(),
            most: schema[most].as_u64(),
        };
        let mut one = |key: &str| {
            let schema = &schema[key];
            schema.is_object().then(|| self.part(schema))
        };
        let (additional, items, not) = (one("additionalProperties"), one("items"), one("not"));
        let mut all = |key: &str| -> Vec<Shared> {
            let parts = schema[key].as_array().into_iter().flatten();
            parts.map(|part| self.part(part)).collect()
        };
        let (all_of, any_of, one_of) = (all("allOf"), all("anyOf"), all("oneOf"));
        let fields = schema["properties"].as_object().into_iter().flatten();
        let fields = fields.map(|(name, field)| (name.as_str().into(), self.part(field)));
        let fields: Fields<Shared> = fields.collect::<BTreeMap<Box<str>, _>>().into();
        let embedded = flag("x-kubernetes-embedded-resource");
        let holds_embedded = {
            let mut below = fields.values().chain(&items).chain(&additional);
            embedded || below.any(|part| part.holds_embedded)
        };
        Validator {
            embedded,
            holds_embedded,
            fields,
            kind: text("type"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            nullable: flag("nullable"),
            required: texts(&schema["required"]),
            additional,
            items,
            unique: unique(schema),
            properties: range("minProperties", "maxProperties"),
            elements: range("minItems", "maxItems"),
            length: range("minLength", "maxLength"),
            pattern: text("pattern").map(|text| Pattern {
                regex: self.patterns.compile(&text).ok(),
                text,
            }),
            format: text("format"),
            value: Range {
                least: number("minimum"),
                most: number("maximum"),
            },
            exclusive: (flag("exclusiveMinimum"), flag("exclusiveMaximum")),
            multiple_of: number("multipleOf"),
            allowed: schema["enum"].as_array().cloned().unwrap_or_default(),
            all_of,
            any_of,
            one_of,
            not,
        }
    }
}

fn unique(schema: &Value) -> Option<Vec<String>> {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => Some(texts(&schema["x-kubernetes-list-map-keys"])),
        Some("set") => Some(Vec::new()),
        _ => (schema["uniqueItems"] == true).then(Vec::new),
    }
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
