//! How much all pages of all viewers may have the process keep.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that are shared out among collections.
pub struct Room {
    most: usize,
    taken: AtomicUsize,
}

/// The process' room. The add-on's pod may have twice as much, for what is on its way.
pub static PROCESS: Room = Room::new(256 << 20);

impl Room {
    /// So many bytes, all of them free.
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            taken: AtomicUsize::new(0),
        }
    }
}

/// What a collection has of the room; given back when it is dropped.
pub struct Share {
    room: &'static Room,
    bytes: usize,
}

impl Share {
    /// Nothing yet.
    pub fn of(room: &'static Room) -> Self {
        Self { room, bytes: 0 }
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it so many bytes. What grows may find no room: then nothing changes, and this is
    /// false.
    pub fn resize(&mut self, bytes: usize) -> bool {
        let (others, room) = (self.bytes, self.room);
        let resized = |taken: usize| {
            let taken = taken - others + bytes;
            (bytes <= others || taken <= room.most).then_some(taken)
        };
        let order = Ordering::Relaxed;
        let fits = room.taken.fetch_update(order, order, resized).is_ok();
        if fits {
            self.bytes = bytes;
        }
        fits
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::of(&PROCESS)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_has_no_other_gets_until_it_is_given_back() {
        static ROOM: Room = Room::new(100);
        let (mut one, mut other) = (Share::of(&ROOM), Share::of(&ROOM));
        assert!(one.resize(70));
        assert!(!other.resize(31));
        assert!(other.resize(30));
        assert!(!one.resize(71));
        assert_eq!((one.bytes(), other.bytes()), (70, 30));
        assert!(one.resize(60) && other.resize(40));
        drop(one);
        assert!(other.resize(100));
    }
}
