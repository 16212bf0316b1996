//! The cache of an informer: objects by key, with indexes.

use crate::shrink::Shrink;
use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::watch;

/// Computes the index values of an object, e.g. its node's name.
pub type IndexFn<K> = fn(&K) -> Vec<String>;

struct Index<K> {
    values_of: IndexFn<K>,
    keys: HashMap<String, BTreeSet<ObjectKey>>,
}

struct Inner<K> {
    objects: BTreeMap<ObjectKey, Arc<K>>,
    indexes: HashMap<&'static str, Index<K>>,
}

/// What an informer knows; cheap to clone, shared.
///
/// ```
/// # use hardway_client::Store;
/// # use hardway_proto::meta::ObjectKey;
/// # use k8s_openapi::api::core::v1::Pod;
/// # use std::sync::Arc;
/// let node = |pod: &Pod| pod.spec.iter().flat_map(|spec| spec.node_name.clone()).collect();
/// let store = Store::<Pod>::new(&[("node", node)]);
/// # let mut pod = Pod::default();
/// # pod.metadata.namespace = Some("default".into());
/// # pod.metadata.name = Some("web".into());
/// # pod.spec.get_or_insert_default().node_name = Some("worker-1".into());
/// # store.insert(Arc::new(pod));
/// assert_eq!(store.by_index("node", "worker-1").len(), 1);
/// assert!(store.get(&ObjectKey::new("default", "web")).is_some());
/// assert!(store.in_namespace("kube-system").is_empty());
/// ```
pub struct Store<K> {
    inner: Arc<RwLock<Inner<K>>>,
    synced: Arc<watch::Sender<bool>>,
    /// Why there is no list.
    trouble: Arc<Mutex<Option<String>>>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            synced: self.synced.clone(),
            trouble: self.trouble.clone(),
        }
    }
}

impl<K: Kind> Default for Store<K> {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl<K: Kind> Store<K> {
    /// An empty store with the named indexes.
    pub fn new(indexes: &[(&'static str, IndexFn<K>)]) -> Self {
        let store = Self {
            inner: Arc::new(RwLock::new(Inner {
                objects: BTreeMap::new(),
                indexes: HashMap::new(),
            })),
            synced: Arc::new(watch::Sender::new(false)),
            trouble: Arc::default(),
        };
        for &(name, values_of) in indexes {
            store.add_index(name, values_of);
        }
        store
    }

    /// Adds a named index over what is there and what comes.
    pub fn add_index(&self, name: &'static str, values_of: IndexFn<K>) {
        let mut inner = self.inner.write();
        let mut keys: HashMap<String, BTreeSet<ObjectKey>> = HashMap::new();
        for (key, object) in &inner.objects {
            for value in values_of(object) {
                keys.entry(value).or_default().insert(key.clone());
            }
        }
        inner.indexes.insert(name, Index { values_of, keys });
    }

    /// One object.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.inner.read().objects.get(key).cloned()
    }

    /// All objects, in order of their keys.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.inner.read().objects.values().cloned().collect()
    }

    /// All objects of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.inner
            .read()
            .objects
            .range(ObjectKey::new(namespace, "")..)
            .take_while(|(key, _)| key.namespace == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// Objects that have a value in a named index.
    ///
    /// # Panics
    /// If the store was made without that index.
    pub fn by_index(&self, index: &'static str, value: &str) -> Vec<Arc<K>> {
        let inner = self.inner.read();
        let index = inner
            .indexes
            .get(index)
            .unwrap_or_else(|| panic!("store of {} has no index {index:?}", K::KIND));
        let keys = index.keys.get(value);
        keys.into_iter()
            .flatten()
            .filter_map(|key| inner.objects.get(key).cloned())
            .collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.inner.read().objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the first list has been taken over.
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// For readiness checks: whether the first list has been taken over, and what is in
    /// the way.
    ///
    /// # Errors
    /// If it hasn't.
    pub fn check(&self) -> Result<(), String> {
        if self.is_synced() {
            return Ok(());
        }
        let kind = K::KIND;
        Err(match self.trouble.lock().as_deref() {
            Some(trouble) => format!("no list of kind {kind} yet: {trouble}"),
            None => format!("no list of kind {kind} yet"),
        })
    }

    /// What is in the way of a list, if anything.
    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock() = trouble;
    }

    /// Waits until the first list has been taken over.
    pub async fn wait_synced(&self) {
        let mut receiver = self.synced.subscribe();
        // The sender lives in self, so the channel can't be closed.
        let _ = receiver.wait_for(|synced| *synced).await;
    }

    /// Marks the store as synced (informers do; tests may).
    pub fn set_synced(&self) {
        self.synced.send_replace(true);
    }

    /// Puts an object in; returns what was there.
    pub fn insert(&self, object: Arc<K>) -> Option<Arc<K>> {
        let key = ObjectKey::of(object.as_ref());
        let mut inner = self.inner.write();
        let old = inner.objects.insert(key.clone(), object.clone());
        for index in inner.indexes.values_mut() {
            if let Some(old) = &old {
                unindex(index, &key, old);
            }
            for value in (index.values_of)(&object) {
                index.keys.entry(value).or_default().insert(key.clone());
            }
        }
        old
    }

    /// Takes an object out.
    pub fn remove(&self, key: &ObjectKey) -> Option<Arc<K>> {
        let mut inner = self.inner.write();
        let old = inner.objects.remove(key)?;
        for index in inner.indexes.values_mut() {
            unindex(index, key, &old);
        }
        Some(old)
    }

    /// All keys, in order.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.inner.read().objects.keys().cloned().collect()
    }
}

fn unindex<K>(index: &mut Index<K>, key: &ObjectKey, old: &K) {
    for value in (index.values_of)(old) {
        if let Some(keys) = index.keys.get_mut(&value) {
            keys.remove(key);
            if keys.is_empty() {
                index.keys.remove(&value);
                index.keys.shrink_if_sparse();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{Pod, PodSpec};

    fn pod(name: &str, node: &str) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.namespace = Some("ns".into());
        pod.metadata.name = Some(name.into());
        pod.spec = Some(PodSpec {
            node_name: Some(node.into()),
            ..Default::default()
        });
        Arc::new(pod)
    }

    #[test]
    fn indexes_follow_changes() {
        let node_of: IndexFn<Pod> = |p| p.spec.iter().filter_map(|s| s.node_name.clone()).collect();
        let store = Store::new(&[("node", node_of)]);
        store.insert(pod("a", "n1"));
        store.insert(pod("b", "n1"));
        assert_eq!(store.by_index("node", "n1").len(), 2);
        store.insert(pod("a", "n2"));
        assert_eq!(store.by_index("node", "n1").len(), 1);
        store.remove(&ObjectKey::new("ns", "a"));
        assert!(store.by_index("node", "n2").is_empty());
        assert_eq!(store.in_namespace("ns").len(), 1);
        assert!(store.in_namespace("n").is_empty());
    }
}
