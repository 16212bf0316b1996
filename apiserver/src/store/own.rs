//! What this apiserver has written and etcd's watch is about to bring: the watch cache takes the
//! object that was there before it was written, rather than decrypt and parse the bytes again.

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;

/// So many writes are remembered: more than are mostly under way at once.
const WRITES: usize = 128;
/// Larger objects, in bytes, are not.
const LARGEST: usize = 32 << 10;

/// An object as it was written.
pub struct Written {
    /// The bytes in etcd.
    pub sealed: Bytes,
    /// The JSON, without resource version.
    pub json: Bytes,
    /// What it was made of, whose resource version means nothing.
    pub object: Arc<Value>,
}

/// The latest writes, by their keys (below the root).
#[derive(Default)]
pub(super) struct OwnWrites(Mutex<VecDeque<(String, Written)>>);

impl OwnWrites {
    /// A write is on its way.
    pub fn add(&self, key: &str, written: Written) {
        if written.json.len() > LARGEST {
            return;
        }
        let mut writes = self.0.lock();
        if writes.len() >= WRITES {
            writes.pop_front();
        }
        writes.push_back((key.to_owned(), written));
    }

    /// It did not take place, or nobody knows.
    pub fn forget(&self, key: &str) {
        self.0.lock().retain(|(of, _)| of != key);
    }

    /// What was written, if the key holds these bytes. So nobody need know which of several
    /// writes it was: the same bytes are the same object.
    pub fn take(&self, key: &str, sealed: &[u8]) -> Option<Written> {
        let mut writes = self.0.lock();
        let place = writes
            .iter()
            .position(|(of, written)| of == key && *written.sealed == *sealed)?;
        writes.remove(place).map(|(_, written)| written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(name: &str, size: usize) -> Written {
        let object = json!({"metadata": {"name": name}, "data": "x".repeat(size)});
        let json = Bytes::from(object.to_string());
        Written {
            sealed: [b"sealed ", &json[..]].concat().into(),
            json,
            object: Arc::new(object),
        }
    }

    #[test]
    fn what_was_written_comes_back_once_and_for_its_bytes_alone() {
        let own = OwnWrites::default();
        let (first, second) = (written("first", 1), written("second", 1));
        let sealed = [first.sealed.clone(), second.sealed.clone()];
        own.add("a", first);
        own.add("a", second);
        assert!(own.take("b", &sealed[0]).is_none() && own.take("a", b"sealed").is_none());
        for (sealed, name) in sealed.iter().zip(["first", "second"]) {
            let written = own.take("a", sealed).unwrap();
            assert_eq!(written.object["metadata"]["name"], name);
            assert!(own.take("a", sealed).is_none());
        }
    }

    #[test]
    fn few_and_small_ones_are_remembered_and_none_that_failed() {
        let own = OwnWrites::default();
        let sealed = written("n", 1).sealed;
        for n in 0..=WRITES {
            own.add(&n.to_string(), written("n", 1));
        }
        assert!(own.take("0", &sealed).is_none());
        own.forget("1");
        assert!(own.take("1", &sealed).is_none() && own.take("2", &sealed).is_some());
        let large = written("n", LARGEST);
        let sealed = large.sealed.clone();
        own.add("large", large);
        assert!(own.take("large", &sealed).is_none());
    }
}
