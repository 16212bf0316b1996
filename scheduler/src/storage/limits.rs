//! How many volumes of a driver a node takes (`CSINode`), and how many it has.

use super::{NODE, Storage};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use hardway_proto::Kind;
use hardway_proto::claims::{class_of_claim, made_for, of_volumes, volume_name};
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use std::collections::{BTreeSet, HashMap};

/// A volume that counts: its driver, and what tells it from others of that driver.
pub type Attachable = (String, String);

/// So many volumes of each driver a node takes; those that are not named, as many as come.
pub type Limits = HashMap<String, i64>;

impl Storage {
    /// What limits a node.
    pub fn limits(&self, node: &str) -> Limits {
        let Some(node) = self.csi_nodes.get(&ObjectKey::new("", node)) else {
            return Limits::default();
        };
        let limited = node.spec.drivers.iter().filter_map(|driver| {
            let count = driver.allocatable.as_ref()?.count?;
            Some((driver.name.clone(), count.into()))
        });
        limited.collect()
    }

    /// The volumes of drivers that a pod uses. One that is yet to be made counts with the
    /// provisioner of its class.
    pub fn attachables(&self, pod: &Pod) -> BTreeSet<Attachable> {
        let of_claim = |name: &str, is_ephemeral: bool| {
            let claim = self.claim(pod.namespace(), name)?;
            if is_ephemeral && made_for(&claim, pod).is_err() {
                return None;
            }
            if let Some(volume) = self.volume(volume_name(&claim)) {
                return of_driver(&volume);
            }
            let class = self.class(class_of_claim(&claim)?)?;
            let handle = format!("{}/{name}", pod.namespace());
            Some((class.provisioner.clone(), handle))
        };
        of_volumes(pod)
            .filter_map(|claim| of_claim(&claim.name, claim.is_ephemeral))
            .collect()
    }

    /// The volumes of drivers on a node: those of its pods, and those that are attached
    /// though no pod needs them any more.
    pub fn attached(&self, node: &NodeInfo) -> BTreeSet<Attachable> {
        let pods = node.pods.values().filter(|pod| !pod.claims.is_empty());
        let used = pods.flat_map(|pod: &std::sync::Arc<PodInfo>| self.attachables(&pod.pod));
        let attachments = self.attachments.by_index(NODE, &node.name);
        let attached = attachments.iter().filter_map(|attachment| {
            let volume = attachment.spec.source.persistent_volume_name.as_ref()?;
            of_driver(self.volume(volume)?.as_ref())
        });
        used.chain(attached).collect()
    }
}

fn of_driver(volume: &PersistentVolume) -> Option<Attachable> {
    let csi = volume.spec.as_ref()?.csi.as_ref()?;
    Some((csi.driver.clone(), csi.volume_handle.clone()))
}
