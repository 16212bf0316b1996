//! What kubectl shows of NodeMetrics and PodMetrics as they are: Tables, with
//! metrics-server's columns (`pkg/api/table.go`).

use crate::api::{Amounts, duration};
use serde_json::{Value, json};

/// A line of a table.
pub struct Row {
    /// The object.
    pub object: Value,
    /// What all of it uses.
    pub amounts: Amounts,
}

/// Whether an `Accept` header asks for a Table before anything else.
pub fn is_wanted(accept: &str) -> bool {
    let first = accept.split(',').next().unwrap_or_default();
    let has = |parameter: &str| first.split(';').any(|part| part.trim() == parameter);
    has("as=Table") && has("g=meta.k8s.io")
}

/// The table of these lines.
pub fn table(rows: Vec<Row>) -> Value {
    let column = |name: &str, format: &str, description: &str| json!({"name": name, "type": "string", "format": format, "description": description, "priority": 0});
    let mut columns = vec![column("Name", "name", "Name of the resource")];
    if !rows.is_empty() {
        columns.push(column("cpu", "quantity", ""));
        columns.push(column("memory", "quantity", ""));
        columns.push(column("Window", "duration", ""));
    }
    let row = |row: Row| {
        let Row { object, amounts } = row;
        let metadata = &object["metadata"];
        let partial = json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
        });
        json!({
            "cells": [metadata["name"], amounts.cpu(), amounts.memory(), duration(amounts.window)],
            "object": partial,
        })
    };
    let rows: Vec<Value> = rows.into_iter().map(row).collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": columns,
        "rows": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_asks_for_tables() {
        assert!(is_wanted(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
        ));
        assert!(!is_wanted("application/json"));
    }

    #[test]
    fn a_line_says_what_is_used() {
        let amounts = Amounts {
            cpu: 250_000_001,
            memory: 3 << 20,
            window: 15_020,
        };
        let object = json!({"metadata": {"name": "a", "namespace": "shop"}});
        let table = table(vec![Row { object, amounts }]);
        assert_eq!(
            table["rows"][0]["cells"],
            json!(["a", "250000001n", "3Mi", "15.02s"])
        );
        assert_eq!(table["columnDefinitions"][3]["name"], "Window");
    }
}
