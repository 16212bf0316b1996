//! What differs between two objects.

use super::zero::{Zeros, always_there};
use super::{Shape, field, identified, shape, to_set};
use crate::fields::{FieldSet, PathElement};
use hardway_resources::schema::Schema;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The paths that one object has and another has not, or has otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Only in the new object.
    pub added: FieldSet,
    /// In both, with another value.
    pub modified: FieldSet,
    /// Only in the old object.
    pub removed: FieldSet,
}

impl Comparison {
    /// Whether the objects are the same.
    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// Without the fields that this writer's strategy resets.
    pub(crate) fn outside(mut self, ignored: &FieldSet) -> Self {
        self.added.cut(ignored);
        self.modified.cut(ignored);
        self.removed.cut(ignored);
        self
    }

    /// Added or modified.
    pub(crate) fn changed(&self) -> FieldSet {
        self.added.union(&self.modified)
    }

    /// Adds what differs at a step.
    fn put(&mut self, step: PathElement, there: Difference) {
        let Difference { itself, below } = there;
        let all = [
            (&mut self.added, Mark::Added, below.added),
            (&mut self.modified, Mark::Modified, below.modified),
            (&mut self.removed, Mark::Removed, below.removed),
        ];
        for (set, mark, child) in all {
            if itself == Some(mark) {
                set.members.insert(step.clone());
            }
            if !child.is_empty() {
                set.children.insert(step.clone(), child);
            }
        }
    }
}

/// Compares two objects of one schema, but for what their `metadata.managedFields` say.
pub(crate) fn compare(schema: &Schema, old: &Value, new: &Value, zeros: Zeros) -> Comparison {
    let at = At {
        level: Level::Object,
        zeros,
    };
    node(Some(schema), Some(old), Some(new), at).below
}

/// What differs at a path.
#[derive(Default)]
struct Difference {
    itself: Option<Mark>,
    below: Comparison,
}

/// What a path itself is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Added,
    Modified,
    Removed,
}

impl From<Option<Mark>> for Difference {
    fn from(itself: Option<Mark>) -> Self {
        Self {
            itself,
            below: Comparison::default(),
        }
    }
}

/// Where in an object a value is.
#[derive(Clone, Copy)]
struct At {
    level: Level,
    zeros: Zeros,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Object,
    Metadata,
    Below,
}

impl At {
    fn field(self, schema: Option<&Schema>, name: &str) -> Self {
        Self {
            level: match (self.level, name) {
                (Level::Object, "metadata") => Level::Metadata,
                _ => Level::Below,
            },
            zeros: self.zeros.of_field(schema, name),
        }
    }

    /// The place of a list's element.
    const ELEMENT: Self = Self {
        level: Level::Below,
        zeros: Zeros::AsTheyAre,
    };
}

fn node(schema: Option<&Schema>, old: Option<&Value>, new: Option<&Value>, at: At) -> Difference {
    let kind = |value: Option<&Value>| value.filter(|v| !v.is_null()).map(|v| shape(schema, v));
    match (kind(old), kind(new)) {
        (Some(a), Some(b)) if a != b => unlike(schema, old, new),
        (Some(Shape::Map), _) | (_, Some(Shape::Map)) => map(schema, old, new, at),
        (Some(shape), _) | (_, Some(shape)) if shape.is_list() => list(&shape, schema, old, new),
        _ => leaf(old, new).into(),
    }
}

/// One of several shapes the schema admits turned into another.
fn unlike(schema: Option<&Schema>, old: Option<&Value>, new: Option<&Value>) -> Difference {
    let all = |value: Option<&Value>| value.map(|v| to_set(schema, v)).unwrap_or_default();
    Difference {
        itself: Some(Mark::Modified),
        below: Comparison {
            added: all(new),
            modified: FieldSet::default(),
            removed: all(old),
        },
    }
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Option<Mark> {
    match (old, new) {
        (None, _) => Some(Mark::Added),
        (_, None) => Some(Mark::Removed),
        (a, b) => (a != b).then_some(Mark::Modified),
    }
}

/// A container that came or went counts itself, beside its content.
fn container(old: Option<&Value>, new: Option<&Value>) -> Option<Mark> {
    match (old, new) {
        (None, _) => Some(Mark::Added),
        (_, None) => Some(Mark::Removed),
        _ => None,
    }
}

fn map<'v>(
    schema: Option<&Schema>,
    old: Option<&'v Value>,
    new: Option<&'v Value>,
    at: At,
) -> Difference {
    let (a, b) = (
        old.and_then(Value::as_object),
        new.and_then(Value::as_object),
    );
    let value = |object: Option<&'v Map<String, Value>>, name: &str| {
        let object = object?;
        let written = object.get(name);
        written.or_else(|| always_there(schema, name, at.zeros))
    };
    let (mut below, mut is_empty) = (Comparison::default(), true);
    let mut compare = |name: &str| {
        is_empty = false;
        let (old, new) = (value(a, name), value(b, name));
        let is_owners = at.level == Level::Metadata && name == "managedFields";
        if old != new && !is_owners {
            let field = field(schema, name);
            let there = node(field.as_ref(), old, new, at.field(schema, name));
            below.put(PathElement::field(name), there);
        }
    };
    let names = |object: Option<&'v Map<String, Value>>| object.into_iter().flat_map(Map::keys);
    names(a).for_each(|name| compare(name));
    let is_new = |name: &&String| a.is_none_or(|a| !a.contains_key(*name));
    names(b).filter(is_new).for_each(|name| compare(name));
    // What nobody wrote is the same in both, where there are both.
    if let (Some(one), None) | (None, Some(one)) = (a, b)
        && let (Some(schema), Zeros::Filled) = (schema, at.zeros)
    {
        let fields = schema.node().fields.keys();
        let unwritten = fields.filter(|name| !one.contains_key(*name));
        unwritten
            .filter(|name| always_there(Some(schema), name, at.zeros).is_some())
            .for_each(compare);
    }
    if is_empty {
        // Keeps {} and null apart.
        return leaf(old, new).into();
    }
    Difference {
        itself: container(old, new),
        below,
    }
}

fn list<'v>(
    shape: &Shape,
    schema: Option<&Schema>,
    old: Option<&'v Value>,
    new: Option<&'v Value>,
) -> Difference {
    let items = schema.and_then(Schema::items);
    let of = |value: Option<&'v Value>| {
        let list = value.and_then(Value::as_array);
        identified(shape, items.as_ref(), list.map_or(&[], Vec::as_slice))
    };
    let mut elements: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    for (step, element) in of(old) {
        elements.entry(step).or_default().0.push(element);
    }
    for (step, element) in of(new) {
        elements.entry(step).or_default().1.push(element);
    }
    if elements.is_empty() {
        return leaf(old, new).into();
    }
    let mut below = Comparison::default();
    for (step, (a, b)) in elements {
        if a == b {
            continue;
        }
        let there = match (a.as_slice(), b.as_slice()) {
            ([] | [_], [] | [_]) => {
                let schema = items.as_ref().filter(|_| *shape != Shape::Set);
                node(schema, a.first().copied(), b.first().copied(), At::ELEMENT)
            }
            ([], _) => Some(Mark::Added).into(),
            (_, []) => Some(Mark::Removed).into(),
            _ => Some(Mark::Modified).into(),
        };
        below.put(step, there);
    }
    Difference {
        itself: container(old, new),
        below,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed::tests::deployment;
    use serde_json::json;

    #[test]
    fn tells_added_modified_and_removed() {
        let old = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"template": {"spec": {
            "containers": [{"name": "one", "image": "x"}, {"name": "two", "image": "y"}]}}}});
        let new = json!({"metadata": {"labels": {"a": "1", "b": "3"}}, "spec": {"replicas": 1, "template": {"spec": {
            "containers": [{"name": "two", "image": "y"}, {"name": "three", "image": "z"}]}}}});
        let difference = compare(&deployment(), &old, &new, Zeros::AsTheyAre);
        let containers = |below: Value| json!({"f:template": {"f:spec": {"f:containers": below}}});
        let mut added =
            containers(json!({"k:{\"name\":\"three\"}": {".": {}, "f:name": {}, "f:image": {}}}));
        added["f:replicas"] = json!({});
        assert_eq!(difference.added.to_value(), json!({"f:spec": added}));
        assert_eq!(
            difference.modified.to_value(),
            json!({"f:metadata": {"f:labels": {"f:b": {}}}})
        );
        assert_eq!(
            difference.removed.to_value(),
            json!({"f:spec": containers(json!({"k:{\"name\":\"one\"}": {".": {}, "f:name": {}, "f:image": {}}}))})
        );
    }

    #[test]
    fn order_of_an_associative_list_is_no_change() {
        let list = |names: [&str; 2]| json!({"metadata": {"finalizers": names}});
        let (old, new) = (list(["a", "b"]), list(["b", "a"]));
        let difference = compare(&deployment(), &old, &new, Zeros::AsTheyAre);
        assert_eq!(difference, Comparison::default());
    }
}
