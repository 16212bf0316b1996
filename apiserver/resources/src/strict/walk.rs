//! A value held against its schema: types checked, unknown fields dropped.

use crate::schema::{Node, Schema, Type};
use base64::Engine;
use hardway_proto::quantity::{Quantity, QuantityError};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// `time.Time{}`: midnight of the first day of the year 1.
const GO_ZERO_TIME: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// Fields that were dropped, as they are told.
#[derive(Default)]
pub struct Unknown {
    /// Of types that Kubernetes has: of a custom resource its metadata, and that of
    /// resources within it.
    of_structs: Vec<String>,
    /// Of a custom resource's own types.
    own: Vec<String>,
    /// Whether they are dropped without a word.
    untold: bool,
}

impl Unknown {
    pub fn is_empty(&self) -> bool {
        self.of_structs.is_empty() && self.own.is_empty()
    }

    /// In the order of a kind that is converted from a map
    /// (`FromUnstructuredWithValidation`).
    pub fn sorted(mut self) -> Vec<String> {
        self.of_structs.append(&mut self.own);
        self.of_structs.sort();
        self.of_structs
    }

    /// In the order of a custom resource: its metadata, what is its own, the metadata of
    /// resources within it (`unstructuredSchemaCoercer` of `k8s.io/apiextensions-apiserver`).
    pub fn of_custom(mut self) -> Vec<String> {
        let is_first = |problem: &String| problem.starts_with("unknown field \"metadata.");
        let (mut told, within): (Vec<_>, Vec<_>) = self.of_structs.into_iter().partition(is_first);
        self.own.sort();
        told.append(&mut self.own);
        told.extend(within);
        told
    }
}

/// Where the walk is. Paths are only put together when there is something to
/// tell, because every write walks every field.
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
    /// The struct that holds the field.
    holder: &'a str,
    /// Whether types are checked; not so in a custom resource's own fields.
    typed: bool,
    /// The outermost place above that Go decodes on its own, where wrong types are told.
    decoded_at: Option<&'a Place<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Key(&'a str),
    Index(usize),
}

impl Place<'_> {
    /// The path with keys and indexes, as unknown fields are told.
    fn path(&self) -> String {
        let mut path = self.parent.map(Place::path).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Field(name) | Step::Key(name) => append(&mut path, name),
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
        path
    }

    /// The path of fields alone, as Go's decoder tells it.
    fn fields(&self) -> String {
        let mut path = self.parent.map(Place::fields).unwrap_or_default();
        if let Step::Field(name) = self.step {
            append(&mut path, name);
        }
        path
    }
}

fn append(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// Checks and prunes in place; unknown fields are added to `unknown`.
pub fn walk(schema: &Schema, value: &mut Value, unknown: &mut Unknown) -> Result<(), String> {
    let place = Place {
        parent: None,
        step: Step::Root,
        holder: "",
        typed: !schema.node().name.is_empty(),
        decoded_at: None,
    };
    visit(schema, value, &place, unknown)
}

fn visit(
    schema: &Schema,
    value: &mut Value,
    place: &Place<'_>,
    unknown: &mut Unknown,
) -> Result<(), String> {
    let node = schema.node();
    let typed = place.typed || !node.name.is_empty();
    if typed {
        scalar(schema, value, place)?;
        settle(schema, value, place.step);
        if let Some(json_schema) = schema.json_schema() {
            return alternatives(schema, &json_schema, value, place);
        }
    }
    let inside = |step, holder| Place {
        parent: Some(place),
        step,
        holder,
        typed,
        decoded_at: place.decoded_at,
    };
    match value {
        Value::Object(map) if matches!(node.ty, Type::Object) => {
            prune(schema, map, typed, place, unknown);
            let holder = schema.struct_name();
            for (name, value) in map {
                if let Some(field) = schema.named(name) {
                    visit(&field, value, &inside(Step::Field(name), holder), unknown)?;
                } else if let Some(values) = schema.values() {
                    let inner = inside(Step::Key(name), place.holder);
                    visit(&values, value, &inner, unknown)?;
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = schema.items() {
                for (index, value) in list.iter_mut().enumerate() {
                    visit(
                        &items,
                        value,
                        &inside(Step::Index(index), place.holder),
                        unknown,
                    )?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// What a definition's schema has in place of a schema: `JSONSchemaPropsOrArray`,
/// `JSONSchemaPropsOrBool`, `JSONSchemaPropsOrStringArray` (`k8s.io/apiextensions-apiserver`,
/// `pkg/apis/apiextensions/v1/marshal.go`). Go decodes these on their own: unknown fields
/// are dropped, but not told.
fn alternatives(
    schema: &Schema,
    json_schema: &Schema,
    value: &mut Value,
    place: &Place<'_>,
) -> Result<(), String> {
    let inside = |step| Place {
        parent: Some(place),
        step,
        holder: "",
        typed: true,
        decoded_at: place.decoded_at.or(Some(place)),
    };
    let untold = &mut Unknown {
        untold: true,
        ..Unknown::default()
    };
    match (schema.node().format.as_str(), value) {
        (_, Value::Null) | ("schema-or-bool", Value::Bool(_)) => Ok(()),
        (_, value @ Value::Object(_)) => visit(json_schema, value, &inside(Step::Root), untold),
        ("schema-or-array", Value::Array(list)) => {
            let mut schemas = list.iter_mut().enumerate();
            schemas.try_for_each(|(index, value)| {
                visit(json_schema, value, &inside(Step::Index(index)), untold)
            })
        }
        ("schema-or-strings", Value::Array(list)) => {
            let mut odd = list.iter().filter(|item| !item.is_string());
            odd.next().map_or(Ok(()), |item| {
                let place = place.decoded_at.unwrap_or(place);
                Err(cannot_unmarshal(found(item), "string", place))
            })
        }
        ("schema-or-bool", _) => Err("boolean or JSON schema expected".to_owned()),
        // Where Go takes it for none it was dropped.
        _ => Ok(()),
    }
}

/// Drops fields the schema doesn't know, and what means "not set": nulls, and of
/// built-in types empty lists and maps, as Go's `omitempty` does.
fn prune(
    schema: &Schema,
    map: &mut Map<String, Value>,
    typed: bool,
    place: &Place<'_>,
    unknown: &mut Unknown,
) {
    let node = schema.node();
    map.retain(|name, value| match schema.field(name) {
        Some(field) if typed && unset(&field, value) => node.required.contains(name),
        Some(field) => {
            !value.is_null() || node.additional.is_some() || (!typed && field.node().nullable)
        }
        None if node.preserve_unknown => true,
        None => {
            if unknown.untold {
                return false;
            }
            let unknown = match typed {
                true => &mut unknown.of_structs,
                false => &mut unknown.own,
            };
            super::note(unknown, || {
                let mut path = place.path();
                append(&mut path, name);
                format!("unknown field {path:?}")
            });
            false
        }
    });
}

/// What Go makes of a value on its way in and out again: nulls in lists and
/// maps are zero values, quantities are in canonical form, times in UTC (of the
/// zero time there is none), and base64 has no line breaks.
fn settle(schema: &Schema, value: &mut Value, step: Step<'_>) {
    let node = schema.node();
    if value.is_null() && matches!(step, Step::Index(_) | Step::Key(_)) {
        *value = schema.zero();
    }
    match (node.format.as_str(), &mut *value) {
        ("byte", Value::String(text)) => text.retain(|c| !matches!(c, '\r' | '\n')),
        ("quantity", Value::String(_) | Value::Number(_)) => {
            if let Ok(quantity) = Quantity::from_json(value) {
                *value = quantity.to_string().into();
            }
        }
        ("date-time", Value::String(text)) => *value = in_utc(text, "%Y-%m-%dT%H:%M:%SZ"),
        ("micro-time", Value::String(text)) => *value = in_utc(text, "%Y-%m-%dT%H:%M:%S.%6fZ"),
        _ => {}
    }
}

/// A time (that was checked) as Kubernetes writes it.
fn in_utc(text: &str, format: &str) -> Value {
    match text.parse::<Timestamp>() {
        Ok(time) if time == GO_ZERO_TIME => Value::Null,
        Ok(time) => time.strftime(format).to_string().into(),
        Err(_) => text.into(),
    }
}

/// An empty list or map; an empty struct, by contrast, may mean much.
fn unset(schema: &Schema, value: &Value) -> bool {
    let node = schema.node();
    match value {
        Value::Array(list) => list.is_empty() && (node.ty == Type::Array || or_list(node)),
        Value::Object(map) => map.is_empty() && node.additional.is_some(),
        // Go takes what is no schema and no list of any for none.
        _ => or_list(node),
    }
}

/// Whether a value may be a JSON schema or a list.
fn or_list(node: &Node) -> bool {
    matches!(
        node.format.as_str(),
        "schema-or-array" | "schema-or-strings"
    )
}

fn scalar(schema: &Schema, value: &Value, place: &Place<'_>) -> Result<(), String> {
    let node = schema.node();
    if value.is_null() {
        return Ok(());
    }
    let fits = match node.ty {
        Type::Any => true,
        Type::Object => value.is_object(),
        Type::Array => value.is_array(),
        Type::Boolean => value.is_boolean(),
        Type::Number => value.is_number(),
        Type::Integer => match (node.format.as_str(), value.as_i64()) {
            ("int32", Some(n)) => i32::try_from(n).is_ok(),
            (_, n) => n.is_some(),
        },
        Type::String => value.is_string(),
        Type::IntOrString if node.format == "quantity" => return quantity(value),
        Type::IntOrString => {
            value.is_string() || value.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
        }
    };
    if !fits {
        return Err(mismatch(schema, value, place));
    }
    match (node.format.as_str(), value.as_str()) {
        ("date-time" | "micro-time", Some(text)) => time(text),
        ("byte", Some(text)) => bytes(text),
        _ => Ok(()),
    }
}

/// In the words of Go's decoder.
fn mismatch(schema: &Schema, value: &Value, place: &Place<'_>) -> String {
    let number;
    let found = match value {
        Value::Number(n) if matches!(schema.node().ty, Type::Integer) => {
            number = format!("number {n}");
            &number
        }
        value => found(value),
    };
    let place = place.decoded_at.unwrap_or(place);
    cannot_unmarshal(found, &go_type(schema), place)
}

/// A value's JSON type as Go's decoder names it.
fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(_) => "number",
    }
}

fn cannot_unmarshal(found: &str, wanted: &str, place: &Place<'_>) -> String {
    if place.holder.is_empty() {
        return format!("json: cannot unmarshal {found} into Go value of type {wanted}");
    }
    format!(
        "json: cannot unmarshal {found} into Go struct field {}.{} of type {wanted}",
        place.holder,
        place.fields()
    )
}

fn go_type(schema: &Schema) -> String {
    let node = schema.node();
    match node.ty {
        Type::Object if !node.name.is_empty() => node.name.clone(),
        Type::Object => match schema.field("") {
            Some(value) => format!("map[string]{}", go_type(&value)),
            None => "map[string]interface {}".into(),
        },
        Type::Array => match schema.items() {
            Some(items) => format!("[]{}", go_type(&items)),
            None => "[]interface {}".into(),
        },
        Type::String if node.format == "byte" => "[]uint8".into(),
        Type::String if node.format == "date-time" => "v1.Time".into(),
        Type::String if node.format == "micro-time" => "v1.MicroTime".into(),
        Type::String => "string".into(),
        Type::Boolean => "bool".into(),
        Type::Integer if node.format == "int32" => "int32".into(),
        Type::Integer => "int64".into(),
        Type::Number => "float64".into(),
        Type::IntOrString if node.format == "quantity" => "resource.Quantity".into(),
        Type::IntOrString => "intstr.IntOrString".into(),
        Type::Any => "interface {}".into(),
    }
}

fn quantity(value: &Value) -> Result<(), String> {
    let read = match value {
        Value::Number(_) => Ok(()),
        Value::String(text) => text.trim().parse::<Quantity>().map(drop),
        _ => Err(QuantityError::Format),
    };
    read.map_err(|error| error.to_string())
}

fn time(text: &str) -> Result<(), String> {
    // The parser takes more than RFC 3339 has.
    let shape = text.get(..19).is_some_and(|start| {
        start.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        })
    });
    if shape && text.parse::<Timestamp>().is_ok() {
        return Ok(());
    }
    Err(format!(
        "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
    ))
}

fn bytes(text: &str) -> Result<(), String> {
    use base64::DecodeError;
    // Go's decoder passes over line breaks.
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match base64::engine::general_purpose::STANDARD.decode(&text) {
        Ok(_) => Ok(()),
        Err(DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _)) => {
            Err(format!("illegal base64 data at input byte {at}"))
        }
        Err(_) => Err(format!(
            "illegal base64 data at input byte {}",
            text.len() / 4 * 4
        )),
    }
}
