//! Objects that are there but can't be read, and are left out for that.
//!
//! One such object must stop nobody from hearing of the others. That it is
//! left out is told where operators look: with key and reason in the log, as
//! numbers in the metric `hardway_unreadable_objects` and in `/readyz?verbose`.
//! The last is open to strangers, who must learn neither names nor contents.

use crate::metrics::{IntGaugeVec, register_int_gauge_vec};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Characters of a reason, which may quote the object.
const REASON: usize = 200;

static ALL: Mutex<BTreeMap<(String, String), Known>> = Mutex::new(BTreeMap::new());

static GAUGE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!(
        "hardway_unreadable_objects",
        "Objects that this process leaves out because it can't read them.",
        &["resource"]
    )
    .expect("registered once")
});

struct Known {
    /// How many caches leave it out.
    holders: usize,
    reason: String,
}

/// What one cache leaves out of one resource. Forgotten when dropped.
pub struct Unreadable {
    resource: String,
    keys: BTreeSet<String>,
}

impl Unreadable {
    /// Nothing yet of a resource, e.g. `services` or `widgets.example.com`.
    pub fn new(resource: impl Into<String>) -> Self {
        Self {
            resource: resource.into(),
            keys: BTreeSet::new(),
        }
    }

    /// Leaves out the object with this key from now on.
    pub fn add(&mut self, key: &str, reason: &str) {
        let reason: String = reason.chars().take(REASON).collect();
        let new = self.keys.insert(key.to_owned());
        let mut all = ALL.lock();
        let known = all.entry((self.resource.clone(), key.to_owned()));
        let known = known.or_insert_with(|| {
            GAUGE.with_label_values(&[&self.resource]).inc();
            Known {
                holders: 0,
                reason: String::new(),
            }
        });
        known.holders += usize::from(new);
        if new || known.reason != reason {
            let resource = &self.resource;
            tracing::error!(
                resource,
                key,
                reason,
                "object can't be read; it is left out"
            );
            known.reason = reason;
        }
    }

    /// It can be read again, or is gone.
    pub fn remove(&mut self, key: &str) {
        if self.keys.remove(key) {
            release(&self.resource, key);
            let resource = &self.resource;
            tracing::info!(
                resource,
                key,
                "object that could not be read is gone or readable"
            );
        }
    }

    /// Keeps only those for whose keys this holds.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let gone: Vec<String> = self.keys.iter().filter(|k| !keep(k)).cloned().collect();
        gone.iter().for_each(|key| self.remove(key));
    }

    /// Whether all could be read.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Drop for Unreadable {
    fn drop(&mut self) {
        for key in &self.keys {
            release(&self.resource, key);
        }
    }
}

fn release(resource: &str, key: &str) {
    let mut all = ALL.lock();
    let id = (resource.to_owned(), key.to_owned());
    if let Some(known) = all.get_mut(&id) {
        known.holders -= 1;
        if known.holders == 0 {
            all.remove(&id);
            GAUGE.with_label_values(&[resource]).dec();
        }
    }
}

/// Lines for a verbose health report, each starting with `[!]`: of how many
/// objects of a resource this process knows nothing. Empty if it reads all.
pub fn report() -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let all = ALL.lock();
    for (resource, _) in all.keys() {
        *counts.entry(resource).or_default() += 1;
    }
    let line = |(resource, count)| {
        format!("[!]{resource}: {count} left out, unreadable; the log has names and reasons\n")
    };
    counts.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_until_nobody_leaves_it_out() {
        let told = || report().contains("[!]things.test: 1 left out, unreadable; the log has");
        let count = || GAUGE.with_label_values(&["things.test"]).get();
        let mut one = Unreadable::new("things.test");
        let mut other = Unreadable::new("things.test");
        one.add("ns/a", "why\nnot");
        one.add("ns/a", "why\nnot");
        other.add("ns/a", "why\nnot");
        assert!(told() && count() == 1);
        assert!(!report().contains("ns/a") && !report().contains("why"));
        one.remove("ns/a");
        assert!(told() && one.is_empty());
        other.add("ns/b", "x");
        assert_eq!(count(), 2);
        other.retain(|key| key == "ns/a");
        assert_eq!(count(), 1);
        drop(other);
        assert!(!told() && count() == 0);
    }
}
