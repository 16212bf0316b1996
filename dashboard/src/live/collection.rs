//! The objects of a selection, and the order in which they changed. Pure.

use super::message::Batch;
use super::object::Item;
use super::room::Share;
use crate::failure::Failure;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// How many bytes of objects one keeps, if the process has room for them.
pub const LARGEST: usize = 64 << 20;
/// How many deletions are remembered for pages that have not heard of them.
const DELETIONS: usize = 4096;

struct Entry {
    version: Box<str>,
    text: Bytes,
    changed: u64,
}

#[derive(Clone)]
enum Change {
    Set(Arc<str>),
    Gone(Arc<str>),
}

/// There is more than is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// The objects. Each change has a number; of each object the last one is remembered.
#[derive(Default)]
pub struct Collection {
    objects: HashMap<Arc<str>, Entry>,
    changes: BTreeMap<u64, Change>,
    last: u64,
    bytes: Share,
    deletions: usize,
    /// The last deletion that is not remembered any more.
    forgotten: u64,
    /// What a list that is being read has had so far.
    listing: Option<HashSet<Arc<str>>>,
    complete: bool,
    columns: Option<Bytes>,
    error: Option<Failure>,
    /// The number of the last change of what is said about the objects.
    said: u64,
}

/// How far a page has got.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    /// The last change it was sent; none if it was sent nothing.
    seen: Option<u64>,
    heard: u64,
    ready: bool,
}

impl Collection {
    /// An object as it is now.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn set(&mut self, item: Item) -> Result<(), TooLarge> {
        if let Some(listing) = &mut self.listing {
            listing.insert(item.uid.clone());
        }
        let before = self.objects.get(&item.uid);
        if before.is_some_and(|it| it.version == item.version && it.text == item.text) {
            return Ok(());
        }
        let bytes = self.bytes.bytes() - before.map_or(0, |it| it.text.len()) + item.text.len();
        if bytes > LARGEST || !self.bytes.resize(bytes) {
            return Err(TooLarge);
        }
        if let Some(before) = before {
            self.changes.remove(&before.changed);
        }
        self.last += 1;
        self.changes
            .insert(self.last, Change::Set(item.uid.clone()));
        let entry = Entry {
            version: item.version,
            text: item.text,
            changed: self.last,
        };
        self.objects.insert(item.uid, entry);
        Ok(())
    }

    /// An object is gone.
    pub fn remove(&mut self, uid: &str) {
        let Some((uid, entry)) = self.objects.remove_entry(uid) else {
            return;
        };
        self.bytes.resize(self.bytes.bytes() - entry.text.len());
        self.changes.remove(&entry.changed);
        self.last += 1;
        self.changes.insert(self.last, Change::Gone(uid));
        self.deletions += 1;
        if self.deletions > DELETIONS {
            self.forget_deletions();
        }
    }

    /// Forgets the older half.
    fn forget_deletions(&mut self) {
        let gone = |(number, change): (&u64, &Change)| match change {
            Change::Gone(_) => Some(*number),
            Change::Set(_) => None,
        };
        let oldest: Vec<u64> = self
            .changes
            .iter()
            .filter_map(gone)
            .take(DELETIONS / 2)
            .collect();
        for number in oldest {
            self.changes.remove(&number);
            self.deletions -= 1;
            self.forgotten = number;
        }
    }

    /// A list begins to be read anew.
    pub fn begin_list(&mut self) {
        self.listing = Some(HashSet::new());
    }

    /// It was read to its end: what it did not have is gone.
    pub fn end_list(&mut self) {
        let Some(listed) = self.listing.take() else {
            return;
        };
        let gone: Vec<Arc<str>> = self
            .objects
            .keys()
            .filter(|uid| !listed.contains(*uid))
            .cloned()
            .collect();
        for uid in gone {
            self.remove(&uid);
        }
        if !self.complete || self.error.is_some() {
            self.complete = true;
            self.error = None;
            self.say();
        }
    }

    /// What a table's columns are.
    pub fn set_columns(&mut self, columns: Bytes) {
        if self.columns.as_ref() != Some(&columns) {
            self.columns = Some(columns);
            self.say();
        }
    }

    /// Why there is no more to be had; `None` when there is again.
    pub fn set_error(&mut self, error: Option<Failure>) {
        if self.error != error {
            self.error = error;
            self.say();
        }
    }

    /// Forgets all objects: there are too many.
    pub fn clear(&mut self) {
        let error = self.error.take();
        *self = Self {
            last: self.last + 1,
            forgotten: self.last + 1,
            error,
            ..Self::default()
        };
        self.say();
    }

    fn say(&mut self) {
        self.last += 1;
        self.said = self.last;
    }

    /// Whether all was read once.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Why there is no more.
    pub fn error(&self) -> Option<&Failure> {
        self.error.as_ref()
    }

    /// All objects, in JSON.
    pub fn texts(&self) -> impl Iterator<Item = &Bytes> {
        self.objects.values().map(|entry| &entry.text)
    }

    /// What a page has not been sent yet, of about so many bytes, and moves the page on. `None`
    /// if there is nothing.
    pub fn batch(&self, cursor: &mut Cursor, bytes: usize) -> Option<Batch> {
        let reset = cursor.seen.is_none_or(|seen| seen < self.forgotten);
        if reset {
            cursor.ready = false;
        }
        let from = if reset { 0 } else { cursor.seen.unwrap_or(0) };
        let mut batch = Batch {
            reset,
            ..Batch::default()
        };
        let mut reached = self.last;
        let mut length = 0;
        let mut news = reset || cursor.heard < self.said;
        for (number, change) in self.changes.range(from + 1..) {
            if length >= bytes {
                reached = number - 1;
                break;
            }
            match change {
                // Who forgets everything need not hear what is gone.
                Change::Gone(_) if reset => {}
                Change::Gone(uid) => {
                    length += uid.len();
                    batch.gone.push(uid.clone());
                    news = true;
                }
                Change::Set(uid) => {
                    if let Some(entry) = self.objects.get(uid) {
                        length += entry.text.len();
                        batch.set.push(entry.text.clone());
                        news = true;
                    }
                }
            }
        }
        if self.complete && reached == self.last && !cursor.ready {
            cursor.ready = true;
            news = true;
        }
        cursor.seen = Some(reached);
        cursor.heard = self.said;
        batch.ready = cursor.ready;
        batch.columns.clone_from(&self.columns);
        batch.error.clone_from(&self.error);
        news.then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    const ALL: usize = usize::MAX;

    fn item(uid: &str, version: u32) -> Item {
        Item {
            uid: uid.into(),
            version: version.to_string().into(),
            text: format!("{uid}{version}").into(),
        }
    }

    fn of(items: &[&str]) -> Collection {
        let mut collection = Collection::default();
        collection.begin_list();
        for uid in items {
            collection.set(item(uid, 1)).unwrap();
        }
        collection.end_list();
        collection
    }

    /// `reset`, what is set, what is gone, `ready`.
    fn sent(
        collection: &Collection,
        cursor: &mut Cursor,
        bytes: usize,
    ) -> Option<(bool, String, String, bool)> {
        let batch = collection.batch(cursor, bytes)?;
        let set = batch
            .set
            .iter()
            .map(|text| String::from_utf8_lossy(text).into_owned());
        let set: Vec<String> = set.collect();
        Some((
            batch.reset,
            set.join(" "),
            batch.gone.join(" "),
            batch.ready,
        ))
    }

    fn some(
        reset: bool,
        set: &str,
        gone: &str,
        ready: bool,
    ) -> Option<(bool, String, String, bool)> {
        Some((reset, set.to_owned(), gone.to_owned(), ready))
    }

    #[test]
    fn only_the_last_state_is_sent_and_only_once() {
        let mut pods = of(&["a", "b"]);
        let mut page = Cursor::default();
        assert_eq!(sent(&pods, &mut page, ALL), some(true, "a1 b1", "", true));
        assert_eq!(sent(&pods, &mut page, ALL), None);
        pods.set(item("a", 2)).unwrap();
        pods.set(item("c", 1)).unwrap();
        pods.set(item("a", 3)).unwrap();
        pods.remove("b");
        pods.remove("unknown");
        assert_eq!(sent(&pods, &mut page, ALL), some(false, "c1 a3", "b", true));
        // Added and removed meanwhile: a page that never saw it may hear that it is gone.
        pods.set(item("d", 1)).unwrap();
        pods.remove("d");
        assert_eq!(sent(&pods, &mut page, ALL), some(false, "", "d", true));
        let mut other = Cursor::default();
        assert_eq!(sent(&pods, &mut other, ALL), some(true, "c1 a3", "", true));
    }

    #[test]
    fn long_lists_come_in_pieces_and_are_ready_at_the_end() {
        let mut pods = Collection::default();
        pods.begin_list();
        let mut page = Cursor::default();
        assert_eq!(sent(&pods, &mut page, ALL), some(true, "", "", false));
        for uid in ["a", "b", "c"] {
            pods.set(item(uid, 1)).unwrap();
        }
        assert_eq!(sent(&pods, &mut page, 3), some(false, "a1 b1", "", false));
        pods.end_list();
        assert_eq!(sent(&pods, &mut page, 3), some(false, "c1", "", true));
        assert_eq!(sent(&pods, &mut page, 3), None);
        // A change of what was sent comes after the rest.
        let mut other = Cursor::default();
        assert_eq!(sent(&pods, &mut other, 1), some(true, "a1", "", false));
        pods.set(item("a", 2)).unwrap();
        assert_eq!(
            sent(&pods, &mut other, ALL),
            some(false, "b1 c1 a2", "", true)
        );
    }

    #[test]
    fn a_list_read_anew_sends_what_differs() {
        let mut pods = of(&["a", "b"]);
        let mut page = Cursor::default();
        sent(&pods, &mut page, ALL);
        pods.begin_list();
        pods.set(item("a", 1)).unwrap();
        pods.set(item("c", 1)).unwrap();
        pods.end_list();
        assert_eq!(sent(&pods, &mut page, ALL), some(false, "c1", "b", true));
    }

    #[test]
    fn a_page_that_missed_deletions_starts_over() {
        let mut pods = of(&["stays"]);
        let mut page = Cursor::default();
        sent(&pods, &mut page, ALL);
        for number in 0..=DELETIONS {
            pods.set(item(&format!("p{number}"), 1)).unwrap();
            pods.remove(&format!("p{number}"));
        }
        assert!(pods.changes.len() <= DELETIONS);
        assert_eq!(sent(&pods, &mut page, ALL), some(true, "stays1", "", true));
        assert_eq!(sent(&pods, &mut page, ALL), None);
    }

    #[test]
    fn errors_come_and_go_and_what_was_sent_stays() {
        let mut pods = of(&["a"]);
        let mut page = Cursor::default();
        pods.batch(&mut page, ALL);
        let no = Failure::new(StatusCode::FORBIDDEN, "no");
        pods.set_error(Some(no.clone()));
        pods.set_error(Some(no.clone()));
        let batch = pods.batch(&mut page, ALL).unwrap();
        assert_eq!(
            (batch.reset, batch.ready, batch.error),
            (false, true, Some(no))
        );
        assert!(pods.batch(&mut page, ALL).is_none());
        pods.begin_list();
        pods.set(item("a", 1)).unwrap();
        pods.end_list();
        assert_eq!(pods.batch(&mut page, ALL).unwrap().error, None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut pods = Collection::default();
        let large = |uid: &str| Item {
            text: vec![b'x'; LARGEST / 2].into(),
            ..item(uid, 1)
        };
        pods.set(large("a")).unwrap();
        pods.set(large("a")).unwrap();
        pods.set(large("b")).unwrap();
        assert_eq!(pods.set(item("c", 1)), Err(TooLarge));
        let mut page = Cursor::default();
        pods.batch(&mut page, ALL);
        pods.clear();
        let batch = pods.batch(&mut page, ALL).unwrap();
        assert!(batch.reset && batch.set.is_empty());
    }
}
