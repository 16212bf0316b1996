//! How many objects of any resource a namespace has: only their metadata is watched, and
//! only that of resources which some quota counts.

use crate::ownership::keep_ownership;
use hardway_client::{Api, Client, Informer, Store};
use hardway_proto::api::ResourceInfo;
use hardway_proto::kind::PartialObject;
use hardway_proto::{Kind, Status};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// So long a list may take before the quota is tried again: one that can't be had must not
/// keep a worker from all other quotas.
const LISTED: Duration = Duration::from_secs(1);
/// So long there is no such resource, once the apiserver has said so.
pub(super) const UNKNOWN: Duration = Duration::from_secs(30);

/// Group and resource.
type ResourceKey = (String, String);
/// Called with the namespace in which something came or went.
type OnChange = Arc<dyn Fn(&str) + Send + Sync>;

/// The watches.
pub(super) struct Counts {
    client: Client,
    on_change: OnChange,
    watches: Mutex<HashMap<ResourceKey, Watch>>,
    /// Since when there are no such resources: discovery is not asked at each look.
    unknown: Mutex<HashMap<ResourceKey, Instant>>,
}

struct Watch {
    store: Store<PartialObject>,
    task: AbortHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Counts {
    /// No watches yet.
    pub fn new(client: Client, on_change: OnChange) -> Self {
        Self {
            client,
            on_change,
            watches: Mutex::default(),
            unknown: Mutex::default(),
        }
    }

    /// How many objects of a resource a namespace has; `None` if there is no such resource.
    ///
    /// # Errors
    /// If it can't be listed.
    pub async fn in_namespace(
        &self,
        group: &str,
        resource: &str,
        namespace: &str,
    ) -> Result<Option<usize>, Status> {
        let key = (group.to_owned(), resource.to_owned());
        let watched = self
            .watches
            .lock()
            .get(&key)
            .map(|watch| watch.store.clone());
        let store = match watched {
            Some(store) => store,
            None if self.is_unknown(&key) => return Ok(None),
            None => match self.served(group, resource).await? {
                Some(served) => self.watch(key, &served),
                None => {
                    self.unknown.lock().insert(key, Instant::now());
                    return Ok(None);
                }
            },
        };
        tokio::time::timeout(LISTED, store.wait_synced())
            .await
            .map_err(|_| Status::internal(format!("{resource} are not listed yet")))?;
        Ok(Some(store.in_namespace(namespace).len()))
    }

    /// Ends the watches of all other resources.
    pub fn keep(&self, needed: &BTreeSet<ResourceKey>) {
        self.watches.lock().retain(|key, _| needed.contains(key));
    }

    fn is_unknown(&self, key: &ResourceKey) -> bool {
        let mut unknown = self.unknown.lock();
        unknown.retain(|_, since| since.elapsed() < UNKNOWN);
        unknown.contains_key(key)
    }

    /// How a resource of namespaces is served, if it can be watched. An error if it may be by a
    /// server that can't be asked.
    async fn served(&self, group: &str, resource: &str) -> Result<Option<ResourceInfo>, Status> {
        let served = self.client.discovery().await?;
        let away = served.unavailable.iter();
        let mut away = away.filter(|version| version.split('/').next() == Some(group));
        if let Some(version) = away.next() {
            return Err(Status::unavailable(format!("{version} can't be asked")));
        }
        let mut served = served.resources.into_iter().filter(|info| {
            let can = |verb: &str| info.verbs.iter().any(|known| known == verb);
            let same = info.group == group && info.resource == resource;
            same && info.namespaced && can("list") && can("watch")
        });
        Ok(served.next())
    }

    fn watch(&self, key: ResourceKey, served: &ResourceInfo) -> Store<PartialObject> {
        let mut watches = self.watches.lock();
        // Another quota may have been here in the meantime.
        if let Some(watch) = watches.get(&key) {
            return watch.store.clone();
        }
        let api = Api::metadata_of(self.client.resource(served, ""));
        let on_change = self.on_change.clone();
        let informer = Informer::new(api)
            .trim(keep_ownership)
            .on_change(move |change| on_change(change.object().namespace()));
        let (store, task) = informer.spawn();
        let task = task.abort_handle();
        let watch = Watch {
            store: store.clone(),
            task,
        };
        watches.insert(key, watch);
        store
    }
}
