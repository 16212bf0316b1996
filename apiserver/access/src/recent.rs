//! What was found out lately, kept so that it need not be found out again.

use parking_lot::Mutex;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A bounded number of values by their keys. Where there is no more room those go that nobody
/// has asked for since half of all came.
pub struct Recent<K, V> {
    room: usize,
    kept: Mutex<Kept<K, V>>,
}

struct Kept<K, V> {
    /// Came, or were asked for, since the others were put aside.
    young: HashMap<K, V>,
    /// Go when the young ones are put aside in their place.
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// With room for so many values, of which there is one at least.
    pub fn with_room_for(values: usize) -> Self {
        Self {
            room: values,
            kept: Mutex::new(Kept {
                young: HashMap::new(),
                old: HashMap::new(),
            }),
        }
    }

    /// The value of a key, if it is still there.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut kept = self.kept.lock();
        if let Some(value) = kept.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = kept.old.remove_entry(key)?;
        kept.put(key, value.clone(), self.room);
        Some(value)
    }

    /// Keeps a value, in place of another of that key.
    pub fn put(&self, key: K, value: V) {
        self.kept.lock().put(key, value, self.room);
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        let kept = self.kept.lock();
        kept.young.len() + kept.old.len()
    }
}

impl<K: Eq + Hash, V> Kept<K, V> {
    fn put(&mut self, key: K, value: V, room: usize) {
        if self.young.len() >= room.div_ceil(2) && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let recent = Recent::with_room_for(8);
        recent.put("asked".to_owned(), 0);
        for n in 1..100 {
            recent.put(n.to_string(), n);
            assert_eq!(recent.get("asked"), Some(0), "after {n}");
            assert!(recent.kept() <= 8, "after {n}");
        }
        assert_eq!((recent.get("99"), recent.get("90")), (Some(99), None));
    }

    #[test]
    fn the_last_value_of_a_key_counts() {
        let recent = Recent::with_room_for(4);
        for n in 0..4 {
            recent.put("a", n);
            recent.put(["b", "c", "d", "e"][n], 0);
            assert_eq!(recent.get("a"), Some(n));
        }
    }
}
