//! Earlier versions' definitions: those of today under another name, with the
//! differences that `facts/old.tsv` tells.

use crate::kinds::PREFIX;
use crate::rows;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

/// What differs, by full definition name.
pub type Changes = BTreeMap<String, Vec<(String, Change)>>;

/// A difference in one field (or, without a field's name, a whole definition).
pub enum Change {
    /// The field isn't there.
    Gone,
    /// It may be left out.
    Optional,
    /// It, or the definition, is this.
    Is(Value),
    /// The definition isn't copied: the present one is meant.
    Same,
}

pub fn read(path: &Path) -> Result<Changes, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let mut changes = Changes::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.splitn(3, '\t');
        let mut next = || columns.next().unwrap_or_default();
        let (definition, field) = (format!("io.k8s.api.{}", next()), next().to_owned());
        let change = match next() {
            "gone" => Change::Gone,
            "optional" => Change::Optional,
            "same" => Change::Same,
            json => {
                let mut value = serde_json::from_str(json)?;
                refer(&mut value, &full_name);
                Change::Is(value)
            }
        };
        changes.entry(definition).or_default().push((field, change));
    }
    Ok(changes)
}

fn full_name(short: &str) -> String {
    match short.starts_with("io.k8s.") {
        true => short.to_owned(),
        false => format!("io.k8s.api.{short}"),
    }
}

/// Adds the definitions of all rows that show another's objects and have none.
pub fn derive(definitions: &mut Map<String, Value>, changes: &Changes) {
    for row in rows::all() {
        let Some((group, version)) = row.shows else {
            continue;
        };
        let from = package(&rows::definition(group, version, row.kind));
        let name = rows::definition(row.group, row.versions[0], row.kind);
        let to = package(&name);
        add(definitions, changes, &from, &to, name);
    }
    for (name, changes) in changes {
        if let [(field, Change::Is(value))] = changes.as_slice()
            && field.is_empty()
        {
            definitions.insert(name.clone(), value.clone());
        }
    }
}

/// Adds one definition, and those of its package that it refers to.
fn add(
    definitions: &mut Map<String, Value>,
    changes: &Changes,
    from: &str,
    to: &str,
    name: String,
) {
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        if definitions.contains_key(&name) {
            continue;
        }
        let kind = name.trim_start_matches(to);
        let Some(mut schema) = definitions.get(&format!("{from}{kind}")).cloned() else {
            // What is all new is told as a whole.
            assert!(changes.contains_key(&name), "facts/old.tsv has no {name}");
            continue;
        };
        refer(&mut schema, &|name| match name.strip_prefix(from) {
            Some(kind) if !is_same(changes, &format!("{to}{kind}")) => format!("{to}{kind}"),
            _ => name.to_owned(),
        });
        for (field, change) in changes.get(&name).into_iter().flatten() {
            alter(&mut schema, field, change);
        }
        collect(&schema, to, &mut open);
        definitions.insert(name, schema);
    }
}

fn is_same(changes: &Changes, name: &str) -> bool {
    let changes = changes.get(name).into_iter().flatten();
    changes
        .into_iter()
        .any(|(_, change)| matches!(change, Change::Same))
}

fn alter(schema: &mut Value, field: &str, change: &Change) {
    if let Some(required) = schema["required"].as_array_mut() {
        required.retain(|name| name != field);
        if required.is_empty() {
            schema
                .as_object_mut()
                .map(|schema| schema.remove("required"));
        }
    }
    let Some(fields) = schema["properties"].as_object_mut() else {
        return;
    };
    match change {
        Change::Gone => drop(fields.remove(field)),
        Change::Is(value) => drop(fields.insert(field.to_owned(), value.clone())),
        Change::Optional | Change::Same => {}
    }
}

/// `io.k8s.api.apps.v1.` of `io.k8s.api.apps.v1.Deployment`.
fn package(name: &str) -> String {
    let kind = name.rsplit('.').next().unwrap_or_default();
    name.trim_end_matches(kind).to_owned()
}

/// Renames what a schema refers to.
pub fn refer(value: &mut Value, rename: &dyn Fn(&str) -> String) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get_mut("$ref") {
                *reference = format!("{PREFIX}{}", rename(reference.trim_start_matches(PREFIX)));
            }
            map.values_mut().for_each(|value| refer(value, rename));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| refer(value, rename)),
        _ => {}
    }
}

/// The definitions of a package that a schema refers to.
fn collect(value: &Value, package: &str, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str) {
                let name = name.trim_start_matches(PREFIX);
                names.extend(name.starts_with(package).then(|| name.to_owned()));
            }
            map.values()
                .for_each(|value| collect(value, package, names));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, package, names)),
        _ => {}
    }
}
