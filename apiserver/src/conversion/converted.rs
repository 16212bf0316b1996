//! Objects that were converted, by version: kept beside the stored ones, up to a bound, so that
//! each is converted once for all who ask.

use crate::cache::Entry;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;

/// How many bytes of converted objects are kept, of all definitions together. What was
/// converted first goes first.
const MOST: usize = 64 << 20;
/// What an object costs beside its bytes: labels, keys, places in maps, a row of a Table.
const OVERHEAD: usize = 768;

/// One object as one version has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The webhook's [`revision`](hardway_resources::crd::ConversionWebhook::revision).
    pub webhook: Arc<str>,
    pub version: Arc<str>,
    /// `namespace/name`.
    pub object: String,
    pub revision: i64,
}

/// What is told of a conversion that somebody has begun, if it fails.
pub(super) type Failure = Option<Arc<str>>;

/// What there is of an object.
pub(super) enum Found {
    /// It is converted.
    Here(Arc<Entry>),
    /// Somebody converts it.
    Awaited(watch::Receiver<Failure>),
    /// It is now for who asked to convert it.
    Claimed,
}

/// The objects that are converted, or are about to be.
#[derive(Default)]
pub(super) struct Converted(Mutex<State>);

#[derive(Default)]
struct State {
    places: HashMap<Key, Place>,
    /// Those that are there, in the order they came.
    order: VecDeque<Key>,
    bytes: usize,
}

enum Place {
    Here(Arc<Entry>),
    Begun(watch::Receiver<Failure>),
}

/// The objects that somebody has begun to convert. If they give up, others may begin.
pub(super) struct Claim<'a> {
    of: &'a Converted,
    keys: Vec<Key>,
    end: watch::Sender<Failure>,
}

impl Converted {
    /// Looks for objects; claims those that nobody has begun with.
    pub fn look(&self, keys: impl Iterator<Item = Key>) -> (Vec<Found>, Claim<'_>) {
        let (end, ends) = watch::channel(None);
        let mut claim = Claim {
            of: self,
            keys: Vec::new(),
            end,
        };
        let mut state = self.0.lock();
        let found = keys.map(|key| match state.places.get(&key) {
            Some(Place::Here(entry)) => Found::Here(entry.clone()),
            Some(Place::Begun(end)) => Found::Awaited(end.clone()),
            None => {
                claim.keys.push(key.clone());
                state.places.insert(key, Place::Begun(ends.clone()));
                Found::Claimed
            }
        });
        (found.collect(), claim)
    }
}

impl Claim<'_> {
    /// Takes in the claimed objects that come next.
    pub fn fill(&mut self, entries: &[Arc<Entry>]) {
        let mut state = self.of.0.lock();
        let count = entries.len().min(self.keys.len());
        for (key, entry) in self.keys.drain(..count).zip(entries) {
            state.bytes += size(entry);
            state.order.push_back(key.clone());
            state.places.insert(key, Place::Here(entry.clone()));
        }
        while state.bytes > MOST
            && let Some(key) = state.order.pop_front()
        {
            if let Some(Place::Here(entry)) = state.places.remove(&key) {
                state.bytes -= size(&entry);
            }
        }
    }

    /// Tells all who wait for the claimed objects that there will be none.
    pub fn fail(self, message: &str) {
        self.end.send_replace(Some(message.into()));
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.of.0.lock();
        for key in &self.keys {
            state.places.remove(key);
        }
    }
}

fn size(entry: &Entry) -> usize {
    entry.bytes().len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Stored;
    use hardway_resources::Registry;
    use serde_json::json;

    fn key(object: &str) -> Key {
        Key {
            webhook: "u/1".into(),
            version: "v1".into(),
            object: object.to_owned(),
            revision: 5,
        }
    }

    fn entry(size: usize) -> Arc<Entry> {
        let maps = Registry::new().resource("", "configmaps").unwrap();
        let value = json!({"metadata": {"name": "a"}, "data": "x".repeat(size)}).to_string();
        let stored = Stored {
            key: "configmaps/d/a".into(),
            value: value.into(),
            revision: 5,
            stale: false,
        };
        Arc::new(Entry::read(&maps, "d/a", &stored, |_| {}).unwrap())
    }

    fn only(found: (Vec<Found>, Claim<'_>)) -> (Found, Claim<'_>) {
        let (mut found, claim) = found;
        (found.remove(0), claim)
    }

    #[tokio::test]
    async fn what_one_has_begun_others_wait_for() {
        let all = Converted::default();
        let (found, mut first) = only(all.look([key("a")].into_iter()));
        assert!(matches!(found, Found::Claimed));
        let (Found::Awaited(mut end), _) = only(all.look([key("a")].into_iter())) else {
            panic!("it is begun")
        };
        first.fill(&[entry(1)]);
        drop(first);
        assert!(end.wait_for(Option::is_some).await.is_err(), "it is done");
        assert!(matches!(
            only(all.look([key("a")].into_iter())).0,
            Found::Here(_)
        ));

        // Who gives up keeps nobody from it.
        drop(only(all.look([key("b")].into_iter())).1);
        let (found, claim) = only(all.look([key("b")].into_iter()));
        assert!(matches!(found, Found::Claimed));
        let (Found::Awaited(mut end), _) = only(all.look([key("b")].into_iter())) else {
            panic!("it is begun")
        };
        claim.fail("gone");
        let failure = end.wait_for(Option::is_some).await.unwrap().clone();
        assert_eq!(failure.as_deref(), Some("gone"));
    }

    #[test]
    fn so_much_is_kept_and_no_more() {
        let all = Converted::default();
        let big = entry(1 << 20);
        for n in 0..100 {
            let (_, mut claim) = all.look([key(&n.to_string())].into_iter());
            claim.fill(std::slice::from_ref(&big));
        }
        let state = all.0.lock();
        assert!(state.bytes <= MOST && state.bytes > MOST / 2);
        assert_eq!(state.places.len(), state.order.len());
        assert_eq!(state.bytes, state.places.len() * size(&big));
        assert!(state.places.contains_key(&key("99")) && !state.places.contains_key(&key("0")));
    }
}
