//! The lists of resources, and the same in the aggregated documents.

use super::facts::{Client, read, root};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const JSON: &str = "application/json";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Entries by name, in the order that they are served in.
type Entries = Map<String, Value>;

#[derive(Deserialize)]
struct Facts {
    versions: BTreeMap<String, Entries>,
}

pub async fn compare(client: &mut Client) -> Vec<String> {
    let facts: Facts = read("discovery.yaml");
    let core = client.get("/api", AGGREGATED).await;
    let named = client.get("/apis", AGGREGATED).await;
    let mut differences = Vec::new();
    for (api_version, mut expected) in facts.versions {
        for (name, entry) in &mut expected {
            let entry = entry.as_object_mut().unwrap();
            entry.insert("name".into(), name.as_str().into());
            entry.entry("singularName").or_insert_with(|| "".into());
        }
        let list = client.get(&root(&api_version), JSON).await;
        let served = by_name(list["resources"].as_array().unwrap(), "name");
        differences.extend(unequal(&api_version, &expected, &served));

        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
        let document = if group.is_empty() { &core } else { &named };
        let resources = find(&document["items"], group, version);
        let served = by_name(resources, "resource");
        let place = format!("aggregated {api_version}");
        differences.extend(unequal(&place, &aggregate(&expected), &served));
    }
    differences
}

fn by_name(entries: &[Value], key: &str) -> Entries {
    let name = |entry: &Value| entry[key].as_str().unwrap().to_owned();
    let entries = entries.iter();
    entries.map(|entry| (name(entry), entry.clone())).collect()
}

fn find<'a>(groups: &'a Value, group: &str, version: &str) -> &'a [Value] {
    let mut groups = groups.as_array().unwrap().iter();
    let group = groups.find(|g| g["metadata"]["name"].as_str().unwrap_or_default() == group);
    let mut versions = group.unwrap()["versions"].as_array().unwrap().iter();
    let version = versions.find(|v| v["version"] == version);
    version.unwrap()["resources"].as_array().unwrap()
}

/// Entries of a list as the aggregated document has them.
fn aggregate(entries: &Entries) -> Entries {
    let kind = |entry: &Value| {
        let [group, version] = ["group", "version"].map(|key| entry[key].as_str().unwrap_or(""));
        json!({"group": group, "version": version, "kind": entry["kind"]})
    };
    let mut aggregated = Entries::new();
    for (name, entry) in entries {
        if let Some((parent, name)) = name.split_once('/') {
            let subresource =
                json!({"subresource": name, "responseKind": kind(entry), "verbs": entry["verbs"]});
            let subresources = &mut aggregated[parent]["subresources"];
            match subresources.as_array_mut() {
                Some(list) => list.push(subresource),
                None => *subresources = json!([subresource]),
            }
            continue;
        }
        let scope = match entry["namespaced"] == true {
            true => "Namespaced",
            false => "Cluster",
        };
        let mut resource = json!({"resource": name, "responseKind": kind(entry), "scope": scope,
            "singularResource": entry["singularName"], "verbs": entry["verbs"]});
        for key in ["shortNames", "categories"] {
            if let Some(names) = entry.get(key) {
                resource[key] = names.clone();
            }
        }
        aggregated.insert(name.clone(), resource);
    }
    aggregated
}

fn unequal(place: &str, expected: &Entries, served: &Entries) -> Vec<String> {
    let none = Value::Null;
    let mut names: Vec<&String> = expected.keys().chain(served.keys()).collect();
    names.sort();
    names.dedup();
    let pairs = names.into_iter().map(|name| {
        let of = |entries: &'_ Entries| entries.get(name).unwrap_or(&none).clone();
        (name, of(expected), of(served))
    });
    pairs
        .filter(|(_, expected, served)| expected != served)
        .map(|(name, expected, served)| {
            format!("{place} {name}:\n  expected {expected}\n  served   {served}")
        })
        .collect()
}
