//! Whether a pod's claims have volumes that its node can use, or can get some there.

use crate::framework::{ClusterEvent, Plugin, Prepared, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::storage::Storage;

/// The plugin, and what it knows of storage.
pub struct VolumeBinding(pub Storage);

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn filter(&self, _: &dyn Prepared, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        match self.0.choose(&pod.pod, node) {
            Ok(_) => Ok(()),
            Err(why) => self.reject(why.to_string(), false),
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

    /// The reasons against nodes `a` and `b`, of a pod with the claim `data`.
    fn reasons(claim: Value, volumes: Value, classes: Value) -> Vec<String> {
        let nodes = ["a", "b"].map(|name| node(name, json!({"host": name}), json!({})));
        let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "data"}});
        let pod = pod(json!({ "volumes": [volume] }));
        let plugin = VolumeBinding(storage(claim, volumes, classes));
        let all = filter(plugin, &pod, nodes.into());
        all.into_iter().map(|reasons| reasons.join("; ")).collect()
    }

    fn claim(spec: Value, annotations: Value) -> Value {
        let mut all = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "",
                             "resources": {"requests": {"storage": "1Gi"}}});
        for (field, value) in spec.as_object().unwrap() {
            all[field] = value.clone();
        }
        json!({"metadata": {"namespace": "default", "name": "data", "uid": "u",
                            "annotations": annotations}, "spec": all})
    }

    /// A volume of the class `local` on the host `a`.
    fn on_a(claim_ref: Value) -> Value {
        json!([{"metadata": {"name": "v"}, "status": {"phase": "Available"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            "storageClassName": "local", "claimRef": claim_ref, "local": {"path": "/x"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "host", "operator": "In", "values": ["a"]}]}]}}}}])
    }

    fn local(provisioner: &str) -> Value {
        json!([{"metadata": {"name": "local"}, "provisioner": provisioner,
                "volumeBindingMode": "WaitForFirstConsumer",
                "allowedTopologies": [{"matchLabelExpressions": [
                    {"key": "host", "values": ["b"]}]}]}])
    }

    #[test]
    fn a_bound_claim_holds_the_pod_to_its_volumes_nodes() {
        let done = json!({"pv.kubernetes.io/bind-completed": "yes"});
        let bound = claim(json!({"volumeName": "v"}), done);
        let of = json!({"namespace": "default", "name": "data", "uid": "u"});
        assert_eq!(
            reasons(bound.clone(), on_a(of), json!([])),
            ["", "node(s) had volume node affinity conflict"]
        );
        let gone = reasons(bound, json!([]), json!([]));
        assert!(gone[0].contains("non-existent pv"), "{gone:?}");
    }

    #[test]
    fn an_unbound_claim_is_waited_for_unless_its_class_waits_for_the_pod() {
        let immediate = claim(json!({}), json!({}));
        let why = "pod has unbound immediate PersistentVolumeClaims";
        assert_eq!(reasons(immediate, json!([]), json!([])), [why, why]);
        let waits = || claim(json!({"storageClassName": "local"}), json!({}));
        let nobody = local("kubernetes.io/no-provisioner");
        assert_eq!(
            reasons(waits(), on_a(Value::Null), nobody),
            [
                "",
                "node(s) didn't find available persistent volumes to bind"
            ]
        );
        // One can be made on host b.
        let made = reasons(waits(), on_a(Value::Null), local("x.io/p"));
        assert_eq!(made, ["", ""]);
        let made = reasons(waits(), json!([]), local("x.io/p"));
        assert_eq!(made[1], "");
        assert!(made[0].contains("didn't find available"), "{made:?}");
        // It is being made there.
        let selected = json!({"volume.kubernetes.io/selected-node": "b"});
        let selected = claim(json!({"storageClassName": "local"}), selected);
        let made = reasons(selected, json!([]), local("x.io/p"));
        assert_eq!(made[1], "");
        assert!(!made[0].is_empty());
    }

    #[test]
    fn a_claim_that_is_missing_is_named() {
        let mut other = claim(json!({}), json!({}));
        other["metadata"]["name"] = json!("other");
        let why = "persistentvolumeclaim \"data\" not found";
        assert_eq!(reasons(other, json!([]), json!([])), [why, why]);
    }
}
