//! `metadata.managedFields`: who owns which field.

use crate::fields::FieldSet;
use crate::typed::{Comparison, Zeros, compare};
use crate::versions::{Change, Versions};
use hardway_resources::schema::Schema;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Update managers beyond this number are merged, oldest first.
const MAX_UPDATE_MANAGERS: usize = 10;

/// The manager that oldest updates are merged into.
const ANCIENT: &str = "ancient-changes";

/// Who writes, and how.
#[derive(Clone, Debug)]
pub struct Writer<'a> {
    /// Field manager, from `fieldManager` or the user agent.
    pub manager: &'a str,
    /// Version the request was made in, e.g. `apps/v1`.
    pub api_version: &'a str,
    /// Subresource written, or empty.
    pub subresource: &'a str,
    /// Fields this write can't change (the strategy resets them), such as
    /// `status` in a write of the main resource; nobody owns them by it.
    pub ignored: FieldSet,
    /// How other managers see the object.
    pub versions: Versions<'a>,
    /// The time of the write.
    pub now: Timestamp,
}

impl<'a> Writer<'a> {
    /// A writer of the main resource that may not set `status`.
    pub fn main(manager: &'a str, api_version: &'a str, now: Timestamp) -> Self {
        Self {
            manager,
            api_version,
            subresource: "",
            ignored: FieldSet::of(&[&["status"]]),
            versions: Versions::default(),
            now,
        }
    }

    /// A writer of a subresource; of `status`, one that may not set `spec`.
    pub fn subresource(
        manager: &'a str,
        api_version: &'a str,
        subresource: &'a str,
        now: Timestamp,
    ) -> Self {
        let ignored = match subresource {
            "status" => FieldSet::of(&[&["spec"]]),
            _ => FieldSet::default(),
        };
        Self {
            manager,
            api_version,
            subresource,
            ignored,
            versions: Versions::default(),
            now,
        }
    }
}

/// `Apply` or `Update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// What makes two entries the same manager. An applier is the same in every
/// version, an updater is another in each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub manager: String,
    pub operation: Operation,
    pub subresource: String,
    /// Of an updater; empty for an applier.
    pub api_version: String,
}

impl Identity {
    pub(crate) fn of(writer: &Writer<'_>, operation: Operation) -> Self {
        Self {
            manager: writer.manager.into(),
            operation,
            subresource: writer.subresource.into(),
            api_version: match operation {
                Operation::Apply => String::new(),
                Operation::Update => writer.api_version.into(),
            },
        }
    }
}

/// What one manager owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    pub api_version: String,
    pub time: Option<String>,
    pub fields: FieldSet,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Managers(pub BTreeMap<Identity, Owned>);

impl Managers {
    /// From an object's metadata; entries that can't be read void the list,
    /// as Kubernetes does for stored objects.
    pub(crate) fn of(object: &Value) -> Self {
        let entries = object
            .pointer("/metadata/managedFields")
            .and_then(Value::as_array);
        let decoded: Option<BTreeMap<_, _>> =
            entries.into_iter().flatten().map(decode_entry).collect();
        Self(decoded.unwrap_or_default())
    }

    /// Puts the managers into an object's metadata.
    pub(crate) fn store(&self, object: &mut Value) {
        let Some(metadata) = object
            .as_object_mut()
            .map(|o| {
                o.entry("metadata")
                    .or_insert_with(|| Value::Object(Map::new()))
            })
            .and_then(Value::as_object_mut)
        else {
            return;
        };
        if self.0.is_empty() {
            metadata.remove("managedFields");
            return;
        }
        let mut entries: Vec<(&Identity, &Owned)> = self.0.iter().collect();
        entries.sort_by_key(|(identity, owned)| {
            (
                identity.operation,
                owned.time.clone(),
                identity.manager.clone(),
                owned.api_version.clone(),
            )
        });
        let entries = entries
            .into_iter()
            .map(|(i, o)| encode_entry(i, o))
            .collect();
        metadata.insert("managedFields".into(), Value::Array(entries));
    }

    /// Takes what changed from every manager but one. Managers of versions
    /// that aren't served any more are forgotten.
    pub(crate) fn take_from_others(&mut self, change: &Change<'_>, but: &Identity) {
        if change.differs.is_empty() {
            return;
        }
        let mut seen = BTreeMap::new();
        self.0.retain(|identity, owned| {
            if identity == but {
                return true;
            }
            let version = seen.entry(owned.api_version.clone());
            let Some(seen) = version.or_insert_with_key(|version| change.seen_in(version)) else {
                return false;
            };
            for lost in [&seen.added, &seen.modified, &seen.removed] {
                owned.fields.subtract(lost);
            }
            true
        });
    }

    /// Forgets managers that own nothing.
    pub(crate) fn drop_empty(&mut self) {
        self.0.retain(|_, owned| !owned.fields.is_empty());
    }

    /// Merges the oldest updaters of a version while there are too many.
    fn cap(&mut self) {
        let mut updaters: Vec<Identity> = self
            .0
            .keys()
            .filter(|i| i.operation == Operation::Update)
            .cloned()
            .collect();
        let mut excess = updaters.len().saturating_sub(MAX_UPDATE_MANAGERS);
        updaters.sort_by_key(|i| (self.0[i].time.clone(), i.manager.clone()));
        let mut first: BTreeMap<String, Identity> = BTreeMap::new();
        for identity in updaters {
            if excess == 0 {
                return;
            }
            let version = identity.api_version.clone();
            let Some(oldest) = first.get(&version) else {
                first.insert(version, identity);
                continue;
            };
            let bucket = Identity {
                manager: ANCIENT.into(),
                operation: Operation::Update,
                subresource: String::new(),
                api_version: version,
            };
            let into = self.0.remove(oldest).unwrap_or_default();
            let mut merged = self.0.remove(&identity).unwrap_or_default();
            merged.fields.add(into.fields);
            self.0.insert(bucket.clone(), merged);
            first.insert(bucket.api_version.clone(), bucket);
            excess -= 1;
        }
    }
}

/// Fields nobody owns: identity, and what the server writes.
pub(crate) static SYSTEM_FIELDS: LazyLock<FieldSet> = LazyLock::new(|| {
    FieldSet::of(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
});

/// The object without `metadata.managedFields`.
pub(crate) fn without_managed_fields(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// Whether Kubernetes' own types are behind this version, rather than a
/// custom resource without embedded structs.
fn built_in(api_version: &str) -> bool {
    match api_version.split_once('/') {
        Some((group, _)) => !group.contains('.') || group.ends_with(".k8s.io"),
        None => true,
    }
}

/// What a write changed, as seen by its writer.
pub(crate) fn changes(
    schema: &Schema,
    old: &Value,
    new: &Value,
    writer: &Writer<'_>,
) -> Comparison {
    let zeros = match built_in(writer.api_version) {
        true => Zeros::Filled,
        false => Zeros::AsTheyAre,
    };
    compare(schema, old, new, zeros).outside(&writer.ignored)
}

/// Updates `new.metadata.managedFields` after a create (`old` is `None`) or
/// any update that isn't an apply. To be called when `new` is final: after
/// defaulting and admission, just before it is stored.
///
/// The writer comes to own what it added or changed; what it removed nobody
/// owns any longer. A client may edit the list itself in a write of the main
/// resource, and resets it by sending one empty entry.
pub fn update(old: Option<&Value>, new: &mut Value, schema: &Schema, writer: &Writer<'_>) {
    let sent = new.pointer("/metadata/managedFields");
    let reset = sent == Some(&Value::Array(vec![Value::Object(Map::new())]));
    let mut managers = match old {
        _ if reset => Managers::default(),
        Some(old) if !writer.subresource.is_empty() => Managers::of(old),
        Some(old) => {
            let edited = Managers::of(new);
            if edited.0.is_empty() {
                Managers::of(old)
            } else {
                edited
            }
        }
        None => Managers::of(new),
    };
    // An object whose owners were reset stays without, until it is applied.
    if managers.0.is_empty() && old.is_some() {
        Managers::default().store(new);
        return;
    }
    let nothing = Value::Object(Map::new());
    let change = Change::of(schema, old.unwrap_or(&nothing), new, writer);
    record(&mut managers, change);
    managers.cap();
    managers.store(new);
}

/// Gives the writer of an update what it changed.
pub(crate) fn record(managers: &mut Managers, change: Change<'_>) {
    let writer = change.writer;
    let identity = Identity::of(writer, Operation::Update);
    managers.take_from_others(&change, &identity);
    let Comparison {
        added: mut gained,
        modified,
        removed,
    } = change.differs;
    gained.add(modified);
    gained.subtract(&SYSTEM_FIELDS);
    let owned = managers.0.entry(identity).or_default();
    owned.fields.subtract(&removed);
    owned.api_version = writer.api_version.into();
    if !gained.is_empty() {
        owned.time = Some(timestamp(writer.now));
    }
    owned.fields.add(gained);
    managers.drop_empty();
}

/// Whether an object's `metadata.managedFields` can be read.
///
/// # Errors
/// Why not, of the first entry that can't.
pub fn check(object: &Value) -> Result<(), String> {
    let entries = object.pointer("/metadata/managedFields");
    let entries = entries.and_then(Value::as_array).into_iter().flatten();
    for entry in entries {
        if decode_entry(entry).is_none() {
            return Err(format!("error decoding manager from {entry}"));
        }
    }
    Ok(())
}

/// As `metav1.Time` prints.
pub(crate) fn timestamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn encode_entry(identity: &Identity, owned: &Owned) -> Value {
    let mut entry = Map::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            entry.insert(name.into(), value.into());
        }
    };
    put("manager", &identity.manager);
    put(
        "operation",
        match identity.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        },
    );
    put("apiVersion", &owned.api_version);
    put("time", owned.time.as_deref().unwrap_or_default());
    put("fieldsType", "FieldsV1");
    put("subresource", &identity.subresource);
    entry.insert("fieldsV1".into(), owned.fields.to_value());
    Value::Object(entry)
}

fn decode_entry(entry: &Value) -> Option<(Identity, Owned)> {
    let text = |name: &str| {
        entry
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let operation = match text("operation").as_str() {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return None,
    };
    let api_version = text("apiVersion");
    let fields = match entry.get("fieldsV1") {
        Some(fields) => FieldSet::from_value(fields).ok()?,
        None => FieldSet::default(),
    };
    let identity = Identity {
        manager: text("manager"),
        operation,
        subresource: text("subresource"),
        api_version: match operation {
            Operation::Apply => String::new(),
            Operation::Update => api_version.clone(),
        },
    };
    let time = Some(text("time")).filter(|t| !t.is_empty());
    Some((
        identity,
        Owned {
            api_version,
            time,
            fields,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed::tests::deployment;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn created() -> Value {
        let mut new = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "uid": "1", "labels": {"app": "web"}},
            "spec": {"replicas": 1, "strategy": {"rollingUpdate": {"maxSurge": 1}}, "template": {"spec": {
                "containers": [{"name": "web", "image": "a", "resources": {}}]}}}});
        update(
            None,
            &mut new,
            &deployment(),
            &Writer::main("kubectl-create", "apps/v1", at(0)),
        );
        new
    }

    #[test]
    fn the_creator_owns_what_it_set() {
        assert_eq!(
            created()["metadata"]["managedFields"],
            json!([{
                "manager": "kubectl-create", "operation": "Update", "apiVersion": "apps/v1",
                "time": "2023-11-14T22:13:20Z", "fieldsType": "FieldsV1",
                "fieldsV1": {
                    "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                    "f:spec": {
                        "f:replicas": {},
                        "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}},
                        "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {
                            ".": {}, "f:name": {}, "f:image": {}, "f:resources": {}}}}}}}}])
        );
    }

    #[test]
    fn a_change_moves_ownership_and_a_removal_ends_it() {
        let old = created();
        let mut new = old.clone();
        new["spec"]["replicas"] = json!(5);
        new["metadata"]["labels"] = json!({"tier": "front"});
        update(
            Some(&old),
            &mut new,
            &deployment(),
            &Writer::main("kubectl-scale", "apps/v1", at(5)),
        );
        let managers = Managers::of(&new);
        let fields = |manager: &str| {
            let found = managers
                .0
                .iter()
                .find(|(i, _)| i.manager == manager)
                .unwrap();
            found.1.fields.to_value()
        };
        assert_eq!(
            fields("kubectl-scale"),
            json!({"f:metadata": {"f:labels": {"f:tier": {}}}, "f:spec": {"f:replicas": {}}})
        );
        let creator = fields("kubectl-create");
        assert_eq!(creator["f:metadata"], json!({"f:labels": {}}));
        assert!(creator["f:spec"].get("f:replicas").is_none());
    }

    #[test]
    fn an_update_that_changes_nothing_keeps_the_time() {
        let old = created();
        let mut new = old.clone();
        update(
            Some(&old),
            &mut new,
            &deployment(),
            &Writer::main("kubectl-create", "apps/v1", at(9)),
        );
        assert_eq!(old, new);
        let mut without = old.clone();
        without["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("managedFields");
        update(
            Some(&old),
            &mut without,
            &deployment(),
            &Writer::main("x", "apps/v1", at(9)),
        );
        assert_eq!(old, without);
    }

    #[test]
    fn status_is_an_entry_of_its_own() {
        let old = created();
        let mut new = old.clone();
        new["status"] = json!({"replicas": 1, "conditions": [{"type": "Ready", "status": "True"}]});
        let writer = Writer::subresource("controller", "apps/v1", "status", at(1));
        update(Some(&old), &mut new, &deployment(), &writer);
        let entry = &new["metadata"]["managedFields"][1];
        assert_eq!(entry["subresource"], "status");
        assert_eq!(
            entry["fieldsV1"],
            json!({"f:status": {"f:replicas": {}, "f:conditions": {".": {}, "k:{\"type\":\"Ready\"}": {
                ".": {}, "f:type": {}, "f:status": {}}}}})
        );
    }

    #[test]
    fn old_updaters_are_merged() {
        let mut object = created();
        for second in 1..=15 {
            let old = object.clone();
            object["metadata"]["labels"][format!("l{second}")] = json!("x");
            let manager = format!("m{second}");
            update(
                Some(&old),
                &mut object,
                &deployment(),
                &Writer::main(&manager, "apps/v1", at(second)),
            );
        }
        let managers = Managers::of(&object);
        assert_eq!(managers.0.len(), MAX_UPDATE_MANAGERS);
        let ancient = managers
            .0
            .iter()
            .find(|(i, _)| i.manager == ANCIENT)
            .unwrap()
            .1;
        assert_eq!(ancient.time.as_deref(), Some("2023-11-14T22:13:26Z"));
        assert!(ancient.fields.has(&[
            crate::PathElement::field("metadata"),
            crate::PathElement::field("labels"),
            crate::PathElement::field("l6")
        ]));
    }

    #[test]
    fn one_empty_entry_resets() {
        let old = created();
        let mut new = old.clone();
        new["metadata"]["managedFields"] = json!([{}]);
        update(
            Some(&old),
            &mut new,
            &deployment(),
            &Writer::main("x", "apps/v1", at(1)),
        );
        assert!(new["metadata"].get("managedFields").is_none());
    }
}
