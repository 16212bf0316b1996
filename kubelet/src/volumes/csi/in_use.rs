//! Which volumes the node's status has to name as in use (`volumesInUse`), and which it surely
//! names.
//!
//! Whoever detaches a volume first takes it from the node's `volumesAttached` and then looks
//! whether the node uses it. The node does both the other way round: first its status says that
//! it uses the volume, then it looks whether the volume is attached. So one of the two sees what
//! the other has written, whoever comes first.

use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;

/// Volumes that must not be detached, by the names that the node's status has for them; clones
/// are the same.
#[derive(Clone)]
pub struct VolumesInUse(Arc<Both>);

struct Both {
    /// What is in use here, or about to be.
    wanted: watch::Sender<BTreeSet<String>>,
    /// What the status names, and goes on naming for all that is known.
    reported: watch::Sender<BTreeSet<String>>,
}

impl Default for VolumesInUse {
    fn default() -> Self {
        Self(Arc::new(Both {
            wanted: watch::Sender::default(),
            reported: watch::Sender::default(),
        }))
    }
}

impl VolumesInUse {
    /// What is to be named, as it changes.
    pub fn wanted(&self) -> watch::Receiver<BTreeSet<String>> {
        self.0.wanted.subscribe()
    }

    /// What a status that is about to be written has to name. What is missing there is not
    /// reported from here on, whatever becomes of the write.
    pub fn begin_report(&self) -> BTreeSet<String> {
        // Nobody adds to it before the rest is done.
        let wanted = self.0.wanted.borrow();
        self.0.reported.send_if_modified(|reported| {
            let before = reported.len();
            reported.retain(|volume| wanted.contains(volume));
            reported.len() != before
        });
        wanted.clone()
    }

    /// The status that names these was written.
    pub fn end_report(&self, named: &BTreeSet<String>) {
        self.0.reported.send_if_modified(|reported| {
            let is_new = reported != named;
            reported.clone_from(named);
            is_new
        });
    }

    /// Waits until the node's status names a volume that is wanted.
    pub(super) async fn wait_reported(&self, volume: &str) {
        let mut reported = self.0.reported.subscribe();
        // It ends with the sender alone, which is held here.
        let _ = reported.wait_for(|named| named.contains(volume)).await;
    }

    /// One more is about to be used.
    pub(super) fn add(&self, volume: String) {
        self.0
            .wanted
            .send_if_modified(|wanted| wanted.insert(volume));
    }

    /// All that is in use.
    pub(super) fn set(&self, all: BTreeSet<String>) {
        self.0.wanted.send_if_modified(|wanted| {
            let is_new = *wanted != all;
            *wanted = all;
            is_new
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn is_reported(volumes: &VolumesInUse, name: &str) -> bool {
        volumes.wait_reported(name).now_or_never().is_some()
    }

    #[test]
    fn what_is_wanted_is_reported_when_a_status_that_names_it_was_written() {
        let volumes = VolumesInUse::default();
        volumes.add("a".into());
        assert!(!is_reported(&volumes, "a"));
        let named = volumes.begin_report();
        assert_eq!(named, ["a".to_owned()].into());
        assert!(!is_reported(&volumes, "a"), "it is being written");
        volumes.end_report(&named);
        assert!(is_reported(&volumes, "a"));
    }

    #[test]
    fn what_came_while_a_status_was_written_waits_for_the_next() {
        let volumes = VolumesInUse::default();
        let named = volumes.begin_report();
        volumes.add("a".into());
        volumes.end_report(&named);
        assert!(!is_reported(&volumes, "a"));
        let named = volumes.begin_report();
        volumes.end_report(&named);
        assert!(is_reported(&volumes, "a"));
    }

    #[test]
    fn what_was_given_up_and_is_wanted_again_is_not_taken_for_reported() {
        let volumes = VolumesInUse::default();
        volumes.add("a".into());
        volumes.end_report(&volumes.begin_report());
        volumes.set(BTreeSet::new());
        // Nothing was written yet: the status names it still.
        assert!(is_reported(&volumes, "a"));
        let without = volumes.begin_report();
        volumes.add("a".into());
        // That write may or may not come about.
        assert!(!is_reported(&volumes, "a"));
        volumes.end_report(&without);
        assert!(!is_reported(&volumes, "a"));
        volumes.end_report(&volumes.begin_report());
        assert!(is_reported(&volumes, "a"));
    }
}
