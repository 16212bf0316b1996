//! What a controller has just done and not yet seen in its cache.
//!
//! A reconcile that trusted a stale cache would create pods twice. Instead it
//! waits until every pod it created or deleted has been seen to come or go.

use crate::adoption::owner_of;
use hardway_client::informer::Change;
use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;
use tokio::time::Instant;

/// After this long the cache is believed again, whatever it shows.
const TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Created,
    Deleted,
}

struct Owner {
    since: Instant,
    /// By the pod's UID.
    pods: HashMap<String, Expected>,
}

/// Expectations of all objects of one controller.
#[derive(Default)]
pub struct Expectations(Mutex<HashMap<ObjectKey, Owner>>);

impl Expectations {
    fn expect(&self, owner: &ObjectKey, pod_uid: &str, what: Expected) {
        let mut owners = self.0.lock();
        let entry = owners.entry(owner.clone()).or_insert_with(|| Owner {
            since: Instant::now(),
            pods: HashMap::new(),
        });
        entry.since = Instant::now();
        entry.pods.insert(pod_uid.to_owned(), what);
    }

    /// A pod was created. Whoever calls this looks into the cache afterwards
    /// and settles it if it is there already.
    pub fn created(&self, owner: &ObjectKey, pod_uid: &str) {
        self.expect(owner, pod_uid, Expected::Created);
    }

    /// A pod is about to be deleted.
    pub fn deleting(&self, owner: &ObjectKey, pod_uid: &str) {
        self.expect(owner, pod_uid, Expected::Deleted);
    }

    /// The cache has a pod, or its deletion failed.
    pub fn settle(&self, owner: &ObjectKey, pod_uid: &str) {
        let mut owners = self.0.lock();
        if let Entry::Occupied(mut entry) = owners.entry(owner.clone()) {
            entry.get_mut().pods.remove(pod_uid);
            if entry.get().pods.is_empty() {
                entry.remove();
            }
        }
    }

    /// The cache shows a pod whose owner is of kind `K`.
    pub fn follow<K: Kind>(&self, change: &Change<Pod>) {
        let pod = change.object().as_ref();
        if let Some(owner) = owner_of::<K, Pod>(pod) {
            let gone = matches!(change, Change::Deleted(_));
            let leaving = gone || pod.metadata.deletion_timestamp.is_some();
            self.observed(&owner, pod.uid(), leaving);
        }
    }

    /// The cache shows a pod; it is leaving if `deleting`.
    fn observed(&self, owner: &ObjectKey, pod_uid: &str, deleting: bool) {
        let expected = {
            let owners = self.0.lock();
            owners.get(owner).and_then(|o| o.pods.get(pod_uid).copied())
        };
        match expected {
            Some(Expected::Created) => self.settle(owner, pod_uid),
            Some(Expected::Deleted) if deleting => self.settle(owner, pod_uid),
            _ => {}
        }
    }

    /// Whether nothing is expected any more (or has been for too long).
    pub fn satisfied(&self, owner: &ObjectKey) -> bool {
        let owners = self.0.lock();
        owners
            .get(owner)
            .is_none_or(|entry| entry.since.elapsed() > TIMEOUT)
    }

    /// Forgets an owner that is gone.
    pub fn forget(&self, owner: &ObjectKey) {
        self.0.lock().remove(owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_what_was_done_but_not_forever() {
        let expectations = Expectations::default();
        let rc = ObjectKey::new("d", "web");
        expectations.created(&rc, "1");
        expectations.deleting(&rc, "2");
        assert!(!expectations.satisfied(&rc));
        expectations.observed(&rc, "1", false);
        expectations.observed(&rc, "2", false);
        assert!(!expectations.satisfied(&rc), "2 isn't leaving yet");
        expectations.observed(&rc, "2", true);
        assert!(expectations.satisfied(&rc));
        expectations.deleting(&rc, "4");
        tokio::time::advance(TIMEOUT * 2).await;
        assert!(expectations.satisfied(&rc));
    }
}
