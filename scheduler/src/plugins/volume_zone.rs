//! Volumes that are labelled with zones or regions go with nodes there.

use crate::framework::{ClusterEvent, Nodes, Plugin, Prepared, Rejection, prepared};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::storage::Storage;
use hardway_proto::claims::volume_name;

/// The plugin, and what it knows of storage.
pub struct VolumeZone(pub Storage);

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
/// The labels, and what stands for them on newer nodes.
const LABELS: [(&str, &str); 4] = [
    ("failure-domain.beta.kubernetes.io/zone", ZONE),
    ("failure-domain.beta.kubernetes.io/region", REGION),
    (ZONE, ZONE),
    (REGION, REGION),
];

/// Labels of a pod's volumes: name, name on newer nodes, values.
struct Zones(Vec<(&'static str, &'static str, Vec<String>)>);
impl Prepared for Zones {}

impl Plugin for VolumeZone {
    fn name(&self) -> &'static str {
        "VolumeZone"
    }

    fn prepare(&self, pod: &PodInfo, _: Nodes<'_>) -> Box<dyn Prepared> {
        let claims = pod.claims.iter();
        let claims = claims.filter_map(|name| self.0.claim(&pod.key.namespace, name));
        let volumes = claims.filter_map(|claim| self.0.volume(volume_name(&claim)));
        let zones = volumes.flat_map(|volume| {
            let labels = volume.metadata.labels.clone().unwrap_or_default();
            LABELS.into_iter().filter_map(move |(name, newer)| {
                // One that spans zones names them all.
                let values = labels.get(name)?.split("__").map(str::to_owned).collect();
                Some((name, newer, values))
            })
        });
        Box::new(Zones(zones.collect()))
    }

    fn filters(&self, zones: &dyn Prepared, _: &PodInfo) -> bool {
        !prepared::<Zones>(zones).0.is_empty()
    }

    fn filter(&self, zones: &dyn Prepared, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Zones(zones) = prepared(zones);
        let labels = node.labels();
        // A cluster of one zone need not say so.
        if !LABELS.iter().any(|(name, _)| labels.contains_key(*name)) {
            return Ok(());
        }
        let fits = zones.iter().all(|(name, newer, values)| {
            let value = labels.get(*name).or_else(|| labels.get(*newer));
            value.is_some_and(|value| values.contains(value))
        });
        match fits {
            true => Ok(()),
            false => self.reject("node(s) had no available volume zone", false),
        }
    }

    fn may_help(&self, event: ClusterEvent) -> bool {
        use ClusterEvent::{NodeAdded, NodeChanged, StorageChanged};
        matches!(event, NodeAdded | NodeChanged | StorageChanged)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, node, pod};
    use super::*;
    use crate::storage::testing::storage;
    use serde_json::{Value, json};

    #[test]
    fn a_volume_of_a_zone_keeps_its_pod_there() {
        let verdicts = |labels: Value| {
            let claim = json!({"metadata": {"namespace": "default", "name": "data"},
                               "spec": {"volumeName": "v"}});
            let volume = json!({"metadata": {"name": "v", "labels": labels}});
            let plugin = VolumeZone(storage(claim, json!([volume]), json!([])));
            let claimed = json!({"name": "v", "persistentVolumeClaim": {"claimName": "data"}});
            let pod = pod(json!({ "volumes": [claimed] }));
            let nodes = vec![
                node("a", json!({ZONE: "a"}), json!({})),
                node("b", json!({ZONE: "b"}), json!({})),
                node("none", json!({}), json!({})),
            ];
            let all = filter(plugin, &pod, nodes).into_iter();
            all.map(|reasons| reasons.join("; ")).collect::<Vec<_>>()
        };
        let why = "node(s) had no available volume zone";
        assert_eq!(verdicts(json!({ZONE: "a"})), ["", why, ""]);
        assert_eq!(verdicts(json!({ZONE: "a__b"})), ["", "", ""]);
        let old = json!({"failure-domain.beta.kubernetes.io/zone": "b"});
        assert_eq!(verdicts(old), [why, "", ""]);
        assert_eq!(verdicts(json!({REGION: "r"})), [why, why, ""]);
        assert_eq!(verdicts(json!({})), ["", "", ""]);
    }
}
