//! Merging an applied configuration into the live object.

use super::{Shape, field, identified, shape};
use crate::fields::PathElement;
use hardway_resources::schema::Schema;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// `live` with everything `applied` sets.
pub(crate) fn merge(schema: Option<&Schema>, live: &Value, applied: &Value) -> Value {
    match (live, applied, shape(schema, applied)) {
        (Value::Object(a), Value::Object(b), Shape::Map) => {
            let mut out = a.clone();
            for (name, value) in b {
                let merged = match a.get(name) {
                    Some(old) => merge(field(schema, name).as_ref(), old, value),
                    None => value.clone(),
                };
                out.insert(name.clone(), merged);
            }
            Value::Object(out)
        }
        (Value::Array(a), Value::Array(b), list) if list.is_list() => Value::Array(merge_lists(
            &list,
            schema.and_then(Schema::items).as_ref(),
            a,
            b,
        )),
        _ => applied.clone(),
    }
}

/// Elements keep the applied order; what only the live list has stays as
/// close to its old place as that allows.
fn merge_lists(
    list: &Shape,
    items: Option<&Schema>,
    live: &[Value],
    applied: &[Value],
) -> Vec<Value> {
    let live = identified(list, items, live);
    let applied = identified(list, items, applied);
    let old: BTreeMap<&PathElement, &Value> = live.iter().rev().map(|(k, v)| (k, *v)).collect();
    let new: BTreeSet<&PathElement> = applied.iter().map(|(k, _)| k).collect();
    let take = |(step, value): &(PathElement, &Value)| match old.get(step) {
        Some(old) => merge(items, old, value),
        None => (*value).clone(),
    };
    let mut out = Vec::with_capacity(live.len() + applied.len());
    let mut rest = applied.iter().peekable();
    let mut done = BTreeSet::new();
    for (step, value) in &live {
        if !new.contains(step) {
            out.push((*value).clone());
            continue;
        }
        // Everything applied before this element goes before it.
        while !done.contains(step)
            && let Some(next) = rest.next()
        {
            done.insert(&next.0);
            out.push(take(next));
        }
    }
    out.extend(rest.map(take));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed::tests::deployment;
    use serde_json::json;

    fn finalizers(list: &[&str]) -> Value {
        json!({"metadata": {"finalizers": list}})
    }

    #[test]
    fn lists_merge_in_the_applied_order() {
        for (live, applied, merged) in [
            (&["a", "b"][..], &["b", "c"][..], &["a", "b", "c"][..]),
            (&["a", "b"], &["b", "a"], &["b", "a"]),
            (&["a", "x", "b"], &["b", "a"], &["b", "a", "x"]),
            (&[], &["b", "a"], &["b", "a"]),
            (&["a"], &[], &["a"]),
        ] {
            assert_eq!(
                merge(Some(&deployment()), &finalizers(live), &finalizers(applied)),
                finalizers(merged),
                "{live:?} with {applied:?}"
            );
        }
    }

    #[test]
    fn atomic_values_are_replaced() {
        let live = json!({"spec": {"selector": {"matchLabels": {"a": "1"}}, "replicas": 1}});
        let applied = json!({"spec": {"selector": {"matchLabels": {"b": "1"}}}});
        assert_eq!(
            merge(Some(&deployment()), &live, &applied),
            json!({"spec": {"selector": {"matchLabels": {"b": "1"}}, "replicas": 1}})
        );
    }
}
