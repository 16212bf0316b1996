//! Maps and objects.

use super::{Text, Value};
use crate::schema::{Form, Schema};
use crate::{Error, types::ObjectType};
use serde_json::{Map as JsonMap, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A map, or an object of a schema, whose fields go by their escaped names.
#[derive(Clone, Debug)]
pub struct Map<'a> {
    entries: Entries<'a>,
}

#[derive(Clone, Debug)]
enum Entries<'a> {
    Json(&'a JsonMap<String, Json>, Option<&'a Schema>),
    Values(Arc<BTreeMap<Key<'a>, Value<'a>>>),
}

/// What a map finds its values by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key<'a> {
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// Text.
    String(Text<'a>),
}

/// An object that an expression made.
#[derive(Clone, Debug)]
pub struct Struct<'a> {
    /// Its type.
    pub kind: Arc<ObjectType>,
    /// The fields that it was given, by the names that the expression has for them.
    pub fields: BTreeMap<String, Value<'a>>,
}

impl<'a> Key<'a> {
    /// The key that a value is, if it can be one. Whole doubles are integers.
    pub fn of(value: &Value<'a>) -> Option<Self> {
        match value {
            Value::Bool(truth) => Some(Self::Bool(*truth)),
            Value::Int(number) => Some(Self::Int(*number)),
            Value::Uint(number) => Some(Self::Uint(*number)),
            Value::String(text) => Some(Self::String(text.clone())),
            Value::Double(number) if number.fract() == 0.0 => {
                let whole = *number as i64;
                (whole as f64 == *number).then_some(Self::Int(whole))
            }
            _ => None,
        }
    }

    /// The same number as the other kind of integer.
    fn twin(&self) -> Option<Self> {
        match self {
            Self::Int(number) => u64::try_from(*number).ok().map(Self::Uint),
            Self::Uint(number) => i64::try_from(*number).ok().map(Self::Int),
            _ => None,
        }
    }
}

impl<'a> From<Key<'a>> for Value<'a> {
    fn from(key: Key<'a>) -> Self {
        match key {
            Key::Bool(truth) => Value::Bool(truth),
            Key::Int(number) => Value::Int(number),
            Key::Uint(number) => Value::Uint(number),
            Key::String(text) => Value::String(text),
        }
    }
}

impl<'a> From<BTreeMap<Key<'a>, Value<'a>>> for Map<'a> {
    fn from(entries: BTreeMap<Key<'a>, Value<'a>>) -> Self {
        Self {
            entries: Entries::Values(Arc::new(entries)),
        }
    }
}

impl<'a> Map<'a> {
    pub(super) fn of_json(fields: &'a JsonMap<String, Json>, schema: Option<&'a Schema>) -> Self {
        Self {
            entries: Entries::Json(fields, schema),
        }
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        match &self.entries {
            Entries::Json(fields, _) => fields.len(),
            Entries::Values(entries) => entries.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key, if it is there.
    ///
    /// # Errors
    ///
    /// The value is not of the schema.
    pub fn get(&self, key: &Key<'a>) -> Result<Option<Value<'a>>, Error> {
        match &self.entries {
            Entries::Values(entries) => {
                let found = entries.get(key);
                let found = found.or_else(|| key.twin().and_then(|twin| entries.get(&twin)));
                Ok(found.cloned())
            }
            Entries::Json(..) => match key {
                Key::String(name) => self.field(name),
                _ => Ok(None),
            },
        }
    }

    /// The value of a key that is text, if it is there.
    ///
    /// # Errors
    ///
    /// The value is not of the schema.
    pub fn field(&self, name: &str) -> Result<Option<Value<'a>>, Error> {
        match &self.entries {
            Entries::Values(entries) => {
                // A key is asked for as one that is stored, whatever lives longer.
                let found = entries.iter().find(|(key, _)| match key {
                    Key::String(text) => &**text == name,
                    _ => false,
                });
                Ok(found.map(|(_, value)| value.clone()))
            }
            Entries::Json(fields, None) => Ok(fields.get(name).map(Value::of_json)),
            Entries::Json(fields, Some(schema)) => match &schema.form {
                Form::Object { fields: known, .. } => {
                    let Some(field) = known.get(name) else {
                        return Ok(None);
                    };
                    let value = fields.get(&*field.name);
                    value
                        .map(|v| Value::of_schema(v, &field.schema))
                        .transpose()
                }
                Form::Map(values) => {
                    let value = fields.get(name);
                    value
                        .map(|value| Value::of_schema(value, values))
                        .transpose()
                }
                _ => Ok(fields.get(name).map(Value::of_json)),
            },
        }
    }

    /// All keys.
    pub fn keys(&self) -> Vec<Key<'a>> {
        match &self.entries {
            Entries::Values(entries) => entries.keys().cloned().collect(),
            Entries::Json(fields, schema) => {
                let object = schema.is_some_and(|s| matches!(s.form, Form::Object { .. }));
                let names = fields.keys().map(|name| match object {
                    true => crate::escape(name).map_or(Text::from(name.as_str()), Text::from),
                    false => Text::from(name.as_str()),
                });
                names.map(Key::String).collect()
            }
        }
    }

    /// All entries.
    ///
    /// # Errors
    ///
    /// One is not of the schema.
    pub fn entries(&self) -> Result<Vec<(Key<'a>, Value<'a>)>, Error> {
        let known = |key: Key<'a>| match self.get(&key) {
            Ok(value) => value.map(|value| Ok((key, value))),
            Err(error) => Some(Err(error)),
        };
        match &self.entries {
            Entries::Values(entries) => Ok(entries
                .iter()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()),
            Entries::Json(..) => self.keys().into_iter().filter_map(known).collect(),
        }
    }

    /// The map with one entry more; `None` if the key is there already.
    pub(crate) fn with(self, key: Key<'a>, value: Value<'a>) -> Result<Option<Self>, Error> {
        if self.get(&key)?.is_some() {
            return Ok(None);
        }
        let mut entries = match self.entries {
            Entries::Values(entries) => entries,
            Entries::Json(..) => Arc::new(self.entries()?.into_iter().collect()),
        };
        Arc::make_mut(&mut entries).insert(key, value);
        Ok(Some(Self {
            entries: Entries::Values(entries),
        }))
    }

    /// The schema that it is of, if it has one.
    pub(super) fn json(&self) -> Option<(&'a JsonMap<String, Json>, Option<&'a Schema>)> {
        match &self.entries {
            Entries::Json(fields, schema) => Some((fields, *schema)),
            Entries::Values(_) => None,
        }
    }
}

/// The values by which an element of a list that is a map is known.
pub(super) fn keys_of<'a>(
    item: &Value<'a>,
    keys: &[String],
) -> Result<Vec<Option<Value<'a>>>, Error> {
    let Value::Map(map) = item else {
        return Err(Error::NoSuchOverload);
    };
    keys.iter().map(|key| map.field(key)).collect()
}

pub(super) fn same_keys(one: &[Option<Value>], other: &[Option<Value>]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|pair| match pair {
            (Some(one), Some(other)) => one.equals(other),
            (None, None) => true,
            _ => false,
        })
}
