//! What differs between two objects.

use super::{Shape, field, identified, shape, to_set};
use crate::fields::{FieldSet, PathElement};
use hardway_resources::schema::Schema;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

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
    /// Without the fields that this writer's strategy resets.
    pub(crate) fn outside(&self, ignored: &FieldSet) -> Self {
        Self {
            added: self.added.outside(ignored),
            modified: self.modified.outside(ignored),
            removed: self.removed.outside(ignored),
        }
    }

    /// Added or modified.
    pub(crate) fn changed(&self) -> FieldSet {
        self.added.union(&self.modified)
    }
}

/// Compares two objects of one schema.
pub(crate) fn compare(schema: &Schema, old: &Value, new: &Value) -> Comparison {
    let mut walk = Walk::default();
    walk.node(Some(schema), Some(old), Some(new));
    walk.out
}

#[derive(Default)]
struct Walk {
    out: Comparison,
    path: Vec<PathElement>,
}

impl Walk {
    fn node(&mut self, schema: Option<&Schema>, old: Option<&Value>, new: Option<&Value>) {
        if old == new {
            return;
        }
        let kind = |value: Option<&Value>| value.filter(|v| !v.is_null()).map(|v| shape(schema, v));
        match (kind(old), kind(new)) {
            (Some(a), Some(b)) if a != b => self.unlike(schema, old, new),
            (Some(Shape::Map), _) | (_, Some(Shape::Map)) => self.map(schema, old, new),
            (Some(list), _) | (_, Some(list)) if list.is_list() => {
                self.list(&list, schema, old, new);
            }
            _ => self.leaf(old, new),
        }
    }

    /// One of several shapes the schema admits turned into another.
    fn unlike(&mut self, schema: Option<&Schema>, old: Option<&Value>, new: Option<&Value>) {
        self.out.modified.insert(&self.path);
        let below = |value: Option<&Value>, into: &mut FieldSet, path: &[PathElement]| {
            if let Some(value) = value {
                for tail in to_set(schema, value).paths() {
                    let whole: Vec<PathElement> = path.iter().cloned().chain(tail).collect();
                    into.insert(&whole);
                }
            }
        };
        below(old, &mut self.out.removed, &self.path);
        below(new, &mut self.out.added, &self.path);
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.out.added.insert(&self.path),
            (_, None) => self.out.removed.insert(&self.path),
            (a, b) if a != b => self.out.modified.insert(&self.path),
            _ => {}
        }
    }

    /// A container that came or went counts itself, beside its content.
    fn container(&mut self, old: Option<&Value>, new: Option<&Value>) {
        if old.is_none() {
            self.out.added.insert(&self.path);
        } else if new.is_none() {
            self.out.removed.insert(&self.path);
        }
    }

    fn map(&mut self, schema: Option<&Schema>, old: Option<&Value>, new: Option<&Value>) {
        let (a, b) = (
            old.and_then(Value::as_object),
            new.and_then(Value::as_object),
        );
        let names: BTreeSet<&String> = a.into_iter().chain(b).flat_map(|o| o.keys()).collect();
        if names.is_empty() {
            // Keeps {} and null apart.
            return self.leaf(old, new);
        }
        for name in names {
            self.path.push(PathElement::field(name));
            self.node(
                field(schema, name).as_ref(),
                a.and_then(|o| o.get(name)),
                b.and_then(|o| o.get(name)),
            );
            self.path.pop();
        }
        self.container(old, new);
    }

    fn list(
        &mut self,
        list: &Shape,
        schema: Option<&Schema>,
        old: Option<&Value>,
        new: Option<&Value>,
    ) {
        let items = schema.and_then(Schema::items);
        let mut elements: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        let of = |value: Option<&'_ Value>| {
            value
                .and_then(Value::as_array)
                .map_or(&[][..], |l| &l[..])
                .to_vec()
        };
        let (a, b) = (of(old), of(new));
        for (step, element) in identified(list, items.as_ref(), &a) {
            elements.entry(step).or_default().0.push(element);
        }
        for (step, element) in identified(list, items.as_ref(), &b) {
            elements.entry(step).or_default().1.push(element);
        }
        if elements.is_empty() {
            return self.leaf(old, new);
        }
        for (step, (a, b)) in elements {
            self.path.push(step);
            match (a.as_slice(), b.as_slice()) {
                ([] | [_], [] | [_]) => {
                    let below = if *list == Shape::Set {
                        None
                    } else {
                        items.as_ref()
                    };
                    self.node(below, a.first().copied(), b.first().copied());
                }
                ([], _) => self.out.added.insert(&self.path),
                (_, []) => self.out.removed.insert(&self.path),
                (a, b) if a != b => self.out.modified.insert(&self.path),
                _ => {}
            }
            self.path.pop();
        }
        self.container(old, new);
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
        let difference = compare(&deployment(), &old, &new);
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
        let difference = compare(&deployment(), &list(["a", "b"]), &list(["b", "a"]));
        assert_eq!(difference, Comparison::default());
    }
}
