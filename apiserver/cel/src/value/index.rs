//! Finds elements of lists that are sets or maps without looking at all of them.

use super::Value;
use super::map::{keys_of, same_keys};
use crate::Error;
use crate::schema::ListType;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// What an element is known by among those of its list: the values of its keys, or itself.
pub(super) type Identity<'a> = Vec<Option<Value<'a>>>;

/// What an element of such a list is known by.
///
/// # Errors
///
/// The list is a map and the element has no fields, or one isn't of its schema.
pub(super) fn identity<'a>(item: &Value<'a>, list: &ListType) -> Result<Identity<'a>, Error> {
    match list {
        ListType::Map(keys) => keys_of(item, keys),
        ListType::Atomic | ListType::Set => Ok(vec![Some(item.clone())]),
    }
}

/// Where elements are in their list, by what they are known by.
#[derive(Default)]
pub(super) struct Index<'a> {
    hasher: RandomState,
    /// By hash; those that come first in the list are first.
    places: HashMap<u64, Vec<(Identity<'a>, usize)>>,
}

impl<'a> Index<'a> {
    pub(super) fn insert(&mut self, identity: Identity<'a>, place: usize) {
        let hash = self.hash(&identity);
        self.places.entry(hash).or_default().push((identity, place));
    }

    /// Where elements are that are known by the same.
    pub(super) fn find(&self, wanted: &[Option<Value>]) -> impl Iterator<Item = usize> {
        let found = self.places.get(&self.hash(wanted)).into_iter().flatten();
        let found = found.filter(|(identity, _)| same_keys(identity, wanted));
        found.map(|(_, place)| *place)
    }

    fn hash(&self, identity: &[Option<Value>]) -> u64 {
        let mut state = self.hasher.build_hasher();
        for value in identity {
            value.is_some().hash(&mut state);
            if let Some(value) = value {
                hash(value, &mut state);
            }
        }
        state.finish()
    }
}

/// What is equal has the same hash: numbers whatever their type. Those that have other
/// values in them share one.
fn hash(value: &Value, state: &mut impl Hasher) {
    match value {
        Value::Bool(truth) => truth.hash(state),
        Value::Int(number) => i128::from(*number).hash(state),
        Value::Uint(number) => i128::from(*number).hash(state),
        // No integer is as large.
        Value::Double(number) if number.fract() == 0.0 && number.abs() < 1e30 => {
            (*number as i128).hash(state);
        }
        Value::Double(number) => number.to_bits().hash(state),
        Value::String(text) => (**text).hash(state),
        Value::Bytes(bytes) => bytes.hash(state),
        Value::Timestamp(time) => time.hash(state),
        Value::Duration(length) => length.hash(state),
        _ => {}
    }
}
