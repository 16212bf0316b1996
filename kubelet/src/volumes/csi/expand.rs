//! A volume that has become larger, and whose file system has to follow.

use super::client::api::node_service_capability::rpc::Type as Can;
use super::client::api::{CapacityRange, NodeExpandVolumeRequest};
use super::source::Source;
use super::{Csi, filesystem::text, published, request, staging};
use crate::volumes::looks::exists;
use crate::volumes::ownership;
use crate::volumes::plugin::{Expansion, Mounter};
use hardway_proto::Kind;

/// Has the driver expand what is published. A driver that can't has nothing to do.
pub(super) async fn expand(
    csi: &Csi,
    mounter: &Mounter<'_>,
    bytes: i64,
) -> Result<Expansion, String> {
    let source = Source::in_pod(mounter.spec, mounter.pod.uid())?;
    if !exists(&published(mounter, &source)).await? {
        return Ok(Expansion::Later);
    }
    let driver = csi.drivers.get(&source.driver)?;
    let capabilities = driver.capabilities().await?;
    if !capabilities.has(Can::ExpandVolume) {
        return Ok(Expansion::Done);
    }
    let is_block = mounter.spec.is_block();
    let objects = mounter.host.objects.as_ref();
    let secret = source.expand_secret.as_ref();
    let secrets = request::secrets(objects, secret, "", "NodeExpandSecretRef").await?;
    let group = ownership::fs_group(mounter.pod);
    let message = NodeExpandVolumeRequest {
        volume_id: source.handle.clone(),
        volume_path: text(&published(mounter, &source)),
        capacity_range: Some(CapacityRange {
            required_bytes: bytes,
            limit_bytes: 0,
        }),
        staging_target_path: staging(mounter, &source, &capabilities),
        volume_capability: Some(request::capability(&source, &capabilities, is_block, group)),
        secrets,
    };
    let _guard = csi.locks.lock(&source.key()).await;
    match driver.node_expand_volume(message).await {
        Ok(_) => Ok(Expansion::Done),
        Err(failure) if failure.is_infeasible => Ok(Expansion::Infeasible(failure.message)),
        Err(failure) => Err(failure.message),
    }
}
