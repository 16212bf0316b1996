//! Objects that request after request looks at, parsed: the namespace that something is made in,
//! its service account, limits and quotas, priority classes.

use super::Entry;
use hardway_access::Recent;
use serde_json::Value;
use std::sync::{Arc, Weak};

/// So many are kept at most.
const OBJECTS: usize = 1024;
/// Of larger ones, in bytes of JSON, none is: parsed they take several times as much.
const LARGEST: usize = 4 << 10;

/// Parsed objects by their UID, each as one entry of the cache has it and no other.
pub(super) struct Parsed(Recent<String, (Weak<Entry>, Arc<Value>)>);

impl Default for Parsed {
    fn default() -> Self {
        Self(Recent::with_room_for(OBJECTS))
    }
}

impl Parsed {
    /// The object of an entry.
    pub fn of(&self, entry: &Arc<Entry>) -> Arc<Value> {
        if let Some((of, object)) = self.0.get(entry.uid.as_str())
            && std::ptr::eq(of.as_ptr(), Arc::as_ptr(entry))
        {
            return object;
        }
        let object = Arc::new(entry.value());
        if entry.bytes().len() <= LARGEST {
            let kept = (Arc::downgrade(entry), object.clone());
            self.0.put(entry.uid.clone(), kept);
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Stored;
    use hardway_resources::Registry;
    use serde_json::json;

    fn entry(uid: &str, phase: &str) -> Arc<Entry> {
        let namespaces = Registry::new().resource("", "namespaces").unwrap();
        let object = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "shop", "uid": uid}, "status": {"phase": phase}});
        let stored = Stored {
            key: "namespaces/shop".into(),
            value: object.to_string().into(),
            revision: 7,
            stale: false,
        };
        Arc::new(Entry::read(&namespaces, "shop", &stored, |_| {}).unwrap())
    }

    #[test]
    fn an_object_is_parsed_once_for_as_long_as_it_stays_as_it_is() {
        let parsed = Parsed::default();
        let active = entry("u", "Active");
        let object = parsed.of(&active);
        assert_eq!(object["metadata"]["resourceVersion"], "7");
        assert!(Arc::ptr_eq(&object, &parsed.of(&active)));
        // It changes, even where etcd was restored and its revision is the same.
        let terminating = entry("u", "Terminating");
        assert_eq!(parsed.of(&terminating)["status"]["phase"], "Terminating");
        assert_eq!(parsed.of(&active)["status"]["phase"], "Active");
    }

    #[test]
    fn what_is_gone_is_not_held_and_what_is_large_is_not_kept() {
        let parsed = Parsed::default();
        let (small, large) = (entry("a", "Active"), entry("b", &"x".repeat(LARGEST)));
        assert!(Arc::ptr_eq(&parsed.of(&small), &parsed.of(&small)));
        assert!(!Arc::ptr_eq(&parsed.of(&large), &parsed.of(&large)));
        let bytes = Arc::downgrade(&small);
        drop(small);
        assert!(bytes.upgrade().is_none());
    }
}
