//! Aggregated groups in the discovery documents.

use super::local;
use super::remote::State;
use super::spec::Spec;
use hardway_proto::api::ResourceInfo;
use hardway_resources::crd::version_priority;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};

/// A version that another server serves, and what is known of it.
#[derive(Clone, Default)]
pub struct Remote {
    /// What its APIService says.
    pub spec: Spec,
    /// What its server has said.
    pub state: State,
}

/// A group that other servers serve: its versions, preferred first.
struct Group<'a> {
    name: &'a str,
    priority: i64,
    versions: Vec<&'a Remote>,
}

/// The groups, those with the highest priority first.
fn groups(remotes: &[Remote]) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for remote in remotes {
        let name = remote.spec.group.as_str();
        let group = groups.entry(name).or_insert_with(|| Group {
            name,
            priority: 0,
            versions: Vec::new(),
        });
        group.priority = group.priority.max(remote.spec.group_priority_minimum);
        group.versions.push(remote);
    }
    let mut groups: Vec<Group<'_>> = groups.into_values().collect();
    for group in &mut groups {
        group.versions.sort_by_key(|remote| {
            let spec = &remote.spec;
            std::cmp::Reverse((spec.version_priority, version_priority(&spec.version)))
        });
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group.priority), group.name));
    groups
}

/// All versions, by the priority of their groups, preferred ones first.
pub fn in_order(remotes: &[Remote]) -> impl Iterator<Item = &Remote> {
    groups(remotes).into_iter().flat_map(|group| group.versions)
}

/// What other servers serve, for those who go through all resources.
#[derive(Debug, Default, PartialEq)]
pub struct Behind {
    /// Each resource in the version that is preferred of those that have it.
    pub resources: Vec<ResourceInfo>,
    /// `GROUP/VERSION` of those that can't be asked now.
    pub unavailable: Vec<String>,
}

/// The resources of other servers.
pub fn behind(remotes: &[Remote]) -> Behind {
    let mut behind = Behind::default();
    for remote in in_order(remotes) {
        let (group, version) = (&remote.spec.group, &remote.spec.version);
        if !remote.state.is_available {
            behind.unavailable.push(format!("{group}/{version}"));
            continue;
        }
        let list = remote.state.resources.as_deref().and_then(Value::as_array);
        for resource in list.into_iter().flatten() {
            let text = |field: &str| resource[field].as_str().unwrap_or_default().to_owned();
            let name = text("name");
            let is_known = |info: &ResourceInfo| info.group == *group && info.resource == name;
            if name.contains('/') || behind.resources.iter().any(is_known) {
                continue;
            }
            let verbs = resource["verbs"].as_array().into_iter().flatten();
            behind.resources.push(ResourceInfo {
                group: group.clone(),
                version: version.clone(),
                resource: name,
                kind: text("kind"),
                namespaced: resource["namespaced"] == true,
                verbs: verbs
                    .filter_map(|verb| verb.as_str().map(str::to_owned))
                    .collect(),
                also_in: Vec::new(),
                aggregated: true,
            });
        }
    }
    behind
}

/// Where a group goes among those told already.
fn place(told: &[Value], name_of: impl Fn(&Value) -> &str, group: &Group<'_>) -> usize {
    let before = |value: &Value| local::priority(name_of(value)) >= group.priority;
    told.iter()
        .position(|value| !before(value))
        .unwrap_or(told.len())
}

fn version_entry(remote: &Remote) -> Value {
    let (group, version) = (&remote.spec.group, &remote.spec.version);
    json!({"groupVersion": format!("{group}/{version}"), "version": version})
}

fn group_entry(group: &Group<'_>) -> Value {
    let versions: Vec<Value> = group.versions.iter().map(|it| version_entry(it)).collect();
    json!({
        "name": group.name,
        "preferredVersion": versions.first(),
        "versions": versions,
    })
}

/// Adds them to `/apis`.
pub fn add_groups(document: &mut Value, remotes: &[Remote]) {
    let Some(told) = document["groups"].as_array_mut() else {
        return;
    };
    for group in groups(remotes).into_iter().rev() {
        let name_of = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
        match told.iter_mut().find(|value| name_of(value) == group.name) {
            Some(there) => join(there, group_entry(&group)),
            None => {
                let at = place(told, |it| it["name"].as_str().unwrap_or_default(), &group);
                told.insert(at, group_entry(&group));
            }
        }
    }
}

/// Adds versions to a group that has others here.
fn join(there: &mut Value, entry: Value) {
    let more = entry["versions"].as_array().cloned().unwrap_or_default();
    if let Some(versions) = there["versions"].as_array_mut() {
        versions.retain(|version| !more.contains(version));
        versions.extend(more);
    }
}

/// `/apis/GROUP`, out of what this server says of it.
pub fn group(here: Option<Value>, name: &str, remotes: &[Remote]) -> Option<Value> {
    let groups = groups(remotes);
    let Some(group) = groups.iter().find(|group| group.name == name) else {
        return here;
    };
    let mut entry = group_entry(group);
    let Some(mut here) = here else {
        entry["kind"] = "APIGroup".into();
        entry["apiVersion"] = "v1".into();
        return Some(entry);
    };
    join(&mut here, entry);
    Some(here)
}

/// Adds them to the aggregated document of `/apis`.
pub fn add_aggregated(document: &mut Value, remotes: &[Remote]) {
    let Some(told) = document["items"].as_array_mut() else {
        return;
    };
    let name_of = |value: &Value| {
        value["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    for group in groups(remotes).into_iter().rev() {
        let versions: Vec<Value> = group.versions.iter().map(|it| of_version(it)).collect();
        if let Some(there) = told.iter_mut().find(|value| name_of(value) == group.name) {
            if let Some(known) = there["versions"].as_array_mut() {
                known.retain(|it| versions.iter().all(|new| new["version"] != it["version"]));
                known.extend(versions);
            }
            continue;
        }
        let at = place(
            told,
            |it| it["metadata"]["name"].as_str().unwrap_or_default(),
            &group,
        );
        told.insert(
            at,
            json!({
                "metadata": {"name": group.name, "creationTimestamp": null},
                "versions": versions,
            }),
        );
    }
}

/// A version, as far as its server has told it; `Stale` if that can't be asked now.
fn of_version(remote: &Remote) -> Value {
    let state = &remote.state;
    let is_current = state.is_available && state.resources.is_some();
    let resources = state.resources.as_deref().map_or_else(Vec::new, resources);
    json!({
        "version": remote.spec.version,
        "resources": resources,
        "freshness": if is_current { "Current" } else { "Stale" },
    })
}

/// The resources of an APIResourceList in the aggregated form.
fn resources(list: &Value) -> Vec<Value> {
    let all = || list.as_array().into_iter().flatten();
    let name = |it: &Value| it["name"].as_str().unwrap_or_default().to_owned();
    let kind = |it: &Value| {
        json!({
            "group": it["group"].as_str().unwrap_or_default(),
            "version": it["version"].as_str().unwrap_or_default(),
            "kind": it["kind"],
        })
    };
    let mut parts: HashMap<String, Vec<Value>> = HashMap::new();
    for it in all() {
        if let Some((parent, sub)) = name(it).split_once('/') {
            let part = json!({"subresource": sub, "responseKind": kind(it), "verbs": it["verbs"]});
            parts.entry(parent.to_owned()).or_default().push(part);
        }
    }
    let resources = all().filter(|it| !name(it).contains('/'));
    let resources = resources.map(|resource| {
        let own = name(resource);
        let mut entry = Map::new();
        entry.insert("resource".into(), own.clone().into());
        entry.insert("responseKind".into(), kind(resource));
        let is_namespaced = resource["namespaced"] == true;
        let scope = if is_namespaced {
            "Namespaced"
        } else {
            "Cluster"
        };
        entry.insert("scope".into(), scope.into());
        for (theirs, ours) in [
            ("singularName", "singularResource"),
            ("verbs", "verbs"),
            ("shortNames", "shortNames"),
            ("categories", "categories"),
        ] {
            if !resource[theirs].is_null() {
                entry.insert(ours.into(), resource[theirs].clone());
            }
        }
        if let Some(below) = parts.remove(&own) {
            entry.insert("subresources".into(), below.into());
        }
        Value::Object(entry)
    });
    resources.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn remote(group: &str, version: &str, priorities: (i64, i64), is_available: bool) -> Remote {
        let list = json!([
            {"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics",
             "verbs": ["get", "list"]},
            {"name": "pods/x", "singularName": "", "namespaced": true, "kind": "X",
             "group": "g", "version": "v9", "verbs": ["get"]},
        ]);
        Remote {
            spec: Spec {
                group: group.into(),
                version: version.into(),
                group_priority_minimum: priorities.0,
                version_priority: priorities.1,
                ..Spec::default()
            },
            state: State {
                is_available,
                resources: Some(Arc::new(list)),
                ..State::default()
            },
        }
    }

    #[test]
    fn who_goes_through_all_resources_meets_each_once() {
        let told = behind(&[
            remote("metrics.k8s.io", "v1", (100, 10), true),
            remote("metrics.k8s.io", "v1beta1", (100, 100), true),
            remote("away.example.com", "v1", (100, 1), false),
        ]);
        let names: Vec<String> = told
            .resources
            .iter()
            .map(|it| format!("{}/{}/{} {:?}", it.group, it.version, it.resource, it.verbs))
            .collect();
        assert_eq!(names, ["metrics.k8s.io/v1beta1/pods [\"get\", \"list\"]"]);
        assert!(
            told.resources
                .iter()
                .all(|it| it.aggregated && it.namespaced)
        );
        assert_eq!(told.unavailable, ["away.example.com/v1"]);
    }

    #[test]
    fn groups_are_told_by_priority_and_versions_too() {
        let remotes = [
            remote("low.example.com", "v1", (100, 1), true),
            remote("metrics.k8s.io", "v1", (17_750, 10), true),
            remote("metrics.k8s.io", "v1beta1", (100, 100), false),
        ];
        let mut document = json!({"groups": [
            {"name": "apps", "versions": []},
            {"name": "events.k8s.io", "versions": []},
            {"name": "batch", "versions": []},
            {"name": "custom.example.com", "versions": []},
        ]});
        add_groups(&mut document, &remotes);
        let names: Vec<&str> = document["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "apps",
                "events.k8s.io",
                "metrics.k8s.io",
                "batch",
                "custom.example.com",
                "low.example.com"
            ]
        );
        let metrics = &document["groups"][2];
        assert_eq!(metrics["preferredVersion"]["version"], "v1beta1");
        let alone = group(None, "metrics.k8s.io", &remotes).unwrap();
        assert_eq!(alone["kind"], "APIGroup");
        assert!(group(None, "nothing", &remotes).is_none());
        // One that has versions here as well tells both.
        let here = json!({"name": "low.example.com", "versions": [{"groupVersion": "low.example.com/v2", "version": "v2"}]});
        let both = group(Some(here), "low.example.com", &remotes).unwrap();
        assert_eq!(both["versions"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_server_that_is_away_is_told_as_stale() {
        let remotes = [
            remote("metrics.k8s.io", "v1", (100, 10), true),
            remote("metrics.k8s.io", "v1beta1", (100, 1), false),
        ];
        let mut document = json!({"items": [{"metadata": {"name": "apps"}, "versions": []}]});
        add_aggregated(&mut document, &remotes);
        let versions = &document["items"][1]["versions"];
        assert_eq!(versions[0]["freshness"], "Current");
        assert_eq!(versions[1]["freshness"], "Stale");
        let pods = &versions[0]["resources"][0];
        assert_eq!(
            (
                &pods["resource"],
                &pods["scope"],
                &pods["responseKind"]["kind"]
            ),
            (&json!("pods"), &json!("Namespaced"), &json!("PodMetrics"))
        );
        assert_eq!(pods["subresources"][0]["subresource"], "x");
        assert_eq!(pods["subresources"][0]["responseKind"]["version"], "v9");
    }
}
