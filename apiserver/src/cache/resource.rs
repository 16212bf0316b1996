//! The cache of one resource: its objects and its latest events.

use super::entry::{Entry, Event};
use super::indexes::Indexes;
use super::watchers::{self, Interest, Place, Watchers};
use crate::store::{StoreError, Stored, Written};
use hardway_client::unreadable::Unreadable;
use hardway_resources::resource::Resource;
use parking_lot::RwLock;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Bounds of the event history: a watcher that falls behind further than
/// this has to list anew.
const MAX_EVENTS: usize = 20_000;
const MAX_BYTES: usize = 32 << 20;
const MAX_AGE: Duration = Duration::from_secs(300);
/// Kept whatever their age.
const MIN_EVENTS: usize = 100;
/// So long a burst of writes is kept as a whole: who was told every minute where it is, and
/// comes back, goes on from there (`eventFreshDuration` of kube-apiserver).
const FRESH: Duration = Duration::from_secs(75);
/// Of what is older only so much is kept.
const MAX_OLD_BYTES: usize = 4 << 20;

/// The cache of one resource.
pub struct ResourceCache {
    /// Its row of the table.
    pub resource: Arc<Resource>,
    state: RwLock<State>,
    changed: watch::Sender<i64>,
    retired: AtomicBool,
}

struct State {
    objects: BTreeMap<String, Arc<Entry>>,
    /// Keys whose stored bytes can't be decrypted or are no object, and why.
    unreadable: BTreeMap<String, StoreError>,
    /// Tells of them.
    left_out: Unreadable,
    watchers: Watchers,
    history: VecDeque<Arc<Event>>,
    history_bytes: usize,
    /// History is complete from here on.
    horizon: i64,
    /// Revision of the last change of any object.
    revision: i64,
}

/// What has become of one key.
#[derive(Debug)]
pub(super) enum Update {
    /// It holds this object.
    Is(Entry),
    /// It holds no object.
    Gone,
    /// It holds something that can't be decrypted or is no object.
    Unreadable(StoreError),
}

/// A watcher's place was lost: the history no longer reaches back to it.
#[derive(Debug, Clone, Copy)]
pub struct TooOld {
    /// The oldest revision that a watch can start from.
    pub oldest: i64,
}

impl ResourceCache {
    pub(super) fn new(resource: Arc<Resource>) -> Self {
        Self {
            state: RwLock::new(State::new(&resource)),
            resource,
            changed: watch::Sender::new(0),
            retired: AtomicBool::new(false),
        }
    }

    /// Has its watchers end after what is in it: it hears of nothing more, since another
    /// has its place or the resource is served no more.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.changed.send_modify(|_| {});
        watchers::wake(&self.state.read().watchers.all());
    }

    /// Whether it hears of nothing more.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// One object by `namespace/name`.
    pub fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.state.read().objects.get(key).cloned()
    }

    /// Objects of a namespace, or all, in key order, with the revision of the
    /// last change they contain.
    pub fn list(&self, namespace: Option<&str>) -> (Vec<Arc<Entry>>, i64) {
        let state = self.state.read();
        let items = match namespace {
            None => state.objects.values().cloned().collect(),
            Some(namespace) => state.of_namespace(namespace).cloned().collect(),
        };
        (items, state.revision)
    }

    /// The same of some objects, those that are wanted.
    pub fn list_some(
        &self,
        interest: &Interest,
        is_wanted: impl Fn(&Entry) -> bool,
    ) -> (Vec<Arc<Entry>>, i64) {
        let state = self.state.read();
        let wanted = |entry: &&Arc<Entry>| is_wanted(entry);
        let items = match interest {
            Interest::Object(key) => {
                let one = state.objects.get(key).into_iter();
                one.filter(wanted).cloned().collect()
            }
            Interest::Namespace(namespace) => {
                let some = state.of_namespace(namespace);
                some.filter(wanted).cloned().collect()
            }
            Interest::All | Interest::Field(..) => {
                state.objects.values().filter(wanted).cloned().collect()
            }
        };
        (items, state.revision)
    }

    /// Fails if an object of a namespace, or of all, can't be decrypted: a list
    /// without it would be a lie. What never was an object is left out.
    pub fn readable(&self, namespace: Option<&str>) -> Result<(), StoreError> {
        let state = self.state.read();
        let lost = |error: &&StoreError| !matches!(error, StoreError::Malformed { .. });
        let first = match namespace {
            None => state.unreadable.values().find(lost),
            Some(namespace) => state
                .unreadable
                .range(format!("{namespace}/")..format!("{namespace}0"))
                .map(|(_, error)| error)
                .find(lost),
        };
        first.map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Why an object can't be read, if so.
    pub fn unreadable(&self, key: &str) -> Option<StoreError> {
        self.state.read().unreadable.get(key).cloned()
    }

    /// Revision of the last change.
    pub fn revision(&self) -> i64 {
        self.state.read().revision
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `limit` events after a revision, from the first that may concern a watcher.
    pub(super) fn events_after(
        &self,
        place: &Place,
        revision: i64,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, TooOld> {
        let state = self.state.read();
        let from = place.after(revision);
        if from <= state.horizon {
            return Err(TooOld {
                oldest: state.horizon,
            });
        }
        let history = &state.history;
        let start = history.partition_point(|event| event.revision < from);
        let events: Vec<_> = history.range(start..).take(limit).cloned().collect();
        if events.is_empty() {
            place.is_current();
        }
        Ok(events)
    }

    /// Does something with those who watch.
    pub(super) fn with_watchers(&self, act: impl FnOnce(&mut Watchers)) {
        act(&mut self.state.write().watchers);
    }

    /// Tells of every change.
    pub fn changes(&self) -> watch::Receiver<i64> {
        self.changed.subscribe()
    }

    /// Applies one change of one key. If what is there now can't be decrypted,
    /// all who watch have to list anew, and are told so then; if it is no object,
    /// to them it is gone.
    pub(super) fn apply(&self, key: &str, news: Update, revision: i64) {
        let mut state = self.state.write();
        let state = &mut *state;
        if state.unreadable.remove(key).is_some() {
            state.left_out.remove(key);
        }
        let entry = match news {
            Update::Is(entry) => Some(Arc::new(entry)),
            Update::Gone => None,
            Update::Unreadable(error @ StoreError::Malformed { .. }) => {
                state.leave_out(key, error);
                None
            }
            Update::Unreadable(error) => {
                state.leave_out(key, error);
                state.objects.remove(key);
                state.revision = revision;
                state.history.clear();
                state.history_bytes = 0;
                state.horizon = revision;
                state.watchers.touch_all(revision);
                return;
            }
        };
        let previous = match &entry {
            Some(entry) => state.objects.insert(key.to_owned(), entry.clone()),
            None => state.objects.remove(key),
        };
        state.revision = revision;
        if entry.is_some() || previous.is_some() {
            let event = Arc::new(Event::new(revision, entry, previous));
            state.history_bytes += event.size();
            let now = event.seen;
            state.watchers.touch(&event);
            state.history.push_back(event);
            state.trim(now);
        }
    }

    /// Forgets events that are too old by `now`. Nobody else does where nothing
    /// changes any more.
    pub(super) fn forget_old(&self, now: Instant) {
        let mut state = self.state.write();
        state.trim(now);
        let few = state.history.len() * 2;
        state.history.shrink_to(few);
    }

    /// Wakes those who watch what has changed.
    pub(super) fn notify(&self, revision: i64) {
        self.changed.send_replace(revision);
        let touched = self.state.write().watchers.take_touched();
        watchers::wake(&touched);
    }

    /// Replaces everything: whoever watches from before has to list anew.
    pub(super) fn reset(&self, loaded: Loaded, revision: i64) {
        let mut fresh = State {
            objects: loaded
                .entries
                .into_iter()
                .map(|entry| (entry.key.clone(), Arc::new(entry)))
                .collect(),
            horizon: revision,
            revision,
            ..State::new(&self.resource)
        };
        for (key, error) in loaded.unreadable {
            fresh.leave_out(&key, error);
        }
        {
            let mut state = self.state.write();
            fresh.watchers = std::mem::take(&mut state.watchers);
            fresh.watchers.touch_all(revision);
            *state = fresh;
        }
        self.notify(revision);
    }
}

/// What a load has found of one resource.
#[derive(Default)]
pub(super) struct Loaded {
    entries: Vec<Entry>,
    unreadable: Vec<(String, StoreError)>,
}

impl Loaded {
    /// Adds what a key of the resource holds.
    pub(super) fn add(&mut self, key: &str, news: Update) {
        match news {
            Update::Is(entry) => self.entries.push(entry),
            Update::Gone => {}
            Update::Unreadable(error) => self.unreadable.push((key.to_owned(), error)),
        }
    }
}

impl Update {
    /// What is stored for a key of a resource; the indexes are told of it.
    pub(super) fn of(
        resource: &Resource,
        key: &str,
        stored: &Result<Stored, StoreError>,
        indexes: &Indexes,
    ) -> Self {
        let news = match stored {
            Ok(stored) => Entry::read(resource, key, stored, |object| {
                indexes.put(resource, key, object);
            })
            .map_or_else(Self::Unreadable, Self::Is),
            Err(error) => Self::Unreadable(error.clone()),
        };
        if !matches!(news, Self::Is(_)) {
            indexes.remove(resource, key);
        }
        news
    }
}

impl Update {
    /// What this apiserver has stored itself for a key of a resource; the indexes are told of
    /// it. `None` if it has to be read like any other.
    pub(super) fn written(
        resource: &Resource,
        key: &str,
        written: &Written,
        revision: i64,
        indexes: &Indexes,
    ) -> Option<Self> {
        let entry = Entry::written(resource, key, written, revision)?;
        indexes.put(resource, key, &written.object);
        Some(Self::Is(entry))
    }
}

impl State {
    fn new(resource: &Resource) -> Self {
        Self {
            objects: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            left_out: Unreadable::new(match resource.group.as_str() {
                "" => resource.plural.clone(),
                group => format!("{}.{group}", resource.plural),
            }),
            watchers: Watchers::default(),
            history: VecDeque::new(),
            history_bytes: 0,
            horizon: 0,
            revision: 0,
        }
    }

    fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<Entry>> {
        // '0' follows '/'.
        let keys = format!("{namespace}/")..format!("{namespace}0");
        self.objects.range(keys).map(|(_, entry)| entry)
    }

    fn leave_out(&mut self, key: &str, error: StoreError) {
        self.left_out.add(key, &error.to_string());
        self.unreadable.insert(key.to_owned(), error);
    }

    fn trim(&mut self, now: Instant) {
        while let Some(oldest) = self.history.front() {
            let (count, bytes) = (self.history.len(), self.history_bytes);
            let age = now.saturating_duration_since(oldest.seen);
            let is_too_much = count > MAX_EVENTS || bytes > MAX_BYTES;
            let is_too_old = age > MAX_AGE || age > FRESH && bytes > MAX_OLD_BYTES;
            let goes = is_too_much || is_too_old && count > MIN_EVENTS;
            if !goes {
                break;
            }
            self.history_bytes -= oldest.size();
            self.horizon = oldest.revision;
            self.history.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_resources::Registry;

    /// A cache in which one object of so many bytes has changed so often.
    fn changed(times: i64, bytes: usize) -> ResourceCache {
        let maps = Registry::new().resource("", "configmaps").unwrap();
        let of = ResourceCache::new(maps.clone());
        let text = "x".repeat(bytes);
        let object = format!(
            r#"{{"metadata":{{"name":"a","namespace":"d","uid":"u"}},"data":{{"a":"{text}"}}}}"#
        );
        for revision in 1..=times {
            let stored = Ok(Stored {
                key: "configmaps/d/a".into(),
                value: object.clone().into(),
                revision,
                stale: false,
            });
            let news = Update::of(&maps, "d/a", &stored, &Indexes::default());
            of.apply("d/a", news, revision);
        }
        of
    }

    #[test]
    fn what_is_old_is_forgotten_though_nothing_changes() {
        let of = changed(1_000, 10);
        let now = Instant::now();
        of.forget_old(now + FRESH + Duration::from_secs(1));
        assert_eq!(of.state.read().history.len(), 1_000, "none is old yet");
        of.forget_old(now + MAX_AGE + Duration::from_secs(1));
        let state = of.state.read();
        assert_eq!(state.history.len(), MIN_EVENTS);
        let kept: usize = state.history.iter().map(|event| event.size()).sum();
        assert_eq!((state.history_bytes, state.horizon), (kept, 900));
        assert_eq!(state.objects.len(), 1);
    }

    #[test]
    fn much_is_kept_for_a_short_time_only() {
        let of = changed(1_000, 10 << 10);
        let now = Instant::now();
        of.forget_old(now);
        assert_eq!(of.state.read().history.len(), 1_000);
        of.forget_old(now + FRESH + Duration::from_secs(1));
        let state = of.state.read();
        assert!(state.history_bytes <= MAX_OLD_BYTES);
        assert!(state.history_bytes + (20 << 10) > MAX_OLD_BYTES);
        assert_eq!(state.history.len() as i64, 1_000 - state.horizon);
    }

    #[test]
    fn few_large_events_are_bounded_by_their_bytes() {
        let of = changed(60, 1 << 20);
        let state = of.state.read();
        assert!(state.history.len() < MIN_EVENTS && state.history_bytes <= MAX_BYTES);
        assert!(state.history.len() >= 25);
    }
}
