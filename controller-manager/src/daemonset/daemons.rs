//! A DaemonSet's pods by the nodes that they are on, and what each node needs:
//! a pod where one shall run, none where none may be, no two at once but for
//! an update that surges (`pkg/controller/daemon/daemon_controller.go`).

use super::placement::{Fit, Placement, node_of};
use crate::amounts::resolve;
use crate::controller_revision::POD_LABEL;
use crate::pod_ranking::{is_available, is_ready, phase};
use hardway_proto::Kind;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What is known about a DaemonSet.
pub struct Daemons<'a> {
    /// The DaemonSet.
    pub set: &'a DaemonSet,
    /// The hash of the revision of its template of now.
    pub hash: &'a str,
    /// The time of now.
    pub now: Timestamp,
    /// All nodes, and what they are to it.
    fits: BTreeMap<String, Fit>,
    /// Its pods by their node; the scheduled and oldest first.
    pods: BTreeMap<String, Vec<Arc<Pod>>>,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// Nodes that get a pod.
    pub create: Vec<String>,
    /// Pods that go.
    pub delete: Vec<Arc<Pod>>,
    /// Those of them that have ended.
    pub ended: Vec<Arc<Pod>>,
    /// In how long pods that failed and had to wait are looked at again.
    pub again: Option<Duration>,
}

impl Changes {
    /// Whether there is nothing to do now.
    pub fn is_empty(&self) -> bool {
        self.create.is_empty() && self.delete.is_empty()
    }
}

/// How many pods an update may have too few and too many.
#[derive(Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Nodes that may be without an available pod.
    pub unavailable: usize,
    /// Nodes that may have two.
    pub surge: usize,
}

/// Whether a pod is about to go.
pub fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// The bounds of a rolling update; `None` if the DaemonSet has another strategy.
pub fn rolling(set: &DaemonSet) -> Option<&RollingUpdateDaemonSet> {
    let strategy = set.spec.as_ref()?.update_strategy.as_ref()?;
    let rolling = strategy.rolling_update.as_ref();
    rolling.filter(|_| strategy.type_.as_deref() == Some("RollingUpdate"))
}

impl<'a> Daemons<'a> {
    /// Sorts nodes and pods.
    pub fn new(
        set: &'a DaemonSet,
        hash: &'a str,
        nodes: &[Arc<Node>],
        all: &[Arc<Pod>],
        now: Timestamp,
    ) -> Self {
        let placement = Placement::of(set);
        let fits = nodes.iter();
        let fits = fits.map(|node| (node.name().to_owned(), placement.fit(node)));
        let mut pods: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
        for pod in all {
            if let Some(node) = node_of(pod) {
                pods.entry(node.into()).or_default().push(pod.clone());
            }
        }
        for on_node in pods.values_mut() {
            on_node.sort_by_cached_key(|pod| {
                let created = pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
                (!is_scheduled(pod), created, pod.name().to_owned())
            });
        }
        Self {
            set,
            hash,
            now,
            fits: fits.collect(),
            pods,
        }
    }

    /// What a node is to the DaemonSet; one that doesn't exist can have no pods.
    pub fn fit(&self, node: &str) -> Fit {
        self.fits.get(node).copied().unwrap_or(Fit::Leaves)
    }

    /// Its pods on a node.
    pub fn on(&self, node: &str) -> &[Arc<Pod>] {
        self.pods.get(node).map_or(&[], Vec::as_slice)
    }

    /// All nodes with what they are to it.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, Fit)> {
        self.fits.iter().map(|(name, fit)| (name.as_str(), *fit))
    }

    /// The nodes that have a pod, or shall have one.
    pub fn concerned(&self) -> BTreeSet<&str> {
        let running = self.nodes().filter(|(_, fit)| *fit == Fit::Runs);
        let having = self.pods.keys().map(String::as_str);
        running.map(|(name, _)| name).chain(having).collect()
    }

    /// On how many nodes a pod shall run.
    pub fn desired(&self) -> usize {
        self.nodes().filter(|(_, fit)| *fit == Fit::Runs).count()
    }

    /// Whether a pod was made of the template of now.
    pub fn is_updated(&self, pod: &Pod) -> bool {
        let labels = pod.metadata.labels.as_ref();
        labels
            .and_then(|l| l.get(POD_LABEL))
            .is_some_and(|hash| hash == self.hash)
    }

    /// Whether a pod has been ready for long enough.
    pub fn is_available(&self, pod: &Pod) -> bool {
        let spec = self.set.spec.as_ref();
        let seconds = spec.and_then(|s| s.min_ready_seconds).unwrap_or(0);
        is_available(pod, seconds, self.now)
    }

    /// The bounds of an update. If both come to nothing one node may be
    /// without a pod, since otherwise nothing could ever move.
    pub fn bounds(&self) -> Bounds {
        let desired = self.desired();
        let total = i32::try_from(desired).unwrap_or(i32::MAX);
        let rolling = rolling(self.set);
        let share = |amount| resolve(amount, total, true).try_into().unwrap_or(0);
        let unavailable = rolling.and_then(|r| r.max_unavailable.as_ref());
        let surge = rolling.and_then(|r| r.max_surge.as_ref());
        let (unavailable, surge) = (unavailable.map_or(0, share), surge.map_or(0, share));
        let stuck = desired > 0 && unavailable == 0 && surge == 0;
        Bounds {
            unavailable: if stuck { 1 } else { unavailable },
            surge,
        }
    }

    /// Whether there may be two pods on a node, as judged for a single node.
    fn surges(&self) -> bool {
        let surge = rolling(self.set).and_then(|r| r.max_surge.as_ref());
        surge.is_some_and(|amount| resolve(amount, 1, true) > 0)
    }

    /// What brings a pod to each node that shall have one, and takes away what
    /// is too much. `wait` tells how long a pod that failed on a node has to wait.
    pub fn tend(&self, mut wait: impl FnMut(&str) -> Duration) -> Changes {
        let mut changes = Changes::default();
        for (node, fit) in self.nodes() {
            let pods = self.on(node);
            match fit {
                Fit::Runs if pods.is_empty() => changes.create.push(node.into()),
                Fit::Runs | Fit::Stays => self.tend_node(node, pods, &mut changes, &mut wait),
                Fit::Leaves => {
                    let staying = pods.iter().filter(|pod| !is_leaving(pod));
                    changes.delete.extend(staying.cloned());
                }
            }
        }
        // Their node is gone before the scheduler bound them.
        let lost = self
            .pods
            .iter()
            .filter(|(node, _)| !self.fits.contains_key(*node));
        let lost = lost.flat_map(|(_, pods)| pods.iter());
        let lost = lost.filter(|pod| !is_scheduled(pod) && !is_leaving(pod));
        changes.delete.extend(lost.cloned());
        changes
    }

    fn tend_node(
        &self,
        node: &str,
        pods: &[Arc<Pod>],
        changes: &mut Changes,
        wait: &mut impl FnMut(&str) -> Duration,
    ) {
        let mut running = Vec::new();
        for pod in pods.iter().filter(|pod| !is_leaving(pod)) {
            let ended = match phase(pod) {
                "Failed" => {
                    let wait = wait(node);
                    if !wait.is_zero() {
                        let again = changes.again.unwrap_or(wait);
                        changes.again = Some(again.min(wait));
                        continue;
                    }
                    true
                }
                "Succeeded" => true,
                _ => false,
            };
            if ended {
                changes.ended.push(pod.clone());
                changes.delete.push(pod.clone());
            } else {
                running.push(pod);
            }
        }
        if !self.surges() {
            // Of several the oldest stays.
            let surplus = running.into_iter().skip(1);
            return changes.delete.extend(surplus.cloned());
        }
        if running.is_empty() && self.fit(node) == Fit::Runs {
            changes.create.push(node.into());
        }
        if running.len() < 2 {
            return;
        }
        let (updated, outdated): (Vec<_>, Vec<_>) =
            running.into_iter().partition(|pod| self.is_updated(pod));
        let surplus = updated.iter().skip(1).chain(outdated.iter().skip(1));
        changes.delete.extend(surplus.map(|pod| (*pod).clone()));
        // The old one stays as long as it is of more use than the new one.
        if let (Some(new), Some(old)) = (updated.first(), outdated.first())
            && (!is_ready(old) || self.is_available(new))
        {
            changes.delete.push((*old).clone());
        }
    }
}

fn is_scheduled(pod: &Pod) -> bool {
    let node = pod.spec.as_ref().and_then(|s| s.node_name.as_deref());
    node.is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{leaving, node, pod, ready, set, surging};
    use super::*;
    use serde_json::{Value, json};

    fn taint(effect: &str) -> Value {
        json!({"spec": {"taints": [{"key": "own", "effect": effect}]}})
    }

    /// Nodes that get a pod with `+`, pods that go with `-`.
    fn tend(set: &DaemonSet, nodes: &[Arc<Node>], pods: &[Arc<Pod>]) -> String {
        let now = Timestamp::from_second(100).unwrap();
        let daemons = Daemons::new(set, "new", nodes, pods, now);
        let changes = daemons.tend(|_| Duration::ZERO);
        let create = changes.create.iter().map(|node| format!("+{node}"));
        let delete = changes.delete.iter().map(|pod| format!("-{}", pod.name()));
        create.chain(delete).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_node_has_a_pod_and_only_one() {
        let set = set(json!({}));
        let nodes = [node("a", json!({})), node("b", json!({}))];
        assert_eq!(tend(&set, &nodes, &[]), "+a +b");
        let pods = [ready("1", "a", "old"), pod("2", "b", "new", "Pending")];
        assert_eq!(tend(&set, &nodes, &pods), "");
        let pods = [leaving(&pods[0]), pods[1].clone()];
        assert_eq!(tend(&set, &nodes, &pods), "", "first it has to be gone");
        let pods = [
            ready("1", "a", "old"),
            ready("2", "a", "new"),
            ready("3", "b", "new"),
        ];
        assert_eq!(tend(&set, &nodes, &pods), "-2");
    }

    #[test]
    fn pods_leave_nodes_that_are_not_for_them() {
        let set = set(json!({}));
        let pods = [
            ready("1", "a", "new"),
            ready("2", "b", "new"),
            ready("3", "c", "new"),
        ];
        let nodes = [
            node("a", json!({})),
            node("b", taint("NoSchedule")),
            node("c", taint("NoExecute")),
            node("d", taint("NoSchedule")),
        ];
        assert_eq!(tend(&set, &nodes, &pods), "-3");
        // Those that wait for a node that is gone; the others are collected.
        let waiting = |pod: &Arc<Pod>| {
            let mut pod = (**pod).clone();
            pod.spec.as_mut().unwrap().node_name = None;
            Arc::new(pod)
        };
        let pods = [waiting(&pods[0]), pods[1].clone()];
        assert_eq!(tend(&set, &nodes[2..], &pods), "-1");
    }

    #[test]
    fn pods_that_ended_are_replaced_after_a_while() {
        let set = set(json!({}));
        let nodes = [node("a", json!({})), node("b", json!({}))];
        let pods = [
            pod("1", "a", "new", "Failed"),
            pod("2", "b", "new", "Succeeded"),
        ];
        let daemons = Daemons::new(&set, "new", &nodes, &pods, Timestamp::now());
        let changes = daemons.tend(|_| Duration::ZERO);
        assert_eq!(changes.delete, pods);
        assert_eq!(changes.ended, pods);
        let changes = daemons.tend(|_| Duration::from_secs(4));
        assert_eq!(changes.delete, pods[1..]);
        assert_eq!(changes.again, Some(Duration::from_secs(4)));
    }

    #[test]
    fn surging_there_are_two_until_the_new_one_is_available() {
        let set = surging(1);
        let nodes = [node("a", json!({}))];
        let old = ready("1", "a", "old");
        let broken = pod("1", "a", "old", "Running");
        let starting = pod("2", "a", "new", "Running");
        let new = ready("2", "a", "new");
        for (pods, done) in [
            (vec![old.clone()], ""),
            (vec![old.clone(), starting.clone()], ""),
            (vec![old.clone(), new.clone()], "-1"),
            (vec![broken, starting.clone()], "-1"),
            (vec![old.clone(), starting, ready("3", "a", "old")], "-3"),
            (vec![leaving(&old)], "+a"),
            (vec![leaving(&old), new], ""),
        ] {
            assert_eq!(tend(&set, &nodes, &pods), done, "{pods:?}");
        }
    }

    #[test]
    fn bounds_are_rounded_up() {
        let nodes: Vec<_> = ["a", "b", "c"].map(|name| node(name, json!({}))).into();
        let bounds = |unavailable: Value, surge: Value| {
            let amounts = json!({"maxUnavailable": unavailable, "maxSurge": surge});
            let strategy = json!({"type": "RollingUpdate", "rollingUpdate": amounts});
            let set = set(json!({"updateStrategy": strategy}));
            let bounds = Daemons::new(&set, "", &nodes, &[], Timestamp::now()).bounds();
            (bounds.unavailable, bounds.surge)
        };
        assert_eq!(bounds(json!(1), json!(0)), (1, 0));
        assert_eq!(bounds(json!("34%"), json!(0)), (2, 0));
        assert_eq!(bounds(json!(0), json!("10%")), (0, 1));
        assert_eq!(bounds(json!(0), json!(0)), (1, 0));
    }
}
