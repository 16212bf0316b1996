//! The documents' parts that custom resources add.

use super::{embedded, paths};
use crate::registry::Snapshot;
use crate::resource::{Resource, Version};
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Groups and versions that custom resources are served in.
pub fn versions(table: &Snapshot) -> Vec<(String, String)> {
    let mut versions: Vec<(String, String)> = rows(table)
        .flat_map(|row| {
            row.versions
                .iter()
                .map(|version| (row.group.clone(), version.name.clone()))
        })
        .collect();
    versions.sort();
    versions.dedup();
    versions
}

fn rows(table: &Snapshot) -> impl Iterator<Item = &Resource> {
    table
        .rows()
        .iter()
        .map(|row| &**row)
        .filter(|row| row.custom)
}

/// Paths and definitions of the custom resources that are asked for.
pub fn parts(
    table: &Snapshot,
    wanted: impl Fn(&Resource) -> bool,
    version: Option<&str>,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut all_paths, mut schemas) = (Map::new(), Map::new());
    for row in rows(table).filter(|row| wanted(row)) {
        for served in &row.versions {
            if version.is_none_or(|version| version == served.name) {
                all_paths.extend(paths::paths(&view(row, &served.name)));
                add_schemas(row, served, &mut schemas);
            }
        }
    }
    if !all_paths.is_empty() {
        let meta: Map<String, Value> = serde_json::from_reader(GzDecoder::new(embedded::META))
            .expect("the build script wrote these definitions");
        schemas.extend(meta);
    }
    (all_paths, schemas)
}

/// `stable.example.com` → `com.example.stable.v1.CronTab`.
fn name(group: &str, version: &str, kind: &str) -> String {
    let reversed: Vec<&str> = group.rsplit('.').collect();
    format!("{}.{version}.{kind}", reversed.join("."))
}

fn view<'a>(row: &'a Resource, version: &'a str) -> paths::Served<'a> {
    let subresources = row.subresources.iter().map(|sub| paths::Sub {
        name: &sub.name,
        verbs: sub.verbs.iter().map(String::as_str).collect(),
        body: sub.body.as_ref().map(|(group, version, kind)| {
            let definition = crate::rows::definition(group, version, kind);
            (
                group.as_str(),
                version.as_str(),
                kind.as_str(),
                Some(definition),
            )
        }),
    });
    paths::Served {
        group: &row.group,
        version,
        kind: &row.kind,
        plural: &row.plural,
        namespaced: row.namespaced(),
        verbs: row.verbs.iter().map(String::as_str).collect(),
        subresources: subresources.collect(),
        definition: name(&row.group, version, &row.kind),
        strategic: false,
    }
}

fn add_schemas(row: &Resource, served: &Version, schemas: &mut Map<String, Value>) {
    let version = &served.name;
    let mut schema = match &served.open_api {
        Some(schema) => Value::clone(schema),
        None => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    };
    let gvk = |kind: &str| json!([{"group": row.group, "version": version, "kind": kind}]);
    let meta = |kind: &str, description: &str| json!({"description": description, "allOf": [{"$ref": format!("{}{META}.{kind}", paths::PREFIX)}]});
    let api_version = json!({"type": "string", "description": "APIVersion is the group and version of this object."});
    let kind = json!({"type": "string", "description": "Kind is the kind of this object."});
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    schema["properties"]["apiVersion"] = api_version.clone();
    schema["properties"]["kind"] = kind.clone();
    schema["properties"]["metadata"] = meta("ObjectMeta", "Standard object's metadata.");
    schema["x-kubernetes-group-version-kind"] = gvk(&row.kind);
    let selectable = row.rules.selectable_names().into_iter();
    let selectable: Vec<Value> = selectable
        .filter(|field| row.rules.is_selectable(version, field))
        .map(|field| json!({"fieldPath": field}))
        .collect();
    if !selectable.is_empty() {
        schema["x-kubernetes-selectable-fields"] = selectable.into();
    }
    let definition = name(&row.group, version, &row.kind);
    // Paths refer to the list as the kind followed by `List`.
    let list = json!({
        "description": format!("{} is a list of {}", row.list_kind, row.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": api_version,
            "kind": kind,
            "metadata": meta("ListMeta", "Standard list metadata."),
            "items": {"type": "array", "description": "List of objects.",
                "items": {"$ref": format!("{}{definition}", paths::PREFIX)}},
        },
        "x-kubernetes-group-version-kind": gvk(&row.list_kind),
    });
    schemas.insert(format!("{definition}List"), list);
    schemas.insert(definition, schema);
}
