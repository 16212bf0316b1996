//! Server-side apply.

use crate::fields::{FieldSet, PathElement, path_to_string};
use crate::managed_fields::{
    Identity, Managers, Operation, Owned, SYSTEM_FIELDS, Writer, record, timestamp,
    without_managed_fields,
};
use crate::typed::{Zeros, compare, ensure_named, merge, remove, to_set, validate};
use crate::versions::Change;
use hardway_proto::Status;
use hardway_proto::status::{Cause, Details};
use hardway_resources::schema::{Schema, Type};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Owns what an object had before it was first applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// The annotation of client-side apply.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Applies a configuration to the live object (`None`: there is none yet).
///
/// The result is the live object with everything the configuration sets,
/// without what this manager applied before and no longer does (unless
/// another manager owns it too), and with `metadata.managedFields` kept.
/// Where another manager owns a field that would change, that is a conflict
/// (409), unless `force` takes the field over.
///
/// It was checked before ([`check_applied`]); defaulting, admission and validation follow after; [`crate::managed_fields::update`]
/// must not be called for the same write.
pub fn apply(
    live: Option<&Value>,
    applied: &Value,
    schema: &Schema,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, Status> {
    let applied = &without_null_creation(applied);
    let nothing = json!({});
    let before = live.map(without_managed_fields);
    let live_object = before.as_ref().unwrap_or(&nothing);
    let mut managers = live.map(Managers::of).unwrap_or_default();
    if managers.0.is_empty() && live.is_some() {
        let first = Writer {
            manager: BEFORE_FIRST_APPLY,
            ..writer.clone()
        };
        let change = Change::of(schema, &nothing, live_object, &first);
        record(&mut managers, change);
    }
    let former = managers.clone();

    let identity = Identity::of(writer, Operation::Apply);
    let last = managers.0.get(&identity).cloned().unwrap_or_default();
    let mut set = to_set(Some(schema), applied);
    set.cut(&writer.ignored);
    managers.0.insert(
        identity.clone(),
        Owned {
            api_version: writer.api_version.into(),
            time: last.time.clone(),
            fields: set,
        },
    );

    let merged = merge(Some(schema), live_object, applied);
    let mut new = prune(schema, merged, &managers, &last, writer);
    drop_nulls(Some(schema), &mut new);

    let change = Change::of(schema, live_object, &new, writer);
    let mut conflicts = conflicts(&managers, &change, &identity);
    if !force {
        if writer.manager == "kubectl" {
            let allowed = from_last_applied(schema, live_object);
            conflicts.retain(|conflict| !allowed.has(&conflict.path));
        }
        if !conflicts.is_empty() {
            return Err(refuse(conflicts));
        }
    }
    managers.take_from_others(&change, &identity);
    if let Some(own) = managers.0.get_mut(&identity) {
        own.fields.subtract(&SYSTEM_FIELDS);
    }
    managers.drop_empty();

    if writer.manager == "kubectl" {
        keep_last_applied(live_object, applied, &mut new);
    }
    if (new != *live_object || managers != former)
        && let Some(own) = managers.0.get_mut(&identity)
    {
        own.time = Some(timestamp(writer.now));
    }
    managers.store(&mut new);
    Ok(new)
}

/// Whether a configuration can be applied: it has no owners of its own, is of the version
/// that is asked for, and of the schema's shape, whatever the request says of validation.
///
/// # Errors
/// 400, or 500 for what the schema doesn't declare, as in Kubernetes.
pub fn check_applied(applied: &Value, schema: &Schema, api_version: &str) -> Result<(), Status> {
    let text = |pointer: &str| {
        applied
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    if applied
        .pointer("/metadata/managedFields")
        .is_some_and(|v| !v.is_null())
    {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let version = text("/apiVersion");
    if version != api_version {
        return Err(Status::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {api_version}"
        )));
    }
    let problems = validate(schema, applied);
    let problems = match problems.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let group_version = match version.contains('/') {
        true => version.to_owned(),
        false => format!("/{version}"),
    };
    Err(Status::failure(
        500,
        "",
        format!(
            "failed to create typed patch object ({}/{}; {group_version}, Kind={}): {problems}",
            text("/metadata/namespace"),
            text("/metadata/name"),
            text("/kind"),
        ),
    ))
}

/// Generated manifests carry `creationTimestamp: null`, which must not unset
/// the live object's.
fn without_null_creation(applied: &Value) -> Value {
    let mut applied = applied.clone();
    if let Some(metadata) = applied.get_mut("metadata").and_then(Value::as_object_mut)
        && metadata
            .get("creationTimestamp")
            .is_some_and(Value::is_null)
    {
        metadata.remove("creationTimestamp");
    }
    applied
}

/// Takes out what this manager applied last time and nobody owns any more.
fn prune(
    schema: &Schema,
    merged: Value,
    managers: &Managers,
    last: &Owned,
    writer: &Writer<'_>,
) -> Value {
    if last.fields.is_empty() {
        return merged;
    }
    let own = writer.api_version;
    let convert = |schema: &Schema, object: &Value, from: &str, to: &str| {
        writer.versions.convert(schema, object, from, to)
    };
    // It may have applied it in another version. What that one has not, stays.
    let Some((then, before)) = convert(schema, &merged, own, &last.api_version) else {
        return merged;
    };
    let named = |set: &FieldSet, schema: &Schema| ensure_named(set, Some(schema));
    let all = |object: &Value, schema: &Schema| named(&to_set(Some(schema), object), schema);
    let without = |object: &Value, schema: &Schema, gone: &FieldSet| {
        remove(Some(schema), object, gone).unwrap_or_else(|| json!({}))
    };
    let mut at = (last.api_version.as_str(), then.clone());
    let mut pruned = without(&before, &then, &named(&last.fields, &then));

    // Back comes what anybody owns, this configuration included …
    let mut owned: Vec<(&str, FieldSet)> = vec![(at.0, FieldSet::default())];
    for one in managers.0.values() {
        match owned
            .iter_mut()
            .find(|(version, _)| *version == one.api_version)
        {
            Some((_, fields)) => fields.add(one.fields.clone()),
            None => owned.push((&one.api_version, one.fields.clone())),
        }
    }
    for (version, fields) in owned {
        let there = convert(schema, &merged, own, version);
        let moved = convert(&at.1, &pruned, at.0, version);
        let (Some((schema, merged)), Some((_, moved))) = (there, moved) else {
            continue;
        };
        let kept = all(&moved, &schema).union(&named(&fields, &schema));
        pruned = without(&merged, &schema, &all(&merged, &schema).difference(&kept));
        at = (version, schema);
    }

    // … and what the manager hadn't applied, though it was inside of what it had.
    let Some((_, pruned)) = convert(&at.1, &pruned, at.0, &last.api_version) else {
        return merged;
    };
    let gone = all(&before, &then).difference(&all(&pruned, &then));
    let gone = gone.intersection(&named(&last.fields, &then));
    let left = without(&before, &then, &gone);
    convert(&then, &left, &last.api_version, own).map_or(merged, |(_, left)| left)
}

/// Nulls that were applied or left by pruning mean an absent field, except
/// where the schema takes null for a value.
fn drop_nulls(schema: Option<&Schema>, value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|name, below| {
                let child = schema.and_then(|s| s.field(name));
                let meant = child
                    .as_ref()
                    .is_none_or(|c| c.node().nullable || c.node().ty == Type::Any);
                drop_nulls(child.as_ref(), below);
                meant || !below.is_null()
            });
        }
        Value::Array(list) => {
            let items = schema.and_then(Schema::items);
            list.iter_mut()
                .for_each(|element| drop_nulls(items.as_ref(), element));
        }
        _ => {}
    }
}

struct Conflict {
    manager: String,
    path: Vec<PathElement>,
}

fn conflicts(managers: &Managers, change: &Change<'_>, but: &Identity) -> Vec<Conflict> {
    let others = managers.0.iter().filter(|(identity, _)| *identity != but);
    let mut seen: BTreeMap<&str, Option<FieldSet>> = BTreeMap::new();
    let mut conflicts = Vec::new();
    for (identity, owned) in others {
        let version = seen.entry(&owned.api_version);
        let changed =
            version.or_insert_with_key(|version| Some(change.seen_in(version)?.changed()));
        let Some(changed) = changed else { continue };
        let manager = print_manager(identity, owned);
        let paths = owned.fields.intersection(changed).paths();
        conflicts.extend(paths.into_iter().map(|path| Conflict {
            manager: manager.clone(),
            path,
        }));
    }
    conflicts
}

fn print_manager(identity: &Identity, owned: &Owned) -> String {
    let mut text = format!("{:?}", identity.manager);
    if !identity.subresource.is_empty() {
        text += &format!(" with subresource {:?}", identity.subresource);
    }
    if identity.operation == Operation::Update {
        text += &format!(" using {}", owned.api_version);
    }
    text
}

/// The 409 that names every conflict.
fn refuse(mut conflicts: Vec<Conflict>) -> Status {
    conflicts.sort_by(|a, b| (&a.manager, &a.path).cmp(&(&b.manager, &b.path)));
    let message = match conflicts.as_slice() {
        [one] => format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            one.manager,
            path_to_string(&one.path)
        ),
        many => {
            let mut lines = Vec::new();
            let mut current = "";
            for conflict in many {
                if conflict.manager != current {
                    current = &conflict.manager;
                    lines.push(format!("conflicts with {current}:"));
                }
                lines.push(format!("- {}", path_to_string(&conflict.path)));
            }
            format!(
                "Apply failed with {} conflicts: {}",
                many.len(),
                lines.join("\n")
            )
        }
    };
    let causes = conflicts.iter().map(|conflict| Cause {
        reason: "FieldManagerConflict".into(),
        message: format!("conflict with {}", conflict.manager),
        field: path_to_string(&conflict.path),
    });
    let mut status = Status::failure(409, "Conflict", message);
    status.details = Some(Box::new(Details {
        causes: causes.collect(),
        ..Details::default()
    }));
    status
}

/// Fields that client-side apply set to what they still are: `kubectl apply
/// --server-side` takes these over without a conflict.
fn from_last_applied(schema: &Schema, live: &Value) -> FieldSet {
    let annotation = last_applied(live).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(configuration) = annotation else {
        return FieldSet::default();
    };
    let differs = compare(schema, &configuration, live, Zeros::AsTheyAre);
    to_set(Some(schema), &configuration)
        .difference(&differs.changed())
        .difference(&differs.removed)
}

fn last_applied(object: &Value) -> Option<&str> {
    object
        .get("metadata")?
        .get("annotations")?
        .get(LAST_APPLIED)?
        .as_str()
}

/// An object that client-side apply made stays usable with it: its annotation
/// follows what kubectl applies.
fn keep_last_applied(live: &Value, applied: &Value, new: &mut Value) {
    if last_applied(live).is_none() {
        return;
    }
    let mut configuration = applied.clone();
    if let Some(annotations) = configuration
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
    let annotations = new
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .map(|m| {
            m.entry("annotations")
                .or_insert_with(|| Value::Object(Map::new()))
        })
        .and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.insert(LAST_APPLIED.into(), format!("{configuration}\n").into());
    }
}

#[cfg(test)]
mod tests;
