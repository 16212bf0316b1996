//! What is added to an object when it is created.

use super::facts::{Client, collection, read};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Fact {
    object: Value,
    /// Values by the path of their field: added, or in place of those given.
    #[serde(default)]
    adds: BTreeMap<String, Value>,
    /// Paths of fields that are given and not kept.
    #[serde(default)]
    drops: Vec<String>,
}

/// What the server decides on its own.
const OWN: [&str; 5] = [
    "uid",
    "creationTimestamp",
    "resourceVersion",
    "managedFields",
    "generation",
];

pub async fn compare(client: &mut Client) -> Vec<String> {
    let facts: Vec<Fact> = read("defaults.yaml");
    let mut differences = Vec::new();
    for fact in facts {
        let name = format!(
            "{} {}",
            fact.object["kind"], fact.object["metadata"]["name"]
        );
        let path = format!("{}?dryRun=All", collection(&fact.object));
        let (code, served) = client
            .ask(Method::POST, &path, "application/json", &fact.object)
            .await;
        if code != 201 {
            differences.push(format!("{name} is refused: {served}"));
            continue;
        }
        let given = flat(&fact.object);
        let served = flat(&without_own(served));
        let mut expected = given.clone();
        expected.retain(|path, _| !fact.drops.contains(path));
        for (path, value) in fact.adds {
            // What was empty isn't any more.
            expected.retain(|whole, _| {
                let rest = path.strip_prefix(whole.as_str());
                !rest.is_some_and(|rest| rest.starts_with(['.', '[']))
            });
            expected.insert(path, value);
        }
        for (path, value) in &expected {
            if served.get(path) != Some(value) {
                let found = served.get(path);
                differences.push(format!("{name}: {path} is {found:?}, not {value}"));
            }
        }
        for (path, value) in served
            .iter()
            .filter(|(path, _)| !expected.contains_key(*path))
        {
            differences.push(format!("{name}: {path} is added: {value}"));
        }
    }
    differences
}

fn without_own(mut object: Value) -> Value {
    let uid = object["metadata"]["uid"].clone();
    if let Some(uid) = uid.as_str() {
        let text = object.to_string().replace(uid, "UID");
        object = serde_json::from_str(&text).unwrap();
    }
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.retain(|field, _| !OWN.contains(&field.as_str()));
    object
}

/// Values by the path of their field; empty lists and maps are values.
fn flat(object: &Value) -> Map<String, Value> {
    let mut all = Map::new();
    collect(object, String::new(), &mut all);
    all
}

fn collect(value: &Value, path: String, all: &mut Map<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let plain = key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
                let below = match (plain, path.is_empty()) {
                    (false, _) => format!("{path}['{key}']"),
                    (true, true) => key.clone(),
                    (true, false) => format!("{path}.{key}"),
                };
                collect(value, below, all);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (i, value) in list.iter().enumerate() {
                collect(value, format!("{path}[{i}]"), all);
            }
        }
        value => {
            all.insert(path, value.clone());
        }
    }
}
