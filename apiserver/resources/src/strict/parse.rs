//! JSON to [`Value`], noticing duplicate keys and where they are.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt::{self, Write};

/// Parses a document, adding `duplicate field "path"` for each key that comes
/// twice in one object.
pub fn parse(json: &[u8], duplicates: &mut Vec<String>) -> Result<Value, String> {
    let notes = RefCell::new(Notes {
        path: String::new(),
        duplicates,
    });
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = Seed(&notes)
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| format!("invalid JSON: {error}"))?;
    Ok(value)
}

struct Notes<'a> {
    path: String,
    duplicates: &'a mut Vec<String>,
}

#[derive(Clone, Copy)]
struct Seed<'n, 'd>(&'n RefCell<Notes<'d>>);

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
        let length = self.0.borrow().path.len();
        let mut list = Vec::new();
        loop {
            write!(self.0.borrow_mut().path, "[{}]", list.len()).map_err(A::Error::custom)?;
            let next = access.next_element_seed(self)?;
            self.0.borrow_mut().path.truncate(length);
            match next {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let length = self.0.borrow().path.len();
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            {
                let mut notes = self.0.borrow_mut();
                if !notes.path.is_empty() {
                    notes.path.push('.');
                }
                notes.path.push_str(&key);
                if map.contains_key(&key) {
                    let Notes { path, duplicates } = &mut *notes;
                    super::note(duplicates, || format!("duplicate field {path:?}"));
                }
            }
            let value = access.next_value_seed(self)?;
            self.0.borrow_mut().path.truncate(length);
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
