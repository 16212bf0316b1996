//! Feeds the cache from etcd.

use super::entry::Entry;
use super::{Cache, ResourceCache};
use crate::store::{ROOT, Store, StoreError, Stored, below_root};
use etcd_client::{EventType, WatchResponse, WatchStream};
use hardway_resources::resource::Resource;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Keys per page of a load: large pages are ten times as fast as small ones.
const PAGE: i64 = 10_000;
/// How long to wait before asking an etcd again that is away.
const RETRY: Duration = Duration::from_millis(200);

/// What the rest of the process asks the feeder.
pub(super) enum Command {
    /// Serve one more resource.
    Add(Arc<Resource>, oneshot::Sender<()>),
}

/// Why following the watch ended.
enum Ended {
    /// The stream broke: go on from where it was.
    Broken(String),
    /// Events were missed: load everything anew.
    Compacted,
}

/// Loads and follows etcd for ever.
pub(super) async fn run(cache: Arc<Cache>, mut commands: mpsc::UnboundedReceiver<Command>) {
    loop {
        match load(&cache).await {
            Ok(revision) => tracing::info!(revision, "the watch cache is filled"),
            Err(error) => {
                tracing::warn!(%error, "cannot fill the watch cache, retrying");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        loop {
            let next = cache.revision() + 1;
            let ended = match cache.store.watch(next).await {
                Ok(stream) => follow(&cache, stream, &mut commands).await,
                Err(error) => Ended::Broken(error.to_string()),
            };
            match ended {
                Ended::Compacted => {
                    tracing::warn!(from = next, "etcd has compacted what the cache misses");
                    break;
                }
                Ended::Broken(error) => {
                    tracing::warn!(from = next, error, "the watch on etcd broke, resuming");
                    tokio::time::sleep(RETRY).await;
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
    loop {
        tokio::select! {
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
            Some(Command::Add(resource, done)) = commands.recv() => {
                match add(cache, resource).await {
                    Ok(()) => drop(done.send(())),
                    Err(error) => tracing::warn!(%error, "cannot load a custom resource"),
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
        let entry = match event.event_type() {
            EventType::Delete => None,
            EventType::Put => Entry::read(
                &of.resource,
                key,
                &Stored {
                    value: pair.value().to_vec().into(),
                    revision: pair.mod_revision(),
                    key: full.clone(),
                },
            ),
        };
        of.apply(key, entry, pair.mod_revision());
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
    let mut entries: HashMap<String, Vec<Entry>> = HashMap::new();
    let revision = each_page(&cache.store, "", "\u{7f}", 0, |items| {
        let tables = cache.tables.read();
        for stored in items {
            if let Some((of, key)) = tables.resolve(&stored.key)
                && let Some(entry) = Entry::read(&of.resource, key, stored)
            {
                let prefix = of.resource.storage_prefix.clone();
                entries.entry(prefix).or_default().push(entry);
            }
        }
    })
    .await?;
    for of in cache.all() {
        let loaded = entries.remove(&of.resource.storage_prefix);
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
    let mut entries = Vec::new();
    // '0' follows '/'.
    let (from, to) = (format!("{prefix}/"), format!("{prefix}0"));
    each_page(&cache.store, &from, &to, revision, |items| {
        entries.extend(
            items.iter().filter_map(|stored| {
                Entry::read(&resource, stored.key.strip_prefix(&from)?, stored)
            }),
        );
    })
    .await?;
    let of = cache.tables.write().insert(resource.clone());
    of.reset(entries, revision);
    Ok(())
}

/// Calls `use_page` with every page of a range at one revision (0: the
/// current one); gives that revision.
async fn each_page(
    store: &Store,
    from: &str,
    to: &str,
    revision: i64,
    mut use_page: impl FnMut(&[Stored]),
) -> Result<i64, StoreError> {
    let mut from = from.to_owned();
    let mut revision = revision;
    loop {
        let page = store.range(&from, to, PAGE, revision).await?;
        revision = page.revision;
        use_page(&page.items);
        match page.items.last() {
            Some(last) if page.more => from = format!("{}\0", last.key),
            _ => return Ok(revision),
        }
    }
}
