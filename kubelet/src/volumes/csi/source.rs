//! What a volume says of itself that its driver has to know.

use crate::volumes::plugin::VolumeSpec;
use k8s_openapi::api::core::v1::SecretReference;
use k8s_openapi::api::storage::v1::CSIDriver;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A CSI volume, of whichever sort.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Source {
    /// The driver's name.
    pub driver: String,
    /// What the driver calls the volume. An inline one gets its name with its pod.
    pub handle: String,
    /// What the cluster calls it.
    pub name: String,
    /// The file system to make, if it has none.
    pub fs_type: String,
    /// What its maker had to say about it.
    pub attributes: BTreeMap<String, String>,
    /// What is needed to stage it.
    pub stage_secret: Option<SecretReference>,
    /// What is needed to publish it. Without a namespace: the pod's.
    pub publish_secret: Option<SecretReference>,
    /// What is needed to expand it.
    pub expand_secret: Option<SecretReference>,
    /// How it may be used, e.g. `ReadWriteOnce`.
    pub access_modes: Vec<String>,
    /// Options of mount(8).
    pub mount_options: Vec<String>,
    /// Whether the pod may only read it.
    pub read_only: bool,
    /// Whether it lives and dies with its pod.
    pub is_inline: bool,
}

impl Source {
    /// Of a volume, if it is of this type.
    pub fn of(spec: &VolumeSpec) -> Option<Self> {
        let name = spec.name().to_owned();
        let Some(persistent) = &spec.persistent else {
            let csi = spec.volume.csi.as_ref()?;
            let secret = csi.node_publish_secret_ref.as_ref();
            return Some(Self {
                driver: csi.driver.clone(),
                fs_type: csi.fs_type.clone().unwrap_or_default(),
                attributes: csi.volume_attributes.clone().unwrap_or_default(),
                publish_secret: secret.map(|secret| SecretReference {
                    name: Some(secret.name.clone()),
                    namespace: None,
                }),
                read_only: csi.read_only == Some(true),
                is_inline: true,
                name,
                ..Self::default()
            });
        };
        let volume = persistent.volume.spec.as_ref()?;
        let csi = volume.csi.as_ref()?;
        Some(Self {
            driver: csi.driver.clone(),
            handle: csi.volume_handle.clone(),
            fs_type: csi.fs_type.clone().unwrap_or_default(),
            attributes: csi.volume_attributes.clone().unwrap_or_default(),
            stage_secret: csi.node_stage_secret_ref.clone(),
            publish_secret: csi.node_publish_secret_ref.clone(),
            expand_secret: csi.node_expand_secret_ref.clone(),
            access_modes: volume.access_modes.clone().unwrap_or_default(),
            mount_options: volume.mount_options.clone().unwrap_or_default(),
            read_only: spec.read_only,
            is_inline: false,
            name,
        })
    }

    /// The same in a pod, by whose UID an inline volume is named.
    pub fn in_pod(spec: &VolumeSpec, pod_uid: &str) -> Result<Self, String> {
        let mut source = Self::of(spec).ok_or("this is no CSI volume")?;
        if source.is_inline {
            source.handle = inline_handle(pod_uid, &source.name);
        }
        Ok(source)
    }

    /// What tells the volume from all others.
    pub fn key(&self) -> String {
        format!("{}^{}", self.driver, self.handle)
    }

    /// The name that a node's status has for it.
    pub fn unique_name(&self) -> String {
        format!("{}/{}", super::NAME, self.key())
    }
}

/// Texts as one number, in hexadecimal digits.
pub(super) fn sha256(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let mut text = String::with_capacity(64);
    for byte in hash.finalize() {
        // Strings don't fail to be written to.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// As Kubernetes names a volume that its pod brings along (`makeVolumeHandle`).
fn inline_handle(pod_uid: &str, volume: &str) -> String {
    format!("csi-{}", sha256(&[pod_uid, volume]))
}

/// Whether a driver has volumes that pods bring along.
///
/// # Errors
/// Why not, in Kubernetes' words.
pub(super) fn check_inline(driver: &str, object: Option<&CSIDriver>) -> Result<(), String> {
    let unsupported = format!("volume mode \"Ephemeral\" not supported by driver {driver}");
    let Some(object) = object else {
        return Err(format!("{unsupported} (no CSIDriver object)"));
    };
    let modes = object
        .spec
        .volume_lifecycle_modes
        .as_deref()
        .unwrap_or_default();
    match modes.iter().any(|mode| mode == "Ephemeral") {
        true => Ok(()),
        false if modes.is_empty() => Err(format!("{unsupported} (only supports [\"Persistent\"])")),
        false => Err(format!("{unsupported} (only supports {modes:?})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volumes::plugin::Persistent;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn an_inline_volume_is_its_pods() {
        let volume = json!({"name": "cache", "csi": {"driver": "d.io", "readOnly": true,
            "volumeAttributes": {"a": "b"}, "nodePublishSecretRef": {"name": "s"}}});
        let spec = VolumeSpec {
            volume: serde_json::from_value(volume).unwrap(),
            persistent: None,
            read_only: false,
        };
        let source = Source::in_pod(&spec, "uid").unwrap();
        assert!(source.is_inline && source.read_only);
        assert_eq!(
            (source.name.as_str(), source.driver.as_str()),
            ("cache", "d.io")
        );
        // sha256 of "uidcache".
        assert!(source.handle.starts_with("csi-") && source.handle.len() == 68);
        assert_ne!(
            source.handle,
            Source::in_pod(&spec, "other").unwrap().handle
        );
        assert_eq!(source.publish_secret.unwrap().name.as_deref(), Some("s"));
    }

    #[test]
    fn a_persistent_volume_has_its_own_name() {
        let volume = json!({"metadata": {"name": "pv"}, "spec": {"accessModes": ["ReadWriteOnce"],
            "mountOptions": ["noatime"], "csi": {"driver": "d.io", "volumeHandle": "h", "fsType": "ext4"}}});
        let spec = VolumeSpec {
            volume: serde_json::from_value(json!({"name": "data"})).unwrap(),
            persistent: Some(Persistent {
                claim: Arc::default(),
                volume: Arc::new(serde_json::from_value(volume).unwrap()),
            }),
            read_only: false,
        };
        let source = Source::in_pod(&spec, "uid").unwrap();
        assert_eq!(source.unique_name(), "kubernetes.io/csi/d.io^h");
        assert_eq!(
            (source.name.as_str(), source.fs_type.as_str()),
            ("pv", "ext4")
        );
    }

    #[test]
    fn drivers_say_which_modes_they_have() {
        let driver = |modes: serde_json::Value| -> CSIDriver {
            serde_json::from_value(
                json!({"metadata": {"name": "d"}, "spec": {"volumeLifecycleModes": modes}}),
            )
            .unwrap()
        };
        assert!(check_inline("d", Some(&driver(json!(["Persistent", "Ephemeral"])))).is_ok());
        let refused = check_inline("d", Some(&driver(json!(["Persistent"])))).unwrap_err();
        assert_eq!(
            refused,
            r#"volume mode "Ephemeral" not supported by driver d (only supports ["Persistent"])"#
        );
        assert!(
            check_inline("d", None)
                .unwrap_err()
                .ends_with("(no CSIDriver object)")
        );
    }
}
