//! Some volumes can be had once only: a claim that is `ReadWriteOncePod` in the whole cluster,
//! a disk of some old types on a node.

use crate::framework::{ClusterEvent, Nodes, Plugin, Prepared, Rejection, prepared};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::storage::Storage;
use hardway_proto::claims::asks_for_mode;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{Pod, Volume};

/// The plugin, and what it knows of storage.
pub struct VolumeRestrictions(pub Storage);

/// What a pod must have for itself.
struct Exclusive {
    /// Whether another pod has a claim of its that only one may have.
    is_claimed: bool,
    has_disks: bool,
}
impl Prepared for Exclusive {
    fn follows_pods(&self) -> bool {
        self.is_claimed
    }
}

impl Plugin for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    fn prepare(&self, pod: &PodInfo, nodes: Nodes<'_>) -> Box<dyn Prepared> {
        let is_exclusive = |name: &&str| {
            let claim = self.0.claim(&pod.key.namespace, name);
            claim.is_some_and(|claim| asks_for_mode(&claim, "ReadWriteOncePod"))
        };
        let named = volumes(&pod.pod).filter_map(|v| v.persistent_volume_claim.as_ref());
        let named = named.map(|claim| claim.claim_name.as_str());
        let namespace = pod.key.namespace.as_str();
        let is_used = |name| nodes.is_claim_used(&ObjectKey::new(namespace, name));
        Box::new(Exclusive {
            is_claimed: named.filter(is_exclusive).any(is_used),
            has_disks: volumes(&pod.pod).any(is_disk),
        })
    }

    fn filters(&self, exclusive: &dyn Prepared, _: &PodInfo) -> bool {
        let exclusive = prepared::<Exclusive>(exclusive);
        exclusive.is_claimed || exclusive.has_disks
    }

    fn filter(
        &self,
        exclusive: &dyn Prepared,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<(), Rejection> {
        let exclusive = prepared::<Exclusive>(exclusive);
        if exclusive.is_claimed {
            let why = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
            return self.reject(why, true);
        }
        let mut others = node.pods.values();
        let conflicts = |other: &PodInfo| {
            let mine = volumes(&pod.pod).filter(|volume| is_disk(volume));
            let mut pairs = mine.flat_map(|v| volumes(&other.pod).map(move |w| (v, w)));
            pairs.any(|(mine, theirs)| is_same_disk(mine, theirs))
        };
        match others.any(|other| conflicts(other)) {
            true => self.reject("node(s) had no available disk", true),
            false => Ok(()),
        }
    }

    fn may_help(&self, event: ClusterEvent) -> bool {
        use ClusterEvent::{NodeAdded, PodFreed, StorageChanged};
        matches!(event, NodeAdded | PodFreed | StorageChanged)
    }
}

fn volumes(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten())
}

fn is_disk(volume: &Volume) -> bool {
    volume.gce_persistent_disk.is_some()
        || volume.aws_elastic_block_store.is_some()
        || volume.rbd.is_some()
        || volume.iscsi.is_some()
}

/// Whether two volumes are one disk, and one of the two writes to it. EBS takes no two at all.
fn is_same_disk(a: &Volume, b: &Volume) -> bool {
    let only_reads = |a: Option<bool>, b: Option<bool>| a == Some(true) && b == Some(true);
    let gce = a
        .gce_persistent_disk
        .as_ref()
        .zip(b.gce_persistent_disk.as_ref());
    let ebs = a.aws_elastic_block_store.as_ref();
    let ebs = ebs.zip(b.aws_elastic_block_store.as_ref());
    let iscsi = a.iscsi.as_ref().zip(b.iscsi.as_ref());
    let rbd = a.rbd.as_ref().zip(b.rbd.as_ref());
    gce.is_some_and(|(a, b)| a.pd_name == b.pd_name && !only_reads(a.read_only, b.read_only))
        || ebs.is_some_and(|(a, b)| a.volume_id == b.volume_id)
        || iscsi.is_some_and(|(a, b)| a.iqn == b.iqn && !only_reads(a.read_only, b.read_only))
        || rbd.is_some_and(|(a, b)| {
            a.monitors
                .iter()
                .any(|monitor| b.monitors.contains(monitor))
                && a.pool == b.pool
                && a.image == b.image
                && !only_reads(a.read_only, b.read_only)
        })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, labelled_pod, node};
    use super::*;
    use crate::storage::testing::storage;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn pod(name: &str, volume: Value) -> PodInfo {
        labelled_pod(name, json!({}), json!({ "volumes": [volume] }))
    }

    /// The reasons against nodes `a`, where `other` is, and `b`.
    fn reasons(mode: &str, pod: &PodInfo, other: PodInfo) -> [String; 2] {
        let claim = json!({"metadata": {"namespace": "default", "name": "data"},
                           "spec": {"accessModes": [mode]}});
        let plugin = VolumeRestrictions(storage(claim, json!([]), json!([])));
        let mut taken = node("a", json!({}), json!({}));
        taken.add_pod(Arc::new(other));
        let nodes = vec![taken, node("b", json!({}), json!({}))];
        let all = filter(plugin, pod, nodes);
        [all[0].join("; "), all[1].join("; ")]
    }

    #[test]
    fn a_claim_for_one_pod_keeps_all_others_away() {
        let claim = || json!({"name": "v", "persistentVolumeClaim": {"claimName": "data"}});
        let (first, second) = (pod("first", claim()), pod("second", claim()));
        let why = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
        assert_eq!(reasons("ReadWriteOncePod", &second, first), [why, why]);
        let first = pod("first", claim());
        assert_eq!(reasons("ReadWriteOnce", &second, first), ["", ""]);
        let elsewhere = pod("first", json!({"name": "v", "emptyDir": {}}));
        assert_eq!(reasons("ReadWriteOncePod", &second, elsewhere), ["", ""]);
    }

    #[test]
    fn a_disk_is_written_to_once_on_a_node() {
        let iscsi = |reads: bool| {
            json!({"name": "v", "iscsi": {"iqn": "i", "lun": 0, "targetPortal": "t",
                                          "readOnly": reads}})
        };
        let why = "node(s) had no available disk";
        let writer = pod("second", iscsi(false));
        assert_eq!(reasons("", &writer, pod("first", iscsi(true))), [why, ""]);
        let reader = pod("second", iscsi(true));
        assert_eq!(reasons("", &reader, pod("first", iscsi(true))), ["", ""]);
        let ebs = || json!({"name": "v", "awsElasticBlockStore": {"volumeID": "e"}});
        let second = pod("second", ebs());
        assert_eq!(reasons("", &second, pod("first", ebs())), [why, ""]);
        let rbd = |image: &str| json!({"name": "v", "rbd": {"image": image, "monitors": ["m"]}});
        let second = pod("second", rbd("x"));
        assert_eq!(reasons("", &second, pod("first", rbd("x"))), [why, ""]);
        assert_eq!(reasons("", &second, pod("first", rbd("y"))), ["", ""]);
    }
}
