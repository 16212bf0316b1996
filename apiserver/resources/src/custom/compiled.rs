//! A custom resource's schema, made ready when its definition is read: what
//! every one of its objects is held against.

use super::pattern::Patterns;
use regex::Regex;
use serde_json::{Number, Value};
use std::collections::BTreeMap;

/// A schema made ready.
#[derive(Debug, Default)]
pub(super) struct Validator {
    pub kind: Option<String>,
    pub int_or_string: bool,
    pub nullable: bool,
    pub required: Vec<String>,
    pub fields: BTreeMap<String, Validator>,
    pub additional: Option<Box<Validator>>,
    pub items: Option<Box<Validator>>,
    /// Elements of the list differ, in these fields if any are named.
    pub unique: Option<Vec<String>>,
    pub properties: Range<u64>,
    pub elements: Range<u64>,
    pub length: Range<u64>,
    pub pattern: Option<Pattern>,
    pub format: Option<String>,
    pub value: Range<Number>,
    pub exclusive: (bool, bool),
    pub multiple_of: Option<Number>,
    /// Empty: any.
    pub allowed: Vec<Value>,
    pub all_of: Vec<Validator>,
    pub any_of: Vec<Validator>,
    pub one_of: Vec<Validator>,
    pub not: Option<Box<Validator>>,
}

/// The least and the most of something.
#[derive(Debug)]
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
    regex: Option<Regex>,
}

impl Pattern {
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex
            .as_ref()
            .is_some_and(|regex| regex.is_match(text))
    }
}

/// Why a pattern can't be used.
pub(crate) struct BadPattern {
    /// Where it is, below the schema: `properties[spec].pattern`.
    pub path: String,
    /// The pattern.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

/// The patterns of a schema that can't be used.
pub(crate) fn bad_patterns(schema: &Value) -> Vec<BadPattern> {
    let mut found = Vec::new();
    find_bad(&mut Patterns::default(), schema, "", &mut found);
    found
}

fn find_bad(patterns: &mut Patterns, schema: &Value, path: &str, found: &mut Vec<BadPattern>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    if let Some(text) = schema["pattern"].as_str()
        && let Err(why) = patterns.compile(text)
    {
        found.push(BadPattern {
            path: below("pattern"),
            text: text.to_owned(),
            why,
        });
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        find_bad(
            patterns,
            schema,
            &below(&format!("properties[{name}]")),
            found,
        );
    }
    for name in ["items", "additionalProperties", "not"] {
        if schema[name].is_object() {
            find_bad(patterns, &schema[name], &below(name), found);
        }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        for (index, schema) in schema[name].as_array().into_iter().flatten().enumerate() {
            find_bad(patterns, schema, &below(&format!("{name}[{index}]")), found);
        }
    }
}

impl Validator {
    /// Makes a schema ready.
    pub(super) fn of(schema: &Value) -> Self {
        Self::with(&mut Patterns::default(), schema)
    }

    fn with(patterns: &mut Patterns, schema: &Value) -> Self {
        let text = |key: &str| schema[key].as_str().map(str::to_owned);
        let flag = |key: &str| schema[key] == true;
        let number = |key: &str| schema[key].as_number().cloned();
        let range = |least: &str, most: &str| Range {
            least: schema[least].as_u64(),
            most: schema[most].as_u64(),
        };
        let mut one = |schema: &Value| {
            let schema = schema.as_object().is_some().then_some(schema)?;
            Some(Box::new(Self::with(patterns, schema)))
        };
        let (additional, items, not) = (
            one(&schema["additionalProperties"]),
            one(&schema["items"]),
            one(&schema["not"]),
        );
        let mut all = |key: &str| -> Vec<Self> {
            let parts = schema[key].as_array().into_iter().flatten();
            parts.map(|part| Self::with(patterns, part)).collect()
        };
        let (all_of, any_of, one_of) = (all("allOf"), all("anyOf"), all("oneOf"));
        let fields = schema["properties"].as_object().into_iter().flatten();
        let fields = fields.map(|(name, field)| (name.clone(), Self::with(patterns, field)));
        Self {
            fields: fields.collect(),
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
                regex: patterns.compile(&text).ok(),
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
