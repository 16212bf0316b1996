//! A node takes only so many volumes of a driver.

use crate::framework::{ClusterEvent, Nodes, Plugin, Prepared, Rejection, prepared};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::storage::{Attachable, Limits, Storage};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The plugin, with what it knows of storage and remembers of nodes.
pub struct NodeVolumeLimits {
    storage: Storage,
    /// By the nodes' names. To find out what is attached to one takes a look at each claim of
    /// each of its pods.
    remembered: Mutex<HashMap<String, Remembered>>,
}

/// What is so on a node while neither it nor storage changes.
struct Remembered {
    /// The node's generation, and the version of storage.
    at: (u64, u64),
    volumes: Arc<Volumes>,
}

/// How many volumes a node takes, and those that it has.
struct Volumes {
    limits: Limits,
    attached: BTreeSet<Attachable>,
}

impl NodeVolumeLimits {
    /// One that asks this storage.
    pub fn new(storage: Storage) -> Self {
        Self {
            storage,
            remembered: Mutex::default(),
        }
    }

    fn volumes(&self, node: &NodeInfo) -> Arc<Volumes> {
        // Before the look at storage: what changes meanwhile makes it another version.
        let at = (node.generation(), self.storage.version());
        let mut remembered = self.remembered.lock();
        if let Some(known) = remembered.get(&node.name).filter(|known| known.at == at) {
            return known.volumes.clone();
        }
        let volumes = Arc::new(Volumes {
            limits: self.storage.limits(&node.name),
            attached: self.storage.attached(node),
        });
        let known = Remembered {
            at,
            volumes: volumes.clone(),
        };
        remembered.insert(node.name.clone(), known);
        volumes
    }
}

/// The volumes of drivers that the pod needs.
struct Needed(BTreeSet<Attachable>);
impl Prepared for Needed {}

impl Plugin for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        "NodeVolumeLimits"
    }

    fn prepare(&self, pod: &PodInfo, nodes: Nodes<'_>) -> Box<dyn Prepared> {
        // Nodes come and go.
        let mut remembered = self.remembered.lock();
        if remembered.len() > 2 * nodes.len() {
            remembered.clear();
        }
        Box::new(Needed(match pod.claims.is_empty() {
            true => BTreeSet::new(),
            false => self.storage.attachables(&pod.pod),
        }))
    }

    fn filters(&self, needed: &dyn Prepared, _: &PodInfo) -> bool {
        !prepared::<Needed>(needed).0.is_empty()
    }

    fn filter(&self, needed: &dyn Prepared, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Needed(needed) = prepared(needed);
        let volumes = self.volumes(node);
        let Volumes { limits, attached } = volumes.as_ref();
        let exceeds = |(driver, limit): (&String, &i64)| {
            let of_driver = |volume: &&Attachable| volume.0 == *driver;
            // What another pod uses there already takes no more room.
            let new = needed.difference(attached).filter(of_driver).count();
            let there = attached.iter().filter(of_driver).count();
            new > 0 && i64::try_from(there + new).is_ok_and(|count| count > *limit)
        };
        match limits.iter().any(exceeds) {
            true => self.reject("node(s) exceed max volume count", true),
            false => Ok(()),
        }
    }

    fn may_help(&self, event: ClusterEvent) -> bool {
        use ClusterEvent::{NodeAdded, PodFreed, StorageChanged};
        matches!(event, NodeAdded | PodFreed | StorageChanged)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, labelled_pod, node};
    use super::*;
    use crate::storage::testing::{storage, with_drivers};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn pod(name: &str, claim: &str) -> PodInfo {
        let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": claim}});
        labelled_pod(name, json!({}), json!({ "volumes": [volume] }))
    }

    /// What is said of node `a`, which takes one volume, for a pod with the claim `data`, when
    /// pods and attachments are there.
    fn said(pods: Vec<PodInfo>, attachments: Value) -> String {
        let claim = json!({"metadata": {"namespace": "default", "name": "data"},
                           "spec": {"volumeName": "v"}});
        let volume = |name: &str| {
            json!({"metadata": {"name": name},
                   "spec": {"csi": {"driver": "x.io", "volumeHandle": name}}})
        };
        let volumes = json!([volume("v"), volume("w")]);
        let nodes = json!([{"metadata": {"name": "a"}, "spec": {"drivers": [
            {"name": "x.io", "nodeID": "a", "allocatable": {"count": 1}}]}}]);
        let storage = storage(claim, volumes, json!([]));
        let storage = with_drivers(storage, json!([]), nodes, json!([]), attachments);
        let mut there = node("a", json!({}), json!({}));
        for pod in pods {
            there.add_pod(Arc::new(pod));
        }
        let plugin = NodeVolumeLimits::new(storage);
        filter(plugin, &pod("p", "data"), vec![there])
            .remove(0)
            .join("; ")
    }

    #[test]
    fn what_is_remembered_of_a_node_ends_when_it_or_storage_changes() {
        let claim = json!({"metadata": {"namespace": "default", "name": "data"},
                           "spec": {"volumeName": "v"}});
        let volume = json!({"metadata": {"name": "v"},
                            "spec": {"csi": {"driver": "x.io", "volumeHandle": "v"}}});
        let storage = storage(claim, json!([volume]), json!([]));
        let plugin = NodeVolumeLimits::new(storage.clone());
        let mut there = node("a", json!({}), json!({}));
        let first = plugin.volumes(&there);
        assert_eq!(first.attached.len(), 0);
        assert!(Arc::ptr_eq(&first, &plugin.volumes(&there)));
        there.add_pod(Arc::new(pod("p", "data")));
        let second = plugin.volumes(&there);
        assert_eq!(second.attached.len(), 1);
        storage.changed();
        assert!(!Arc::ptr_eq(&second, &plugin.volumes(&there)));
    }

    #[test]
    fn a_node_takes_no_more_than_its_driver_says() {
        let attached = |volume: &str, node: &str| {
            json!([{"metadata": {"name": "t"}, "spec": {"attacher": "x.io", "nodeName": node,
                "source": {"persistentVolumeName": volume}}}])
        };
        assert_eq!(said(vec![], json!([])), "");
        assert_eq!(said(vec![pod("q", "data")], json!([])), "", "the same one");
        assert_eq!(said(vec![], attached("v", "a")), "", "the same one");
        let full = "node(s) exceed max volume count";
        assert_eq!(said(vec![], attached("w", "a")), full);
        assert_eq!(said(vec![], attached("w", "b")), "");
    }
}
