//! JSON patch and JSON merge patch, against the plainest writing-down of their RFCs.

use crate::invent::Choices;
use serde_json::{Value, json};

/// As RFC 7386 has it, and doing it twice changes nothing more.
pub fn merge_patch(data: &[u8]) {
    let mut choices = Choices::new(data);
    let object = choices.object(4);
    let patch = choices.object(4);
    let patched = hardway_patch::merge_patch(&object, &patch).expect("an object is a patch");
    let mut expected = object;
    merge(&mut expected, &patch);
    assert_eq!(patched, expected);
    assert_eq!(hardway_patch::merge_patch(&patched, &patch), Ok(patched));
}

/// The RFC's own pseudo code.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else {
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// As RFC 6902 has it, but for tests for null.
pub fn json_patch(data: &[u8]) {
    let mut choices = Choices::new(data);
    let object = choices.object(4);
    let mut operations = Vec::new();
    for _ in 0..choices.below(6) {
        let (path, from) = (pointer(&mut choices), pointer(&mut choices));
        let operation = *choices.one(&["add", "remove", "replace", "move", "copy", "test"]);
        operations.push(match operation {
            "remove" => json!({"op": operation, "path": path}),
            "move" | "copy" => json!({"op": operation, "path": path, "from": from}),
            _ => json!({"op": operation, "path": path, "value": choices.any(3)}),
        });
    }
    let mut expected = object.clone();
    let fits = operations
        .iter()
        .all(|operation| apply(&mut expected, operation).is_some());
    let patch = Value::Array(operations).to_string();
    let patched = hardway_patch::json_patch(&object, patch.as_bytes());
    match patched {
        Ok(patched) => {
            assert!(fits, "{object} {patch} gave {patched}");
            assert_eq!(patched, expected, "{object} {patch}");
        }
        Err(status) => assert!(!fits, "{object} {patch}: {}", status.message),
    }
}

fn pointer(choices: &mut Choices<'_>) -> String {
    let steps = 0..choices.below(4);
    steps
        .map(|_| match choices.below(4) {
            0 => (*choices.one(&["/0", "/1", "/-", "/01"])).to_owned(),
            _ => format!("/{}", choices.word().replace('~', "~0").replace('/', "~1")),
        })
        .collect()
}

fn apply(document: &mut Value, operation: &Value) -> Option<()> {
    let text = |name: &str| operation[name].as_str();
    let path = text("path")?;
    match text("op")? {
        "add" => add(document, path, operation["value"].clone()),
        "remove" => remove(document, path).map(drop),
        "replace" => {
            *document.pointer_mut(path)? = operation["value"].clone();
            Some(())
        }
        "copy" => {
            let value = document.pointer(text("from")?)?.clone();
            add(document, path, value)
        }
        "move" => {
            let from = text("from")?;
            if path
                .strip_prefix(from)
                .is_some_and(|below| below.starts_with('/'))
            {
                return None;
            }
            let value = remove(document, from)?;
            add(document, path, value)
        }
        _ => match document.pointer(path) {
            Some(value) => (value == &operation["value"]).then_some(()),
            // Kubernetes takes a member that an object lacks for null.
            None => {
                let (above, _) = path.rsplit_once('/')?;
                let lacks = document.pointer(above)?.is_object();
                (lacks && operation["value"].is_null()).then_some(())
            }
        },
    }
}

/// The place above a path, and the last step.
fn parent<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (above, last) = path.rsplit_once('/')?;
    let last = last.replace("~1", "/").replace("~0", "~");
    Some((document.pointer_mut(above)?, last))
}

fn index(text: &str, length: usize) -> Option<usize> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    let index = text.parse().ok().filter(|_| plain)?;
    (index <= length).then_some(index)
}

fn add(document: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *document = value;
        return Some(());
    }
    let (place, last) = parent(document, path)?;
    match place {
        Value::Object(map) => drop(map.insert(last, value)),
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => list.insert(index(&last, list.len())?, value),
        _ => return None,
    }
    Some(())
}

fn remove(document: &mut Value, path: &str) -> Option<Value> {
    // The document itself has no place to be taken from.
    let (place, last) = parent(document, path)?;
    match place {
        Value::Object(map) => map.remove(&last),
        Value::Array(list) => {
            let index = index(&last, list.len()).filter(|at| *at < list.len())?;
            Some(list.remove(index))
        }
        _ => None,
    }
}
