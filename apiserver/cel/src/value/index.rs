//! Finds elements of lists without looking at all of them.

use super::map::{keys_of, same_keys};
use super::{List, Value};
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

/// What is in a list, found without looking at all of it.
pub(crate) struct Members<'a>(Index<'a>);

impl<'a> Members<'a> {
    /// Those of a list.
    ///
    /// # Errors
    ///
    /// One is not of the list's schema.
    pub fn of(list: &List<'a>) -> Result<Self, Error> {
        let mut index = Index::default();
        for (place, item) in list.iter().enumerate() {
            index.insert(vec![Some(item?)], place);
        }
        Ok(Self(index))
    }

    /// Whether something equal is in the list.
    pub fn contain(&self, value: &Value<'a>) -> bool {
        let wanted = [Some(value.clone())];
        self.0.find(&wanted).next().is_some()
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
            let hash = value.as_ref().map(|value| self.hash_of(value));
            hash.hash(&mut state);
        }
        state.finish()
    }

    /// What is equal has the same hash: numbers whatever their type, maps and lists of any
    /// kind whatever the order in them. Values of libraries' types share one.
    fn hash_of(&self, value: &Value) -> u64 {
        let mut state = self.hasher.build_hasher();
        match value {
            Value::Bool(truth) => truth.hash(&mut state),
            Value::Int(number) => i128::from(*number).hash(&mut state),
            Value::Uint(number) => i128::from(*number).hash(&mut state),
            // No integer is as large.
            Value::Double(number) if number.fract() == 0.0 && number.abs() < 1e30 => {
                (*number as i128).hash(&mut state);
            }
            Value::Double(number) => number.to_bits().hash(&mut state),
            Value::String(text) => (**text).hash(&mut state),
            Value::Bytes(bytes) => bytes.hash(&mut state),
            Value::Timestamp(time) => time.hash(&mut state),
            Value::Duration(length) => length.hash(&mut state),
            Value::List(list) => {
                let mut hashes: Vec<u64> =
                    list.iter().flatten().map(|v| self.hash_of(&v)).collect();
                hashes.sort_unstable();
                // Sets don't count how often something is in them.
                hashes.dedup();
                hashes.hash(&mut state);
            }
            Value::Map(map) => {
                let entries = map.entries().unwrap_or_default().into_iter();
                let mut hashes: Vec<(u64, u64)> = entries
                    .map(|(key, value)| (self.hash_of(&key.into()), self.hash_of(&value)))
                    .collect();
                hashes.sort_unstable();
                hashes.hash(&mut state);
            }
            _ => {}
        }
        state.finish()
    }
}
