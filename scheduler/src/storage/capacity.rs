//! Whether a driver that tells how much room it has has enough of it for a claim
//! (`CSIStorageCapacity`).

use super::{CLASS, Storage};
use crate::node_info::NodeInfo;
use hardway_proto::claims::requested;
use hardway_proto::labels::Selector;
use hardway_proto::meta::ObjectKey;
use hardway_proto::quantity::Quantity;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::{CSIStorageCapacity, StorageClass};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;

impl Storage {
    /// Whether a volume for the claim can be made for the node, as far as its driver says.
    pub(super) fn has_room(
        &self,
        claim: &PersistentVolumeClaim,
        class: &StorageClass,
        node: &NodeInfo,
    ) -> bool {
        let driver = self.drivers.get(&ObjectKey::new("", &class.provisioner));
        let tells = driver.is_some_and(|driver| driver.spec.storage_capacity == Some(true));
        let asked = requested(claim);
        let class = class.metadata.name.as_deref().unwrap_or_default();
        let all = || self.capacities.by_index(CLASS, class);
        let enough = |told: &CSIStorageCapacity| largest(told) >= asked && is_for(told, node);
        !tells || all().iter().any(|told| enough(told))
    }
}

/// The largest volume that can be made.
fn largest(told: &CSIStorageCapacity) -> Quantity {
    let amount = |amount: &Amount| amount.0.parse::<Quantity>().ok();
    let largest = told.maximum_volume_size.as_ref().or(told.capacity.as_ref());
    largest.and_then(amount).unwrap_or_default()
}

/// Whether the node can use what is there; nobody can use what names no nodes.
fn is_for(told: &CSIStorageCapacity, node: &NodeInfo) -> bool {
    let Some(selector) = &told.node_topology else {
        return false;
    };
    Selector::from_label_selector(selector).is_ok_and(|nodes| nodes.matches(node.labels()))
}
