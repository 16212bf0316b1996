//! Server-side apply and managedFields.

use crate::bodies::KINDS;
use crate::invent::Choices;
use hardway_patch::{FieldSet, Writer, managed_fields};
use hardway_resources::Schema;
use hardway_resources::schema::builtin;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Applying the same again changes nothing, force never conflicts, what one manager
/// gives up goes unless another has it, and every list of managers can be read.
pub fn apply(data: &[u8]) {
    let mut choices = Choices::new(data);
    // One of the promises each time: many executions are worth more than long ones.
    let promise = choices.below(4);
    let (group, version, kind) = *choices.one(&KINDS);
    let schema = builtin::kind(group, version, kind).expect("a built-in kind");
    let api_version = match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    };
    let writer = |manager: &'static str| Writer::main(manager, &api_version, Timestamp::UNIX_EPOCH);
    let named = |mut object: Value| {
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        object["metadata"]["name"] = json!("n");
        // What a strategy resets, nobody owns, and the strategy takes it out later.
        if let Some(object) = object.as_object_mut() {
            object.remove("status");
        }
        // What the server writes nobody owns either.
        let of_users = [
            "name",
            "labels",
            "annotations",
            "finalizers",
            "ownerReferences",
        ];
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.retain(|name, _| of_users.contains(&name.as_str()));
        }
        object
    };
    let first = named(choices.shaped(&schema, 7));
    let second = named(choices.shaped(&schema, 7));
    let apply = |live: Option<&Value>, applied: &Value, manager, force| {
        let writer = writer(manager);
        hardway_patch::check_applied(applied, &schema, writer.api_version)?;
        hardway_patch::apply(live, applied, &schema, &writer, force)
    };
    let Ok(one) = apply(None, &first, "one", false) else {
        return;
    };
    readable(&one);
    // Who sets nothing but empty lists owns nothing, as in Kubernetes.
    if one["metadata"]["managedFields"].is_null() {
        return;
    }
    match promise {
        0 => assert_eq!(apply(Some(&one), &first, "one", false).as_ref(), Ok(&one)),
        1 => {
            let Ok(both) = apply(Some(&one), &second, "two", true) else {
                return;
            };
            readable(&both);
            assert_eq!(
                apply(Some(&both), &second, "two", false).as_ref(),
                Ok(&both)
            );
            if let Ok(peaceful) = apply(Some(&one), &second, "two", false) {
                assert_eq!(peaceful, both);
            }
        }
        2 => updated(&schema, &one, &second, &writer("two")),
        _ => {
            let nothing = named(json!({}));
            let left = apply(Some(&one), &nothing, "one", false).expect("its own fields");
            let mut left = without_managers(&left);
            drop_empty_lists(&mut left);
            assert_eq!(left, nothing, "{first}");
        }
    }
}

/// An update that isn't an apply.
fn updated(schema: &Schema, old: &Value, new: &Value, writer: &Writer<'_>) {
    let mut new = new.clone();
    managed_fields::update(Some(old), &mut new, schema, writer);
    readable(&new);
    let mut again = new.clone();
    managed_fields::update(Some(&new), &mut again, schema, writer);
    assert_eq!(again, new, "an update that changes nothing takes nothing");
}

fn readable(object: &Value) {
    let managers = object["metadata"]["managedFields"].as_array();
    for manager in managers.into_iter().flatten() {
        let fields = &manager["fieldsV1"];
        let set = FieldSet::from_value(fields).expect("fieldsV1 that can be read");
        assert_eq!(&set.to_value(), fields);
        assert!(!set.is_empty(), "who owns nothing isn't listed: {manager}");
    }
}

/// Empty lists are nobody's, and so is what holds nothing else.
fn drop_empty_lists(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, value| {
            let kept = !value.is_object();
            drop_empty_lists(value);
            !value.as_array().is_some_and(Vec::is_empty)
                && (kept || value.as_object().is_some_and(|map| !map.is_empty()))
        });
    }
}

fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    object
}
