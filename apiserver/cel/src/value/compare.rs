//! Equality and order of values. What is of different types is not equal; numbers are
//! compared as numbers.

use super::index::{Index, identity};
use super::{List, Map, Value};
use crate::Error;
use crate::schema::ListType;
use std::cmp::Ordering;

impl Value<'_> {
    /// `self == other`.
    pub fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(one), Value::Bool(other)) => one == other,
            (Self::String(one), Value::String(other)) => **one == **other,
            (Self::Bytes(one), Value::Bytes(other)) => one == other,
            (Self::Timestamp(one), Value::Timestamp(other)) => one == other,
            (Self::Duration(one), Value::Duration(other)) => one == other,
            (Self::Type(one), Value::Type(other)) => one.name() == other.name(),
            (Self::Optional(None), Value::Optional(None)) => true,
            (Self::Optional(Some(one)), Value::Optional(Some(other))) => one.equals(other),
            (Self::Opaque(one), Value::Opaque(other)) => one.equals(other.as_ref()),
            (Self::List(one), Value::List(other)) => lists(one, other),
            (Self::Map(one), Value::Map(other)) => maps(one, other),
            (Self::Struct(one), Value::Struct(other)) => {
                one.kind == other.kind
                    && one.fields.len() == other.fields.len()
                    && one.fields.iter().all(|(name, value)| {
                        let other = other.fields.get(name);
                        other.is_some_and(|other| value.equals(other))
                    })
            }
            _ => numbers(self, other) == Some(Ordering::Equal),
        }
    }

    /// Which is less. `None` for what has no order among itself.
    pub fn compare(&self, other: &Value) -> Option<Ordering> {
        self.order(other).ok().flatten()
    }

    /// Which is less; neither, if one is a double that isn't a number.
    pub(crate) fn order(&self, other: &Value) -> Result<Option<Ordering>, Error> {
        Ok(match (self, other) {
            (Self::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
            (Self::String(one), Value::String(other)) => Some((**one).cmp(&**other)),
            (Self::Bytes(one), Value::Bytes(other)) => Some(one.cmp(other)),
            (Self::Timestamp(one), Value::Timestamp(other)) => Some(one.cmp(other)),
            (Self::Duration(one), Value::Duration(other)) => Some(one.cmp(other)),
            (one, other) if one.is_number() && other.is_number() => numbers(one, other),
            _ => return Err(Error::NoSuchOverload),
        })
    }

    /// Whether it is a number, of whichever type.
    fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_) | Self::Double(_))
    }
}

/// Numbers of any types in their order; none if one isn't a number.
fn numbers(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => Some(one.cmp(other)),
        (Value::Uint(one), Value::Uint(other)) => Some(one.cmp(other)),
        (Value::Double(one), Value::Double(other)) => one.partial_cmp(other),
        (Value::Int(one), Value::Uint(other)) => Some(i128::from(*one).cmp(&i128::from(*other))),
        (Value::Uint(one), Value::Int(other)) => Some(i128::from(*one).cmp(&i128::from(*other))),
        (Value::Int(one), Value::Double(other)) => whole(i128::from(*one), *other),
        (Value::Uint(one), Value::Double(other)) => whole(i128::from(*one), *other),
        (Value::Double(one), Value::Int(other)) => {
            whole(i128::from(*other), *one).map(Ordering::reverse)
        }
        (Value::Double(one), Value::Uint(other)) => {
            whole(i128::from(*other), *one).map(Ordering::reverse)
        }
        _ => None,
    }
}

/// A whole number against a double.
fn whole(one: i128, other: f64) -> Option<Ordering> {
    if other.is_nan() {
        return None;
    }
    // A double beyond the 128 bits becomes the nearest bound, which no 64 bits reach.
    let floor = other.floor();
    Some(one.cmp(&(floor as i128)).then(match floor < other {
        true => Ordering::Less,
        false => Ordering::Equal,
    }))
}

fn lists(one: &List, other: &List) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.list_type() {
        ListType::Atomic => one.iter().zip(other.iter()).all(|pair| match pair {
            (Ok(one), Ok(other)) => one.equals(&other),
            _ => false,
        }),
        kind => {
            let Ok(mine) = one.to_vec() else { return false };
            let mut index = Index::default();
            for (place, mine) in mine.iter().enumerate() {
                if let Ok(identity) = identity(mine, kind) {
                    index.insert(identity, place);
                }
            }
            let holds = |value: &Value| {
                let Ok(wanted) = identity(value, kind) else {
                    return false;
                };
                let mut found = index.find(&wanted).filter_map(|place| mine.get(place));
                // An element of a set is its own identity.
                match kind {
                    ListType::Map(_) => found.any(|mine| mine.equals(value)),
                    _ => found.next().is_some(),
                }
            };
            other
                .iter()
                .all(|value| value.is_ok_and(|value| holds(&value)))
        }
    }
}

fn maps(one: &Map, other: &Map) -> bool {
    if one.len() != other.len() {
        return false;
    }
    // The same schema: what it doesn't know of the objects counts as well.
    if let (Some((one, Some(schema))), Some((other, Some(same)))) = (one.json(), other.json())
        && std::ptr::eq(schema, same)
        && one == other
    {
        return true;
    }
    let Ok(entries) = one.entries() else {
        return false;
    };
    let unknown = one.len() - entries.len();
    let equal = entries.iter().all(|(key, value)| {
        let found = other.get(&key.clone());
        matches!(found, Ok(Some(other)) if value.equals(&other))
    });
    equal && unknown == 0
}
