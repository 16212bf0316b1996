//! What the server serves, told to clients: the classic documents one group at
//! a time, and the aggregated ones (`apidiscovery.k8s.io`).

use crate::registry::Snapshot;
use crate::resource::{Resource, Subresource, api_version};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// `/api`.
pub fn api_versions(server_address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": server_address},
        ],
    })
}

/// `/apis`.
pub fn groups(table: &Snapshot) -> Value {
    let groups: Vec<Value> = table
        .groups()
        .iter()
        .map(|name| group_entry(table, name))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`; `None` if there is no such group.
pub fn group(table: &Snapshot, name: &str) -> Option<Value> {
    if name.is_empty() || table.versions(name).is_empty() {
        return None;
    }
    let mut group = group_entry(table, name);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Some(group)
}

fn group_entry(table: &Snapshot, name: &str) -> Value {
    let versions: Vec<Value> = table
        .versions(name)
        .iter()
        .map(|version| json!({"groupVersion": api_version(name, version), "version": version}))
        .collect();
    json!({
        "name": name,
        "preferredVersion": versions.first(),
        "versions": versions,
    })
}

/// `/api/v1` and `/apis/GROUP/VERSION`; `None` if there is no such version.
pub fn resources(table: &Snapshot, group: &str, version: &str) -> Option<Value> {
    let rows = table.of_version(group, version);
    if rows.is_empty() {
        return None;
    }
    let mut resources = Vec::new();
    for row in rows {
        resources.push(resource(row));
        for sub in row.subresources(version) {
            resources.push(subresource(row, version, sub));
        }
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version(group, version),
        "resources": resources,
    }))
}

fn resource(row: &Resource) -> Value {
    let mut entry = json!({
        "name": row.plural,
        "singularName": row.singular,
        "namespaced": row.namespaced(),
        "kind": row.kind,
        "verbs": row.verbs,
    });
    names(row, &mut entry);
    if row.allows("list") && row.allows("create") {
        entry["storageVersionHash"] = storage_version_hash(row).into();
    }
    entry
}

fn names(row: &Resource, entry: &mut Value) {
    if !row.short_names.is_empty() {
        entry["shortNames"] = json!(row.short_names);
    }
    if !row.categories.is_empty() {
        entry["categories"] = json!(row.categories);
    }
}

fn subresource(row: &Resource, version: &str, sub: &Subresource) -> Value {
    let mut entry = json!({
        "name": format!("{}/{}", row.plural, sub.name),
        "singularName": "",
        "namespaced": row.namespaced(),
        "kind": row.kind,
        "verbs": sub.verbs,
    });
    if let Some((body_group, body_version, kind)) = &sub.body {
        entry["kind"] = kind.as_str().into();
        if (body_group.as_str(), body_version.as_str()) != (row.group.as_str(), version) {
            entry["group"] = body_group.as_str().into();
            entry["version"] = body_version.as_str().into();
        }
    }
    entry
}

/// Kubernetes' hash of the group, version and kind that etcd keeps.
fn storage_version_hash(row: &Resource) -> String {
    let text = format!("{}/{}/{}", row.kept_group(), row.kept_version(), row.kind);
    STANDARD.encode(&Sha256::digest(text)[..8])
}

/// Which aggregated document a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregated {
    /// The version of `apidiscovery.k8s.io`: `v2` or `v2beta1`.
    pub version: &'static str,
    /// The media type, one of [`ENCODINGS`].
    pub encoding: &'static str,
}

/// The media types that discovery is answered in.
pub const ENCODINGS: [&str; 3] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

impl Aggregated {
    /// The first form of an `Accept` header that asks for aggregation; `None`
    /// if an unaggregated one comes before.
    pub fn from_accept(accept: &str) -> Option<Self> {
        let first = accept.split(',').find_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media = match parts.next()? {
                "*/*" | "application/*" => ENCODINGS[0],
                media => media,
            };
            let encoding = ENCODINGS.into_iter().find(|encoding| *encoding == media)?;
            let has = |parameter: &str| parts.clone().any(|part| part == parameter);
            match (
                has("as=APIGroupDiscoveryList"),
                has("g=apidiscovery.k8s.io"),
            ) {
                (false, false) => return Some(None),
                (true, true) => {}
                _ => return None,
            }
            let version = ["v2", "v2beta1"]
                .into_iter()
                .find(|version| has(&format!("v={version}")))?;
            Some(Some(Self { version, encoding }))
        });
        first.flatten()
    }

    /// The content type of the answer.
    pub fn content_type(self) -> String {
        let Self { version, encoding } = self;
        format!("{encoding};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList")
    }
}

/// The aggregated document of `/api` (`core`) or `/apis`.
pub fn aggregated(table: &Snapshot, form: Aggregated, core: bool) -> Value {
    let groups = if core { vec![""] } else { table.groups() };
    let items: Vec<Value> = groups
        .into_iter()
        .map(|group| {
            let versions: Vec<Value> = table
                .versions(group)
                .into_iter()
                .map(|version| {
                    let rows = table.of_version(group, version);
                    let resources: Vec<Value> = rows
                        .into_iter()
                        .map(|row| aggregated_resource(row, version))
                        .collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let mut metadata = Map::new();
            if !group.is_empty() {
                metadata.insert("name".into(), group.into());
            }
            metadata.insert("creationTimestamp".into(), Value::Null);
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{}", form.version),
        "metadata": {},
        "items": items,
    })
}

/// Whether the row shows again what another group has.
fn passed_by(row: &Resource) -> bool {
    row.removed.is_some() && row.kept_group() != row.group
}

fn aggregated_resource(row: &Resource, version: &str) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    // Only those of definitions name the group and version that they are in.
    let here = |name: &str| match row.custom {
        true => kind(&row.group, version, name),
        false => kind("", "", name),
    };
    let own = here(&row.kind);
    let subresources: Vec<Value> = row
        .subresources(version)
        .iter()
        .map(|sub| {
            let body = sub.body.as_ref();
            json!({
                "subresource": sub.name,
                "responseKind": body.map_or(own.clone(), |(g, v, k)| match (g, v) {
                    (g, v) if *g == row.group && v == version => here(k),
                    _ => kind(g, v, k),
                }),
                "verbs": sub.verbs,
            })
        })
        .collect();
    let mut entry = json!({
        "resource": row.plural,
        "responseKind": own,
        "scope": if row.namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": row.singular,
        // Clients that go through all there is (`kubectl api-resources`,
        // collectors of garbage or backups) pass by what has no verbs, and so
        // meet each object once.
        "verbs": if passed_by(row) { &[] } else { row.verbs.as_slice() },
    });
    names(row, &mut entry);
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;

    const V2: Aggregated = Aggregated {
        version: "v2",
        encoding: ENCODINGS[0],
    };

    #[test]
    fn the_core_group_as_kubernetes_tells_it() {
        let table = Registry::new().snapshot();
        let list = resources(&table, "", "v1").expect("v1");
        let find = |name: &str| {
            let all = list["resources"].as_array().expect("a list");
            all.iter()
                .find(|r| r["name"] == name)
                .cloned()
                .expect("served")
        };
        // The hashes are those of every Kubernetes cluster.
        assert_eq!(find("pods")["storageVersionHash"], "xPOwRZ+Yhw8=");
        assert_eq!(find("services")["storageVersionHash"], "0/CO1lhkEBI=");
        assert_eq!(find("pods")["shortNames"], json!(["po"]));
        assert_eq!(
            find("replicationcontrollers/scale"),
            json!({"name": "replicationcontrollers/scale", "singularName": "", "namespaced": true,
                "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]})
        );
        assert_eq!(find("pods/log")["kind"], "Pod");
        assert_eq!(find("pods/binding").get("group"), None);
        assert_eq!(find("bindings").get("storageVersionHash"), None);
        let events = resources(&table, "events.k8s.io", "v1").expect("events");
        assert_eq!(events["resources"][0]["storageVersionHash"], "r2yiGXH7wu8=");
    }

    #[test]
    fn groups_in_order_and_versions_by_preference() {
        let table = Registry::new().snapshot();
        let list = groups(&table);
        assert_eq!(list["groups"][0]["name"], "apiregistration.k8s.io");
        assert_eq!(list["groups"][1]["name"], "apps");
        let autoscaling = group(&table, "autoscaling").expect("autoscaling");
        assert_eq!(
            autoscaling["preferredVersion"]["groupVersion"],
            "autoscaling/v2"
        );
        assert_eq!(autoscaling["versions"][1]["version"], "v1");
        assert!(group(&table, "nope").is_none());
    }

    #[test]
    fn old_versions_come_after_the_present_ones() {
        let table = Registry::new().snapshot();
        assert_eq!(table.groups().last(), Some(&"extensions"));
        let apps = group(&table, "apps").expect("apps");
        assert_eq!(apps["preferredVersion"]["version"], "v1");
        assert_eq!(apps["versions"][1]["version"], "v1beta2");
        let list = resources(&table, "extensions", "v1beta1").expect("served");
        let find = |name: &str| {
            let all = list["resources"].as_array().expect("a list");
            all.iter().find(|r| r["name"] == name).cloned()
        };
        let deployments = find("deployments").expect("served");
        // Of the objects as apps/v1 keeps them.
        assert_eq!(deployments["storageVersionHash"], "8aSe+NMegvE=");
        assert_eq!(deployments["verbs"].as_array().map(Vec::len), Some(8));
        assert!(deployments.get("shortNames").is_none());
        assert!(deployments.get("categories").is_none());
        let scale = find("deployments/scale").expect("served");
        assert_eq!(
            (&scale["kind"], scale.get("group")),
            (&json!("Scale"), None)
        );
        assert!(find("deployments/rollback").is_some());
        // Whoever goes through everything meets each object once.
        let document = aggregated(&table, V2, false);
        let groups = document["items"].as_array().expect("groups");
        let old = groups.last().expect("extensions");
        let resources = old["versions"][0]["resources"].as_array();
        assert!(
            resources
                .expect("resources")
                .iter()
                .all(|r| r["verbs"] == json!([]))
        );
    }

    #[test]
    fn aggregated_by_accept_header() {
        let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
            application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        let form = |version, encoding| Aggregated { version, encoding };
        assert_eq!(Aggregated::from_accept(kubectl), Some(V2));
        assert_eq!(Aggregated::from_accept("application/json"), None);
        assert_eq!(Aggregated::from_accept("*/*"), None);
        let protobuf = "application/vnd.kubernetes.protobuf";
        assert_eq!(
            Aggregated::from_accept(&format!("{protobuf}, {kubectl}")),
            None
        );
        let parameters = "g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        assert_eq!(
            Aggregated::from_accept(&format!("{protobuf};{parameters},{protobuf}")),
            Some(form("v2beta1", protobuf))
        );
        let table = Registry::new().snapshot();
        let document = aggregated(&table, V2, false);
        assert_eq!(document["items"][1]["metadata"]["name"], "apps");
        assert_eq!(
            document["items"][1]["versions"][0]["resources"][2]["responseKind"]["kind"],
            "Deployment"
        );
        let core = aggregated(&table, form("v2beta1", "application/json"), true);
        assert_eq!(core["items"][0]["metadata"].get("name"), None);
    }
}
