//! Schemas made ready from their JSON, as Kubernetes' `SchemaDeclType` takes them.

use super::sizes::{self, Bounds};
use super::{Form, Format, ListType, Property, Schema};
use crate::escape;
use crate::types::{ObjectType, Type};
use serde_json::{Value as Json, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Schema {
    /// Makes an OpenAPI v3 schema ready; `root` names the type of the object in messages.
    /// `resource` is whether it has `apiVersion`, `kind` and `metadata` of its own, which
    /// expressions get at even if the schema says nothing of them.
    ///
    /// `None` if expressions have no type for its values, such as those of unknown fields.
    pub fn compile(schema: &Json, root: &str, resource: bool) -> Option<Arc<Self>> {
        let schema = &match resource {
            true => with_metadata(schema),
            false => Cow::Borrowed(schema),
        };
        let nullable = schema["nullable"] == true;
        let (form, kind, bounds) = form(schema, root)?;
        Some(Arc::new(Self {
            form,
            nullable,
            kind,
            most: bounds.most,
            least_bytes: bounds.least_bytes,
        }))
    }

    /// The type of expressions with such a value.
    pub fn type_of(&self) -> &Type {
        &self.kind
    }

    /// The schema of what a list or a map holds.
    pub fn element(&self) -> Option<&Arc<Schema>> {
        match &self.form {
            Form::Map(element) | Form::List { items: element, .. } => Some(element),
            _ => None,
        }
    }

    /// The schema of a field, by the name that objects have for it.
    pub fn field(&self, name: &str) -> Option<&Arc<Schema>> {
        match &self.form {
            Form::Object { fields } => Some(&fields.get(&escape(name)?)?.schema),
            _ => None,
        }
    }

    /// How large a value is at most, as `size()` counts.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// The bytes of the shortest JSON of such a value.
    pub fn least_bytes(&self) -> u64 {
        self.least_bytes
    }
}

/// The schema with what every resource has, unless it tells of all that, perhaps with bounds.
fn with_metadata(schema: &Json) -> Cow<'_, Json> {
    let fields = &schema["properties"];
    let names = &fields["metadata"]["properties"];
    let of_text = [
        &fields["kind"],
        &fields["apiVersion"],
        &names["name"],
        &names["generateName"],
    ];
    let is_told = of_text.iter().all(|field| field["type"] == "string");
    if is_told && fields["metadata"]["type"] == "object" {
        return Cow::Borrowed(schema);
    }
    let mut schema = schema.clone();
    if let Some(of) = schema.as_object_mut() {
        let text = json!({"type": "string"});
        let properties = of.entry("properties").or_insert_with(|| json!({}));
        properties["kind"] = text.clone();
        properties["apiVersion"] = text.clone();
        let names = json!({"name": text, "generateName": text});
        properties["metadata"] = json!({"type": "object", "properties": names});
    }
    Cow::Owned(schema)
}

/// A schema below another.
fn part(schema: &Json, name: &str) -> Option<Arc<Schema>> {
    let resource = schema["x-kubernetes-embedded-resource"] == true;
    Schema::compile(schema, name, resource)
}

fn form(schema: &Json, name: &str) -> Option<(Form, Type, Bounds)> {
    if schema["x-kubernetes-int-or-string"] == true {
        return Some((Form::IntOrString, Type::Dyn, sizes::int_or_string(schema)));
    }
    Some(match schema["type"].as_str()? {
        "array" => {
            let items = part(&schema["items"], &format!("{name}.@idx"))?;
            let (kind, bounds) = (Type::list(items.kind.clone()), sizes::list(schema, &items));
            let list_type = list_type(schema);
            (Form::List { items, list_type }, kind, bounds)
        }
        "object" if schema["additionalProperties"].is_object() => {
            let values = part(&schema["additionalProperties"], &format!("{name}.@elem"))?;
            let kind = Type::map(Type::String, values.kind.clone());
            let bounds = sizes::map(schema, &values);
            (Form::Map(values), kind, bounds)
        }
        "object" => object(schema, name),
        "string" => {
            let (format, kind) = match schema["format"].as_str() {
                Some("byte") => (Format::Byte, Type::Bytes),
                Some("duration") => (Format::Duration, Type::Duration),
                Some("date") => (Format::Date, Type::Timestamp),
                Some("date-time") => (Format::DateTime, Type::Timestamp),
                _ => (Format::None, Type::String),
            };
            (Form::String(format), kind, sizes::string(schema, format))
        }
        "boolean" => (Form::Bool, Type::Bool, sizes::BOOL),
        "number" => (Form::Double, Type::Double, sizes::NUMBER),
        "integer" => (Form::Int, Type::Int, sizes::NUMBER),
        _ => return None,
    })
}

fn object(schema: &Json, name: &str) -> (Form, Type, Bounds) {
    let mut fields = BTreeMap::new();
    let mut types = BTreeMap::new();
    let mut bounds = sizes::EMPTY_OBJECT;
    for (property, of) in schema["properties"].as_object().into_iter().flatten() {
        let escaped = escape(property);
        let within = format!("{name}.{}", escaped.as_deref().unwrap_or(property));
        let Some(compiled) = part(of, &within) else {
            continue;
        };
        let mut required = schema["required"].as_array().into_iter().flatten();
        if of["default"].is_null() && required.any(|name| name == property) {
            bounds.least_bytes += property.len() as u64 + compiled.least_bytes + 4;
        }
        if let Some(escaped) = escaped {
            types.insert(escaped.clone(), compiled.kind.clone());
            let property = Property {
                name: property.as_str().into(),
                schema: compiled,
            };
            fields.insert(escaped, property);
        }
    }
    let kind = Type::object(ObjectType::new(name, types));
    (Form::Object { fields }, kind, bounds)
}

fn list_type(schema: &Json) -> ListType {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListType::Set,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array();
            let keys = keys.into_iter().flatten().filter_map(Json::as_str);
            let escaped = keys.map(|key| escape(key).unwrap_or_else(|| key.to_owned()));
            ListType::Map(escaped.collect())
        }
        _ => ListType::Atomic,
    }
}
