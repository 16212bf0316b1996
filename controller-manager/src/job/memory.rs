//! What the controller knows of Jobs that is not written anywhere: failures that
//! pods pause after, and pods whose finalizer is off though the cache may not
//! show it. After a restart the caches are filled anew, and pauses forgotten.

use super::backoff::Failures;
use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::batch::v1::Job;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};

struct Entry {
    /// Of the Job; another one of the same name has nothing to do with it.
    uid: String,
    /// UIDs of pods whose finalizer was taken off.
    released: HashSet<String>,
    failures: Failures,
}

/// Of all Jobs.
#[derive(Default)]
pub struct Memory(Mutex<HashMap<ObjectKey, Entry>>);

impl Memory {
    fn with<T>(&self, job: &Job, access: impl FnOnce(&mut Entry) -> T) -> T {
        let new = || Entry {
            uid: job.uid().to_owned(),
            released: HashSet::new(),
            failures: Failures::default(),
        };
        let mut jobs = self.0.lock();
        let entry = jobs.entry(ObjectKey::of(job)).or_insert_with(new);
        if entry.uid != job.uid() {
            *entry = new();
        }
        access(entry)
    }

    /// A pod's finalizer is about to be taken off.
    pub fn releasing(&self, job: &Job, pod_uid: &str) {
        self.with(job, |entry| entry.released.insert(pod_uid.to_owned()));
    }

    /// The cache shows a pod without its finalizer, or it could not be taken off.
    pub fn settle(&self, job: &ObjectKey, pod_uid: &str) {
        if let Some(entry) = self.0.lock().get_mut(job) {
            entry.released.remove(pod_uid);
        }
    }

    /// Pods whose finalizer was taken off, though the cache may show it.
    pub fn released(&self, job: &Job) -> HashSet<String> {
        self.with(job, |entry| entry.released.clone())
    }

    /// Failures that count towards the next pause.
    pub fn failures(&self, job: &Job) -> Failures {
        self.with(job, |entry| entry.failures)
    }

    /// Sets them.
    pub fn set_failures(&self, job: &Job, failures: Failures) {
        self.with(job, |entry| entry.failures = failures);
    }

    /// Forgets a Job that is gone or done.
    pub fn forget(&self, job: &ObjectKey) {
        self.0.lock().remove(job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(uid: &str) -> Job {
        let meta = json!({"name": "j", "namespace": "d", "uid": uid});
        serde_json::from_value(json!({"metadata": meta, "spec": {"template": {}}})).unwrap()
    }

    #[test]
    fn released_pods_are_remembered_until_they_show_it() {
        let (memory, job) = (Memory::default(), job("a"));
        memory.releasing(&job, "p");
        memory.releasing(&job, "q");
        memory.settle(&ObjectKey::of(&job), "p");
        assert_eq!(memory.released(&job), HashSet::from(["q".to_owned()]));
        assert!(memory.released(&self::job("b")).is_empty(), "another Job");
        memory.releasing(&job, "p");
        memory.forget(&ObjectKey::of(&job));
        assert!(memory.released(&job).is_empty());
    }
}
