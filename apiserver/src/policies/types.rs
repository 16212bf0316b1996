//! The types that schemas declare to the expressions of a policy.

use hardway_cel::{ObjectType, Type, escape};
use hardway_resources::Schema;
use hardway_resources::schema::Type as JsonType;

/// How deep types are told; only schemas of schemas go deeper, for ever.
const DEEPEST: usize = 20;

/// The type of objects of a schema, by this name.
pub fn of_schema(name: &str, schema: &Schema) -> Type {
    declared(name, schema, DEEPEST)
}

fn declared(name: &str, schema: &Schema, deeper: usize) -> Type {
    let node = schema.node();
    let Some(deeper) = deeper.checked_sub(1) else {
        return Type::Dyn;
    };
    match node.ty {
        JsonType::Object if !node.fields.is_empty() => {
            let fields = node.fields.keys().filter_map(|field| {
                let (escaped, below) = (escape(field)?, schema.field(field)?);
                Some((
                    escaped,
                    declared(&format!("{name}.{field}"), &below, deeper),
                ))
            });
            Type::object(ObjectType::new(name, fields.collect::<Vec<_>>()))
        }
        JsonType::Object => match node.additional.and_then(|_| schema.field("")) {
            Some(values) => {
                let values = declared(&format!("{name}.@elem"), &values, deeper);
                Type::map(Type::String, values)
            }
            None if node.preserve_unknown => Type::Dyn,
            None => Type::object(ObjectType::new::<String>(name, [])),
        },
        JsonType::Array => match schema.items() {
            Some(items) => Type::list(declared(&format!("{name}.@idx"), &items, deeper)),
            None => Type::list(Type::Dyn),
        },
        JsonType::String => match node.format.as_str() {
            "byte" => Type::Bytes,
            "duration" => Type::Duration,
            "date" | "date-time" | "micro-time" => Type::Timestamp,
            "quantity" => Type::Dyn,
            _ => Type::String,
        },
        JsonType::Integer => Type::Int,
        JsonType::Number => Type::Double,
        JsonType::Boolean => Type::Bool,
        JsonType::IntOrString | JsonType::Any => Type::Dyn,
    }
}
