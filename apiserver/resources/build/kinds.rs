//! The definitions of all kinds the server speaks of, from k8s-openapi.

use crate::facts::{Enums, Facts};
use crate::old::{self, Changes};
use crate::rows;
use k8s_openapi::schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use k8s_openapi::api::{
    admissionregistration::v1 as admissionregistration,
    admissionregistration::v1alpha1 as admissionregistration_alpha, apps::v1 as apps,
    authentication::v1 as authentication, authorization::v1 as authorization,
    autoscaling::v1 as autoscaling, autoscaling::v2 as autoscaling_v2, batch::v1 as batch,
    certificates::v1 as certificates, coordination::v1 as coordination, core::v1 as core,
    discovery::v1 as discovery, events::v1 as events, flowcontrol::v1 as flowcontrol,
    networking::v1 as networking, node::v1 as node, policy::v1 as policy, rbac::v1 as rbac,
    scheduling::v1 as scheduling, storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::apimachinery::pkg::{apis::meta::v1 as meta, version};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration;

/// Where definitions refer to each other.
pub const PREFIX: &str = "#/components/schemas/";

/// Kinds that are bodies without being resources.
const BODIES: &[(&str, &str, &str)] = &[
    ("", "v1", "DeleteOptions"),
    ("", "v1", "Status"),
    ("apps", "v1beta1", "DeploymentRollback"),
    ("apps", "v1beta1", "Scale"),
    ("apps", "v1beta2", "Scale"),
    ("authentication.k8s.io", "v1", "TokenRequest"),
    ("autoscaling", "v1", "Scale"),
    ("extensions", "v1beta1", "DeploymentRollback"),
    ("extensions", "v1beta1", "Scale"),
    ("policy", "v1", "Eviction"),
];

/// Packages of definitions that Kubernetes 1.33 has in alpha alone and 1.34 in beta, with
/// the same fields.
const PROMOTED: &[(&str, &str)] = &[(
    "io.k8s.api.admissionregistration.v1alpha1.",
    "io.k8s.api.admissionregistration.v1beta1.",
)];

macro_rules! generate {
    ($generator:ident: $($module:ident { $($kind:ident)* })*) => {
        $($($generator.subschema_for::<$module::$kind>();)*)*
    };
}

/// All definitions by full name, with facts applied, in OpenAPI v3 form.
pub fn definitions(facts: &Facts, enums: &Enums, changes: &Changes) -> Map<String, Value> {
    let mut settings = SchemaSettings::openapi3();
    settings.transforms.clear();
    let mut generator = SchemaGenerator::new(settings);
    generate!(generator:
        core {
            Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node
            PersistentVolume PersistentVolumeClaim Pod PodTemplate ReplicationController
            ResourceQuota Secret Service ServiceAccount
        }
        apps { ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet }
        batch { CronJob Job }
        autoscaling { HorizontalPodAutoscaler Scale }
        autoscaling_v2 { HorizontalPodAutoscaler }
        networking { Ingress IngressClass IPAddress NetworkPolicy ServiceCIDR }
        policy { Eviction PodDisruptionBudget }
        rbac { ClusterRole ClusterRoleBinding Role RoleBinding }
        storage { CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment }
        discovery { EndpointSlice }
        coordination { Lease }
        certificates { CertificateSigningRequest }
        node { RuntimeClass }
        scheduling { PriorityClass }
        events { Event }
        admissionregistration {
            MutatingWebhookConfiguration ValidatingAdmissionPolicy
            ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration
        }
        admissionregistration_alpha { MutatingAdmissionPolicy MutatingAdmissionPolicyBinding }
        apiextensions { CustomResourceDefinition }
        apiregistration { APIService }
        flowcontrol { FlowSchema PriorityLevelConfiguration }
        authentication { SelfSubjectReview TokenRequest TokenReview }
        authorization {
            LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview
            SubjectAccessReview
        }
        meta {
            APIGroup APIGroupList APIResourceList APIVersions DeleteOptions ListMeta MicroTime
            Status
        }
        version { Info }
    );
    let mut definitions = generator.take_definitions(false);
    for (alpha, beta) in PROMOTED {
        promote(&mut definitions, alpha, beta);
    }
    for (name, schema) in &mut definitions {
        if let Some(schema) = schema.as_object_mut() {
            normalise(name, schema);
            apply(name, schema, facts);
        }
    }
    for ((name, field), values) in enums {
        let schema = definitions.get_mut(name);
        let schema = schema.and_then(|schema| schema.pointer_mut(&format!("/properties/{field}")));
        let Some(Value::Object(schema)) = schema else {
            panic!("facts/enums.tsv: {name} has no field {field}");
        };
        enumerate(schema, values);
    }
    old::derive(&mut definitions, changes);
    for row in rows::all() {
        for version in row.versions {
            add_list(&mut definitions, row, version);
        }
    }
    for (group, version, kind) in BODIES {
        let gvk = json!([{"group": group, "version": version, "kind": kind}]);
        let name = match *kind {
            "DeleteOptions" | "Status" => format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}"),
            kind => rows::definition(group, version, kind),
        };
        definitions[name.as_str()]["x-kubernetes-group-version-kind"] = gvk;
    }
    definitions.insert(
        "io.k8s.apimachinery.pkg.apis.meta.v1.Patch".into(),
        json!({"description": "Patch is the body of a PATCH request: its content type says how it is applied.", "type": "object"}),
    );
    definitions
}

/// Names the definitions of a package as those of another.
fn promote(definitions: &mut Map<String, Value>, from: &str, to: &str) {
    let renamed = |name: &str| match name.strip_prefix(from) {
        Some(kind) => format!("{to}{kind}"),
        None => name.to_owned(),
    };
    *definitions = std::mem::take(definitions)
        .into_iter()
        .map(|(name, mut schema)| {
            old::refer(&mut schema, &renamed);
            (renamed(&name), schema)
        })
        .collect();
}

/// Brings what k8s-openapi words differently into Kubernetes' form.
fn normalise(name: &str, schema: &mut Map<String, Value>) {
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        // k8s-openapi makes metadata mandatory; Kubernetes doesn't.
        required.retain(|field| field != "metadata");
        if required.is_empty() {
            schema.remove("required");
        }
    }
    match name.rsplit('.').next().unwrap_or_default() {
        "IntOrString" => {
            schema.remove("x-kubernetes-int-or-string");
            schema.insert("format".into(), json!("int-or-string"));
            schema.insert(
                "oneOf".into(),
                json!([{"type": "integer"}, {"type": "string"}]),
            );
        }
        "Quantity" => {
            schema.remove("x-kubernetes-int-or-string");
            schema.insert(
                "oneOf".into(),
                json!([{"type": "string"}, {"type": "number"}]),
            );
        }
        "JSON"
        | "JSONSchemaPropsOrArray"
        | "JSONSchemaPropsOrBool"
        | "JSONSchemaPropsOrStringArray" => schema.retain(|key, _| key == "description"),
        _ => {}
    }
}

/// Adds merge facts and defaults to a definition and its fields.
fn apply(name: &str, schema: &mut Map<String, Value>, facts: &Facts) {
    if let Some(fact) = facts.get(&(name.to_owned(), String::new())) {
        schema.insert("x-kubernetes-map-type".into(), json!(fact.map_type));
    }
    let Some(Value::Object(fields)) = schema.get_mut("properties") else {
        return;
    };
    for (field, schema) in fields {
        let Some(schema) = schema.as_object_mut() else {
            continue;
        };
        // OpenAPI v3 lets nothing stand beside a reference.
        if schema.len() > 1
            && let Some(reference) = schema.remove("$ref")
        {
            schema.insert("allOf".into(), json!([{"$ref": reference}]));
        }
        let Some(fact) = facts.get(&(name.to_owned(), field.clone())) else {
            continue;
        };
        let mut insert = |key: &str, value: &str| {
            if !value.is_empty() {
                schema.insert(format!("x-kubernetes-{key}"), json!(value));
            }
        };
        insert("list-type", &fact.list_type);
        insert("map-type", &fact.map_type);
        insert("patch-merge-key", &fact.merge_key);
        insert("patch-strategy", &fact.strategy);
        if !fact.list_map_keys.is_empty() {
            schema.insert(
                "x-kubernetes-list-map-keys".into(),
                json!(fact.list_map_keys),
            );
        }
        if let Some(default) = &fact.default {
            schema.insert("default".into(), default.clone());
        }
    }
}

/// Says which values a field, or each of its elements, may have.
fn enumerate(schema: &mut Map<String, Value>, values: &[String]) {
    let description = schema.get("description").and_then(Value::as_str);
    let mut description = description.unwrap_or_default().to_owned();
    description.push_str("\n\nPossible enum values:");
    for value in values {
        description.push_str(&format!("\n - `{value:?}`"));
    }
    schema.insert("description".into(), description.into());
    let of_elements = schema.get_mut("items").and_then(Value::as_object_mut);
    match of_elements {
        Some(items) => items.insert("enum".into(), json!(values)),
        None => schema.insert("enum".into(), json!(values)),
    };
}

/// Tells a served kind's group, version and kind, and adds its list's definition.
fn add_list(definitions: &mut Map<String, Value>, row: &rows::Row, version: &str) {
    let name = rows::definition(row.group, version, row.kind);
    let gvk = |kind: &str| json!([{"group": row.group, "version": version, "kind": kind}]);
    let Some(definition) = definitions.get_mut(&name) else {
        panic!("no definition {name} for {} of {}", row.kind, row.group);
    };
    definition["x-kubernetes-group-version-kind"] = gvk(row.kind);
    let fields = &definition["properties"];
    let (api_version, kind) = (fields["apiVersion"].clone(), fields["kind"].clone());
    if !row.verbs.contains(&"list") {
        return;
    }
    let list_kind = format!("{}List", row.kind);
    definitions.insert(
        rows::definition(row.group, version, &list_kind),
        json!({
            "description": format!("{list_kind} is a collection of {}s.", row.kind),
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": api_version,
                "items": {
                    "description": "items is the list of objects.",
                    "type": "array",
                    "items": {"allOf": [{"$ref": format!("{PREFIX}{name}")}], "default": {}},
                },
                "kind": kind,
                "metadata": {
                    "description": "Standard list metadata.",
                    "allOf": [{"$ref": format!("{PREFIX}io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta")}],
                    "default": {},
                },
            },
            "x-kubernetes-group-version-kind": gvk(&list_kind),
        }),
    );
}
