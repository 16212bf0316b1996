//! What a node is told to be attached to it.

use super::attachment::{is_attached, is_ours, source, unique_name};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{AttachedVolume, Node, PersistentVolume};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use std::sync::Arc;

/// The node's `volumesAttached`; `None` if it says so already. `leaves` tells of attachments
/// that are about to go: the node must not begin to use them.
pub fn attached(
    node: &Node,
    attachments: &[Arc<VolumeAttachment>],
    volume_of: impl Fn(&str) -> Option<Arc<PersistentVolume>>,
    leaves: impl Fn(&VolumeAttachment) -> bool,
) -> Option<Vec<AttachedVolume>> {
    let shown = attachments
        .iter()
        .filter(|attachment| is_ours(attachment) && is_attached(attachment) && !leaves(attachment));
    let volumes = shown.filter_map(|attachment| {
        let volume = attachment.spec.source.persistent_volume_name.as_ref()?;
        Some(AttachedVolume {
            name: unique_name(source(volume_of(volume)?.as_ref())?),
            // What the kubelet finds the attachment by.
            device_path: attachment.name().to_owned(),
        })
    });
    let mut new: Vec<_> = volumes.collect();
    new.sort_by(|a, b| a.name.cmp(&b.name));
    let before = node
        .status
        .as_ref()
        .and_then(|s| s.volumes_attached.clone());
    let mut before = before.unwrap_or_default();
    before.sort_by(|a, b| a.name.cmp(&b.name));
    (new != before).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{attached as attachment, node, volume};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_is_told_what_is_attached_until_it_is_to_go() {
        let volume = Arc::new(volume("v", json!({})));
        let attachments = [attachment(&volume, "a")];
        let told = |node: &Node, leaves: bool| {
            attached(node, &attachments, |_| Some(volume.clone()), |_| leaves)
        };
        let bare = node("a", json!({}));
        let new = told(&bare, false).unwrap();
        assert_eq!(new[0].name, "kubernetes.io/csi/x.io^handle-v");
        assert_eq!(new[0].device_path, attachments[0].name());
        assert_eq!(told(&bare, true), None);
        let knows = node("a", json!({ "volumesAttached": new }));
        assert_eq!(told(&knows, false), None);
        assert_eq!(told(&knows, true), Some(Vec::new()));
    }
}
