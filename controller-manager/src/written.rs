//! Objects that a controller wrote and that its cache may show as they were
//! before. What was decided by such an old one would be done twice.

use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// After this long the cache is believed again, whatever it shows.
pub const TIMEOUT: Duration = Duration::from_secs(300);

struct Entry {
    uid: String,
    version: i64,
    at: Instant,
}

/// The resource versions that writes led to.
#[derive(Default)]
pub struct Written(Mutex<HashMap<ObjectKey, Entry>>);

impl Written {
    /// A write led to this object.
    pub fn note<K: Kind>(&self, object: &K) {
        let Ok(version) = object.resource_version().parse() else {
            return;
        };
        let entry = Entry {
            uid: object.uid().to_owned(),
            version,
            at: Instant::now(),
        };
        self.0.lock().insert(ObjectKey::of(object), entry);
    }

    /// Whether an object was written after it was as the cache has it. The cache
    /// will tell when it has caught up.
    pub fn is_ahead_of<K: Kind>(&self, cached: &K) -> bool {
        let written = self.0.lock();
        let entry = written.get(&ObjectKey::of(cached));
        let entry = entry.filter(|e| e.uid == cached.uid() && e.at.elapsed() < TIMEOUT);
        let version = cached.resource_version().parse::<i64>();
        entry.is_some_and(|entry| version.is_ok_and(|version| version < entry.version))
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    fn object(uid: &str, version: &str) -> Pod {
        let meta = json!({"name": "j", "namespace": "d", "uid": uid, "resourceVersion": version});
        serde_json::from_value(json!({"metadata": meta})).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_that_is_behind_is_not_believed_for_a_while() {
        let written = Written::default();
        assert!(!written.is_ahead_of(&object("a", "7")));
        written.note(&object("a", "9"));
        assert!(written.is_ahead_of(&object("a", "7")));
        assert!(!written.is_ahead_of(&object("a", "9")));
        assert!(!written.is_ahead_of(&object("a", "10")));
        assert!(!written.is_ahead_of(&object("b", "8")), "another one");
        tokio::time::advance(TIMEOUT).await;
        assert!(!written.is_ahead_of(&object("a", "7")));
    }
}
