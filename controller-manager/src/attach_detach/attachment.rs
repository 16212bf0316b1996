//! How the attachment of a volume to a node looks, as Kubernetes' CSI plugin writes it.

use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{CSIPersistentVolumeSource, Node, PersistentVolume};
use k8s_openapi::api::storage::v1::{
    VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec,
};
use ring::digest::{SHA256, digest};

/// What nodes call volumes of CSI drivers: `kubernetes.io/csi/DRIVER^HANDLE`.
const UNIQUE: &str = "kubernetes.io/csi/";

/// What a driver knows of a volume, if it is a driver's.
pub fn source(volume: &PersistentVolume) -> Option<&CSIPersistentVolumeSource> {
    volume.spec.as_ref()?.csi.as_ref()
}

/// What nodes call a volume.
pub fn unique_name(source: &CSIPersistentVolumeSource) -> String {
    format!("{UNIQUE}{}^{}", source.driver, source.volume_handle)
}

/// The name of a volume's attachment to a node.
pub fn name(handle: &str, driver: &str, node: &str) -> String {
    let hash = digest(&SHA256, format!("{handle}{driver}{node}").as_bytes());
    let hex: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("csi-{hex}")
}

/// A volume's attachment to a node.
pub fn new(
    volume: &PersistentVolume,
    source: &CSIPersistentVolumeSource,
    node: &str,
) -> VolumeAttachment {
    let mut attachment = VolumeAttachment {
        spec: VolumeAttachmentSpec {
            attacher: source.driver.clone(),
            node_name: node.to_owned(),
            source: VolumeAttachmentSource {
                inline_volume_spec: None,
                persistent_volume_name: Some(volume.name().to_owned()),
            },
        },
        ..VolumeAttachment::default()
    };
    attachment.metadata.name = Some(name(&source.volume_handle, &source.driver, node));
    attachment
}

/// Whether a controller of volumes made it, and not a person or another program.
pub fn is_ours(attachment: &VolumeAttachment) -> bool {
    let hash = attachment.name().strip_prefix("csi-").unwrap_or_default();
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    hash.len() == 64 && hash.bytes().all(is_digit)
}

/// Whether its driver has attached it, and nobody has asked to detach it since.
pub fn is_attached(attachment: &VolumeAttachment) -> bool {
    let status = attachment.status.as_ref();
    status.is_some_and(|status| status.attached) && !is_going(attachment)
}

/// Whether it is being detached.
pub fn is_going(attachment: &VolumeAttachment) -> bool {
    attachment.metadata.deletion_timestamp.is_some()
}

/// Whether its node says that it uses the volume.
pub fn is_in_use(attachment: &VolumeAttachment, node: &Node) -> bool {
    let status = node.status.as_ref();
    let used = status.and_then(|status| status.volumes_in_use.as_ref());
    is_among(attachment, node, used.into_iter().flatten())
}

/// Whether its node is told that it has the volume.
pub fn is_told(attachment: &VolumeAttachment, node: &Node) -> bool {
    let status = node.status.as_ref();
    let told = status.and_then(|status| status.volumes_attached.as_ref());
    let told = told.into_iter().flatten();
    is_among(attachment, node, told.map(|volume| &volume.name))
}

/// Whether its volume is among those of the node. The volume's object may be gone: the
/// attachment's name tells enough.
fn is_among<'a>(
    attachment: &VolumeAttachment,
    node: &Node,
    mut volumes: impl Iterator<Item = &'a String>,
) -> bool {
    volumes.any(|unique| {
        let parts = unique.strip_prefix(UNIQUE);
        let parts = parts.and_then(|rest| rest.split_once('^'));
        parts.is_some_and(|(driver, handle)| name(handle, driver, node.name()) == attachment.name())
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{node, volume};
    use super::*;
    use serde_json::json;

    #[test]
    fn an_attachment_is_named_as_kubernetes_does() {
        // printf vol1x.ionode1 | sha256sum
        assert_eq!(
            name("vol1", "x.io", "node1"),
            "csi-8472bcbe9730cc9f9d7a0bc6785a8baa6ecd4d0940666fc80497fbd4c131a56e"
        );
        let volume = volume("v", json!({}));
        let made = new(&volume, source(&volume).unwrap(), "a");
        assert!(is_ours(&made));
        assert_eq!(
            serde_json::to_value(&made.spec).unwrap(),
            json!({"attacher": "x.io", "nodeName": "a", "source": {"persistentVolumeName": "v"}})
        );
        let mut other = made.clone();
        other.metadata.name = Some("csi-by-hand".into());
        assert!(!is_ours(&other));
    }

    #[test]
    fn a_node_uses_a_volume_whose_object_is_gone() {
        let volume = volume("v", json!({}));
        let made = new(&volume, source(&volume).unwrap(), "a");
        let unique = unique_name(source(&volume).unwrap());
        assert_eq!(unique, "kubernetes.io/csi/x.io^handle-v");
        assert!(is_in_use(
            &made,
            &node("a", json!({"volumesInUse": [unique]}))
        ));
        let other = json!({"volumesInUse": ["kubernetes.io/csi/x.io^other", "odd"]});
        assert!(!is_in_use(&made, &node("a", other)));
    }
}
