//! JSON to [`Value`], noticing duplicate keys, and fields a schema doesn't know, in the
//! order of the document.

use crate::schema::{Schema, Type};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt::{self, Write};

/// Parses a document, adding `duplicate field "path"` for each key that comes
/// twice in one object.
pub fn parse(json: &[u8], duplicates: &mut Vec<String>) -> Result<Value, String> {
    read(json, None, duplicates)
}

/// What is unknown and what comes twice, each where it stands in the document. A field
/// that isn't known is told of once, and nothing below it.
pub fn in_order(json: &[u8], schema: &Schema) -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    read(json, Some(schema.clone()), &mut problems)?;
    Ok(problems)
}

fn read(json: &[u8], schema: Option<Schema>, problems: &mut Vec<String>) -> Result<Value, String> {
    let notes = RefCell::new(Findings {
        path: String::new(),
        left: MOST_LOOKED_AT,
        problems,
    });
    let seed = Seed {
        notes: &notes,
        schema,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = seed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| format!("invalid JSON: {error}"))?;
    Ok(value)
}

/// Paths of problems that are put together, in bytes, told or not: what comes a hundred
/// thousand times below a long name is told once, but looked at each time.
const MOST_LOOKED_AT: usize = 4 * super::MOST_TEXT;

struct Findings<'a> {
    path: String,
    left: usize,
    problems: &'a mut Vec<String>,
}

struct Seed<'n, 'd> {
    notes: &'n RefCell<Findings<'d>>,
    /// Of what comes next; none where it isn't looked at, or has none.
    schema: Option<Schema>,
}

/// What a schema says of a key.
enum Field {
    Known(Option<Schema>),
    Unknown,
}

impl Seed<'_, '_> {
    fn field(&self, name: &str) -> Field {
        let Some(schema) = &self.schema else {
            return Field::Known(None);
        };
        let node = schema.node();
        if node.ty != Type::Object || schema.json_schema().is_some() {
            return Field::Known(None);
        }
        match schema.field(name) {
            None if !node.preserve_unknown => Field::Unknown,
            field => Field::Known(field),
        }
    }

    fn below(&self, schema: Option<Schema>) -> Self {
        Self {
            notes: self.notes,
            schema,
        }
    }

    fn note(&self, what: &str) {
        let Findings {
            path,
            left,
            problems,
        } = &mut *self.notes.borrow_mut();
        let Some(after) = left.checked_sub(path.len()) else {
            return;
        };
        *left = after;
        super::note(problems, || format!("{what} field {path:?}"));
    }
}
impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let length = self.notes.borrow().path.len();
        let items = self.schema.as_ref().and_then(Schema::items);
        let mut list = Vec::new();
        loop {
            write!(self.notes.borrow_mut().path, "[{}]", list.len()).map_err(A::Error::custom)?;
            let next = access.next_element_seed(self.below(items.clone()))?;
            self.notes.borrow_mut().path.truncate(length);
            match next {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let length = self.notes.borrow().path.len();
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            {
                let mut notes = self.notes.borrow_mut();
                if !notes.path.is_empty() {
                    notes.path.push('.');
                }
                notes.path.push_str(&key);
            }
            match self.field(&key) {
                Field::Known(schema) => {
                    if map.contains_key(&key) {
                        self.note("duplicate");
                    }
                    map.insert(key, access.next_value_seed(self.below(schema))?);
                }
                Field::Unknown => {
                    self.note("unknown");
                    access.next_value::<IgnoredAny>()?;
                }
            }
            self.notes.borrow_mut().path.truncate(length);
        }
        Ok(Value::Object(map))
    }
}
