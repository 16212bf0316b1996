//! A node takes only so many volumes of a driver.

use crate::framework::{ClusterEvent, Nodes, Plugin, Prepared, Rejection, prepared};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::storage::{Attachable, Storage};
use std::collections::BTreeSet;

/// The plugin, and what it knows of storage.
pub struct NodeVolumeLimits(pub Storage);

/// The volumes of drivers that the pod needs.
struct Needed(BTreeSet<Attachable>);
impl Prepared for Needed {}

impl Plugin for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        "NodeVolumeLimits"
    }

    fn prepare(&self, pod: &PodInfo, _: Nodes<'_>) -> Box<dyn Prepared> {
        Box::new(Needed(match pod.claims.is_empty() {
            true => BTreeSet::new(),
            false => self.0.attachables(&pod.pod),
        }))
    }

    fn filter(&self, needed: &dyn Prepared, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Needed(needed) = prepared(needed);
        if needed.is_empty() {
            return Ok(());
        }
        let limits = self.0.limits(&node.name);
        if !needed.iter().any(|(driver, _)| limits.contains_key(driver)) {
            return Ok(());
        }
        let attached = self.0.attached(node);
        let exceeds = |(driver, limit): (&String, &i64)| {
            let of_driver = |volume: &&Attachable| volume.0 == *driver;
            // What another pod uses there already takes no more room.
            let new = needed.difference(&attached).filter(of_driver).count();
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
        let plugin = NodeVolumeLimits(storage);
        filter(plugin, &pod("p", "data"), vec![there])
            .remove(0)
            .join("; ")
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
