//! What stands under names, in as little memory as it can: there are tens of thousands of
//! these in the definitions of one operator.

use serde::de::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// Values by name, in the order of the names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fields<T>(Vec<(Box<str>, T)>);

impl<T> Default for Fields<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Fields<T> {
    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        let place = self.place(name).ok()?;
        Some(&self.0[place].1)
    }

    /// Whether there is a value of this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Puts a value in, in place of another of that name.
    pub fn insert(&mut self, name: &str, value: T) {
        match self.place(name) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => {
                self.0.reserve_exact(1);
                self.0.insert(place, (name.into(), value));
            }
        }
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

impl<T> From<BTreeMap<Box<str>, T>> for Fields<T> {
    fn from(map: BTreeMap<Box<str>, T>) -> Self {
        let mut fields = Vec::with_capacity(map.len());
        fields.extend(map);
        Self(fields)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Fields<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<Box<str>, T>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_order_and_each_once() {
        let mut fields = Fields::default();
        for (name, value) in [("b", 1), ("a", 2), ("c", 3), ("b", 4)] {
            fields.insert(name, value);
        }
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((fields.get("b"), fields.get("d")), (Some(&4), None));
        assert!(fields.contains_key("a") && !fields.is_empty());
        let read: Fields<u8> = serde_json::from_str(r#"{"z": 1, "y": 2}"#).expect("a map");
        assert_eq!(read.values().collect::<Vec<_>>(), [&2, &1]);
    }
}
