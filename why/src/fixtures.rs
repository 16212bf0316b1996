//! Clusters for tests, of a few objects each.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{Diagnosis, Explanation, Listing, Resource, Snapshot, Source, Subject};
use crate::{everything, explain, problems, resource};

/// The time of all snapshots.
pub(crate) const NOW: &str = "2025-01-01T00:10:00Z";

/// All lists are read; these objects are in them.
pub(crate) fn snapshot(objects: &[(&str, Value)]) -> Snapshot {
    let mut snapshot = Snapshot::new(NOW.parse().unwrap());
    for resource in everything() {
        snapshot.put(resource, Listing::Read(Vec::new()));
    }
    for (kind, object) in objects {
        let other = Resource::other("example.com", "v1", "others", kind, true);
        let resource = resource(kind).unwrap_or(&other);
        snapshot.put(resource, Listing::Read(vec![Arc::new(object.clone())]));
    }
    snapshot
}

/// Everything that is wrong with these.
pub(crate) fn found(objects: &[(&str, Value)]) -> Vec<Diagnosis> {
    problems(&snapshot(objects), None)
}

/// The only thing that is wrong with these.
pub(crate) fn one(objects: &[(&str, Value)]) -> Diagnosis {
    let mut all = found(objects);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// What is told of one, `kind/name` in the namespace default or none.
pub(crate) fn ask(objects: &[(&str, Value)], kind: &str, name: &str) -> Explanation {
    let snapshot = snapshot(objects);
    let namespaced = resource(kind).is_none_or(|it| it.namespaced);
    let subject = Subject::new(kind, namespaced.then_some("default"), name);
    explain(&snapshot, &subject).unwrap()
}

/// The evidence has a line with this text.
pub(crate) fn says(diagnosis: &Diagnosis, text: &str) {
    let has = diagnosis.evidence.iter().any(|it| it.says.contains(text));
    assert!(has, "{text:?} is not in {:#?}", diagnosis.evidence);
}

/// There is evidence from here.
pub(crate) fn cites(diagnosis: &Diagnosis, source: &Source) {
    let has = diagnosis.evidence.iter().any(|it| it.source == *source);
    assert!(has, "{source:?} is not in {:#?}", diagnosis.evidence);
}

/// A warning event about an object in the namespace default.
pub(crate) fn event(kind: &str, name: &str, reason: &str, message: &str) -> (&'static str, Value) {
    let value = json!({
        "metadata": {"name": format!("{name}.{reason}"), "namespace": "default"},
        "involvedObject": {"kind": kind, "namespace": "default", "name": name},
        "type": "Warning", "reason": reason, "message": message, "count": 3,
        "firstTimestamp": "2025-01-01T00:08:00Z", "lastTimestamp": "2025-01-01T00:09:30Z",
    });
    ("Event", value)
}
