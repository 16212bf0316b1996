//! What the tables of each kind have for columns.

use super::facts::{Client, read, root};
use serde_json::Value;
use std::collections::BTreeMap;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

pub async fn compare(client: &mut Client) -> Vec<String> {
    let facts: BTreeMap<String, BTreeMap<String, Vec<String>>> = read("columns.yaml");
    let mut differences = Vec::new();
    for (api_version, resources) in facts {
        for (name, expected) in resources {
            let path = format!("{}/{name}", root(&api_version));
            let table = client.get(&path, TABLE).await;
            let columns = table["columnDefinitions"].as_array().unwrap().iter();
            let served: Vec<String> = columns.map(notation).collect();
            if served != expected {
                differences.push(format!(
                    "columns of {api_version} {name}:\n  expected {expected:?}\n  served   {served:?}"
                ));
            }
        }
    }
    differences
}

/// A column as the file writes it.
fn notation(column: &Value) -> String {
    let mut text = column["name"].as_str().unwrap().to_owned();
    if column["format"] != "" {
        text.push_str(&format!(" <{}>", column["format"].as_str().unwrap()));
    }
    if column["type"] != "string" {
        text.push_str(&format!(" ({})", column["type"].as_str().unwrap()));
    }
    if column["priority"] != 0 {
        text.push_str(" *");
    }
    text
}
