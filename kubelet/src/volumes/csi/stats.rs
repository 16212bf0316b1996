//! How full a volume is, as its driver says.

use super::client::api::node_service_capability::rpc::Type as Can;
use super::client::api::volume_usage::Unit;
use super::client::api::{NodeGetVolumeStatsRequest, NodeGetVolumeStatsResponse};
use super::source::Source;
use super::{Csi, filesystem::text, published, staging};
use crate::volumes::looks::exists;
use crate::volumes::plugin::{Mounter, VolumeUsage};
use hardway_proto::Kind;

/// The figures, if the driver has any.
pub(super) async fn usage(csi: &Csi, mounter: &Mounter<'_>) -> Result<Option<VolumeUsage>, String> {
    let source = Source::in_pod(mounter.spec, mounter.pod.uid())?;
    if !exists(&published(mounter, &source)).await? {
        return Ok(None);
    }
    let driver = csi.drivers.get(&source.driver)?;
    let capabilities = driver.capabilities().await?;
    if !capabilities.has(Can::GetVolumeStats) {
        return Ok(None);
    }
    let (path, staged) = (
        text(&published(mounter, &source)),
        staging(mounter, &source, &capabilities),
    );
    let answer = driver.node_get_volume_stats(NodeGetVolumeStatsRequest {
        volume_id: source.handle,
        volume_path: path,
        staging_target_path: staged,
    });
    let answer = answer.await.map_err(|failure| failure.message)?;
    Ok(Some(read(&answer)))
}

fn read(answer: &NodeGetVolumeStatsResponse) -> VolumeUsage {
    let mut usage = VolumeUsage::default();
    let number = |value: i64| u64::try_from(value).unwrap_or(0);
    for amount in &answer.usage {
        let (available, total, used) = match amount.unit() {
            Unit::Bytes => (&mut usage.available, &mut usage.capacity, &mut usage.used),
            Unit::Inodes => (
                &mut usage.inodes_free,
                &mut usage.inodes,
                &mut usage.inodes_used,
            ),
            Unit::Unknown => continue,
        };
        *available = number(amount.available);
        *total = number(amount.total);
        *used = number(amount.used);
    }
    let condition = answer.volume_condition.as_ref();
    usage.abnormal = condition.filter(|c| c.abnormal).map(|c| c.message.clone());
    usage
}

#[cfg(test)]
mod tests {
    use super::super::client::api::VolumeUsage as Amount;
    use super::*;

    #[test]
    fn bytes_and_inodes_are_told_apart() {
        let of = |unit: Unit, total| Amount {
            available: total - 1,
            total,
            used: 1,
            unit: unit.into(),
        };
        let usage = read(&NodeGetVolumeStatsResponse {
            usage: vec![
                of(Unit::Inodes, 10),
                of(Unit::Bytes, 100),
                of(Unit::Unknown, 5),
            ],
            volume_condition: None,
        });
        assert_eq!((usage.capacity, usage.available, usage.used), (100, 99, 1));
        assert_eq!(
            (usage.inodes, usage.inodes_free, usage.inodes_used),
            (10, 9, 1)
        );
    }
}
