//! OpenAPI documents, v3 per group and version, v2 for all.
//!
//! Those of built-in kinds are made by the build script and lie compressed in
//! the binary: most clients take them as they are. Those of custom resources
//! are made when asked for.

mod compressed;
mod custom;
mod embedded;
mod foreign;
#[allow(missing_docs)]
pub mod paths;
mod protobuf;
mod v2;

pub use compressed::Compressed;
pub use foreign::Foreign;

use crate::registry::Snapshot;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

/// The content type of the v2 document in protobuf, as clients ask for it.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// A document, compressed, and the hash of what it says.
#[derive(Clone, Debug)]
pub struct Document {
    /// gzip of its JSON text (or protobuf).
    pub gzip: Cow<'static, [u8]>,
    /// Changes when the document does; also its ETag.
    pub hash: String,
}

impl Document {
    fn of(text: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let gzip = encoder.write_all(text).and_then(|()| encoder.finish());
        Self {
            gzip: Cow::Owned(gzip.expect("writing to memory can't fail")),
            hash: hash(text),
        }
    }

    /// The text, for clients that don't take gzip.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        GzDecoder::new(&*self.gzip)
            .read_to_end(&mut text)
            .expect("the document was compressed here or by the build script");
        text
    }
}

fn hash(text: &[u8]) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

/// The documents for a table, the v2 one cached while the table stays, and what other servers
/// add.
#[derive(Default)]
pub struct OpenApi {
    /// Made by the first who asks, without the lock: whoever asks for the next one meanwhile
    /// doesn't wait for it.
    v2: Mutex<(Key, Arc<OnceLock<Forms>>)>,
}

/// The table's generation, and the hashes of other servers' documents.
type Key = (u64, Vec<String>);

/// The v2 document in its two encodings.
#[derive(Clone)]
struct Forms {
    json: Document,
    protobuf: Document,
}

impl OpenApi {
    /// `/openapi/v3`: which documents there are.
    pub fn index(&self, table: &Snapshot) -> Value {
        let mut index = Map::new();
        let mut add = |path: &str, hash: &str| {
            let url = format!("/openapi/v3/{path}?hash={hash}");
            index.insert(path.to_owned(), json!({"serverRelativeURL": url}));
        };
        for (path, hash, _) in embedded::V3 {
            add(path, hash);
        }
        for (group, version) in custom::versions(table) {
            let path = paths::root(&group, &version);
            if let Some(document) = self.v3(table, &path) {
                add(&path, &document.hash);
            }
        }
        json!({"paths": index})
    }

    /// `/openapi/v3/PATH`, e.g. `api/v1` or `apis/apps/v1`.
    pub fn v3(&self, table: &Snapshot, path: &str) -> Option<Document> {
        if let Some((_, hash, gzip)) = embedded::V3.iter().find(|(p, ..)| *p == path) {
            return Some(Document {
                gzip: Cow::Borrowed(gzip),
                hash: (*hash).to_owned(),
            });
        }
        let (group, version) = path.strip_prefix("apis/")?.split_once('/')?;
        let (paths, schemas) = custom::parts(table, |row| row.group == group, Some(version));
        if paths.is_empty() {
            return None;
        }
        Some(Document::of(
            paths::document(paths, schemas).to_string().as_bytes(),
        ))
    }

    /// `/openapi/v2` as JSON, with the documents of other servers in their order.
    pub fn v2(&self, table: &Snapshot, others: &[Foreign]) -> Document {
        self.v2_forms(table, others).json
    }

    /// `/openapi/v2` as [`V2_PROTOBUF`].
    pub fn v2_protobuf(&self, table: &Snapshot, others: &[Foreign]) -> Document {
        self.v2_forms(table, others).protobuf
    }

    fn v2_forms(&self, table: &Snapshot, others: &[Foreign]) -> Forms {
        let hashes = others.iter().map(|other| other.hash.clone()).collect();
        let key = (table.generation(), hashes);
        let made = {
            let mut cached = self.v2.lock();
            if cached.0 != key {
                *cached = (key, Arc::default());
            }
            cached.1.clone()
        };
        made.get_or_init(|| with_others(forms(table), others))
            .clone()
    }
}

/// The document with those of other servers.
fn with_others(forms: Forms, others: &[Foreign]) -> Forms {
    if others.is_empty() {
        return forms;
    }
    let text = forms.json.text();
    // What can't be read was checked when it came: it is left out.
    let Ok((json, added)) = foreign::add(&String::from_utf8_lossy(&text), others) else {
        return forms;
    };
    let mut protobuf = forms.protobuf.text();
    protobuf.extend(protobuf::document(&added.definitions, &added.paths));
    protobuf.extend(protobuf::parameters(&added.parameters));
    Forms {
        json: Document::of(json.as_bytes()),
        protobuf: Document::of(&protobuf),
    }
}

fn forms(table: &Snapshot) -> Forms {
    let built_in = |gzip: &'static [u8]| Document {
        gzip: Cow::Borrowed(gzip),
        hash: embedded::V2.0.to_owned(),
    };
    let built_in = Forms {
        json: built_in(embedded::V2.1),
        protobuf: built_in(embedded::V2_PROTOBUF),
    };
    let (paths, schemas) = custom::parts(table, |_| true, None);
    if paths.is_empty() {
        return built_in;
    }
    let definitions: Map<String, Value> = schemas
        .iter()
        .filter(|(name, _)| !name.starts_with("io.k8s.api"))
        .map(|(name, schema)| (name.clone(), v2::definition(name, schema)))
        .collect();
    let paths = paths
        .iter()
        .map(|(path, value)| (path.clone(), v2::path(value)))
        .collect();
    let text = String::from_utf8(built_in.json.text()).expect("JSON is UTF-8");
    let mut protobuf = built_in.protobuf.text();
    protobuf.extend(protobuf::document(&definitions, &paths));
    Forms {
        json: Document::of(v2::splice(&text, &definitions, &paths).as_bytes()),
        protobuf: Document::of(&protobuf),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;
    use std::sync::Arc;

    fn parse(document: &Document) -> Value {
        serde_json::from_slice(&document.text()).expect("JSON")
    }

    #[test]
    fn fields_say_which_values_they_have() {
        let table = Registry::new().snapshot();
        let open_api = OpenApi::default();
        let schemas = |path: &str| {
            let document = open_api.v3(&table, path).expect("a document");
            parse(&document)["components"]["schemas"].clone()
        };
        let core = schemas("api/v1");
        let protocol = &core["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"];
        assert_eq!(protocol["enum"], json!(["SCTP", "TCP", "UDP"]));
        let description = protocol["description"].as_str().expect("a text");
        assert!(
            description
                .ends_with("\n\nPossible enum values:\n - `\"SCTP\"`\n - `\"TCP\"`\n - `\"UDP\"`"),
            "{description}"
        );
        let modes = &core["io.k8s.api.core.v1.PersistentVolumeClaimSpec"]["properties"];
        assert_eq!(modes["accessModes"]["items"]["enum"][3], "ReadWriteOncePod");
        assert_eq!(modes["accessModes"].get("enum"), None);
        // What an old version doesn't say otherwise it says as well.
        let old = schemas("apis/networking.k8s.io/v1beta1");
        let path = &old["io.k8s.api.networking.v1beta1.HTTPIngressPath"]["properties"]["pathType"];
        assert_eq!(
            path["enum"],
            json!(["Exact", "ImplementationSpecific", "Prefix"])
        );
        let v2 = parse(&open_api.v2(&table, &[]));
        let protocol = &v2["definitions"]["io.k8s.api.core.v1.ContainerPort"]["properties"];
        assert_eq!(protocol["protocol"]["enum"], json!(["SCTP", "TCP", "UDP"]));
    }

    #[test]
    fn what_kubectl_looks_for_in_v3() {
        let table = Registry::new().snapshot();
        let open_api = OpenApi::default();
        let document = parse(&open_api.v3(&table, "apis/apps/v1").expect("apps/v1"));
        let patch =
            &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        assert_eq!(
            patch["x-kubernetes-group-version-kind"]["kind"],
            "Deployment"
        );
        assert_eq!(patch["x-kubernetes-action"], "patch");
        let names: Vec<&str> = patch["parameters"]
            .as_array()
            .expect("parameters")
            .iter()
            .filter_map(|p| p["name"].as_str())
            .collect();
        assert_eq!(
            names,
            ["dryRun", "fieldManager", "fieldValidation", "force"]
        );
        let schemas = &document["components"]["schemas"];
        let spec = &schemas["io.k8s.api.apps.v1.DeploymentSpec"];
        assert!(
            spec["properties"]["replicas"]["description"]
                .as_str()
                .is_some_and(|d| d.len() > 20)
        );
        let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        let mut open = Vec::new();
        for text in document.to_string().split(paths::PREFIX).skip(1) {
            open.extend(text.split('"').next().map(str::to_owned));
        }
        for name in open {
            assert!(
                schemas.get(&name).is_some(),
                "{name} is referred to but missing"
            );
        }
        let index = open_api.index(&table);
        assert!(index["paths"]["api/v1"]["serverRelativeURL"].is_string());
    }

    #[test]
    fn v2_has_references_beside_descriptions() {
        let table = Registry::new().snapshot();
        let document = parse(&OpenApi::default().v2(&table, &[]));
        let spec = &document["definitions"]["io.k8s.api.apps.v1.Deployment"]["properties"]["spec"];
        assert_eq!(
            spec["$ref"],
            "#/definitions/io.k8s.api.apps.v1.DeploymentSpec"
        );
        assert!(spec["description"].is_string());
        assert_eq!(
            document["definitions"]["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"],
            "string"
        );
        assert!(
            document["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"]["parameters"]
                .is_array()
        );
    }

    #[test]
    fn custom_resources_are_told_too() {
        let registry = Registry::new();
        let crd = json!({"metadata": {"name": "crontabs.stable.example.com"}, "spec": {
            "group": "stable.example.com", "scope": "Namespaced",
            "names": {"plural": "crontabs", "kind": "CronTab"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "properties": {"spec": {"type": "object", "description": "what"}}}}}]}});
        registry.put_custom(Arc::new(crate::crd::row(&crd).expect("a good definition")));
        let (table, open_api) = (registry.snapshot(), OpenApi::default());
        assert!(open_api.index(&table)["paths"]["apis/stable.example.com/v1"].is_object());
        let document = parse(
            &open_api
                .v3(&table, "apis/stable.example.com/v1")
                .expect("served"),
        );
        let schema = &document["components"]["schemas"]["com.example.stable.v1.CronTab"];
        assert_eq!(schema["properties"]["spec"]["description"], "what");
        assert_eq!(
            schema["x-kubernetes-group-version-kind"][0]["kind"],
            "CronTab"
        );
        let v2 = parse(&open_api.v2(&table, &[]));
        assert!(v2["definitions"]["com.example.stable.v1.CronTab"].is_object());
        assert!(v2["paths"]["/apis/stable.example.com/v1/crontabs"].is_object());
        assert!(v2["paths"]["/api/v1/pods"].is_object());
    }
}
