//! Small readers and writers of JSON objects. An absent field, a null one and
//! one of another type read alike: types are checked before rules run.

use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// A field, or null.
pub fn get<'a>(object: &'a Value, field: &str) -> &'a Value {
    object.get(field).unwrap_or(&NULL)
}

/// A text, or `""`.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    get(object, field).as_str().unwrap_or_default()
}

/// A whole number.
pub fn int(object: &Value, field: &str) -> Option<i64> {
    get(object, field).as_i64()
}

/// Whether a field is true.
pub fn flag(object: &Value, field: &str) -> bool {
    get(object, field).as_bool().unwrap_or_default()
}

/// A list's elements, none if absent.
pub fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    get(object, field)
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A map's entries, none if absent.
pub fn entries<'a>(
    object: &'a Value,
    field: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    get(object, field).as_object().into_iter().flatten()
}

/// Whether a map or list has no entries, or isn't there.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Whether a value is what Go has for one that isn't set: null, false, or empty.
pub fn is_zero(value: &Value) -> bool {
    is_empty(value) || value == &Value::Bool(false)
}

/// Whether a field is there and not null.
pub fn has(object: &Value, field: &str) -> bool {
    !get(object, field).is_null()
}

/// Sets a field that is absent or null.
pub fn set_default(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        let slot = map.entry(field).or_insert(Value::Null);
        if slot.is_null() {
            *slot = value.into();
        }
    }
}

/// Sets a text that is absent, null or empty.
pub fn default_text(object: &mut Value, field: &str, value: &str) {
    if text(object, field).is_empty() {
        set(object, field, value);
    }
}

/// Sets a number that is absent, null or zero.
pub fn default_number(object: &mut Value, field: &str, value: i64) {
    if int(object, field).unwrap_or_default() == 0 {
        set(object, field, value);
    }
}

/// Sets a field.
pub fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        map.insert(field.to_owned(), value.into());
    }
}

/// Takes a field away.
pub fn remove(object: &mut Value, field: &str) -> Option<Value> {
    object.as_object_mut()?.remove(field)
}

/// A field's object to change; `None` unless it is an object.
pub fn object_mut<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    object.get_mut(field).filter(|v| v.is_object())
}

/// A field's object to change, made if absent or null; `None` if the field or
/// its bearer is something else.
pub fn ensure_object<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    set_default(object, field, Map::new());
    object_mut(object, field)
}

/// A list's elements to change.
pub fn list_mut<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    object
        .get_mut(field)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}
