//! Storage made of JSON.

use super::*;
use serde_json::Value;

fn fill<K: Kind>(store: &Store<K>, objects: Value) {
    for object in objects.as_array().expect("a list") {
        let object = K::parse(object.to_string().as_bytes()).expect("an object");
        store.insert(Arc::new(object));
    }
}

/// One claim, some volumes and classes.
pub fn storage(claim: Value, volumes: Value, classes: Value) -> Storage {
    let storage = Storage::default();
    fill(&storage.claims, Value::Array(vec![claim]));
    fill(&storage.volumes, volumes);
    fill(&storage.classes, classes);
    storage
}

/// The same with drivers: what they say of themselves, of nodes, of their room, and what is
/// attached.
pub fn with_drivers(
    storage: Storage,
    drivers: Value,
    nodes: Value,
    capacities: Value,
    attachments: Value,
) -> Storage {
    fill(&storage.drivers, drivers);
    fill(&storage.csi_nodes, nodes);
    fill(&storage.capacities, capacities);
    fill(&storage.attachments, attachments);
    storage
}
