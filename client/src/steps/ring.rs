//! The newest of many items, each with its number.

use std::collections::VecDeque;

/// Keeps the newest items, as many as both bounds allow.
pub struct Ring<T> {
    items: VecDeque<(usize, T)>,
    /// Bytes of all items.
    size: usize,
    /// The number of the item that comes next; the first one has zero.
    next: u64,
    most: usize,
    largest: usize,
}

impl<T> Ring<T> {
    /// Keeps at most so many items, of so many bytes together.
    pub const fn new(most: usize, largest: usize) -> Self {
        Self {
            items: VecDeque::new(),
            size: 0,
            next: 0,
            most,
            largest,
        }
    }

    /// Adds an item of so many bytes; the oldest make room.
    pub fn push(&mut self, item: T, size: usize) {
        self.items.push_back((size, item));
        self.size += size;
        self.next += 1;
        while self.items.len() > self.most || self.size > self.largest {
            let Some((size, _)) = self.items.pop_front() else {
                return;
            };
            self.size -= size;
        }
    }

    /// The number of the item that comes next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The number of the oldest item that is kept; that of the next, if none is.
    pub fn first(&self) -> u64 {
        self.next - self.items.len() as u64
    }

    /// Bytes of all that is kept.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The items from that number on, oldest first, as far as they are kept.
    pub fn since(&self, number: u64) -> impl Iterator<Item = &T> {
        let known = number.saturating_sub(self.first());
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        self.items
            .range(known.min(self.items.len())..)
            .map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(ring: &Ring<u64>, number: u64) -> Vec<u64> {
        ring.since(number).copied().collect()
    }

    #[test]
    fn the_oldest_make_room() {
        let mut ring = Ring::new(3, 100);
        assert_eq!((ring.first(), ring.next()), (0, 0));
        for item in 0..5 {
            ring.push(item, 10);
        }
        assert_eq!((ring.first(), ring.next(), ring.size()), (2, 5, 30));
        assert_eq!(since(&ring, 0), [2, 3, 4], "what is gone is passed over");
        assert_eq!(since(&ring, 4), [4]);
        assert!(since(&ring, 5).is_empty() && since(&ring, 9).is_empty());
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut ring = Ring::new(100, 25);
        for item in 0..5 {
            ring.push(item, 10);
        }
        assert_eq!((since(&ring, 0), ring.size()), (vec![3, 4], 20));
        // One that is larger than all that is kept leaves nothing.
        ring.push(5, 26);
        assert_eq!((ring.first(), ring.next(), ring.size()), (6, 6, 0));
    }
}
