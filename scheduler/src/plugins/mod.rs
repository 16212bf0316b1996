//! The considerations, one file each, under Kubernetes' names.

mod balanced_allocation;
mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_fit;
mod node_unschedulable;
mod node_volume_limits;
mod pod_counts;
mod pod_topology_spread;
mod taint_toleration;
#[cfg(test)]
mod testing;
mod volume_binding;
mod volume_restrictions;
mod volume_zone;

use crate::framework::{Framework, Plugin};
use crate::namespaces::Namespaces;
use crate::storage::Storage;

/// Kubernetes' default profile, as far as its plugins exist here, in the
/// order in which its filters run.
pub fn default_profile(storage: Storage, namespaces: Namespaces) -> Framework {
    let plugins: Vec<Box<dyn Plugin>> = vec![
        Box::new(node_unschedulable::NodeUnschedulable),
        Box::new(node_name::NodeName),
        Box::new(taint_toleration::TaintToleration),
        Box::new(node_affinity::NodeAffinity),
        Box::new(node_ports::NodePorts),
        Box::new(node_resources_fit::NodeResourcesFit),
        Box::new(volume_restrictions::VolumeRestrictions(storage.clone())),
        Box::new(node_volume_limits::NodeVolumeLimits::new(storage.clone())),
        Box::new(volume_binding::VolumeBinding(storage.clone())),
        Box::new(volume_zone::VolumeZone(storage)),
        Box::new(pod_topology_spread::PodTopologySpread::default()),
        Box::new(inter_pod_affinity::InterPodAffinity::new(namespaces)),
        Box::new(balanced_allocation::BalancedAllocation),
        Box::new(image_locality::ImageLocality),
    ];
    Framework::new(plugins)
}
