//! Who watches what of a resource: a change wakes those whom it may concern, and nobody else.
//! With thousands of kubelets each change of a pod would otherwise wake them all, to find that
//! it is on another's node.

use super::entry::{Entry, Event};
use super::resource::{ResourceCache, TooOld};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::Notify;

/// Objects of a resource that a list or watch is about, and that are found without a look at
/// all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// All of them.
    All,
    /// Those of a namespace.
    Namespace(String),
    /// The one with this key, as [`Entry::key`] has it.
    Object(String),
    /// Those with this value in the field at this place of [`Entry::fields`].
    Field(usize, String),
}

impl Interest {
    /// Each that an object belongs to.
    fn each_of(entry: &Entry) -> impl Iterator<Item = Self> {
        let fields = entry.fields.iter().enumerate();
        let fields = fields.map(|(place, value)| Self::Field(place, value.clone()));
        [
            Self::All,
            Self::Namespace(entry.namespace().to_owned()),
            Self::Object(entry.key.clone()),
        ]
        .into_iter()
        .chain(fields)
    }
}

/// The place of one watcher in the history.
#[derive(Debug)]
pub(super) struct Place {
    /// There may be changes for it from this revision on, and none before.
    from: AtomicI64,
    wake: Notify,
}

/// There are no changes for a watcher.
const NONE: i64 = i64::MAX;

impl Place {
    /// The first revision that may have a change for it, among those after one.
    pub fn after(&self, revision: i64) -> i64 {
        let from = self.from.load(Ordering::Acquire);
        from.max(revision.saturating_add(1))
    }

    /// It has looked at all that has changed. Nothing may change meanwhile.
    pub fn is_current(&self) {
        self.from.store(NONE, Ordering::Release);
    }

    /// There is a change for it; whether it knew of none.
    fn touch(&self, revision: i64) -> bool {
        self.from.fetch_min(revision, Ordering::AcqRel) == NONE
    }
}

/// All who watch a resource.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    places: HashMap<Interest, Vec<Arc<Place>>>,
    /// Those that are to be woken. Who knows of a change already looks for others by itself.
    touched: Vec<Arc<Place>>,
}

impl Watchers {
    /// Something has changed.
    pub fn touch(&mut self, event: &Event) {
        if self.places.is_empty() {
            return;
        }
        for entry in [&event.entry, &event.previous].into_iter().flatten() {
            for interest in Interest::each_of(entry) {
                for place in self.places.get(&interest).into_iter().flatten() {
                    if place.touch(event.revision) {
                        self.touched.push(place.clone());
                    }
                }
            }
        }
    }

    /// The history up to a revision is lost, for all.
    pub fn touch_all(&mut self, revision: i64) {
        for place in self.places.values().flatten() {
            place.touch(revision);
            self.touched.push(place.clone());
        }
    }

    /// Those that are to be woken.
    pub fn take_touched(&mut self) -> Vec<Arc<Place>> {
        std::mem::take(&mut self.touched)
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Place>> {
        self.places.values().flatten().cloned().collect()
    }

    fn add(&mut self, interest: &Interest, place: Arc<Place>) {
        let places = self.places.entry(interest.clone()).or_default();
        places.push(place);
    }

    fn remove(&mut self, interest: &Interest, place: &Arc<Place>) {
        if let Some(places) = self.places.get_mut(interest) {
            places.retain(|other| !Arc::ptr_eq(other, place));
            if places.is_empty() {
                self.places.remove(interest);
            }
        }
    }
}

/// Wakes watchers.
pub(super) fn wake(places: &[Arc<Place>]) {
    places.iter().for_each(|place| place.wake.notify_one());
}

/// One who watches a resource, or some of its objects.
pub struct Watcher {
    of: Arc<ResourceCache>,
    interest: Interest,
    place: Arc<Place>,
}

impl Watcher {
    /// One to whom everything up to a revision is known.
    pub fn new(of: Arc<ResourceCache>, interest: Interest, revision: i64) -> Self {
        let place = Arc::new(Place {
            from: AtomicI64::new(revision.saturating_add(1)),
            wake: Notify::new(),
        });
        of.with_watchers(|watchers| watchers.add(&interest, place.clone()));
        Self {
            of,
            interest,
            place,
        }
    }

    /// What is watched.
    pub fn of(&self) -> &ResourceCache {
        &self.of
    }

    /// At most `limit` events after a revision, among which are all that concern it: if there
    /// are none, nothing of what it is about has changed since.
    ///
    /// # Errors
    /// If the history doesn't reach back to such an event.
    pub fn events_after(&self, revision: i64, limit: usize) -> Result<Vec<Arc<Event>>, TooOld> {
        self.of.events_after(&self.place, revision, limit)
    }

    /// Waits until there may be more than [`Self::events_after`] has last given, which was
    /// nothing.
    pub async fn changed(&self) {
        self.place.wake.notified().await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let remove = |watchers: &mut Watchers| watchers.remove(&self.interest, &self.place);
        self.of.with_watchers(remove);
    }
}

#[cfg(test)]
mod tests;
