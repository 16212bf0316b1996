//! Collections that a burst has filled give back its room when it is over. Left to themselves
//! they keep room for the most that they ever held, and whatever is as large as a cluster was
//! once stays so until the process ends.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};

/// With room for no more than so many, nothing is worth giving back.
const SMALL: usize = 1024;
/// What has this many times the room that it needs gives back half of the rest: so it moves
/// its elements once only in as many removals as there are elements.
const SPARSE: usize = 8;

/// A collection that can give back room.
pub trait Shrink {
    /// Gives back room if most of it is empty; to be called whenever something was removed.
    fn shrink_if_sparse(&mut self);
}

/// The room that is enough, if there is much more.
fn enough(len: usize, capacity: usize) -> Option<usize> {
    (capacity > SMALL && len < capacity / SPARSE).then_some(len * 2)
}

impl<K: Eq + Hash, V, S: BuildHasher> Shrink for HashMap<K, V, S> {
    fn shrink_if_sparse(&mut self) {
        if let Some(enough) = enough(self.len(), self.capacity()) {
            self.shrink_to(enough);
        }
    }
}

impl<T: Eq + Hash, S: BuildHasher> Shrink for HashSet<T, S> {
    fn shrink_if_sparse(&mut self) {
        if let Some(enough) = enough(self.len(), self.capacity()) {
            self.shrink_to(enough);
        }
    }
}

impl<T> Shrink for VecDeque<T> {
    fn shrink_if_sparse(&mut self) {
        if let Some(enough) = enough(self.len(), self.capacity()) {
            self.shrink_to(enough);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_goes_with_what_filled_it_and_not_before() {
        let mut set: HashSet<usize> = (0..100_000).collect();
        let most = set.capacity();
        for gone in 0..50_000 {
            set.remove(&gone);
            set.shrink_if_sparse();
        }
        assert!(set.capacity() > most / 2, "as much may come again");
        set.retain(|left| *left == 99_999);
        set.shrink_if_sparse();
        assert!(set.capacity() <= SMALL, "{}", set.capacity());
        assert!(set.contains(&99_999));

        let mut few: VecDeque<usize> = VecDeque::with_capacity(SMALL / 2);
        few.shrink_if_sparse();
        assert!(few.capacity() >= SMALL / 2);
    }
}
