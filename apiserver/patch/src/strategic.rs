//! Strategic merge patch: a merge patch that knows from the schema which
//! lists merge, and by which key.
//!
//! Directives: `$patch: replace|delete` in maps and list elements,
//! `$retainKeys`, `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.

mod order;

use crate::go_format::go_format;
use hardway_proto::Status;
use hardway_resources::schema::Schema;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

type Object = Map<String, Value>;

/// Applies a strategic merge patch.
pub fn strategic_merge(object: &Value, patch: &Value, schema: &Schema) -> Result<Value, Status> {
    let Value::Object(patch) = patch else {
        return Err(Status::bad_request("invalid JSON document"));
    };
    let live = object.as_object().cloned().unwrap_or_default();
    merge_maps(live, patch.clone(), Some(schema)).map(Value::Object)
}

/// A patch that makes no sense on this object. Kubernetes answers these
/// without a reason.
fn senseless(message: String) -> Status {
    Status::failure(500, "", message)
}

fn no_merge_key(element: &Value, key: &str) -> Status {
    senseless(format!(
        "map: {} does not contain declared merge key: {key}",
        go_format(element)
    ))
}

fn bad_patch_type(directive: &Value, map: &Object) -> Status {
    senseless(format!(
        "unknown patch type: {} in map: {}",
        go_format(directive),
        go_format(&Value::Object(map.clone()))
    ))
}

fn merge_maps(
    mut live: Object,
    mut patch: Object,
    schema: Option<&Schema>,
) -> Result<Object, Status> {
    if let Some(directive) = patch.remove(PATCH) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Object::new()),
            _ => Err(bad_patch_type(&directive, &patch)),
        };
    }
    retain_keys(&mut live, &mut patch)?;
    set_orders(&mut live, &mut patch, schema)?;
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix(DELETE_FROM) {
            delete_from(&mut live, field, &value)?;
            continue;
        }
        let child = schema.and_then(|s| s.field(&key));
        let merged = match (live.remove(&key), value) {
            (_, Value::Null) => continue,
            (Some(Value::Object(old)), Value::Object(new)) => {
                Value::Object(merge_maps(old, new, child.as_ref())?)
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                Value::Array(merge_list_field(old, new, child.as_ref())?)
            }
            (_, new) => clean(new),
        };
        live.insert(key, merged);
    }
    Ok(live)
}

/// `$retainKeys`: fields it doesn't list go; the patch may set no others.
fn retain_keys(live: &mut Object, patch: &mut Object) -> Result<(), Status> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let wrong = || Status::bad_request("invalid patch format of retainKeys");
    let keys = keys.as_array().ok_or_else(wrong)?;
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let retained = |name: &str| keys.contains(name);
    let sets = |name: &str, value: &Value| {
        !value.is_null() && !name.starts_with(DELETE_FROM) && !name.starts_with(SET_ORDER)
    };
    if patch
        .iter()
        .any(|(name, value)| sets(name, value) && !retained(name))
    {
        return Err(wrong());
    }
    live.retain(|name, _| retained(name));
    Ok(())
}

/// `$deleteFromPrimitiveList/FIELD`: these scalars leave the list.
fn delete_from(live: &mut Object, field: &str, gone: &Value) -> Result<(), Status> {
    let gone = gone
        .as_array()
        .ok_or_else(|| Status::bad_request("invalid patch format of primitive list"))?;
    if let Some(Value::Array(list)) = live.get_mut(field) {
        let gone: HashSet<&Value> = gone.iter().collect();
        list.retain(|element| !gone.contains(element));
    }
    Ok(())
}

/// `$setElementOrder/FIELD`: merges FIELD and puts it into this order.
fn set_orders(
    live: &mut Object,
    patch: &mut Object,
    schema: Option<&Schema>,
) -> Result<(), Status> {
    let directives: Vec<String> = patch
        .keys()
        .filter(|k| k.starts_with(SET_ORDER))
        .cloned()
        .collect();
    for directive in directives {
        let wrong = || Status::bad_request("invalid patch format of setElementOrder list");
        let Some(Value::Array(wanted)) = patch.remove(&directive) else {
            return Err(wrong());
        };
        let field = &directive[SET_ORDER.len()..];
        let deletions = patch.remove(&format!("{DELETE_FROM}{field}"));
        let new = match patch.remove(field) {
            None => None,
            Some(Value::Array(list)) => Some(list),
            // A null or a wrong type is for the ordinary merge to handle.
            Some(other) => {
                patch.insert(field.to_owned(), other);
                continue;
            }
        };
        let child = schema.and_then(|s| s.field(field));
        let key = child
            .as_ref()
            .and_then(|s| s.node().patch_merge_key.clone());
        if let Some(deletions) = deletions {
            delete_from(live, field, &deletions)?;
        }
        let old = live.get(field).and_then(Value::as_array).cloned();
        let merged = match (old.clone(), new) {
            (None, None) => continue,
            (Some(old), None) => old,
            (None, Some(new)) => clean_list(new),
            (Some(old), Some(new)) => merge_list_field(old, new, child.as_ref())?,
        };
        let sorted = order::arrange(merged, &wanted, &old.unwrap_or_default(), key.as_deref())?;
        live.insert(field.to_owned(), Value::Array(sorted));
    }
    Ok(())
}

/// A list field: merged if its schema says so, otherwise replaced.
fn merge_list_field(
    old: Vec<Value>,
    new: Vec<Value>,
    schema: Option<&Schema>,
) -> Result<Vec<Value>, Status> {
    let Some(schema) = schema.filter(|s| s.node().patch_merge) else {
        return Ok(clean_list(new));
    };
    let maps = old.iter().chain(&new).any(Value::is_object);
    if !maps {
        let mut known: HashSet<&Value> = old.iter().collect();
        let added = new.iter().filter(|element| known.insert(element));
        let both = old.iter().chain(added).cloned().collect();
        return order::arrange(both, &new, &old, None);
    }
    let Some(key) = schema.node().patch_merge_key.as_deref() else {
        return Err(senseless("cannot merge lists without merge key".into()));
    };
    merge_lists(old, new, key, schema.items().as_ref())
}

fn merge_lists(
    mut old: Vec<Value>,
    new: Vec<Value>,
    key: &str,
    items: Option<&Schema>,
) -> Result<Vec<Value>, Status> {
    let mut plain: Vec<Object> = Vec::new();
    let mut replace = false;
    let mut gone = HashSet::new();
    for element in new {
        let Value::Object(mut map) = element else {
            return Err(no_merge_key(&element, key));
        };
        match map.remove(PATCH) {
            None => plain.push(map),
            Some(directive) => match directive.as_str() {
                Some("delete") => {
                    let Some(value) = map.remove(key) else {
                        return Err(no_merge_key(&Value::Object(map), key));
                    };
                    gone.insert(value);
                }
                Some("replace") => replace = true,
                Some("merge") => {
                    return Err(senseless(
                        "merging lists cannot yet be specified in the patch".into(),
                    ));
                }
                _ => return Err(bad_patch_type(&directive, &map)),
            },
        }
    }
    if replace {
        return Ok(plain
            .into_iter()
            .map(|map| clean(Value::Object(map)))
            .collect());
    }
    old.retain(|element| element.get(key).is_none_or(|value| !gone.contains(value)));
    let wanted: Vec<Value> = plain.iter().cloned().map(Value::Object).collect();
    let mut merged = old.clone();
    let mut places: HashMap<Value, usize> = HashMap::new();
    for (index, element) in old.iter().enumerate() {
        if let Some(value) = element.get(key) {
            places.entry(value.clone()).or_insert(index);
        }
    }
    let lacking = old.iter().position(|element| element.get(key).is_none());
    for map in plain {
        let Some(value) = map.get(key).cloned() else {
            return Err(no_merge_key(&Value::Object(map), key));
        };
        let place = places.get(&value).copied();
        // An element without the key is met on the way, unless it comes later.
        if let Some(lacking) = lacking.filter(|lacking| place.is_none_or(|at| at > *lacking)) {
            return Err(no_merge_key(&old[lacking], key));
        }
        match place {
            Some(index) => {
                let live = merged[index].as_object().cloned().unwrap_or_default();
                merged[index] = Value::Object(merge_maps(live, map, items)?);
            }
            None => {
                places.insert(value, merged.len());
                merged.push(clean(Value::Object(map)));
            }
        }
    }
    order::arrange(merged, &wanted, &old, Some(key))
}

/// A value taken from a patch as new: without nulls and directives.
fn clean(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(name, value)| !value.is_null() && !is_directive(name))
                .map(|(name, value)| (name, clean(value)))
                .collect(),
        ),
        Value::Array(list) => Value::Array(clean_list(list)),
        scalar => scalar,
    }
}

fn clean_list(list: Vec<Value>) -> Vec<Value> {
    let deleted = |element: &Value| element.get(PATCH).is_some_and(|d| d == "delete");
    let replacing = |element: &Value| {
        element.get(PATCH).is_some() && element.as_object().is_some_and(|o| o.len() == 1)
    };
    list.into_iter()
        .filter(|element| !deleted(element) && !replacing(element))
        .map(clean)
        .collect()
}

fn is_directive(name: &str) -> bool {
    name == PATCH
        || name == RETAIN_KEYS
        || name.starts_with(DELETE_FROM)
        || name.starts_with(SET_ORDER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed::tests::deployment;
    use serde_json::json;

    fn patched(live: Value, patch: Value) -> Result<Value, Status> {
        strategic_merge(&live, &patch, &deployment())
    }

    fn containers(list: Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": list}}}})
    }

    #[test]
    fn lists_merge_by_key_and_atomic_lists_are_replaced() {
        let live =
            containers(json!([{"name": "a", "image": "1", "command": ["x"]}, {"name": "b"}]));
        let patch = containers(
            json!([{"name": "a", "image": "2", "command": ["y", "z"]}, {"name": "c", "image": null}]),
        );
        assert_eq!(
            patched(live, patch).unwrap(),
            containers(
                json!([{"name": "a", "image": "2", "command": ["y", "z"]}, {"name": "c"}, {"name": "b"}])
            )
        );
    }

    #[test]
    fn elements_and_maps_can_be_deleted_or_replaced() {
        let live = || {
            containers(json!([{"name": "a", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]))
        };
        let gone = containers(json!([{"name": "a", "$patch": "delete"}]));
        assert_eq!(
            patched(live(), gone).unwrap(),
            containers(json!([{"name": "b"}]))
        );
        let replaced = containers(json!([{"$patch": "replace"}, {"name": "z"}]));
        assert_eq!(
            patched(live(), replaced).unwrap(),
            containers(json!([{"name": "z"}]))
        );
        let strategy = patched(
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
            json!({"spec": {"strategy": {"$patch": "replace", "type": "Recreate"}}}),
        );
        assert_eq!(
            strategy.unwrap(),
            json!({"spec": {"strategy": {"type": "Recreate"}}})
        );
    }

    #[test]
    fn retain_keys_drops_what_it_does_not_list() {
        let live = || json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
        let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
        assert_eq!(
            patched(live(), patch).unwrap(),
            json!({"spec": {"strategy": {"type": "Recreate"}}})
        );
        let wrong = json!({"spec": {"strategy": {"$retainKeys": [], "type": "Recreate"}}});
        let status = patched(live(), wrong).unwrap_err();
        assert_eq!(
            (status.code, status.message.as_str()),
            (400, "invalid patch format of retainKeys")
        );
    }

    #[test]
    fn primitive_lists_merge_and_lose_elements() {
        let live = || json!({"metadata": {"finalizers": ["a", "b"]}});
        let add = json!({"metadata": {"finalizers": ["c", "a"]}});
        assert_eq!(
            patched(live(), add).unwrap(),
            json!({"metadata": {"finalizers": ["c", "a", "b"]}})
        );
        let remove = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}});
        assert_eq!(
            patched(live(), remove).unwrap(),
            json!({"metadata": {"finalizers": ["b"]}})
        );
    }

    #[test]
    fn set_element_order_orders() {
        let live = containers(json!([{"name": "a"}, {"name": "b"}, {"name": "server"}]));
        let mut patch = containers(json!([{"name": "b", "image": "2"}, {"name": "c"}]));
        patch["spec"]["template"]["spec"]["$setElementOrder/containers"] =
            json!([{"name": "c"}, {"name": "b"}, {"name": "a"}]);
        assert_eq!(
            patched(live, patch).unwrap(),
            containers(
                json!([{"name": "c"}, {"name": "b", "image": "2"}, {"name": "a"}, {"name": "server"}])
            )
        );
    }

    #[test]
    fn nulls_delete() {
        let live = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"replicas": 2}});
        let patch =
            json!({"metadata": {"labels": {"a": null, "none": null}}, "spec": {"replicas": null}});
        assert_eq!(
            patched(live, patch).unwrap(),
            json!({"metadata": {"labels": {"b": "2"}}, "spec": {}})
        );
    }

    #[test]
    fn errors_are_kubernetes_errors() {
        let live = || containers(json!([{"name": "a"}]));
        let status = patched(
            live(),
            containers(json!([{"image": "x", "ports": [{"containerPort": 80}]}])),
        )
        .unwrap_err();
        assert_eq!(
            status.message,
            "map: map[image:x ports:[map[containerPort:80]]] does not contain declared merge key: name"
        );
        let status = patched(live(), json!({"spec": {"$patch": "bogus"}})).unwrap_err();
        assert_eq!(status.message, "unknown patch type: bogus in map: map[]");
    }
}
