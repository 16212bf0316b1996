//! The watch cache: everything in etcd, as the bytes that are served.
//!
//! One etcd watch over the whole key space feeds it, so every revision is an
//! event and the cache knows which revision it shows. A consistent read
//! confirms etcd's revision and waits until the cache has reached it.

mod claims;
mod confirm;
pub mod entry;
mod feed;
mod indexes;
mod parsed;
mod resource;
mod row;
mod watchers;

pub use claims::{Claims, claims_of, ip_claim, port_claim};
pub use entry::{Change, Entry, Event};
pub use resource::{ResourceCache, TooOld};
pub use watchers::{Interest, Watcher};

use crate::store::{Store, StoreError, too_large_resource_version};
use bytes::Bytes;
use confirm::Confirm;
use futures_util::future::BoxFuture;
use hardway_access::Objects;
use hardway_access::authz::node::Graph;
use hardway_client::task;
use hardway_proto::Status;
use hardway_proto::quota::Counted;
use hardway_resources::resource::Resource;
use indexes::Indexes;
use parking_lot::RwLock;
use parsed::Parsed;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long a read waits for the cache to catch up.
const CATCH_UP: Duration = Duration::from_secs(3);

/// The caches of all resources.
pub struct Cache {
    store: Store,
    confirm: Confirm,
    tables: RwLock<Tables>,
    indexes: Indexes,
    parsed: Parsed,
    /// The revision everything up to which has been applied; 0 before the
    /// first load.
    revision: watch::Sender<i64>,
    commands: mpsc::UnboundedSender<feed::Command>,
    /// How often etcd was found to be behind what the cache had shown.
    rewinds: AtomicU64,
    /// The process is ending: watches end, too.
    stopping: watch::Sender<bool>,
}

#[derive(Default)]
struct Tables {
    by_name: HashMap<String, HashMap<String, Arc<ResourceCache>>>,
    by_prefix: HashMap<String, Arc<ResourceCache>>,
}

impl Cache {
    /// Ends all watches, so that their clients go elsewhere at once.
    pub fn stop_watches(&self) {
        self.stopping.send_replace(true);
    }

    /// Becomes true when watches have to end.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// A cache of these resources, which fills itself in the background.
    pub fn start(store: Store, resources: impl IntoIterator<Item = Arc<Resource>>) -> Arc<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "one command for each definition that comes or goes"
        )]
        let (commands, receiver) = mpsc::unbounded_channel();
        let cache = Arc::new(Self {
            confirm: Confirm::start(store.clone()),
            store,
            tables: RwLock::default(),
            indexes: Indexes::default(),
            parsed: Parsed::default(),
            revision: watch::Sender::new(0),
            commands,
            rewinds: AtomicU64::new(0),
            stopping: watch::Sender::new(false),
        });
        for resource in resources {
            let of = Arc::new(ResourceCache::new(resource));
            cache.tables.write().insert(of);
        }
        task::spawn_critical("cache-feed", feed::run(cache.clone(), receiver));
        cache
    }

    /// The cache of a resource.
    pub fn of(&self, group: &str, plural: &str) -> Option<Arc<ResourceCache>> {
        self.tables.read().by_name.get(group)?.get(plural).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<ResourceCache>> {
        self.tables.read().by_prefix.values().cloned().collect()
    }

    /// Which cluster IPs and node ports Services hold.
    pub fn claims(&self) -> &Claims {
        &self.indexes.claims
    }

    /// Forgets events of all resources that are too old by `now`.
    fn forget_old(&self, now: std::time::Instant) {
        for of in self.all() {
            of.forget_old(now);
        }
    }

    /// Adds (or replaces) a resource with its objects; returns when they are there.
    ///
    /// # Errors
    /// If etcd doesn't give them; what was there before stays.
    pub async fn add(&self, resource: Arc<Resource>) -> Result<(), StoreError> {
        let (done, loaded) = tokio::sync::oneshot::channel();
        let sent = self.commands.send(feed::Command::Add(resource, done));
        // Nobody answers when the process ends.
        let ended = || StoreError::Unavailable("the watch cache has ended".into());
        sent.map_err(|_| ended())?;
        loaded.await.map_err(|_| ended())?
    }

    /// Tries again to read what could not be decrypted.
    pub fn try_unreadable(&self) {
        // It fails when the process ends.
        let _ = self.commands.send(feed::Command::TryUnreadable);
    }

    /// Forgets a resource.
    pub fn remove(&self, group: &str, plural: &str) {
        let mut tables = self.tables.write();
        let removed = tables.by_name.get_mut(group).and_then(|g| g.remove(plural));
        if let Some(removed) = removed {
            tables.by_prefix.remove(&removed.resource.storage_prefix);
            removed.retire();
        }
    }

    /// The revision the cache shows; 0 before it is filled.
    pub fn revision(&self) -> i64 {
        *self.revision.borrow()
    }

    /// Changes when etcd has gone back, as to a backup: revisions from before mean nothing then.
    pub fn rewinds(&self) -> u64 {
        self.rewinds.load(Ordering::Acquire)
    }

    /// Has all who watch from before etcd went back begin anew.
    fn rewound(&self, revision: i64) {
        self.rewinds.fetch_add(1, Ordering::Release);
        for of in self.all() {
            of.notify(revision);
        }
    }

    /// Waits until the cache shows at least this revision.
    pub async fn wait_for(&self, revision: i64) -> Result<i64, Status> {
        let mut shown = self.revision.subscribe();
        let wait = shown.wait_for(|shown| *shown >= revision.max(1));
        match tokio::time::timeout(CATCH_UP, wait).await {
            Ok(Ok(shown)) => Ok(*shown),
            _ => Err(too_large_resource_version(revision, Some(self.revision()))),
        }
    }

    /// Confirms etcd's current revision and waits until the cache shows it.
    pub async fn fresh(&self) -> Result<i64, Status> {
        let revision = self.confirm.revision().await?;
        self.wait_for(revision).await
    }

    /// Waits for the first load.
    pub async fn loaded(&self) {
        let mut shown = self.revision.subscribe();
        let _ = shown.wait_for(|shown| *shown > 0).await;
    }

    /// Objects of a resource exactly at a revision, read from etcd unless
    /// nothing has changed since.
    pub async fn list_at(
        &self,
        of: &ResourceCache,
        from: &str,
        to: &str,
        limit: i64,
        revision: i64,
    ) -> Result<(Vec<Arc<Entry>>, bool, i64), StoreError> {
        let prefix = &of.resource.storage_prefix;
        let page = self
            .store
            .range(
                &format!("{prefix}/{from}"),
                &format!("{prefix}/{to}"),
                limit,
                revision,
            )
            .await?;
        let mut items = Vec::new();
        for stored in page.items {
            let stored = stored?;
            let key = stored.key.strip_prefix(prefix.as_str());
            if let Some(key) = key.and_then(|key| key.strip_prefix('/'))
                && let Ok(entry) = Entry::read(&of.resource, key, &stored, |_| {})
            {
                items.push(Arc::new(entry));
            }
        }
        Ok((items, page.more, page.count))
    }
}

impl Tables {
    fn insert(&mut self, of: Arc<ResourceCache>) {
        let resource = &of.resource;
        self.by_prefix
            .insert(resource.storage_prefix.clone(), of.clone());
        let group = self.by_name.entry(resource.group.clone()).or_default();
        if let Some(former) = group.insert(resource.plural.clone(), of) {
            former.retire();
        }
    }

    /// The resource a key (below the root) belongs to, and the rest of it:
    /// prefixes have one segment or two.
    fn resolve<'k>(&self, key: &'k str) -> Option<(Arc<ResourceCache>, &'k str)> {
        let first = key.find('/')?;
        let second = key[first + 1..].find('/').map(|at| first + 1 + at);
        [second, Some(first)].into_iter().flatten().find_map(|at| {
            let cache = self.by_prefix.get(&key[..at])?;
            Some((cache.clone(), &key[at + 1..]))
        })
    }
}

impl Objects for Cache {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Bytes> {
        let entry = self.of(group, resource)?.get(&join(namespace, name))?;
        Some(entry.bytes().clone())
    }

    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Bytes> {
        let Some(cache) = self.of(group, resource) else {
            return Vec::new();
        };
        let (entries, _) = cache.list(namespace);
        entries.iter().map(|entry| entry.bytes().clone()).collect()
    }

    fn read(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let entry = self.of(group, resource)?.get(&join(namespace, name))?;
        Some(self.parsed.of(&entry))
    }

    fn read_all(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let Some(cache) = self.of(group, resource) else {
            return Vec::new();
        };
        let (entries, _) = cache.list(namespace);
        entries.iter().map(|entry| self.parsed.of(entry)).collect()
    }

    fn counted(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Counted>> {
        let Some(cache) = self.of(group, resource) else {
            return Vec::new();
        };
        let (entries, _) = cache.list(Some(namespace));
        let counted = |entry: &Arc<Entry>| entry.counted(group, resource);
        entries.iter().map(counted).collect()
    }

    fn revision(&self, group: &str, resource: &str) -> u64 {
        self.of(group, resource)
            .map_or(0, |cache| cache.revision() as u64)
    }

    fn graph(&self) -> &Graph {
        &self.indexes.graph
    }

    fn shown(&self) -> i64 {
        Self::revision(self)
    }

    fn catch_up(&self) -> BoxFuture<'_, Result<i64, Status>> {
        Box::pin(self.fresh())
    }
}

/// `namespace/name`, or the name alone.
pub fn join(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}/{name}")
    }
}
