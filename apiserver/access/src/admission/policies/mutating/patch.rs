//! What expressions that change objects give, as JSON.

use hardway_cel::{Struct, Value as CelValue};
use serde_json::{Map, Value};

/// An apply configuration.
///
/// # Errors
/// If a part of it isn't of the type that its place asks for, or can't be JSON.
pub fn configuration(value: &CelValue<'_>) -> Result<Value, String> {
    check_types(value)?;
    json(value)
}

/// The operations of a JSON patch.
///
/// # Errors
/// If a value isn't of the type that its place asks for, or can't be JSON.
pub fn operations(value: &CelValue<'_>) -> Result<Value, String> {
    const NONE: &str = "type mismatch: JSONPatchType.expression should evaluate to array";
    let list = value.as_list().ok_or(NONE)?;
    let mut operations = Vec::new();
    for item in list.iter() {
        let item = item.map_err(|error| error.to_string())?;
        let CelValue::Struct(operation) = &item else {
            return Err(format!("{NONE} of JSONPatch"));
        };
        operations.push(self::operation(operation)?);
    }
    Ok(Value::Array(operations))
}

fn operation(operation: &Struct<'_>) -> Result<Value, String> {
    let mut fields = Map::new();
    for (name, value) in &operation.fields {
        if name == "value" {
            check_types(value)?;
        } else if value.as_str().is_none_or(str::is_empty) && name == "from" {
            continue;
        }
        let value = json(value).map_err(|why| {
            format!(
                "JSONPath valueExpression evaluated to a type that could not marshal to JSON: {why}"
            )
        })?;
        fields.insert(name.clone(), value);
    }
    Ok(Value::Object(fields))
}

/// Whether the types of objects in objects say where they are: `Object.spec` at `spec`.
fn check_types(value: &CelValue<'_>) -> Result<(), String> {
    let CelValue::Struct(object) = value else {
        return Ok(());
    };
    check_at(value, &object.kind.name).map_err(|why| format!("type mismatch: {why}"))
}

fn check_at(value: &CelValue<'_>, place: &str) -> Result<(), String> {
    match value {
        CelValue::Struct(object) => {
            let name = &object.kind.name;
            if name != place {
                return Err(format!(
                    "unexpected type name {name:?}, expected {place:?}, which matches field name path from root Object type"
                ));
            }
            let mut fields = object.fields.iter();
            fields.try_for_each(|(field, value)| check_at(value, &format!("{place}.{field}")))
        }
        CelValue::List(list) => list.iter().try_for_each(|item| {
            let item = item.map_err(|error| error.to_string())?;
            check_at(&item, place)
        }),
        CelValue::Map(map) => {
            let entries = map.entries().map_err(|error| error.to_string())?;
            entries
                .iter()
                .try_for_each(|(_, value)| check_at(value, place))
        }
        _ => Ok(()),
    }
}

fn json(value: &CelValue<'_>) -> Result<Value, String> {
    value.to_json().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_cel::admission::{Composition, Returns, Vocabulary};
    use hardway_cel::{Budget, Scope};
    use serde_json::json;

    fn evaluated(expression: &str, returns: Returns) -> Result<Value, String> {
        let program = Composition::new(Vocabulary::default())
            .compile(expression, returns)
            .unwrap();
        let (scope, budget) = (Scope::new(), Budget::new(1_000_000));
        let value = program.evaluate(&scope, &budget).unwrap();
        match returns {
            Returns::JsonPatch => operations(&value),
            _ => configuration(&value),
        }
    }

    #[test]
    fn objects_become_json() {
        let expression = "Object{metadata: Object.metadata{labels: {'a': 'b'}}, spec: Object.spec{
            replicas: 1 + 2, ?paused: optional.none(), ?minReadySeconds: optional.of(5),
            containers: [Object.spec.containers{name: 'a', ready: true, none: null}]}}";
        assert_eq!(
            evaluated(expression, Returns::ApplyConfiguration),
            Ok(
                json!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 3,
                "minReadySeconds": 5, "containers": [{"name": "a", "ready": true, "none": null}]}})
            )
        );
        let expression = "[JSONPatch{op: 'test', path: '/a', value: [1, 2]},
            JSONPatch{op: 'copy', from: '/a', path: '/b'},
            JSONPatch{op: 'add', path: '/x/' + jsonpatch.escapeKey('k/8~s'), value: Object.x{y: 'z'}}]";
        assert_eq!(
            evaluated(expression, Returns::JsonPatch),
            Ok(json!([
                {"op": "test", "path": "/a", "value": [1, 2]},
                {"op": "copy", "from": "/a", "path": "/b"},
                {"op": "add", "path": "/x/k~18~0s", "value": {"y": "z"}},
            ]))
        );
    }

    /// `pkg/cel/mutation/dynamic/objects_test.go`.
    #[test]
    fn types_say_where_objects_are() {
        let told = |expression| {
            evaluated(expression, Returns::ApplyConfiguration)
                .err()
                .unwrap_or_default()
        };
        assert_eq!(
            told("Object{spec: Object.spec{selector: Object.spec.wrong{}}}"),
            r#"type mismatch: unexpected type name "Object.spec.wrong", expected "Object.spec.selector", which matches field name path from root Object type"#
        );
        assert_eq!(
            told("Object{spec: Object.spec{list: [Object.spec.list{}]}}"),
            ""
        );
    }
}
