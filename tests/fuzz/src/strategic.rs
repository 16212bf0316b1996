//! Strategic merge patch.

use crate::bodies::KINDS;
use crate::invent::Choices;
use hardway_resources::Schema;
use hardway_resources::schema::builtin;
use serde_json::{Map, Value, json};

/// Nothing changes what is there, what is there changes nothing, and a patch has
/// nothing left to do once it was applied.
pub fn strategic_merge(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (group, version, kind) = *choices.one(&KINDS);
    let schema = builtin::kind(group, version, kind).expect("a built-in kind");
    let mut live = choices.shaped(&schema, 7);
    unique(&schema, &mut live);
    // A label may be called like a directive.
    if has_directives(&live) {
        return;
    }
    let merge = |live: &Value, patch: &Value| hardway_patch::strategic_merge(live, patch, &schema);
    assert_eq!(merge(&live, &json!({})).as_ref(), Ok(&live));
    if let Ok(same) = merge(&live, &live) {
        assert_eq!(same, live);
    }
    let mut patch = choices.shaped(&schema, 7);
    unique(&schema, &mut patch);
    if has_directives(&patch) {
        return;
    }
    if let Ok(patched) = merge(&live, &patch) {
        assert_eq!(
            merge(&patched, &patch).as_ref(),
            Ok(&patched),
            "{live} {patch}"
        );
    }
    direct(&mut choices, &mut patch, 6);
    // What replaces is taken as it is, in Kubernetes too: strict decoding follows.
    let replaces = patch.to_string().contains(r#""$patch":"replace""#);
    if let Ok(patched) = merge(&live, &patch)
        && !replaces
    {
        assert!(!has_directives(&patched), "{live} {patch} gave {patched}");
    }
}

/// Leaves one element of a merging list for each key, as validation does.
fn unique(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(field) = schema.field(name) {
                    unique(&field, value);
                }
            }
        }
        Value::Array(list) => {
            let key = schema.node().patch_merge_key.as_deref();
            let mut seen: Vec<Value> = Vec::new();
            list.retain(|element| {
                let identity = key.map_or(element, |key| &element[key]).clone();
                let new = !seen.contains(&identity) && !identity.is_null();
                seen.push(identity);
                new
            });
            if let Some(items) = schema.items() {
                list.iter_mut().for_each(|element| unique(&items, element));
            }
        }
        _ => {}
    }
}

/// Puts directives into a patch.
fn direct(choices: &mut Choices<'_>, patch: &mut Value, depth: usize) {
    match patch {
        Value::Object(map) if depth > 0 => {
            map.values_mut()
                .for_each(|value| direct(choices, value, depth - 1));
            if choices.rarely(3) {
                let (name, value) = directive(choices, map);
                map.insert(name, value);
            }
        }
        Value::Array(list) => list
            .iter_mut()
            .for_each(|value| direct(choices, value, depth)),
        other if choices.rarely(4) => *other = Value::Null,
        _ => {}
    }
}

fn directive(choices: &mut Choices<'_>, map: &Map<String, Value>) -> (String, Value) {
    let names: Vec<String> = map.keys().cloned().collect();
    let name = match names.is_empty() {
        true => choices.word(),
        false => choices.one(&names).clone(),
    };
    match choices.below(5) {
        0 => (
            "$patch".into(),
            json!(choices.one(&["delete", "replace", "merge", "x"])),
        ),
        1 => ("$retainKeys".into(), json!(names)),
        2 => (format!("$deleteFromPrimitiveList/{name}"), choices.any(2)),
        3 => {
            let order = map.get(&name).cloned().unwrap_or_else(|| choices.any(2));
            (format!("$setElementOrder/{name}"), order)
        }
        _ => (name, Value::Null),
    }
}

fn has_directives(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(name, value)| {
            [
                "$patch",
                "$retainKeys",
                "$setElementOrder/",
                "$deleteFromPrimitiveList/",
            ]
            .iter()
            .any(|directive| name.starts_with(directive))
                || has_directives(value)
        }),
        Value::Array(list) => list.iter().any(has_directives),
        _ => false,
    }
}
