//! Volumes, nodes and pods for tests.

use super::attachment;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{VolumeAttachment, VolumeAttachmentStatus};
use serde_json::{Value, json};
use std::sync::Arc;

/// A volume of the driver `x.io`, of the claim `n/data`.
pub fn volume(name: &str, spec: Value) -> PersistentVolume {
    let mut all = json!({
        "csi": {"driver": "x.io", "volumeHandle": format!("handle-{name}")},
        "claimRef": {"namespace": "n", "name": "data", "uid": "c"}});
    for (field, value) in spec.as_object().expect("fields") {
        all[field] = value.clone();
    }
    let object = json!({"metadata": {"name": name}, "spec": all});
    serde_json::from_value(object).expect("a volume")
}

/// The claim `n/data`, which has a volume.
pub fn claim(volume: &str) -> PersistentVolumeClaim {
    let object = json!({"metadata": {"namespace": "n", "name": "data", "uid": "c"},
                        "spec": {"volumeName": volume}});
    serde_json::from_value(object).expect("a claim")
}

/// A node whose volumes are attached by the controller.
pub fn node(name: &str, status: Value) -> Node {
    let annotations = json!({"volumes.kubernetes.io/controller-managed-attach-detach": "true"});
    let metadata = json!({"name": name, "annotations": annotations});
    serde_json::from_value(json!({"metadata": metadata, "status": status})).expect("a node")
}

/// A pod of `n` on a node that uses the claim `data`.
pub fn pod(name: &str, node: &str, status: Value) -> Pod {
    let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "data"}});
    let spec = json!({"containers": [], "nodeName": node, "volumes": [volume]});
    let object = json!({"metadata": {"namespace": "n", "name": name, "uid": name},
                        "spec": spec, "status": status});
    serde_json::from_value(object).expect("a pod")
}

/// A volume's attachment, which its driver has carried out.
pub fn attached(volume: &PersistentVolume, node: &str) -> Arc<VolumeAttachment> {
    let source = attachment::source(volume).expect("a driver's");
    let mut made = attachment::new(volume, source, node);
    made.status = Some(VolumeAttachmentStatus {
        attached: true,
        ..VolumeAttachmentStatus::default()
    });
    Arc::new(made)
}
