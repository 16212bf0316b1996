//! Objects made from schemas.

use hardway_resources::schema::{Schema, Type};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// What is odd about every field of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Everything is set, to something plain.
    Plain,
    /// Required fields are missing.
    Missing,
    /// Scalars, lists of scalars and maps are null.
    Null,
    /// Everything that is no struct is null or empty.
    Empty,
    /// Lists and maps hold a null.
    NullInside,
    /// Quantities, times and ports in an unusual form (the first, second …).
    Unusual(usize),
    /// Texts are empty, numbers zero.
    Zero,
    /// Texts are of a value that nobody knows, and numbers at their bound.
    Unknown,
    /// Texts are very long.
    Long,
    /// Structs have fields that nobody knows.
    Extra,
}

/// All of them.
pub const FORMS: [Form; 14] = [
    Form::Plain,
    Form::Missing,
    Form::Null,
    Form::Empty,
    Form::NullInside,
    Form::Unusual(0),
    Form::Unusual(1),
    Form::Unusual(2),
    Form::Unusual(3),
    Form::Unusual(4),
    Form::Zero,
    Form::Unknown,
    Form::Long,
    Form::Extra,
];

const QUANTITIES: [&str; 5] = [
    "0.5",
    "1e3",
    r#"" 1Ki ""#,
    "9223372036854775807",
    r#""-.5G""#,
];
const PORTS: [&str; 5] = [r#""80""#, r#""http""#, r#""25%""#, "-1", r#""""#];
const TIMES: [&str; 5] = [
    "2026-01-02T03:04:05.678901+23:59",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00.000000Z",
    "1969-12-31T23:59:59.000001-11:00",
];

fn parsed(texts: [&str; 5], at: usize) -> Value {
    serde_json::from_str(texts[at]).expect("JSON")
}

/// A value of a schema in which every field has a form.
pub fn value(schema: &Schema, form: Form) -> Value {
    let node = schema.node();
    let nothing = matches!(form, Form::Null | Form::Empty);
    match node.ty {
        Type::Object if node.fields.is_empty() && node.additional.is_some() => {
            let inner = schema.field("").expect("a map has values");
            match form {
                Form::Null => Value::Null,
                Form::Empty | Form::Zero => json!({}),
                Form::NullInside => json!({"a": null}),
                _ => json!({"a": value(&inner, form)}),
            }
        }
        Type::Object => {
            let mut map = Map::new();
            for name in node.fields.keys() {
                if form == Form::Missing && node.required.iter().any(|of| of == name) {
                    continue;
                }
                let field = schema.field(name).expect("a field of the node");
                map.insert(name.to_owned(), value(&field, form));
            }
            if form == Form::Extra {
                map.insert("nobodyKnows".into(), json!({"a": [1]}));
            }
            map.into()
        }
        Type::Array => {
            let items = schema.items().expect("lists have items");
            let structs = items.node().ty == Type::Object;
            match form {
                Form::Null if !structs => Value::Null,
                Form::Empty => json!([]),
                Form::NullInside if structs => json!([null, value(&items, form)]),
                Form::NullInside => json!([null]),
                _ => json!([value(&items, form)]),
            }
        }
        _ if nothing => Value::Null,
        Type::Boolean => (form != Form::Zero).into(),
        Type::Number | Type::Integer => match form {
            Form::Zero => 0.into(),
            Form::Unknown if node.format == "int32" => i32::MIN.into(),
            Form::Unknown => i64::MAX.into(),
            _ => 1.into(),
        },
        Type::IntOrString => match (form, node.format.as_str()) {
            (Form::Unusual(at), "quantity") => parsed(QUANTITIES, at),
            (Form::Unusual(at), _) => parsed(PORTS, at),
            (_, "quantity") => "1".into(),
            _ => 1.into(),
        },
        Type::String => text(&node.format, form).into(),
        Type::Any => json!({"any": [1, null, {"a": {}}]}),
    }
}

fn text(format: &str, form: Form) -> String {
    match (format, form) {
        ("date-time" | "micro-time", Form::Unusual(at)) => TIMES[at].into(),
        ("date-time", _) => "2026-01-02T03:04:05Z".into(),
        ("micro-time", _) => "2026-01-02T03:04:05.000000Z".into(),
        ("byte", Form::Unusual(_)) => "aGVs\r\nbG8=\n".into(),
        ("byte", Form::Zero) => String::new(),
        ("byte", _) => "aGVsbG8=".into(),
        (_, Form::Zero) => String::new(),
        (_, Form::Unknown) => "Nobody/Knows \u{1F980}\u{7f}\"\\".into(),
        (_, Form::Long) => "x".repeat(2_000),
        _ => "x".into(),
    }
}

/// Calls `visit` with each field of a schema in each form, alone in an object
/// that holds nothing else. Structs that were seen before are passed over.
pub fn each_field(schema: &Schema, seen: &mut HashSet<String>, visit: &mut dyn FnMut(Value)) {
    fields(schema, seen, &|value| value, visit);
}

fn fields(
    schema: &Schema,
    seen: &mut HashSet<String>,
    wrap: &dyn Fn(Value) -> Value,
    visit: &mut dyn FnMut(Value),
) {
    let node = schema.node();
    match node.ty {
        Type::Object if !node.fields.is_empty() => {
            visit(wrap(json!({})));
            visit(wrap(Value::Null));
            // Some names are those of several groups' structs.
            if !seen.insert(format!("{} {:?}", node.name, node.fields)) {
                return;
            }
            for name in node.fields.keys() {
                let field = schema.field(name).expect("a field of the node");
                fields(&field, seen, &|value| wrap(json!({name: value})), visit);
            }
        }
        Type::Object => {
            visit(wrap(json!({})));
            visit(wrap(Value::Null));
            if let Some(values) = schema.field("") {
                fields(&values, seen, &|value| wrap(json!({"a": value})), visit);
            }
        }
        Type::Array => {
            visit(wrap(json!([])));
            visit(wrap(Value::Null));
            let items = schema.items().expect("lists have items");
            fields(&items, seen, &|value| wrap(json!([value])), visit);
        }
        _ => {
            visit(wrap(Value::Null));
            for form in FORMS {
                visit(wrap(value(schema, form)));
            }
        }
    }
}
