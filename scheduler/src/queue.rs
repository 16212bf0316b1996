//! Which pod is next: an active queue by priority, a backoff queue for pods
//! that failed lately, and the unschedulable ones that wait for an event that
//! may help them.

use crate::framework::ClusterEvent;
use crate::pod_info::PodInfo;
use hardway_client::shrink::Shrink;
use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Kubernetes' defaults for a pod that failed to schedule.
const INITIAL_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// However few events there are, a pod is tried again after this long.
const MAX_UNSCHEDULABLE: Duration = Duration::from_secs(300);

/// The plugins that rejected a pod; shared by all pods that the same ones did.
type Rejecters = Arc<[&'static str]>;

/// Place in the active queue: higher priority first, then who came first.
type Rank = (Reverse<i32>, u64);

enum Place {
    Active(Rank),
    Backoff(Instant),
    Unschedulable {
        since: Instant,
        rejected_by: Rejecters,
    },
    /// Handed out by `pop`; remembers events that came meanwhile.
    InFlight {
        missed: Vec<ClusterEvent>,
    },
}

struct Entry {
    pod: Arc<PodInfo>,
    arrival: u64,
    attempts: u32,
    place: Place,
}

/// The three queues.
#[derive(Default)]
pub struct Queue {
    entries: HashMap<ObjectKey, Entry>,
    active: BTreeMap<Rank, ObjectKey>,
    /// Those that back off or are unschedulable, by when they are tried again at the latest.
    waiting: BTreeSet<(Instant, ObjectKey)>,
    /// The unschedulable ones: events come by the hundreds a second, and whether one helps is
    /// a question of the plugins alone.
    unschedulable: HashMap<Rejecters, HashSet<ObjectKey>>,
    in_flight: HashSet<ObjectKey>,
    arrivals: u64,
}

impl Queue {
    /// Takes in a pod without a node, or its newer version. A changed pod
    /// that waits is tried again.
    pub fn add(&mut self, pod: Arc<PodInfo>, now: Instant) {
        let key = pod.key.clone();
        match self.entries.get_mut(&key) {
            None => {
                self.arrivals += 1;
                let entry = Entry {
                    pod,
                    arrival: self.arrivals,
                    attempts: 0,
                    place: Place::InFlight { missed: Vec::new() },
                };
                self.entries.insert(key.clone(), entry);
                self.activate(&key);
            }
            Some(entry) => {
                let changed = entry.pod.pod.spec != pod.pod.spec
                    || entry.pod.pod.metadata.labels != pod.pod.metadata.labels;
                entry.pod = pod;
                if changed && matches!(entry.place, Place::Unschedulable { .. }) {
                    self.retry(&key, now);
                }
            }
        }
    }

    /// A pod that was bound or deleted.
    pub fn remove(&mut self, key: &ObjectKey) {
        self.unplace(key);
        self.entries.remove(key);
        self.entries.shrink_if_sparse();
    }

    /// Whether it is this pod, and no other of the name, that is here.
    pub fn holds(&self, key: &ObjectKey, uid: &str) -> bool {
        let entry = self.entries.get(key);
        entry.is_some_and(|entry| entry.pod.pod.uid() == uid)
    }

    /// The next pod to place, if one is ready.
    pub fn pop(&mut self, now: Instant) -> Option<Arc<PodInfo>> {
        self.promote(now);
        let (_, key) = self.active.pop_first()?;
        let entry = self.entries.get_mut(&key)?;
        entry.attempts += 1;
        entry.place = Place::InFlight { missed: Vec::new() };
        self.in_flight.insert(key);
        Some(entry.pod.clone())
    }

    /// When a waiting pod becomes ready without any event.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Puts a pod back that fitted nowhere. `helps` says whether an event may
    /// help a pod rejected by these plugins; events missed meanwhile count.
    pub fn unschedulable(
        &mut self,
        key: &ObjectKey,
        rejected_by: Vec<&'static str>,
        now: Instant,
        helps: impl Fn(ClusterEvent, &[&'static str]) -> bool,
    ) {
        let Some(entry) = self.entries.get(key) else {
            return;
        };
        if let Place::InFlight { missed } = &entry.place
            && missed.iter().any(|&event| helps(event, &rejected_by))
        {
            self.back_off(key, now);
            return;
        }
        self.unplace(key);
        let known = self.unschedulable.get_key_value(&rejected_by[..]);
        let rejected_by = known.map_or_else(|| rejected_by.into(), |(known, _)| known.clone());
        if let Some(entry) = self.entries.get_mut(key) {
            entry.place = Place::Unschedulable {
                since: now,
                rejected_by: rejected_by.clone(),
            };
        }
        let alike = self.unschedulable.entry(rejected_by).or_default();
        alike.insert(key.clone());
        self.waiting.insert((now + MAX_UNSCHEDULABLE, key.clone()));
    }

    /// Puts a pod back whose scheduling or binding failed for another reason.
    pub fn failed(&mut self, key: &ObjectKey, now: Instant) {
        self.back_off(key, now);
    }

    /// Something happened that may help: pods it may help become ready, after
    /// their backoff.
    pub fn on_event(
        &mut self,
        event: ClusterEvent,
        now: Instant,
        helps: impl Fn(ClusterEvent, &[&'static str]) -> bool,
    ) {
        for key in &self.in_flight {
            if let Some(entry) = self.entries.get_mut(key)
                && let Place::InFlight { missed } = &mut entry.place
                && !missed.contains(&event)
            {
                missed.push(event);
            }
        }
        let alike = self.unschedulable.iter();
        let helped = alike.filter(|(rejected_by, _)| helps(event, rejected_by));
        let ready: Vec<ObjectKey> = helped.flat_map(|(_, keys)| keys).cloned().collect();
        for key in ready {
            self.retry(&key, now);
        }
    }

    /// How many pods are active, backing off, unschedulable.
    pub fn lengths(&self) -> (usize, usize, usize) {
        let unschedulable = self.unschedulable.values().map(HashSet::len).sum();
        let backoff = self.waiting.len() - unschedulable;
        (self.active.len(), backoff, unschedulable)
    }

    fn retry(&mut self, key: &ObjectKey, now: Instant) {
        let since = match self.entries.get(key).map(|e| &e.place) {
            Some(Place::Unschedulable { since, .. }) => *since,
            _ => now,
        };
        let ready = since + self.backoff_of(key);
        if ready <= now {
            self.activate(key);
        } else {
            self.wait_until(key, ready);
        }
    }

    fn back_off(&mut self, key: &ObjectKey, now: Instant) {
        let ready = now + self.backoff_of(key);
        self.wait_until(key, ready);
    }

    fn backoff_of(&self, key: &ObjectKey) -> Duration {
        let attempts = self.entries.get(key).map_or(0, |e| e.attempts);
        hardway_client::queue::backoff(attempts, INITIAL_BACKOFF, MAX_BACKOFF)
    }

    fn wait_until(&mut self, key: &ObjectKey, ready: Instant) {
        self.unplace(key);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.place = Place::Backoff(ready);
            self.waiting.insert((ready, key.clone()));
        }
    }

    fn activate(&mut self, key: &ObjectKey) {
        self.unplace(key);
        if let Some(entry) = self.entries.get_mut(key) {
            let rank = (Reverse(entry.pod.priority), entry.arrival);
            entry.place = Place::Active(rank);
            self.active.insert(rank, key.clone());
        }
    }

    fn unplace(&mut self, key: &ObjectKey) {
        match self.entries.get(key).map(|e| &e.place) {
            Some(Place::Active(rank)) => {
                self.active.remove(rank);
            }
            Some(Place::Backoff(at)) => {
                self.waiting.remove(&(*at, key.clone()));
            }
            Some(Place::Unschedulable { since, rejected_by }) => {
                self.waiting
                    .remove(&(*since + MAX_UNSCHEDULABLE, key.clone()));
                if let Some(alike) = self.unschedulable.get_mut(rejected_by) {
                    alike.remove(key);
                    alike.shrink_if_sparse();
                    if alike.is_empty() {
                        self.unschedulable.remove(rejected_by);
                    }
                }
            }
            Some(Place::InFlight { .. }) => {
                self.in_flight.remove(key);
                self.in_flight.shrink_if_sparse();
            }
            None => {}
        }
    }

    fn promote(&mut self, now: Instant) {
        while let Some((at, key)) = self.waiting.first().cloned() {
            if at > now {
                return;
            }
            self.waiting.pop_first();
            self.activate(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    fn pod(name: &str, priority: i32) -> Arc<PodInfo> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"namespace": "d", "name": name},
            "spec": {"priority": priority, "containers": []},
        }))
        .unwrap();
        Arc::new(PodInfo::new(Arc::new(pod)))
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("d", name)
    }

    #[tokio::test(start_paused = true)]
    async fn priority_then_arrival() {
        let mut queue = Queue::default();
        let now = Instant::now();
        for (name, priority) in [("a", 0), ("b", 10), ("c", 0)] {
            queue.add(pod(name, priority), now);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(now))
            .map(|p| p.key.name.clone())
            .collect();
        assert_eq!(order, ["b", "a", "c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unschedulable_pod_waits_for_an_event_that_helps() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.add(pod("a", 0), now);
        queue.pop(now).unwrap();
        queue.unschedulable(&key("a"), vec!["NodePorts"], now, |_, _| false);
        let later = now + Duration::from_secs(20);
        queue.on_event(ClusterEvent::PodBound, later, |_, _| false);
        assert!(queue.pop(later).is_none());
        queue.on_event(ClusterEvent::PodFreed, later, |event, by| {
            event == ClusterEvent::PodFreed && by == ["NodePorts"]
        });
        assert!(queue.pop(later).is_some(), "its backoff is over");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_during_the_attempt_is_not_lost() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.add(pod("a", 0), now);
        queue.pop(now).unwrap();
        queue.on_event(ClusterEvent::NodeAdded, now, |_, _| true);
        queue.unschedulable(&key("a"), vec!["NodeAffinity"], now, |_, _| true);
        assert!(queue.pop(now).is_none(), "backs off first");
        assert!(queue.pop(now + INITIAL_BACKOFF).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_forgotten_pod_is_tried_again_in_the_end() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.add(pod("a", 0), now);
        queue.pop(now).unwrap();
        queue.unschedulable(&key("a"), vec!["x"], now, |_, _| false);
        assert_eq!(queue.next_deadline(), Some(now + MAX_UNSCHEDULABLE));
        assert!(queue.pop(now + MAX_UNSCHEDULABLE).is_some());
    }
}
