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

/// Paths and definitions of the custom resources that are asked for: for v3 those of a
/// version, for v2 those of all.
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
                add_schemas(row, served, version.is_none(), &mut schemas);
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
    let subresources = row.subresources(version).iter().map(|sub| paths::Sub {
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

/// The texts of `TypeMeta`, which every kind begins with.
const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
/// Those of a resource within another.
const EMBEDDED_API_VERSION: &str = "apiVersion defines the versioned schema of this representation of an object. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const EMBEDDED_KIND: &str = "kind is a string value representing the type of this object. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const CONVENTIONS: &str = "More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

fn described(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn meta(kind: &str, description: &str) -> Value {
    let reference = format!("{}{META}.{kind}", paths::PREFIX);
    json!({"description": description, "allOf": [{"$ref": reference}]})
}

fn object_meta() -> Value {
    let text = format!("Standard object's metadata. {CONVENTIONS}#metadata");
    meta("ObjectMeta", &text)
}

/// Set where fields that no schema names are kept.
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// The schemas of a kind and its list, as `pkg/controller/openapi/builder` of
/// k8s.io/apiextensions-apiserver makes them. kubectl takes what v2 says of an object for
/// all that it may have, so what keeps unknown fields has no fields there.
fn add_schemas(row: &Resource, served: &Version, v2: bool, schemas: &mut Map<String, Value>) {
    let version = &served.name;
    let schema = served.open_api.as_ref().map(|schema| schema.value());
    let mut schema = match schema.filter(|schema| !v2 || schema[PRESERVE] != true) {
        Some(mut schema) => {
            if v2 {
                simplify(&mut schema);
            }
            add_embedded(&mut schema, v2);
            if !schema["properties"].is_object() {
                schema["properties"] = json!({});
            }
            schema["properties"]["apiVersion"] = described(API_VERSION);
            schema["properties"]["kind"] = described(KIND);
            schema["properties"]["metadata"] = object_meta();
            schema
        }
        None => json!({"type": "object"}),
    };
    let gvk = |kind: &str| json!([{"group": row.group, "version": version, "kind": kind}]);
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
    let metadata = format!("Standard list metadata. {CONVENTIONS}#types-kinds");
    // Paths refer to the list as the kind followed by `List`.
    let list = json!({
        "description": format!("{} is a list of {}", row.list_kind, row.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": described(API_VERSION),
            "kind": described(KIND),
            "metadata": meta("ListMeta", &metadata),
            "items": {"type": "array",
                "description": format!("List of {}. {CONVENTIONS}", row.plural),
                "items": {"$ref": format!("{}{definition}", paths::PREFIX)}},
        },
        "x-kubernetes-group-version-kind": gvk(&row.list_kind),
    });
    schemas.insert(format!("{definition}List"), list);
    schemas.insert(definition, schema);
}

/// Takes out of a schema what v2 has no words for, and what kubectl, which validates by it,
/// would take for more than is said: fields of values that may have others or be null
/// (`ToStructuralOpenAPIV2` of k8s.io/apiextensions-apiserver).
fn simplify(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    for one in ["allOf", "anyOf", "oneOf", "not"] {
        map.remove(one);
    }
    let nullable = map.remove("nullable") == Some(Value::Bool(true));
    let open = map.get(PRESERVE) == Some(&Value::Bool(true));
    if nullable || open {
        map.remove("items");
        map.remove("properties");
    }
    let untyped = match map.get("type").and_then(Value::as_str) {
        Some("array") => !map.contains_key("items"),
        Some("object") => open,
        _ => false,
    };
    if nullable || untyped {
        map.remove("type");
    }
    require_no_nullable(map);
    for below in ["items", "additionalProperties"] {
        map.get_mut(below).into_iter().for_each(simplify);
    }
    let properties = map.get_mut("properties").and_then(Value::as_object_mut);
    let values = properties.into_iter().flat_map(Map::values_mut);
    values.for_each(simplify);
}

/// kubectl misses a required field that is null.
fn require_no_nullable(map: &mut Map<String, Value>) {
    let nullable = |value: Option<&Value>| value.is_some_and(|value| value["nullable"] == true);
    if nullable(map.get("additionalProperties")) {
        map.remove("required");
    }
    let Some(Value::Array(mut required)) = map.remove("required") else {
        return;
    };
    let properties = map.get("properties").and_then(Value::as_object);
    required.retain(|field| {
        let field = field.as_str().unwrap_or_default();
        !nullable(properties.and_then(|properties| properties.get(field)))
    });
    if !required.is_empty() {
        map.insert("required".to_owned(), required.into());
    }
}

/// Says of resources within others what they all have.
fn add_embedded(schema: &mut Value, v2: bool) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties
        .into_iter()
        .flat_map(|properties| properties.values_mut())
    {
        add_embedded(property, v2);
    }
    for below in ["items", "additionalProperties"] {
        if schema[below].is_object() {
            add_embedded(&mut schema[below], v2);
        }
    }
    let preserves = schema[PRESERVE] == true;
    if schema["x-kubernetes-embedded-resource"] != true || v2 && preserves {
        return;
    }
    schema["properties"]["apiVersion"] = described(EMBEDDED_API_VERSION);
    schema["properties"]["kind"] = described(EMBEDDED_KIND);
    schema["properties"]["metadata"] = object_meta();
    let mut required = schema["required"].as_array().cloned().unwrap_or_default();
    for field in ["kind", "apiVersion"] {
        if required.iter().all(|name| name != field) {
            required.push(field.into());
        }
    }
    schema["required"] = required.into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;
    use std::sync::Arc;

    fn published(schema: Value, v2: bool) -> (Value, Value) {
        let registry = Registry::new();
        let crd = json!({"metadata": {"name": "knobs.example.com"}, "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "knobs", "kind": "Knob"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}});
        registry.put_custom(Arc::new(crate::crd::row(&crd).expect("a good definition")));
        let version = (!v2).then_some("v1");
        let (_, mut all) = parts(&registry.snapshot(), |_| true, version);
        let mut take = |name: &str| all.remove(name).expect("it is there");
        (take("com.example.v1.Knob"), take("com.example.v1.KnobList"))
    }

    #[test]
    fn what_every_kind_has_is_said_in_kubernetes_words() {
        let embedded = json!({"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true});
        let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {
            "template": embedded, "metadata": {"type": "object"}}}});
        let (knob, list) = published(schema.clone(), false);
        let text = |of: &Value, field: &str| of["properties"][field]["description"].clone();
        assert_eq!(text(&knob, "apiVersion"), API_VERSION);
        assert_eq!(text(&list, "kind"), KIND);
        let page =
            "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
        assert_eq!(
            text(&knob, "metadata"),
            format!("Standard object's metadata. More info: {page}#metadata")
        );
        assert_eq!(
            text(&list, "items"),
            format!("List of knobs. More info: {page}")
        );
        let template = &knob["properties"]["template"];
        assert_eq!(template["required"], json!(["kind", "apiVersion"]));
        assert_eq!(text(template, "kind"), EMBEDDED_KIND);
        let (knob, _) = published(schema, true);
        let template = &knob["properties"]["template"];
        assert_eq!(template.get("properties"), None);
    }

    #[test]
    fn where_anything_is_allowed_no_fields_are_said() {
        let kind = json!([{"group": "example.com", "version": "v1", "kind": "Knob"}]);
        let bare = json!({"type": "object", "x-kubernetes-group-version-kind": kind});
        for v2 in [true, false] {
            assert_eq!(published(Value::Null, v2).0, bare);
        }
        let open = json!({"openAPIV3Schema": {"type": "object",
            "x-kubernetes-preserve-unknown-fields": true}});
        assert_eq!(published(open.clone(), true).0, bare);
        assert!(published(open, false).0["properties"]["kind"].is_object());
    }

    #[test]
    fn v2_leaves_out_what_kubectl_would_misread() {
        let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "required": ["open", "maybe"],
            "anyOf": [{"required": ["open"]}], "properties": {
            "open": {"type": "object", "description": "anything", PRESERVE: true,
                "properties": {"known": {"type": "string"}}},
            "maybe": {"type": "array", "nullable": true, "items": {"type": "string"}},
            "port": {"x-kubernetes-int-or-string": true,
                "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "ports": {"type": "object", "required": ["a"],
                "additionalProperties": {"type": "integer", "nullable": true}},
        }}}}});
        let spec = json!({"type": "object", "required": ["open"], "properties": {
            "open": {"description": "anything", PRESERVE: true},
            "maybe": {},
            "port": {"x-kubernetes-int-or-string": true},
            "ports": {"type": "object", "additionalProperties": {}},
        }});
        assert_eq!(
            published(schema.clone(), true).0["properties"]["spec"],
            spec
        );
        let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
        assert_eq!(
            published(schema.clone(), false).0["properties"]["spec"],
            *spec
        );
    }
}
