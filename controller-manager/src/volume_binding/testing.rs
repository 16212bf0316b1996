//! Claims, volumes and classes for tests.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};
use std::sync::Arc;

fn with(mut all: Value, more: Value) -> Value {
    for (field, value) in more.as_object().expect("fields") {
        all[field] = value.clone();
    }
    all
}

/// The claim `n/data` of 1 GiB with the UID `u`.
pub fn claim(spec: Value, annotations: Value) -> PersistentVolumeClaim {
    let spec = with(
        json!({"accessModes": ["ReadWriteOnce"],
               "resources": {"requests": {"storage": "1Gi"}}}),
        spec,
    );
    let metadata =
        json!({"name": "data", "namespace": "n", "uid": "u", "annotations": annotations});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).expect("a claim")
}

/// A volume of 1 GiB that is available.
pub fn volume(name: &str, spec: Value) -> Arc<PersistentVolume> {
    let spec = with(
        json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
               "hostPath": {"path": "/data"}}),
        spec,
    );
    let object = json!({"metadata": {"name": name}, "spec": spec,
                        "status": {"phase": "Available"}});
    Arc::new(serde_json::from_value(object).expect("a volume"))
}

/// The same for a claim in `n`.
pub fn volume_of(name: &str, claim: &str, uid: &str, spec: Value) -> Arc<PersistentVolume> {
    let of = json!({"claimRef": {"namespace": "n", "name": claim, "uid": uid}});
    volume(name, with(of, spec))
}

/// A class.
pub fn class(name: &str, provisioner: &str, mode: &str, default: bool) -> Arc<StorageClass> {
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": default.to_string()});
    let object = json!({"metadata": {"name": name, "annotations": annotations},
                        "provisioner": provisioner, "volumeBindingMode": mode});
    Arc::new(serde_json::from_value(object).expect("a class"))
}
