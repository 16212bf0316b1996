//! Documents of other servers as parts of the v2 document, as Kubernetes makes them so
//! (`k8s.io/kube-openapi/pkg/aggregator`): what is there already stays as it is, and of two
//! definitions that have one name and say something else the second one gets another name.

use super::hash;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const DEFINITIONS: &str = "#/definitions/";
const PARAMETERS: &str = "#/parameters/";
/// The extension that says which kinds a definition is of. Definitions that differ in nothing
/// else are one, of all these kinds.
const KINDS: &str = "x-kubernetes-group-version-kind";

/// The v2 document of another server, cut to one version of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    text: Arc<str>,
    /// Changes when the text does.
    pub hash: String,
}

impl Foreign {
    /// Cuts a document to the paths below `root` (`/apis/GROUP/VERSION`), and what these refer
    /// to; `None` if there are no such paths.
    ///
    /// # Errors
    /// If it is no OpenAPI document.
    pub fn cut(document: &[u8], root: &str) -> serde_json::Result<Option<Self>> {
        let mut part: Part = serde_json::from_slice(document)?;
        let below = format!("{root}/");
        part.keep(|path| path.starts_with(&below));
        if part.paths.is_empty() {
            return Ok(None);
        }
        let text = serde_json::to_string(&part)?;
        let hash = hash(text.as_bytes());
        let text = text.into();
        Ok(Some(Self { text, hash }))
    }
}

/// A part of a v2 document.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Part {
    pub definitions: Map<String, Value>,
    pub parameters: Map<String, Value>,
    pub paths: Map<String, Value>,
}

impl Part {
    /// Leaves out all other paths, and what no path refers to then.
    fn keep(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.paths.retain(|path, _| is_kept(path));
        let used = self.used();
        let is_used = |prefix: &str, name: &str| used.contains(&format!("{prefix}{name}"));
        self.definitions
            .retain(|name, _| is_used(DEFINITIONS, name));
        self.parameters.retain(|name, _| is_used(PARAMETERS, name));
    }

    /// All that paths refer to, and that this refers to in turn.
    fn used(&self) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        let mut open: Vec<&Value> = self.paths.values().collect();
        while let Some(value) = open.pop() {
            let mut found = Vec::new();
            references(value, &mut found);
            for reference in found {
                if used.insert(reference.to_owned()) {
                    open.extend(self.at(reference));
                }
            }
        }
        used
    }

    fn at(&self, reference: &str) -> Option<&Value> {
        match reference.strip_prefix(DEFINITIONS) {
            Some(name) => self.definitions.get(name),
            None => self.parameters.get(reference.strip_prefix(PARAMETERS)?),
        }
    }

    /// Gives others names, here and wherever they are referred to.
    fn rename(&mut self, definitions: &Names, parameters: &Names) {
        if definitions.is_empty() && parameters.is_empty() {
            return;
        }
        let new = |reference: &str| -> Option<String> {
            let names = [(DEFINITIONS, definitions), (PARAMETERS, parameters)];
            names.into_iter().find_map(|(prefix, names)| {
                let name = names.get(reference.strip_prefix(prefix)?)?;
                Some(format!("{prefix}{name}"))
            })
        };
        for (entries, names) in [
            (&mut self.definitions, definitions),
            (&mut self.parameters, parameters),
        ] {
            let renamed = std::mem::take(entries).into_iter();
            let renamed = renamed.map(|(name, value)| match names.get(&name) {
                Some(name) => (name.clone(), value),
                None => (name, value),
            });
            *entries = renamed.collect();
        }
        let all = [&mut self.definitions, &mut self.parameters, &mut self.paths];
        for value in all.into_iter().flat_map(Map::values_mut) {
            replace(value, &new);
        }
    }
}

/// New names by old ones.
type Names = BTreeMap<String, String>;

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(reference) if name == "$ref" => found.push(reference),
                    value => references(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn replace(value: &mut Value, new: &impl Fn(&str) -> Option<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(reference) if name == "$ref" => {
                        if let Some(new) = new(reference) {
                            *reference = new;
                        }
                    }
                    value => replace(value, new),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| replace(value, new)),
        _ => {}
    }
}

/// A document, of which only that is read which others have as well: it has thousands of
/// entries.
type Entries<'a> = BTreeMap<String, &'a RawValue>;

/// A document to which parts are added.
struct Whole<'a> {
    definitions: Entries<'a>,
    paths: Entries<'a>,
    /// What it has more, and definitions that stand in place of its own.
    added: Part,
}

/// Adds the documents of other servers, in their order, to a v2 document (JSON); returns it with
/// them, and what was added or changed.
///
/// # Errors
/// If the document is none.
pub(super) fn add(document: &str, others: &[Foreign]) -> serde_json::Result<(String, Part)> {
    let mut fields: Entries<'_> = serde_json::from_str(document)?;
    let entries = |name: &str| -> serde_json::Result<Entries<'_>> {
        let field = fields.get(name).copied();
        field.map_or(Ok(Entries::new()), |raw| serde_json::from_str(raw.get()))
    };
    let mut whole = Whole {
        definitions: entries("definitions")?,
        paths: entries("paths")?,
        added: Part::default(),
    };
    for other in others {
        whole.add(serde_json::from_str(&other.text)?);
    }
    let Whole {
        definitions,
        paths,
        added,
    } = whole;
    let definitions = with(definitions, &added.definitions)?;
    let parameters = with(Entries::new(), &added.parameters)?;
    let paths = with(paths, &added.paths)?;
    fields.insert("definitions".to_owned(), &definitions);
    fields.insert("paths".to_owned(), &paths);
    if !added.parameters.is_empty() {
        fields.insert("parameters".to_owned(), &parameters);
    }
    let text = serde_json::to_string(&fields)?;
    Ok((text, added))
}

/// Entries with others, which stand in place of those of the same name.
fn with(entries: Entries<'_>, added: &Map<String, Value>) -> serde_json::Result<Box<RawValue>> {
    let raw = |(name, value)| serde_json::value::to_raw_value(value).map(|raw| (name, raw));
    let added: BTreeMap<&String, Box<RawValue>> =
        added.iter().map(raw).collect::<Result<_, _>>()?;
    let mut all: BTreeMap<&String, &RawValue> = BTreeMap::new();
    all.extend(entries.iter().map(|(name, raw)| (name, *raw)));
    all.extend(added.iter().map(|(name, raw)| (*name, &**raw)));
    serde_json::value::to_raw_value(&all)
}

impl Whole<'_> {
    fn definition(&self, name: &str) -> Option<Value> {
        let here = || serde_json::from_str(self.definitions.get(name)?.get()).ok();
        self.added.definitions.get(name).cloned().or_else(here)
    }

    fn has_path(&self, path: &str) -> bool {
        self.paths.contains_key(path) || self.added.paths.contains_key(path)
    }

    fn add(&mut self, mut part: Part) {
        if part.paths.keys().any(|path| self.has_path(path)) {
            part.keep(|path| !self.has_path(path));
        }
        let known = |name: &str| self.definition(name);
        let definitions = conflicts(&part.definitions, known, are_one);
        let known = |name: &str| self.added.parameters.get(name).cloned();
        let parameters = conflicts(&part.parameters, known, |a, b| a == b);
        part.rename(&definitions, &parameters);
        for (name, new) in part.definitions {
            let definition = match self.definition(&name) {
                None => new,
                Some(mut known) => match of_both(&known[KINDS], &new[KINDS]) {
                    None => continue,
                    Some(kinds) => {
                        known[KINDS] = kinds;
                        known
                    }
                },
            };
            self.added.definitions.insert(name, definition);
        }
        self.added.parameters.extend(part.parameters);
        self.added.paths.extend(part.paths);
    }
}

/// Other names for those that are known and say something else: `NAME_v2`, `NAME_v3`, … or
/// the one that such a definition has got before.
fn conflicts(
    new: &Map<String, Value>,
    known: impl Fn(&str) -> Option<Value>,
    are_one: impl Fn(&Value, &Value) -> bool,
) -> Names {
    let mut names = Names::new();
    let mut given: BTreeSet<String> = BTreeSet::new();
    for (name, value) in new {
        if known(name).is_none_or(|known| are_one(&known, value)) {
            continue;
        }
        let other = (2..).find_map(|number: u32| {
            let other = format!("{name}_v{number}");
            let is_it = match known(&other) {
                Some(known) => are_one(&known, value),
                None => !given.contains(&other) && !new.contains_key(&other),
            };
            is_it.then_some(other)
        });
        if let Some(other) = other {
            given.insert(other.clone());
            names.insert(name.clone(), other);
        }
    }
    names
}

/// Whether two definitions differ at most in the kinds that they are of.
fn are_one(a: &Value, b: &Value) -> bool {
    let rest = |value: &Value| {
        let mut value = value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.remove(KINDS);
        }
        value
    };
    rest(a) == rest(b)
}

/// The kinds that either definition is of, in order, if the second one has more. What is no
/// list of kinds adds none.
fn of_both(known: &Value, new: &Value) -> Option<Value> {
    let key = |kind: &Value| {
        let text = |field: &str| kind[field].as_str().unwrap_or_default().to_owned();
        format!("{}/{}.{}", text("group"), text("version"), text("kind"))
    };
    let known = known.as_array().cloned().unwrap_or_default();
    let keys: BTreeSet<String> = known.iter().map(key).collect();
    let new = new.as_array()?.iter();
    let mut new = new
        .filter(|kind| kind.is_object() && !keys.contains(&key(kind)))
        .peekable();
    new.peek()?;
    let is_first = known.is_empty();
    let mut all: Vec<Value> = known.into_iter().chain(new.cloned()).collect();
    if !is_first {
        all.sort_by_cached_key(key);
    }
    Some(Value::Array(all))
}

#[cfg(test)]
mod tests;
