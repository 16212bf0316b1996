//! The OpenAPI documents of the built-in kinds, and the Rust file that embeds them.

use crate::{paths, protobuf, rows, v2, write_gzip};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

/// What documents of custom resources refer to.
const META: &[&str] = &[
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta",
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
    "io.k8s.api.autoscaling.v1.Scale",
];

const INFO: &str = r#"{"title":"Kubernetes","version":"v1.33.0"}"#;
const SECURITY: &str = r#"{"BearerToken":{"description":"Bearer Token authentication","in":"header","name":"authorization","type":"apiKey"}}"#;

pub fn write(out: &Path, definitions: &Map<String, Value>) -> Result<(), Box<dyn Error>> {
    let mut by_root: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for row in rows::all() {
        for version in row.versions {
            by_root
                .entry(paths::root(row.group, version))
                .or_default()
                .extend(paths::paths(&view(row, version, definitions)));
        }
    }
    let mut code = String::from("pub static V3: &[(&str, &str, &[u8])] = &[\n");
    let mut all_paths = Map::new();
    for (root, group_paths) in by_root {
        let schemas = paths::referred(&Value::Object(group_paths.clone()), definitions);
        all_paths.extend(
            group_paths
                .iter()
                .map(|(path, value)| (path.clone(), v2::path(value))),
        );
        let text = paths::document(group_paths, schemas).to_string();
        let file = format!("{}.json.gz", root.replace('/', "_"));
        write_gzip(&out.join(&file), text.as_bytes())?;
        let embedded = embed(&file);
        writeln!(code, "    ({root:?}, {:?}, {embedded}),", hash(&text))?;
    }
    code.push_str("];\n");

    let all_definitions: Map<String, Value> = definitions
        .iter()
        .map(|(name, schema)| (name.clone(), v2::definition(name, schema)))
        .collect();
    let text = format!(
        r#"{}{}}},"info":{INFO},"security":[{{"BearerToken":[]}}],"securityDefinitions":{SECURITY},"paths":{{{}{}"#,
        v2::START,
        v2::entries(&all_definitions),
        v2::entries(&all_paths),
        v2::END,
    );
    write_gzip(&out.join("v2.json.gz"), text.as_bytes())?;
    let embedded = embed("v2.json.gz");
    writeln!(
        code,
        "pub static V2: (&str, &[u8]) = ({:?}, {embedded});",
        hash(&text)
    )?;

    let bytes = protobuf::document(&all_definitions, &all_paths);
    write_gzip(&out.join("v2.pb.gz"), &bytes)?;
    let embedded = embed("v2.pb.gz");
    writeln!(code, "pub static V2_PROTOBUF: &[u8] = {embedded};")?;

    let references: Vec<Value> = META
        .iter()
        .map(|name| json!({"$ref": format!("{}{name}", paths::PREFIX)}))
        .collect();
    let meta = paths::referred(&Value::Array(references), definitions);
    write_gzip(
        &out.join("meta.json.gz"),
        Value::Object(meta).to_string().as_bytes(),
    )?;
    writeln!(code, "pub static META: &[u8] = {};", embed("meta.json.gz"))?;
    std::fs::write(out.join("documents.rs"), code)?;
    Ok(())
}

fn embed(file: &str) -> String {
    format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\"))")
}

fn hash(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

fn view(
    row: &rows::Row,
    version: &'static str,
    definitions: &Map<String, Value>,
) -> paths::Served<'static> {
    let subresources = row.subresources.iter().map(|sub| paths::Sub {
        name: sub.name,
        verbs: sub.verbs.to_vec(),
        body: sub.body.map(|(group, version, kind)| {
            let name = rows::definition(group, version, kind);
            // Options of streams come in the query and have no definition.
            let known = definitions.contains_key(&name);
            (group, version, kind, known.then_some(name))
        }),
    });
    paths::Served {
        group: row.group,
        version,
        kind: row.kind,
        plural: row.plural,
        namespaced: row.namespaced,
        verbs: row.verbs.to_vec(),
        subresources: subresources.collect(),
        definition: rows::definition(row.group, version, row.kind),
        strategic: true,
    }
}
