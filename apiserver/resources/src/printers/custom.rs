//! Custom resources: the columns their definition asks for.

use super::cells;
use crate::jsonpath;
use crate::resource::{Column, Printer};
use jiff::Timestamp;
use serde_json::Value;

/// Prints what `additionalPrinterColumns` says; name and age without it.
pub struct CustomPrinter {
    columns: Vec<Column>,
    paths: Vec<String>,
}

impl CustomPrinter {
    /// A printer of these `additionalPrinterColumns`.
    pub fn new(additional: &[Value]) -> Self {
        let mut columns = vec![super::column("Name")];
        let mut paths = vec![".metadata.name".to_owned()];
        for column in additional {
            let text = |key: &str| column[key].as_str().unwrap_or_default();
            columns.push(Column {
                name: text("name").to_owned(),
                r#type: match text("type") {
                    "integer" => "integer",
                    "number" => "number",
                    "boolean" => "boolean",
                    "date" => "date",
                    _ => "string",
                },
                format: "",
                description: text("description").to_owned(),
                priority: column["priority"].as_i64().unwrap_or_default() as i32,
            });
            paths.push(text("jsonPath").to_owned());
        }
        if additional.is_empty() {
            columns.push(super::column("Age:d"));
            paths.push(".metadata.creationTimestamp".to_owned());
        }
        Self { columns, paths }
    }
}

impl Printer for CustomPrinter {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let pairs = self.columns.iter().zip(&self.paths);
        pairs
            .map(|(column, path)| cell(column, &jsonpath::find(object, path), now))
            .collect()
    }
}

fn cell(column: &Column, found: &[&Value], now: Timestamp) -> Value {
    let Some(first) = found.first() else {
        return Value::Null;
    };
    match column.r#type {
        "date" => cells::since(first, now).into(),
        "integer" | "number" | "boolean" if first.is_string() => Value::Null,
        "integer" | "number" | "boolean" => (*first).clone(),
        _ => {
            let texts: Vec<String> = found.iter().map(|v| jsonpath::text(v)).collect();
            texts.join(",").into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shows_what_the_definition_asks_for() {
        let printer = CustomPrinter::new(&[
            json!({"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"}),
            json!({"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1}),
            json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}),
        ]);
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().expect("a time");
        let object = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"cronSpec": "* *"}});
        assert_eq!(
            printer.cells(&object, now),
            [json!("a"), json!("* *"), Value::Null, json!("60m")]
        );
        assert_eq!(printer.columns()[2].priority, 1);
    }
}
