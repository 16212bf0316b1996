//! Feeds the cache from etcd.

use super::indexes::Indexes;
use super::resource::{Loaded, Update};
use super::{Cache, ResourceCache};
use crate::store::{Page, ROOT, Store, StoreError, below_root};
use etcd_client::{EventType, WatchResponse, WatchStream};
use hardway_resources::resource::Resource;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

/// Keys per page of a load: large pages are ten times as fast as small ones.
const PAGE: i64 = 10_000;
/// How long to wait before asking an etcd again that is away.
const RETRY: Duration = Duration::from_millis(200);
/// How often events that are too old are looked for.
const FORGET: Duration = Duration::from_secs(15);

/// What the rest of the process asks the feeder.
pub(super) enum Command {
    /// Serve one more resource.
    Add(Arc<Resource>, oneshot::Sender<Result<(), StoreError>>),
    /// What could not be decrypted may be readable now.
    TryUnreadable,
}

/// Why following the watch ended.
enum Ended {
    /// The stream broke: go on from where it was.
    Broken(String),
    /// Events were missed: load everything anew.
    Compacted,
    /// etcd is at this revision, before what the cache shows: it was restored. Load everything
    /// anew.
    Rewound(i64),
    /// Load everything anew, for what could not be read before.
    Readable,
}

/// Loads and follows etcd for ever.
pub(super) async fn run(cache: Arc<Cache>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut is_rewound = false;
    loop {
        match load(&cache).await {
            Ok(revision) => {
                tracing::info!(revision, "the watch cache is filled");
                if std::mem::take(&mut is_rewound) {
                    cache.rewound(revision);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot fill the watch cache, retrying");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        let mut broken_at = 0;
        loop {
            let next = cache.revision() + 1;
            let ended = match cache.store.watch(next).await {
                Ok(stream) => match cache.store.revision().await {
                    Ok(revision) if revision < cache.revision() => Ended::Rewound(revision),
                    Ok(_) => follow(&cache, stream, &mut commands).await,
                    Err(error) => Ended::Broken(error.to_string()),
                },
                Err(error) => Ended::Broken(error.to_string()),
            };
            match ended {
                Ended::Compacted => {
                    tracing::warn!(from = next, "etcd has compacted what the cache misses");
                    break;
                }
                Ended::Rewound(revision) => {
                    tracing::warn!(
                        revision,
                        shown = cache.revision(),
                        "etcd has gone back, as to a backup: everything is loaded anew, and \
                         whoever watches has to begin anew"
                    );
                    is_rewound = true;
                    break;
                }
                Ended::Readable => break,
                Ended::Broken(error) => {
                    tracing::warn!(from = next, error, "the watch on etcd broke, resuming");
                    // At once, unless it is the same again.
                    if std::mem::replace(&mut broken_at, next) == next {
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        }
    }
}

async fn follow(
    cache: &Cache,
    mut stream: WatchStream,
    commands: &mut mpsc::UnboundedReceiver<Command>,
) -> Ended {
    let mut forgetting = tokio::time::interval(FORGET);
    forgetting.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            now = forgetting.tick() => cache.forget_old(now.into_std()),
            message = stream.message() => match message {
                Ok(Some(response)) if response.canceled() => {
                    return if response.compact_revision() > 0 {
                        Ended::Compacted
                    } else {
                        Ended::Broken(response.cancel_reason().to_owned())
                    };
                }
                Ok(Some(response)) => apply(cache, &response),
                Ok(None) => return Ended::Broken("etcd closed the stream".into()),
                Err(error) => return Ended::Broken(error.to_string()),
            },
            Some(command) = commands.recv() => match command {
                // Whoever asked may have given up.
                Command::Add(resource, done) => drop(done.send(add(cache, resource).await)),
                Command::TryUnreadable => {
                    if cache.all().iter().any(|of| of.readable(None).is_err()) {
                        return Ended::Readable;
                    }
                }
            }
        }
    }
}

/// Applies the events of one response, then shows their revision.
fn apply(cache: &Cache, response: &WatchResponse) {
    let mut touched: HashMap<String, Arc<ResourceCache>> = HashMap::new();
    let mut revision = 0;
    for event in response.events() {
        let Some(pair) = event.kv() else {
            continue;
        };
        revision = revision.max(pair.mod_revision());
        let full = below_root(pair.key());
        if !pair.key().starts_with(ROOT.as_bytes()) {
            continue;
        }
        let Some((of, key)) = cache.tables.read().resolve(&full) else {
            continue;
        };
        let news = match event.event_type() {
            EventType::Delete => {
                cache.indexes.remove(&of.resource, key);
                Update::Gone
            }
            EventType::Put => {
                let (resource, revision) = (&of.resource, pair.mod_revision());
                let written = cache.store.take_written(&full, pair.value());
                let known = written.and_then(|written| {
                    Update::written(resource, key, &written, revision, &cache.indexes)
                });
                known.unwrap_or_else(|| {
                    let value = pair.value().to_vec().into();
                    let stored = cache.store.read(full.clone(), value, revision);
                    Update::of(resource, key, &stored, &cache.indexes)
                })
            }
        };
        of.apply(key, news, pair.mod_revision());
        touched.insert(of.resource.storage_prefix.clone(), of);
    }
    if revision > 0 {
        cache.revision.send_replace(revision);
        for of in touched.values() {
            of.notify(revision);
        }
    }
}

/// Reads everything at one revision and replaces what the caches hold.
async fn load(cache: &Cache) -> Result<i64, StoreError> {
    let mut all: HashMap<String, Loaded> = HashMap::new();
    let indexes = Indexes::default();
    let revision = each_page(&cache.store, "", "\u{7f}", 0, |page| {
        let tables = cache.tables.read();
        for (full, stored) in page.keyed() {
            if let Some((of, key)) = tables.resolve(full) {
                let prefix = of.resource.storage_prefix.clone();
                let loaded = all.entry(prefix).or_default();
                loaded.add(key, Update::of(&of.resource, key, stored, &indexes));
            }
        }
    })
    .await?;
    cache.indexes.replace(indexes);
    for of in cache.all() {
        let loaded = all.remove(&of.resource.storage_prefix);
        of.reset(loaded.unwrap_or_default(), revision);
    }
    cache.revision.send_replace(revision);
    Ok(revision)
}

/// Loads one resource at the revision the cache shows, so that the next event
/// applies to it.
async fn add(cache: &Cache, resource: Arc<Resource>) -> Result<(), StoreError> {
    let revision = cache.revision();
    let prefix = resource.storage_prefix.clone();
    let mut loaded = Loaded::default();
    // '0' follows '/'.
    let (from, to) = (format!("{prefix}/"), format!("{prefix}0"));
    each_page(&cache.store, &from, &to, revision, |page| {
        for (full, stored) in page.keyed() {
            if let Some(key) = full.strip_prefix(&from) {
                loaded.add(key, Update::of(&resource, key, stored, &cache.indexes));
            }
        }
    })
    .await?;
    let of = Arc::new(ResourceCache::new(resource));
    of.reset(loaded, revision);
    cache.tables.write().insert(of);
    Ok(())
}

/// Calls `use_page` with every page of a range at one revision (0: the
/// current one); gives that revision.
async fn each_page(
    store: &Store,
    from: &str,
    to: &str,
    revision: i64,
    mut use_page: impl FnMut(&Page),
) -> Result<i64, StoreError> {
    let mut from = from.to_owned();
    let mut revision = revision;
    loop {
        let page = store.range(&from, to, PAGE, revision).await?;
        revision = page.revision;
        use_page(&page);
        match page.keyed().last() {
            Some((last, _)) if page.more => from = format!("{last}\0"),
            _ => return Ok(revision),
        }
    }
}
