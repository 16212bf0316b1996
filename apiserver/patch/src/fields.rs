//! Sets of field paths, as `fieldsV1` writes them.
//!
//! `f:name` is a field, `k:{…}` an element of an associative list by its keys,
//! `v:…` an element of a set by its value, `i:…` one by its index, and `.`
//! says that the path up to here is itself a member beside what lies below it.

use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathElement {
    /// A field of an object or an entry of a map.
    Field(String),
    /// An element of an associative list, by its keys in order of their names.
    Key(Vec<(String, Value)>),
    /// An element of a set.
    Value(Value),
    /// An element by its position.
    Index(i64),
}

impl PathElement {
    /// A field.
    pub fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }

    /// As a key of `fieldsV1`.
    fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => {
                let object: Map<String, Value> = keys.iter().cloned().collect();
                format!("k:{}", Value::Object(object))
            }
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn decode(text: &str) -> Result<Self, String> {
        let wrong = || format!("invalid path element {text:?} in fieldsV1");
        let (prefix, rest) = text.split_once(':').ok_or_else(wrong)?;
        Ok(match prefix {
            "f" => Self::Field(rest.to_owned()),
            "k" => match serde_json::from_str(rest) {
                Ok(Value::Object(object)) => Self::Key(object.into_iter().collect()),
                _ => return Err(wrong()),
            },
            "v" => Self::Value(serde_json::from_str(rest).map_err(|_| wrong())?),
            "i" => Self::Index(rest.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        })
    }
}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                let parts: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "[{}]", parts.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => {
                let pairs = a
                    .iter()
                    .zip(b)
                    .map(|((an, av), (bn, bv))| an.cmp(bn).then_with(|| compare_values(av, bv)));
                pairs
                    .fold(Ordering::Equal, Ordering::then)
                    .then(a.len().cmp(&b.len()))
            }
            (Self::Value(a), Self::Value(b)) => compare_values(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A total order of values: numbers, strings, booleans, lists, maps, null.
fn compare_values(a: &Value, b: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            let numeric = x.as_f64().partial_cmp(&y.as_f64());
            numeric
                .unwrap_or(Ordering::Equal)
                .then_with(|| x.to_string().cmp(&y.to_string()))
        }
        (Value::String(x), Value::String(y)) => x.cmp(y),
        (Value::Bool(x), Value::Bool(y)) => x.cmp(y),
        _ => rank(a)
            .cmp(&rank(b))
            .then_with(|| a.to_string().cmp(&b.to_string())),
    }
}

/// A path as conflicts print it, e.g. `.spec.containers[name="web"].image`.
pub fn path_to_string(path: &[PathElement]) -> String {
    path.iter().map(PathElement::to_string).collect()
}

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    pub(crate) members: BTreeSet<PathElement>,
    pub(crate) children: BTreeMap<PathElement, FieldSet>,
}

impl FieldSet {
    /// The set of these paths of plain fields.
    pub fn of(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<PathElement> = path.iter().map(|name| PathElement::field(name)).collect();
            set.insert(&path);
        }
        set
    }

    /// Adds a path; the empty path (the object itself) is never a member.
    pub fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            // Steps may be long; most are there already.
            [first, rest @ ..] => match self.children.get_mut(first) {
                Some(child) => child.insert(rest),
                None => self.children.entry(first.clone()).or_default().insert(rest),
            },
        }
    }

    /// Whether the path is a member.
    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self.children.get(first).is_some_and(|c| c.has(rest)),
        }
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(FieldSet::is_empty)
    }

    /// Every path, in order.
    pub fn paths(&self) -> Vec<Vec<PathElement>> {
        fn walk(set: &FieldSet, prefix: &mut Vec<PathElement>, out: &mut Vec<Vec<PathElement>>) {
            let steps: BTreeSet<&PathElement> =
                set.members.iter().chain(set.children.keys()).collect();
            for step in steps {
                prefix.push(step.clone());
                if set.members.contains(step) {
                    out.push(prefix.clone());
                }
                if let Some(child) = set.children.get(step) {
                    walk(child, prefix, out);
                }
                prefix.pop();
            }
        }
        let mut out = Vec::new();
        walk(self, &mut Vec::new(), &mut out);
        out
    }

    /// The paths in either.
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.add(other.clone());
        all
    }

    /// Adds the paths of another.
    pub fn add(&mut self, other: Self) {
        self.members.extend(other.members);
        for (step, child) in other.children {
            match self.children.entry(step) {
                Entry::Vacant(place) => drop(place.insert(child)),
                Entry::Occupied(mut mine) => mine.get_mut().add(child),
            }
        }
    }

    /// Takes the paths of another away.
    pub fn subtract(&mut self, other: &Self) {
        other.members.iter().for_each(|step| {
            self.members.remove(step);
        });
        for (step, theirs) in &other.children {
            if let Some(child) = self.children.get_mut(step) {
                child.subtract(theirs);
                if child.is_empty() {
                    self.children.remove(step);
                }
            }
        }
    }

    /// Takes the paths of another away, and all that are below them.
    pub fn cut(&mut self, other: &Self) {
        for step in &other.members {
            self.members.remove(step);
            self.children.remove(step);
        }
        for (step, theirs) in &other.children {
            if let Some(child) = self.children.get_mut(step) {
                child.cut(theirs);
                if child.is_empty() {
                    self.children.remove(step);
                }
            }
        }
    }

    /// The paths in both.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: BTreeMap::new(),
        };
        for (step, child) in &self.children {
            if let Some(theirs) = other.children.get(step) {
                both.keep(step, child.intersection(theirs));
            }
        }
        both
    }

    /// The paths not in `other`.
    pub fn difference(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.subtract(other);
        rest
    }

    fn keep(&mut self, step: &PathElement, child: Self) {
        if !child.is_empty() {
            self.children.insert(step.clone(), child);
        }
    }

    /// As `fieldsV1`.
    pub fn to_value(&self) -> Value {
        let mut out = Map::new();
        for step in &self.members {
            out.insert(step.encode(), Value::Object(Map::new()));
        }
        for (step, child) in &self.children {
            if child.is_empty() {
                continue;
            }
            let mut below = child.to_value();
            if self.members.contains(step)
                && let Some(below) = below.as_object_mut()
            {
                below.insert(".".into(), Value::Object(Map::new()));
            }
            out.insert(step.encode(), below);
        }
        Value::Object(out)
    }

    /// From `fieldsV1`.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        let object = value
            .as_object()
            .ok_or_else(|| format!("fieldsV1 must be an object, got {value}"))?;
        let mut set = Self::default();
        for (key, below) in object {
            if key == "." {
                continue;
            }
            let step = PathElement::decode(key)?;
            let child = Self::from_value(below)?;
            if below.get(".").is_some() || child.is_empty() {
                set.members.insert(step.clone());
            }
            set.keep(&step, child);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Value {
        json!({
            "f:metadata": {"f:finalizers": {".": {}, "v:\"example.com/a\"": {}}, "f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:replicas": {}, "f:containers": {
                "k:{\"name\":\"web\"}": {".": {}, "f:image": {}, "f:ports": {
                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}
        })
    }

    #[test]
    fn fields_v1_survives_the_round_trip() {
        let set = FieldSet::from_value(&sample()).unwrap();
        assert_eq!(set.to_value(), sample());
    }

    #[test]
    fn paths_print_as_kubernetes_prints_them() {
        let set = FieldSet::from_value(&sample()).unwrap();
        let paths: Vec<String> = set.paths().iter().map(|p| path_to_string(p)).collect();
        assert!(paths.contains(&".metadata.finalizers[=\"example.com/a\"]".to_owned()));
        assert!(paths.contains(
            &".spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"TCP\"].containerPort"
                .to_owned()
        ));
        assert!(!paths.contains(&".spec".to_owned()));
    }

    #[test]
    fn sets_have_algebra() {
        let a = FieldSet::of(&[&["spec", "a"], &["spec", "b"], &["spec"]]);
        let b = FieldSet::of(&[&["spec", "b"], &["status"]]);
        assert_eq!(
            a.union(&b),
            FieldSet::of(&[&["spec", "a"], &["spec", "b"], &["spec"], &["status"]])
        );
        assert_eq!(a.intersection(&b), FieldSet::of(&[&["spec", "b"]]));
        assert_eq!(a.difference(&b), FieldSet::of(&[&["spec", "a"], &["spec"]]));
        assert!(a.difference(&a).is_empty());
        let mut rest = a.union(&b);
        rest.cut(&FieldSet::of(&[&["spec"]]));
        assert_eq!(rest, FieldSet::of(&[&["status"]]));
        rest.add(FieldSet::of(&[&["status", "phase"], &["spec", "a"]]));
        rest.subtract(&FieldSet::of(&[&["spec", "a"], &["status"], &["data"]]));
        assert_eq!(rest, FieldSet::of(&[&["status", "phase"]]));
    }

    #[test]
    fn numbers_order_by_value() {
        let key = |port: i64| PathElement::Key(vec![("containerPort".into(), json!(port))]);
        assert!(key(80) < key(443));
        assert!(PathElement::field("z") < key(1));
    }

    #[test]
    fn garbage_is_refused() {
        for bad in [
            json!({"x": {}}),
            json!({"k:[1]": {}}),
            json!({"f:a": 1}),
            json!([]),
        ] {
            assert!(FieldSet::from_value(&bad).is_err(), "{bad}");
        }
    }
}
