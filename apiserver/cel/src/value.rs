//! The values of expressions. What comes from an object stays where it is: lists, maps
//! and texts refer to its JSON, and are made values when an expression gets to them.

mod compare;
mod index;
mod json;
mod list;
mod map;
mod opaque;
mod text;
mod to_json;

pub(crate) use index::Members;
pub use list::List;
pub use map::{Key, Map, Struct};
pub use opaque::Opaque;
pub use text::Text;

use crate::Type;
use jiff::SignedDuration;
use jiff::civil::DateTime;
use std::sync::Arc;

/// The value of an expression.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A number with a fraction.
    Double(f64),
    /// Unicode text.
    String(Text<'a>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A list.
    List(List<'a>),
    /// A map, or an object of a schema.
    Map(Map<'a>),
    /// An object that an expression made: `Name{field: value}`.
    Struct(Arc<Struct<'a>>),
    /// A point in time, in UTC.
    Timestamp(DateTime),
    /// A length of time; no longer than an `int64` of nanoseconds has.
    Duration(SignedDuration),
    /// A type.
    Type(Type),
    /// A value that may be missing.
    Optional(Option<Arc<Value<'a>>>),
    /// A value of a library's type.
    Opaque(Arc<dyn Opaque>),
}

impl<'a> Value<'a> {
    /// A text.
    pub fn string(text: impl Into<Text<'a>>) -> Self {
        Self::String(text.into())
    }

    /// A list of these.
    pub fn list(items: Vec<Value<'a>>) -> Self {
        Self::List(items.into())
    }

    /// A value of a library's type.
    pub fn opaque(value: impl Opaque) -> Self {
        Self::Opaque(Arc::new(value))
    }

    /// An optional value, or `optional.none()`.
    pub fn optional(value: Option<Value<'a>>) -> Self {
        Self::Optional(value.map(Arc::new))
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is a signed one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&List<'a>> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The library's value, if it is of this type.
    pub fn downcast<T: Opaque>(&self) -> Option<&T> {
        match self {
            Self::Opaque(value) => (value.as_ref() as &dyn std::any::Any).downcast_ref(),
            _ => None,
        }
    }

    /// Its type; of a list or a map with `dyn` elements.
    pub fn type_of(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::String(_) => Type::String,
            Self::Bytes(_) => Type::Bytes,
            Self::List(_) => Type::list(Type::Dyn),
            Self::Map(_) => Type::map(Type::Dyn, Type::Dyn),
            Self::Struct(object) => Type::Object(object.kind.clone()),
            Self::Timestamp(_) => Type::Timestamp,
            Self::Duration(_) => Type::Duration,
            Self::Type(_) => Type::of_type(Type::Dyn),
            Self::Optional(_) => Type::optional(Type::Dyn),
            Self::Opaque(value) => value.type_of(),
        }
    }

    /// What `size()` says: characters, bytes, elements, entries. `None` for what has no
    /// size.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::String(text) => Some(text.chars().count() as u64),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::List(list) => Some(list.len() as u64),
            Self::Map(map) => Some(map.len() as u64),
            Self::Opaque(value) => value.size(),
            _ => None,
        }
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
