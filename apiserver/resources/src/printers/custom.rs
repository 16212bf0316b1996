//! Custom resources: the columns their definition asks for.

use super::cells::{self, Cell};
use crate::excerpt::Fields;
use crate::jsonpath;
use crate::resource::{Column, Printer};
use serde_json::Value;

/// Prints what `additionalPrinterColumns` says; name and age without it.
pub struct CustomPrinter {
    columns: Vec<Column>,
    paths: Vec<String>,
    looks_at: Fields,
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
        let mut looks_at = Fields::none();
        for path in paths.iter().filter_map(|path| jsonpath::beginning(path)) {
            looks_at.add(path.iter().map(String::as_str));
        }
        Self {
            columns,
            paths,
            looks_at,
        }
    }
}

impl Printer for CustomPrinter {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn looks_at(&self) -> &Fields {
        &self.looks_at
    }

    fn cells(&self, object: &Value) -> Vec<Cell> {
        let pairs = self.columns.iter().zip(&self.paths);
        pairs
            .map(|(column, path)| cell(column, &jsonpath::find(object, path)))
            .collect()
    }
}

fn cell(column: &Column, found: &[&Value]) -> Cell {
    let Some(first) = found.first() else {
        return Value::Null.into();
    };
    match column.r#type {
        "date" => cells::since(first),
        "integer" | "number" | "boolean" if first.is_string() => Value::Null.into(),
        "integer" | "number" | "boolean" => (*first).clone().into(),
        _ => {
            let texts: Vec<String> = found.iter().map(|v| jsonpath::text(v)).collect();
            texts.join(",").into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::excerpt::Excerpt;
    use serde_json::json;

    #[test]
    fn shows_what_the_definition_asks_for() {
        let printer = CustomPrinter::new(&[
            json!({"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"}),
            json!({"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1}),
            json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}),
        ]);
        let object = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"cronSpec": "* *"}});
        assert_eq!(
            cells::shown(printer.cells(&object)),
            [json!("a"), json!("* *"), Value::Null, json!("60s")]
        );
        assert_eq!(printer.columns()[2].priority, 1);
    }

    #[test]
    fn looks_at_what_its_paths_lead_to() {
        let column = |path: &str| json!({"name": "c", "type": "string", "jsonPath": path});
        let printer = CustomPrinter::new(&[
            column(".spec.a.b"),
            column(r#".status.conditions[?(@.type=="Ready")].status"#),
            column(".metadata.managedFields[0].manager"),
            column(".spec.list[*]"),
            column("nonsense["),
        ]);
        let object = json!({"metadata": {"name": "a", "labels": {"x": "y"},
                "managedFields": [{"manager": "m"}]},
            "spec": {"a": {"b": "1", "c": "2"}, "list": ["x", "y"], "other": {}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "more": 1}});
        let text = object.to_string();
        let excerpt = Excerpt::read(text.as_bytes(), printer.looks_at()).unwrap();
        assert_eq!(
            excerpt.object,
            json!({"metadata": {"name": "a", "managedFields": [{"manager": "m"}]},
                "spec": {"a": {"b": "1"}, "list": ["x", "y"]},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
        );
        let cells = printer.cells(&object);
        assert_eq!(printer.cells(&excerpt.object), cells);
        let texts = ["True", "m", "x,y"].map(Cell::from);
        assert_eq!(cells[2..5], texts);
        // The whole object, if a column wants that.
        let all = CustomPrinter::new(&[column("$")]);
        let excerpt = Excerpt::read(text.as_bytes(), all.looks_at()).unwrap();
        assert_eq!(excerpt.object, object);
    }
}
