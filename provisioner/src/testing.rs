//! Claims, classes and nodes for tests.

use crate::claim::Place;
use hardway_proto::claims::{PROVISIONER, SELECTED_NODE};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};
use std::path::Path;

/// What classes call the provisioner.
pub const PROVISIONER_NAME: &str = "hardway.example/local-path";

fn with(mut all: Value, more: Value) -> Value {
    for (field, value) in more.as_object().expect("fields") {
        all[field] = value.clone();
    }
    all
}

/// The claim `n/data` of 1 GiB with the UID `u`, for a pod on a node.
pub fn claim(spec: Value, selected: Option<&str>) -> PersistentVolumeClaim {
    let spec = with(
        json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "local-path",
               "resources": {"requests": {"storage": "1Gi"}}}),
        spec,
    );
    let mut annotations = json!({ PROVISIONER: PROVISIONER_NAME });
    if let Some(node) = selected {
        annotations[SELECTED_NODE] = node.into();
    }
    let metadata = json!({"namespace": "n", "name": "data", "uid": "u",
                          "annotations": annotations});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).expect("a claim")
}

/// A class of this provisioner.
pub fn class(mode: &str, more: Value) -> StorageClass {
    let class = json!({"metadata": {"name": "local-path"}, "provisioner": PROVISIONER_NAME,
                       "volumeBindingMode": mode});
    serde_json::from_value(with(class, more)).expect("a class")
}

/// A node whose host is called `host-NAME`.
pub fn node(name: &str) -> Node {
    let labels = json!({"kubernetes.io/hostname": format!("host-{name}")});
    let node = json!({"metadata": {"name": name, "labels": labels}});
    serde_json::from_value(node).expect("a node")
}

/// The provisioner of a node.
pub fn place(node: &Node) -> Place<'_> {
    Place {
        provisioner: PROVISIONER_NAME,
        node,
        root: Path::new("/volumes"),
    }
}
