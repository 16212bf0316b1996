//! List and watch one kind into a [`Store`], telling handlers what changed.
//!
//! An object that can't be read is left out ([`crate::unreadable`]), its former
//! version too; the others go on, and so does it once it can be read.

use crate::api::{Api, WatchParams};
use crate::metrics::{IntCounterVec, register_int_counter_vec};
use crate::queue::backoff;
use crate::steps::{self, Step};
use crate::store::{IndexFn, Store};
use crate::unreadable::Unreadable;
use crate::{panics, task};
use futures_util::StreamExt;
use hardway_proto::api::{EventType, Object};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// One change of the cache. The store has it already when handlers hear of it.
#[derive(Clone, Debug)]
pub enum Change<K> {
    /// Created or changed.
    Applied {
        /// What was known before, if anything.
        old: Option<Arc<K>>,
        /// What is known now.
        new: Arc<K>,
    },
    /// Gone; its last known state.
    Deleted(Arc<K>),
}

impl<K> Change<K> {
    /// The newest state it tells of.
    pub fn object(&self) -> &Arc<K> {
        match self {
            Change::Applied { new, .. } => new,
            Change::Deleted(old) => old,
        }
    }
}

static PANICS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "informer_handler_panics_total",
        "Changes that a handler panicked over, by kind.",
        &["kind"]
    )
    .expect("the name is registered once")
});

type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// A watch that ends sooner than this has hardly been one.
const SHORT: Duration = Duration::from_secs(1);
/// First pause between attempts to reach the apiserver, and the longest.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// A watch that breaks is nothing special; one that can't be had after so many
/// attempts is.
const TELL_AFTER: u32 = 3;

/// A list+watch not yet started.
pub struct Informer<K> {
    api: Api<K>,
    labels: String,
    fields: String,
    store: Store<K>,
    handlers: Vec<Handler<K>>,
    trim: Option<fn(&mut K)>,
}

impl<K: Kind> Informer<K> {
    /// Of everything the api covers.
    pub fn new(api: Api<K>) -> Self {
        Self {
            api,
            labels: String::new(),
            fields: String::new(),
            store: Store::default(),
            handlers: Vec::new(),
            trim: None,
        }
    }

    /// Throws away what need not be kept of each object, before anybody sees it. That is so
    /// of managedFields in any case: often they are the largest part of an object, and an
    /// update that has none leaves them as they are.
    pub fn trim(mut self, trim: fn(&mut K)) -> Self {
        self.trim = Some(trim);
        self
    }

    /// Only objects whose labels match.
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.labels = selector.into();
        self
    }

    /// Only objects whose fields match, e.g. `spec.nodeName=n1`.
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.fields = selector.into();
        self
    }

    /// Adds an index for [`Store::by_index`].
    pub fn index(self, name: &'static str, values_of: IndexFn<K>) -> Self {
        self.store.add_index(name, values_of);
        self
    }

    /// The cache it will fill; usable at once, empty until started.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// Calls `handler` for every change, in order. It must not block: it
    /// usually puts a key into a queue.
    pub fn on_change(mut self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) -> Self {
        self.subscribe(handler);
        self
    }

    /// [`Informer::on_change`], for informers that several parties share.
    pub fn subscribe(&mut self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        self.handlers.push(Box::new(handler));
    }

    /// Lists and watches until dropped.
    pub async fn run(self) {
        let store = self.store();
        run(self, store).await;
    }

    /// Starts; the task runs until it is aborted or the runtime ends. If it
    /// panics the process ends: see [`task`].
    pub fn spawn(self) -> (Store<K>, JoinHandle<()>) {
        let store = self.store();
        let name = format!("informer {}", K::KIND);
        (store, task::spawn_critical(name, self.run()))
    }

    /// Starts, leaving the task to the runtime.
    pub fn start(self) -> Store<K> {
        self.spawn().0
    }
}

async fn run<K: Kind>(informer: Informer<K>, store: Store<K>) {
    let mut failures = 0;
    let mut short = 0;
    let mut version = String::new();
    let mut view = View {
        unreadable: Unreadable::new(informer.api.dynamic().resource()),
        informer,
        store,
    };
    loop {
        let (is_watch, began) = (!version.is_empty(), Instant::now());
        let outcome = if version.is_empty() {
            view.relist(&mut version).await
        } else {
            view.follow(&mut version).await
        };
        match outcome {
            Ok(()) => {
                if failures >= TELL_AFTER {
                    tracing::info!(kind = K::KIND, "the apiserver answers again");
                    view.store.set_trouble(None);
                }
                failures = 0;
            }
            Err(status) => {
                // A watch that came too late is followed by a list at once.
                let is_late = status.is_expired() && is_watch;
                if status.is_expired() {
                    version.clear();
                }
                if !is_late {
                    // One that lasted was had, whatever ended it.
                    if is_watch && began.elapsed() >= SHORT {
                        failures = 0;
                    }
                    failures += 1;
                    if failures == TELL_AFTER {
                        tracing::warn!(kind = K::KIND, %status, "cannot list or watch; still trying");
                    }
                    if failures >= TELL_AFTER {
                        view.store.set_trouble(Some(status.message.clone()));
                    }
                    let pause = backoff(failures, FIRST_BACKOFF, MAX_BACKOFF);
                    tokio::time::sleep(pause).await;
                    continue;
                }
            }
        }
        if is_watch {
            short = match began.elapsed() < SHORT {
                true => short + 1,
                false => 0,
            };
            // One may well end early; those that all do would never let up.
            if short > 1 {
                tokio::time::sleep(backoff(short - 1, FIRST_BACKOFF, MAX_BACKOFF)).await;
            }
        }
    }
}

/// What a running informer knows.
struct View<K> {
    informer: Informer<K>,
    store: Store<K>,
    unreadable: Unreadable,
}

impl<K: Kind> View<K> {
    /// Takes over a whole list: what isn't in it any more is deleted.
    async fn relist(&mut self, version: &mut String) -> Result<(), Status> {
        let informer = &self.informer;
        let all = informer.api.dynamic();
        let mut pages = pin!(all.pages(&informer.labels, &informer.fields).await?);
        let mut listed = HashSet::new();
        let mut revision = 0;
        while let Some(page) = pages.next().await {
            let page = page?;
            revision = page.resource_version.max(revision);
            for object in page.items {
                listed.insert(key_of(&object));
                self.apply(&object);
            }
        }
        for key in self.store.keys() {
            if !listed.contains(&key) {
                self.delete(&key, None);
            }
        }
        if !self.unreadable.is_empty() {
            let listed: HashSet<String> = listed.iter().map(ObjectKey::to_string).collect();
            self.unreadable.retain(|key| listed.contains(key));
        }
        self.store.set_synced();
        *version = revision.to_string();
        Ok(())
    }

    async fn follow(&mut self, version: &mut String) -> Result<(), Status> {
        let informer = &self.informer;
        let params = WatchParams {
            labels: informer.labels.clone(),
            fields: informer.fields.clone(),
            resource_version: version.clone(),
            send_initial_events: false,
        };
        let mut events = pin!(informer.api.dynamic().watch(&params).await?);
        while let Some(event) = events.next().await {
            let event = event?;
            let kind = event.r#type();
            let object = event.object.unwrap_or_default();
            match kind {
                EventType::Added | EventType::Modified => self.apply(&object),
                EventType::Deleted => {
                    let key = key_of(&object);
                    self.forget(&key);
                    // Whether its last state can be read or not, it is gone.
                    self.delete(&key, parse(&object, &key).ok());
                }
                EventType::Bookmark => {}
                EventType::Error => {
                    return Err(serde_json::from_slice(&object.json).unwrap_or_else(|_| {
                        Status::internal("watch ended with an unreadable error")
                    }));
                }
                EventType::Unspecified => {
                    tracing::warn!(kind = K::KIND, "the watch told something unknown");
                }
            }
            if object.resource_version != 0 {
                *version = object.resource_version.to_string();
            }
        }
        Ok(())
    }

    fn apply(&mut self, object: &Object) {
        let key = key_of(object);
        let mut object: K = match parse(object, &key) {
            Ok(object) => object,
            Err(reason) => {
                self.unreadable.add(&key.to_string(), &reason);
                return self.delete(&key, None);
            }
        };
        self.forget(&key);
        object.meta_mut().managed_fields = None;
        if let Some(trim) = self.informer.trim {
            trim(&mut object);
        }
        let new = Arc::new(object);
        let old = self.store.insert(new.clone());
        let unchanged = old
            .as_ref()
            .is_some_and(|old| old.resource_version() == new.resource_version());
        if !unchanged {
            self.heard(&Change::Applied { old, new });
        }
    }

    fn delete(&self, key: &ObjectKey, last: Option<K>) {
        if let Some(known) = self.store.remove(key) {
            let last = last.map_or(known, Arc::new);
            self.heard(&Change::Deleted(last));
        }
    }

    fn heard(&self, change: &Change<K>) {
        if self.store.is_synced() {
            note(change);
        }
        tell(&self.informer, change);
    }

    /// It is no longer one that can't be read.
    fn forget(&mut self, key: &ObjectKey) {
        if !self.unreadable.is_empty() {
            self.unreadable.remove(&key.to_string());
        }
    }
}

/// The key in the envelope, which can be trusted whatever the content says.
fn key_of(object: &Object) -> ObjectKey {
    ObjectKey::new(object.namespace.as_str(), object.name.as_str())
}

/// Reads an object, which must be the one that the envelope names: under any
/// other key it could not be found again when it goes.
fn parse<K: Kind>(object: &Object, key: &ObjectKey) -> Result<K, String> {
    let parsed = K::parse(&object.json).map_err(|error| error.to_string())?;
    let named = ObjectKey::of(&parsed);
    match named == *key {
        true => Ok(parsed),
        false => Err(format!("its metadata names another object, {named}")),
    }
}

/// Notes, for who follows an object, that this process has heard of a change; what comes again
/// and again, and objects of which only the metadata is read, are left out.
fn note<K: Kind>(change: &Change<K>) {
    if matches!(K::RESOURCE.resource, "" | "leases" | "events") {
        return;
    }
    let what = match change {
        Change::Applied { old: None, .. } => "added",
        Change::Applied { .. } => "modified",
        Change::Deleted(_) => "deleted",
    };
    let object = change.object();
    let step = Step::about(object.as_ref(), "heard")
        .with("change", what)
        .with("revision", object.resource_version());
    steps::record(step);
}

fn tell<K: Kind>(informer: &Informer<K>, change: &Change<K>) {
    for handler in &informer.handlers {
        // One object must not end the process, or it would again at each start.
        if let Err(panic) = panics::catch_in(|| handler(change)) {
            let key = ObjectKey::of(change.object().as_ref());
            PANICS.with_label_values(&[K::KIND]).inc();
            tracing::error!(kind = K::KIND, %key, %panic, "not heard by all");
        }
    }
}

#[cfg(test)]
mod tests;
