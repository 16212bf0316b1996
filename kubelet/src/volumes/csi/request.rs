//! What drivers are asked: volumes, pods, secrets and tokens in the messages of CSI.

use super::attachment::Attached;
use super::client::Capabilities;
use super::client::api::node_service_capability::rpc::Type as Can;
use super::client::api::volume_capability::access_mode::Mode;
use super::client::api::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use super::client::api::{NodePublishVolumeRequest, NodeStageVolumeRequest, VolumeCapability};
use super::source::Source;
use crate::objects::Objects;
use crate::pod;
use crate::volumes::ownership;
use crate::volumes::plugin::Mounter;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{Pod, SecretReference};
use k8s_openapi::api::storage::v1::CSIDriver;
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// Life of a token where a driver doesn't say: that of the apiserver's own default.
const TOKEN_SECONDS: i64 = 3600;

/// All that a volume in a pod is made of.
pub(super) struct Around<'a> {
    pub mounter: &'a Mounter<'a>,
    pub source: &'a Source,
    pub capabilities: &'a Capabilities,
    pub object: Option<&'a CSIDriver>,
    pub attached: Option<&'a Attached>,
}

/// How a volume is used, for drivers (`pkg/volume/csi/csi_client.go`).
pub(super) fn capability(
    source: &Source,
    capabilities: &Capabilities,
    is_block: bool,
    group: Option<u32>,
) -> VolumeCapability {
    let group = group.filter(|_| capabilities.has(Can::VolumeMountGroup));
    let access_type = match is_block {
        true => AccessType::Block(BlockVolume {}),
        false => AccessType::Mount(MountVolume {
            fs_type: source.fs_type.clone(),
            mount_flags: source.mount_options.clone(),
            volume_mount_group: group.map(|g| g.to_string()).unwrap_or_default(),
        }),
    };
    let tells_writers = capabilities.has(Can::SingleNodeMultiWriter);
    let mode = match source.access_modes.first().map(String::as_str) {
        Some("ReadOnlyMany") => Mode::MultiNodeReaderOnly,
        Some("ReadWriteMany") => Mode::MultiNodeMultiWriter,
        Some("ReadWriteOncePod") if tells_writers => Mode::SingleNodeSingleWriter,
        Some("ReadWriteOnce") | None if tells_writers => Mode::SingleNodeMultiWriter,
        _ => Mode::SingleNodeWriter,
    };
    VolumeCapability {
        access_type: Some(access_type),
        access_mode: Some(AccessMode { mode: mode.into() }),
    }
}

/// Asks for a volume to be made ready on the node. Its path is filled in later.
pub(super) async fn stage(
    mounter: &Mounter<'_>,
    source: &Source,
    capabilities: &Capabilities,
    attached: Option<&Attached>,
) -> Result<NodeStageVolumeRequest, String> {
    let objects = mounter.host.objects.as_ref();
    let secrets = secrets(
        objects,
        source.stage_secret.as_ref(),
        "",
        "NodeStageSecretRef",
    )
    .await?;
    let group = ownership::fs_group(mounter.pod);
    Ok(NodeStageVolumeRequest {
        volume_id: source.handle.clone(),
        publish_context: attached.map(|a| a.metadata.clone()).unwrap_or_default(),
        staging_target_path: String::new(),
        volume_capability: Some(capability(
            source,
            capabilities,
            mounter.spec.is_block(),
            group,
        )),
        secrets,
        volume_context: source.attributes.clone(),
    })
}

/// Asks for a volume to appear in a pod. Its paths are filled in later.
pub(super) async fn publish(around: &Around<'_>) -> Result<NodePublishVolumeRequest, String> {
    let Around {
        mounter, source, ..
    } = around;
    let (objects, pod) = (mounter.host.objects.as_ref(), mounter.pod);
    let reference = source.publish_secret.as_ref();
    let secrets = secrets(objects, reference, pod.namespace(), "NodePublishSecretRef").await?;
    let mut context = source.attributes.clone();
    if let Some(object) = around.object {
        if object.spec.pod_info_on_mount == Some(true) {
            context.extend(pod_info(pod, source.is_inline));
        }
        context.extend(tokens(objects, pod, object).await?);
    }
    let group = ownership::fs_group(pod);
    let is_block = mounter.spec.is_block();
    Ok(NodePublishVolumeRequest {
        volume_id: source.handle.clone(),
        publish_context: around
            .attached
            .map(|a| a.metadata.clone())
            .unwrap_or_default(),
        staging_target_path: String::new(),
        target_path: String::new(),
        volume_capability: Some(capability(source, around.capabilities, is_block, group)),
        readonly: source.read_only,
        secrets,
        volume_context: context,
    })
}

/// What a driver with `podInfoOnMount` is told.
fn pod_info(pod: &Pod, is_inline: bool) -> BTreeMap<String, String> {
    let account = pod::spec(pod).service_account_name.clone();
    let pairs = [
        ("pod.name", pod.name().to_owned()),
        ("pod.namespace", pod.namespace().to_owned()),
        ("pod.uid", pod.uid().to_owned()),
        ("serviceAccount.name", account.unwrap_or_default()),
        ("ephemeral", is_inline.to_string()),
    ];
    pairs
        .map(|(name, value)| (format!("csi.storage.k8s.io/{name}"), value))
        .into()
}

/// The tokens that a driver asks for, as one text.
async fn tokens(
    objects: &dyn Objects,
    pod: &Pod,
    object: &CSIDriver,
) -> Result<BTreeMap<String, String>, String> {
    let requests = object.spec.token_requests.as_deref().unwrap_or_default();
    let mut tokens = Map::new();
    for request in requests {
        let seconds = request.expiration_seconds.unwrap_or(TOKEN_SECONDS);
        let token = objects.token(pod, &request.audience, seconds).await;
        let token = token.map_err(|e| format!("failed to fetch token: {e}"))?;
        let value = json!({"token": token.text, "expirationTimestamp": token.expires.to_string()});
        tokens.insert(request.audience.clone(), value);
    }
    let name = "csi.storage.k8s.io/serviceAccount.tokens".to_owned();
    Ok(match tokens.is_empty() {
        true => BTreeMap::new(),
        false => BTreeMap::from([(name, serde_json::Value::Object(tokens).to_string())]),
    })
}

/// What a Secret holds, if one is named; `own` is the namespace where it names none.
pub(super) async fn secrets(
    objects: &dyn Objects,
    reference: Option<&SecretReference>,
    own: &str,
    field: &str,
) -> Result<BTreeMap<String, String>, String> {
    let Some(reference) = reference else {
        return Ok(BTreeMap::new());
    };
    let name = reference.name.as_deref().unwrap_or_default();
    let namespace = reference.namespace.as_deref().unwrap_or(own);
    let secret = objects.secret(namespace, name).await;
    let secret = secret.map_err(|e| format!("fetching {field} {namespace}/{name} failed: {e}"))?;
    let data = secret.data.iter().flatten();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(data
        .map(|(key, bytes)| (key.clone(), text(&bytes.0)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(modes: &[&str], capabilities: &Capabilities) -> Mode {
        let source = Source {
            access_modes: modes.iter().map(|m| (*m).to_owned()).collect(),
            ..Source::default()
        };
        let made = capability(&source, capabilities, false, Some(7));
        made.access_mode.unwrap().mode.try_into().unwrap()
    }

    #[test]
    fn modes_are_as_fine_as_the_driver_knows_them() {
        let (plain, fine) = (
            Capabilities::of(&[]),
            Capabilities::of(&[Can::SingleNodeMultiWriter]),
        );
        assert_eq!(mode(&[], &plain), Mode::SingleNodeWriter);
        assert_eq!(mode(&["ReadWriteOncePod"], &plain), Mode::SingleNodeWriter);
        assert_eq!(mode(&["ReadWriteOnce"], &fine), Mode::SingleNodeMultiWriter);
        assert_eq!(
            mode(&["ReadWriteOncePod"], &fine),
            Mode::SingleNodeSingleWriter
        );
        assert_eq!(mode(&["ReadWriteMany"], &fine), Mode::MultiNodeMultiWriter);
        assert_eq!(mode(&["ReadOnlyMany"], &plain), Mode::MultiNodeReaderOnly);
    }

    #[test]
    fn a_driver_that_can_gives_files_to_the_group_itself() {
        let group = |capabilities: &Capabilities| match capability(
            &Source::default(),
            capabilities,
            false,
            Some(7),
        )
        .access_type
        {
            Some(AccessType::Mount(mount)) => mount.volume_mount_group,
            other => panic!("{other:?}"),
        };
        assert_eq!(group(&Capabilities::of(&[])), "");
        assert_eq!(group(&Capabilities::of(&[Can::VolumeMountGroup])), "7");
    }
}
