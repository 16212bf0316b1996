//! watch: a place in a resource's history that moves on as things change.

use super::options::list;
use super::read::parse_version;
use super::{Held, Pipeline, Request, Selection, Target};
use crate::cache::{Cache, Change, Entry, Event, Watcher};
use crate::conversion::Conversion;
use crate::fairness::Watched;
use hardway_access::audit;
use hardway_proto::Status;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often a quiet watch tells where it is, at least.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// All do so at the same moments, which are so far apart: a server that has little to do wakes
/// for them seldom.
const BETWEEN_BOOKMARKS: Duration = Duration::from_secs(5);
/// Events taken from the history at once.
const BATCH: usize = 256;
/// How long a watch lasts if the client doesn't say: this and up to as much more.
const MIN_DURATION: u64 = 1800;
/// How long a watch lasts at most; the clock has an end, too.
const MAX_DURATION: u64 = 365 * 24 * 3600;

/// A running watch.
pub struct Watch {
    /// What is watched.
    pub target: Target,
    selection: Selection,
    cache: Arc<Cache>,
    conversion: Arc<Conversion>,
    watcher: Watcher,
    /// Everything up to here has been told.
    cursor: i64,
    /// What that means ends when this changes.
    rewinds: u64,
    initial: VecDeque<Arc<Entry>>,
    /// The end of the initial events is still to be told.
    initial_end: bool,
    pending: VecDeque<Arc<Event>>,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    stopping: watch::Receiver<bool>,
    done: bool,
    /// Tells the audit log of the end.
    _recorded: Option<audit::Running>,
    /// Until what was there at the start is told.
    seat: Option<Held>,
    _watched: Option<Watched>,
}

/// What a watch tells.
pub enum WatchItem {
    /// An object that was there from the start.
    Initial(Arc<Entry>),
    /// A change.
    Change(Change, Arc<Event>),
    /// Everything up to this revision has been told.
    Bookmark {
        /// The revision.
        revision: i64,
        /// Whether it marks the end of the initial events.
        initial_end: bool,
    },
    /// The watch ends with an error.
    Error(Status),
}

impl Pipeline {
    pub(super) async fn watch(&self, request: &Request) -> Result<Watch, Status> {
        let options = &request.options;
        let target = &request.target;
        let selection = Selection::of(target, options)?;
        let of = self.cache_of(target)?;
        list::check(options, true)?;
        let rewinds = self.cache.rewinds();
        let version = options.resource_version.as_str();
        let wants_initial = options.initial_events == Some(true);
        let from_now = matches!(version, "" | "0") && options.initial_events == Some(false);
        let from_start = matches!(version, "" | "0") && options.initial_events.is_none();
        let interest = selection.interest(target);
        let mut initial = VecDeque::new();
        let cursor = if wants_initial || from_start {
            match version {
                "" => self.cache.fresh().await?,
                version => self.cache.wait_for(parse_version(version)?).await?,
            };
            let shown = self.cache.revision();
            let (items, revision) =
                of.list_some(&interest, |entry| selection.may_match(target, entry));
            let items = self.shown_to(&selection, target, items).await?;
            initial.extend(items.into_iter().filter(|entry| selection.matches(entry)));
            shown.max(revision)
        } else if from_now {
            self.cache.fresh().await?
        } else {
            let revision = parse_version(version)?;
            // A future revision is waited for by the watch itself.
            self.cache.loaded().await;
            revision
        };
        of.readable(selection.namespace())?;
        let initial = self.shown(target, initial.into()).await?.into();
        let seconds = options
            .timeout_seconds
            .filter(|s| *s > 0)
            .unwrap_or_else(|| {
                let random = RandomState::new().build_hasher().finish();
                MIN_DURATION + random % MIN_DURATION
            });
        let deadline = Instant::now() + Duration::from_secs(seconds.min(MAX_DURATION));
        Ok(Watch {
            target: target.clone(),
            selection,
            cache: self.cache.clone(),
            conversion: self.conversion.clone(),
            watcher: Watcher::new(of, interest, cursor),
            cursor,
            rewinds,
            initial,
            initial_end: wants_initial && options.bookmarks,
            pending: VecDeque::new(),
            bookmarks: options.bookmarks,
            next_bookmark: first_bookmark(deadline),
            deadline,
            stopping: self.cache.stopping(),
            done: false,
            _recorded: None,
            seat: None,
            _watched: self.seats.watch(request),
        })
    }
}

/// A quiet watch bookmarks every minute; a short one shortly before its end.
fn first_bookmark(deadline: Instant) -> Instant {
    let before_end = deadline
        .checked_sub(Duration::from_secs(2))
        .unwrap_or(deadline);
    before_end.min(next_bookmark(Instant::now()))
}

/// The last moment for bookmarks before a minute is over.
fn next_bookmark(now: Instant) -> Instant {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    let latest = now + BOOKMARK_EVERY;
    let since = latest.saturating_duration_since(*FIRST).as_nanos();
    let over = since % BETWEEN_BOOKMARKS.as_nanos();
    latest - Duration::from_nanos(u64::try_from(over).unwrap_or_default())
}

impl Watch {
    /// Has the audit log told when the watch ends.
    pub(super) fn record(&mut self, running: audit::Running) {
        self._recorded = Some(running);
    }

    /// Whether there is something to tell of what was there at the start.
    pub(super) fn has_initial(&self) -> bool {
        !self.initial.is_empty()
    }

    /// Keeps a seat until that is told.
    pub(super) fn keep(&mut self, seat: Held) {
        self.seat = Some(seat);
    }

    /// The next thing to tell; `None` when the watch is over.
    pub async fn next(&mut self) -> Option<WatchItem> {
        loop {
            if self.done {
                return None;
            }
            if let Some(item) = self.ready() {
                return Some(item);
            }
            let shown = self.cache.revision();
            if self.cache.rewinds() != self.rewinds {
                self.done = true;
                let message = format!("too old resource version: {} ({shown})", self.cursor);
                return Some(WatchItem::Error(Status::expired(message)));
            }
            match self.watcher.events_after(self.cursor, BATCH) {
                Err(too_old) => {
                    self.done = true;
                    let message = format!(
                        "too old resource version: {} ({})",
                        self.cursor, too_old.oldest
                    );
                    return Some(WatchItem::Error(Status::expired(message)));
                }
                Ok(events) if !events.is_empty() => {
                    let Target {
                        resource, version, ..
                    } = &self.target;
                    match self.conversion.events(resource, events, version).await {
                        Ok(events) => self.pending.extend(events),
                        Err(status) => {
                            self.done = true;
                            return Some(WatchItem::Error(status));
                        }
                    }
                    continue;
                }
                // The definition has changed: clients begin anew with the present one.
                Ok(_) if self.watcher.of().is_retired() => {
                    self.done = true;
                    continue;
                }
                // Nothing more up to what the cache shows.
                Ok(_) => self.cursor = self.cursor.max(shown),
            }
            if self.bookmarks && self.next_bookmark <= Instant::now() {
                self.next_bookmark = next_bookmark(Instant::now());
                return Some(WatchItem::Bookmark {
                    revision: self.cursor,
                    initial_end: false,
                });
            }
            tokio::select! {
                () = self.watcher.changed() => {}
                _ = self.stopping.wait_for(|stopping| *stopping) => self.done = true,
                () = tokio::time::sleep_until(self.deadline) => self.done = true,
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {}
            }
        }
    }

    /// What can be told without waiting.
    pub fn ready(&mut self) -> Option<WatchItem> {
        if let Some(entry) = self.initial.pop_front() {
            return Some(WatchItem::Initial(entry));
        }
        self.seat = None;
        if std::mem::take(&mut self.initial_end) {
            return Some(WatchItem::Bookmark {
                revision: self.cursor,
                initial_end: true,
            });
        }
        while let Some(event) = self.pending.pop_front() {
            self.cursor = event.revision;
            if let Some(change) = event.change(|entry| self.selection.matches(entry)) {
                return Some(WatchItem::Change(change, event));
            }
        }
        None
    }
}

/// The object of a BOOKMARK event.
pub fn bookmark(target: &Target, revision: i64, initial_end: bool) -> serde_json::Value {
    let mut object = serde_json::json!({
        "kind": target.resource.kind,
        "apiVersion": target.api_version(),
        "metadata": {"resourceVersion": revision.to_string(), "creationTimestamp": null},
    });
    if initial_end {
        object["metadata"]["annotations"] =
            serde_json::json!({"k8s.io/initial-events-end": "true"});
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn watches_tell_where_they_are_at_the_same_moments_and_every_minute() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let moments: BTreeSet<Instant> = (0..5_000).map(|n| next_bookmark(at(n))).collect();
        assert!(moments.len() <= 2, "{moments:?}");
        for now in (0..60_000).step_by(777).map(at) {
            let wait = next_bookmark(now) - now;
            assert!(wait <= BOOKMARK_EVERY && wait > BOOKMARK_EVERY - BETWEEN_BOOKMARKS);
        }
    }
}
