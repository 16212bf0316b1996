//! What becomes of metadata in a write, the same for every kind.

use super::Target;
use hardway_proto::Status;
use hardway_resources::rows::METADATA;
use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value, json};

/// Fields of metadata that only the server sets.
const FROM_OLD: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

/// A time as objects have it: seconds, UTC.
pub fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A random (version 4) UUID.
pub fn uid() -> String {
    let mut bytes = [0u8; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the kernel provides randomness");
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// The metadata of an object, made if it is missing.
pub fn of(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"]
        .as_object_mut()
        .expect("it was just made an object")
}

/// The text of a field of metadata, or `""`.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// Whether the object is being deleted.
pub fn is_terminating(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Whether finalizers hold it.
pub fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|list| !list.is_empty())
}

/// Puts an object into the namespace of the request, or refuses.
pub fn place(object: &mut Value, target: &Target) -> Result<(), Status> {
    let metadata = of(object);
    let given = metadata
        .get("namespace")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !target.resource.namespaced() {
        metadata.remove("namespace");
        return Ok(());
    }
    if !given.is_empty() && given != target.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata.insert("namespace".into(), target.namespace.as_str().into());
    Ok(())
}

/// Takes out what is empty: to clients an empty map or list is none.
fn drop_empty(metadata: &mut Map<String, Value>) {
    for field in ["labels", "annotations", "ownerReferences", "finalizers"] {
        let empty = match metadata.get(field) {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            Some(value) => value.is_null(),
            None => false,
        };
        if empty {
            metadata.remove(field);
        }
    }
}

/// Takes out of an object about to be created what only the server sets.
pub fn wipe_system_fields(object: &mut Value) {
    let metadata = of(object);
    drop_empty(metadata);
    for field in FROM_OLD {
        metadata.remove(field);
    }
    metadata.remove("resourceVersion");
}

/// Gives an object about to be created what only the server sets.
pub fn fill_system_fields(object: &mut Value, counts_generations: bool, now: Timestamp) {
    let metadata = of(object);
    metadata.insert("uid".into(), uid().into());
    metadata.insert("creationTimestamp".into(), time(now).into());
    if counts_generations {
        metadata.insert("generation".into(), 1.into());
    }
}

/// Metadata of an object about to be updated: what clients can't change is
/// taken from the old one.
pub fn prepare_update(new: &mut Value, old: &Value) {
    let metadata = of(new);
    drop_empty(metadata);
    for field in FROM_OLD {
        copy(metadata, old, field);
    }
    if metadata.get("managedFields").is_none_or(Value::is_null)
        && let Some(fields) = old["metadata"].get("managedFields")
    {
        metadata.insert("managedFields".into(), fields.clone());
    }
}

/// Keeps the metadata that a write of a subresource leaves as it is.
pub fn keep_in_subresource(new: &mut Value, old: &Value, kept: &[&str]) {
    let metadata = of(new);
    for field in ["generateName"].iter().chain(kept) {
        copy(metadata, old, field);
    }
}

/// Takes over the metadata that comes with a write of a part of an object, but for the
/// fields that are kept.
pub fn take_with_part(object: &mut Value, new: &Value, kept: &[&str]) {
    let metadata = of(object);
    for field in METADATA.iter().filter(|field| !kept.contains(field)) {
        copy(metadata, new, field);
    }
}

/// Takes over who owns which field.
pub fn take_owners(object: &mut Value, new: &Value) {
    copy(of(object), new, "managedFields");
}

/// The resource version in a part that was sent counts for the whole.
pub fn carry_version(object: &mut Value, part: &Value) {
    let version = text(part, "resourceVersion").to_owned();
    of(object).insert("resourceVersion".into(), version.into());
}

/// Makes a field of metadata what another object has there. Mostly it is that already, and to
/// see so is cheaper than a copy.
fn copy(metadata: &mut Map<String, Value>, from: &Value, field: &str) {
    match from["metadata"].get(field) {
        Some(value) if metadata.get(field) == Some(value) => {}
        Some(value) => drop(metadata.insert(field.into(), value.clone())),
        None => drop(metadata.remove(field)),
    }
}

/// Counts a new generation if anything but metadata and status has changed, or one of
/// the fields of metadata that count.
pub fn count_generation(new: &mut Value, old: &Value, counted: &[&str]) {
    let counts = |field: &&str| new["metadata"].get(*field) != old["metadata"].get(*field);
    if differs(new, old, &["metadata", "status"]) || counted.iter().any(counts) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or_default();
        of(new).insert("generation".into(), (generation + 1).into());
    }
}

/// Whether two objects differ in any top-level field but these.
fn differs(a: &Value, b: &Value, except: &[&str]) -> bool {
    let empty = Map::new();
    let (a, b) = (
        a.as_object().unwrap_or(&empty),
        b.as_object().unwrap_or(&empty),
    );
    let counts = |key: &String| !except.contains(&key.as_str());
    a.iter()
        .any(|(key, value)| counts(key) && b.get(key) != Some(value))
        || b.keys().any(|key| counts(key) && !a.contains_key(key))
}

/// Whether a write would change nothing: everything but the resource version
/// and the times in managedFields is as it was.
pub fn is_unchanged(new: &Value, old: &Value) -> bool {
    if differs(new, old, &["metadata"]) {
        return false;
    }
    let empty = Map::new();
    let (new, old) = (
        new["metadata"].as_object().unwrap_or(&empty),
        old["metadata"].as_object().unwrap_or(&empty),
    );
    same_but("resourceVersion", new, old, |field, new, old| {
        new == old || field == "managedFields" && same_owners(new, old)
    })
}

/// Whether managers own the same, whenever they came to.
fn same_owners(new: &Value, old: &Value) -> bool {
    let (Some(new), Some(old)) = (new.as_array(), old.as_array()) else {
        return false;
    };
    let same = |(new, old): (&Value, &Value)| match (new.as_object(), old.as_object()) {
        (Some(new), Some(old)) => same_but("time", new, old, |_, new, old| new == old),
        _ => new == old,
    };
    new.len() == old.len() && new.iter().zip(old).all(same)
}

/// Whether two objects have the same fields but for one, each alike.
fn same_but(
    ignored: &str,
    new: &Map<String, Value>,
    old: &Map<String, Value>,
    alike: impl Fn(&str, &Value, &Value) -> bool,
) -> bool {
    let fields = |map: &Map<String, Value>| map.len() - usize::from(map.contains_key(ignored));
    let is_alike = |(field, new): (&String, &Value)| {
        field == ignored || old.get(field).is_some_and(|old| alike(field, new, old))
    };
    fields(new) == fields(old) && new.iter().all(is_alike)
}

/// Adds a finalizer, or takes one out.
pub fn set_finalizer(object: &mut Value, name: &str, present: bool) {
    let metadata = of(object);
    let mut list: Vec<Value> = metadata
        .get("finalizers")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    list.retain(|finalizer| finalizer != name);
    if present {
        list.push(name.into());
    }
    if list.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), list.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_version_4() {
        let text = uid();
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "4");
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"));
        assert_ne!(text, uid());
    }

    #[test]
    fn servers_fields_survive_updates() {
        let old = json!({"metadata": {"uid": "u", "creationTimestamp": "t", "generation": 3,
            "managedFields": [{"manager": "m"}]}, "spec": {"a": 1}});
        let mut new = json!({"metadata": {"uid": "x", "deletionTimestamp": "now", "generation": 9},
            "spec": {"a": 2}});
        prepare_update(&mut new, &old);
        assert_eq!(new["metadata"]["uid"], "u");
        assert_eq!(new["metadata"].get("deletionTimestamp"), None);
        assert_eq!(new["metadata"]["managedFields"], json!([{"manager": "m"}]));
        count_generation(&mut new, &old, &[]);
        assert_eq!(new["metadata"]["generation"], 4);
        let mut noted = old.clone();
        noted["metadata"]["annotations"] = json!({"a": "b"});
        count_generation(&mut noted, &old, &["labels"]);
        assert_eq!(noted["metadata"]["generation"], 3);
        count_generation(&mut noted, &old, &["annotations"]);
        assert_eq!(noted["metadata"]["generation"], 4);
    }

    #[test]
    fn times_of_managers_are_no_change() {
        let object = |time: &str, manager: &str| {
            json!({"metadata": {"resourceVersion": time,
            "managedFields": [{"manager": manager, "time": time}]}})
        };
        assert!(is_unchanged(&object("1", "a"), &object("2", "a")));
        assert!(!is_unchanged(&object("1", "a"), &object("1", "b")));
        let bare = |metadata: Value| json!({"metadata": metadata});
        assert!(is_unchanged(
            &bare(json!({"name": "a", "resourceVersion": "1"})),
            &bare(json!({"name": "a"}))
        ));
        assert!(!is_unchanged(
            &bare(json!({"name": "a", "labels": {}})),
            &bare(json!({"name": "a", "annotations": {}}))
        ));
        assert!(!is_unchanged(
            &bare(json!({"resourceVersion": "1"})),
            &bare(json!({"labels": {}}))
        ));
        let owners =
            |count: usize| bare(json!({"managedFields": vec![json!({"manager": "m"}); count]}));
        assert!(!is_unchanged(&owners(1), &owners(2)) && !is_unchanged(&owners(2), &owners(1)));
        assert!(!is_unchanged(&json!({"spec": 1}), &json!({})));
        assert!(!is_unchanged(&json!({}), &json!({"spec": 1})));
    }

    #[test]
    fn finalizers_come_and_go() {
        let mut object = json!({});
        set_finalizer(&mut object, "orphan", true);
        set_finalizer(&mut object, "orphan", true);
        assert_eq!(object["metadata"]["finalizers"], json!(["orphan"]));
        set_finalizer(&mut object, "orphan", false);
        assert!(!has_finalizers(&object));
    }
}
