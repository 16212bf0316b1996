//! Volumes that are folders in pods: where they are mounted, and in which order.

use super::client::api::node_service_capability::rpc::Type as Can;
use super::client::api::{
    NodePublishVolumeRequest, NodeStageVolumeRequest, NodeUnpublishVolumeRequest,
    NodeUnstageVolumeRequest,
};
use super::client::{Capabilities, Driver};
use super::record::{Record, Staged};
use super::request::Around;
use super::source::sha256;
use crate::volumes::System;
use crate::volumes::looks::look;
use crate::volumes::note::missing_is_fine;
use crate::volumes::ownership::{self, Access};
use crate::volumes::plugin::Mounter;
use hardway_proto::Kind;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the node's mount is, below the folder of its record.
const GLOBAL: &str = "globalmount";
/// Where a pod's mount is, below the folder of its record.
const MOUNT: &str = "mount";

/// Folders of block devices, beside those of drivers.
pub(super) const DEVICES: &str = "volumeDevices";

/// A volume in a pod.
pub(super) struct Place {
    pub root: PathBuf,
    pub pod: String,
    pub name: String,
}

impl Place {
    /// Of a volume that the cluster calls so.
    pub fn of(mounter: &Mounter<'_>, name: &str) -> Self {
        Self {
            root: mounter.host.root.clone(),
            pod: mounter.pod.uid().to_owned(),
            name: name.to_owned(),
        }
    }

    /// The folder of its record.
    fn dir(&self) -> PathBuf {
        let plugin = super::NAME.replace('/', "~");
        let pod = self.root.join("pods").join(&self.pod);
        pod.join("volumes").join(plugin).join(&self.name)
    }

    /// Where it is mounted.
    pub fn target(&self) -> PathBuf {
        self.dir().join(MOUNT)
    }
}

pub(super) fn plugin_dir(root: &Path) -> PathBuf {
    root.join("plugins").join(super::NAME)
}

/// Where a volume is staged (`makeDeviceMountPath`).
fn stage_dir(root: &Path, driver: &str, handle: &str) -> PathBuf {
    plugin_dir(root).join(driver).join(sha256(&[handle]))
}

/// Where a volume is staged, if its driver does that.
pub(super) fn staging_path(root: &Path, driver: &str, handle: &str) -> PathBuf {
    stage_dir(root, driver, handle).join(GLOBAL)
}

pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn failed(what: &str, path: &Path) -> impl FnOnce(io::Error) -> String {
    let place = format!("{what} {}", path.display());
    move |error| format!("{place}: {error}")
}

/// Folders in a folder.
pub(super) fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// What was staged, or was going to be. A record that can't be read is told of and left.
pub(super) fn staged(root: &Path) -> Vec<Staged> {
    let drivers = folders(&plugin_dir(root)).into_iter();
    let drivers = drivers.filter(|dir| !dir.ends_with(DEVICES));
    let volumes = drivers.flat_map(|driver| folders(&driver));
    volumes.filter_map(|dir| read(dir, false)).collect()
}

pub(super) fn read(dir: PathBuf, is_block: bool) -> Option<Staged> {
    match Record::read(&dir) {
        Ok(record) => Some(Staged {
            record: record?,
            dir,
            is_block,
        }),
        Err(error) => {
            tracing::warn!(dir = %dir.display(), %error, "what is staged there can't be read; it stays");
            None
        }
    }
}

/// The keys of volumes that pods have, or were going to. `None` if one can't be told: it may be
/// any.
pub(super) fn used(root: &Path) -> Option<BTreeSet<String>> {
    let plugin = super::NAME.replace('/', "~");
    let pods = folders(&root.join("pods")).into_iter();
    let volumes = pods.flat_map(|pod| folders(&pod.join("volumes").join(&plugin)));
    let records = volumes.filter_map(|dir| Record::read(&dir).transpose());
    records
        .map(|record| record.ok().map(|record| record.key()))
        .collect()
}

/// Whether a pod has a volume, or was going to.
fn is_used(root: &Path, volume: &Record) -> bool {
    used(root).is_none_or(|used| used.contains(&volume.key()))
}

/// Has a volume made ready for all pods of the node.
pub(super) async fn stage(
    root: &Path,
    driver: &Driver,
    capabilities: &Capabilities,
    mut request: NodeStageVolumeRequest,
    record: Record,
) -> Result<(), String> {
    let dir = stage_dir(root, &record.driver_name, &record.volume_handle);
    let target = dir.join(GLOBAL);
    // Also for drivers that stage nothing: this is how it is known to be in use here.
    record.note(&dir, Some(&target)).await?;
    if !capabilities.stages() {
        return Ok(());
    }
    request.staging_target_path = text(&target);
    let Err(failure) = driver.node_stage_volume(request).await else {
        return Ok(());
    };
    if failure.is_final && !is_used(root, &record) && fs::remove_dir(&target).is_ok() {
        forget(&dir)?;
    }
    Err(failure.message)
}

fn forget(dir: &Path) -> Result<(), String> {
    Record::remove(dir).map_err(failed("cannot remove", dir))
}

/// Whom the files of a volume are given to when it is mounted, and whether only if its root is
/// another's (`supportsFSGroup` of Kubernetes).
pub(super) fn ownership(around: &Around<'_>) -> Option<(u32, bool)> {
    let group = ownership::fs_group(around.mounter.pod)?;
    let policy = around
        .object
        .and_then(|object| object.spec.fs_group_policy.as_deref());
    let source = around.source;
    let once = |mode: &String| mode == "ReadWriteOnce" || mode == "ReadWriteOncePod";
    let asks = match policy.unwrap_or("ReadWriteOnceWithFSType") {
        "None" => false,
        "File" => true,
        _ => {
            !source.fs_type.is_empty() && (source.is_inline || source.access_modes.iter().any(once))
        }
    };
    let by_driver = around.capabilities.has(Can::VolumeMountGroup);
    let is_block = around.mounter.spec.is_block();
    (asks && !by_driver && !source.read_only && !is_block)
        .then(|| (group, ownership::only_on_mismatch(around.mounter.pod)))
}

/// Has a volume mounted for a pod, and answers where.
pub(super) async fn publish(
    place: &Place,
    driver: &Driver,
    mut request: NodePublishVolumeRequest,
    record: Record,
    owner: Option<(u32, bool)>,
) -> Result<PathBuf, String> {
    let (dir, target) = (place.dir(), place.target());
    record.note(&dir, None).await?;
    request.target_path = text(&target);
    if let Err(failure) = driver.node_publish_volume(request).await {
        if failure.is_final && missing_is_fine(fs::remove_dir(&target)).is_ok() {
            forget(&dir)?;
        }
        return Err(failure.message);
    }
    let Some((group, only_on_mismatch)) = owner else {
        return Ok(target);
    };
    // There may be many files.
    let give = move || -> io::Result<PathBuf> {
        if !only_on_mismatch || !ownership::is_handed_over(&target, group)? {
            ownership::hand_over(&target, group, Access::ReadWrite)?;
        }
        Ok(target)
    };
    let given = tokio::task::spawn_blocking(give).await;
    given
        .map_err(|e| e.to_string())?
        .map_err(|e| format!("applyFSGroup failed for vol {}: {e}", record.volume_handle))
}

/// Has a volume taken out of a pod.
pub(super) async fn unpublish(
    place: &Place,
    driver: &Driver,
    record: &Record,
    system: Arc<dyn System>,
) -> Result<(), String> {
    let (dir, target) = (place.dir(), place.target());
    let request = NodeUnpublishVolumeRequest {
        volume_id: record.volume_handle.clone(),
        target_path: text(&target),
    };
    let done = driver.node_unpublish_volume(request).await;
    done.map_err(|failure| failure.message)?;
    clear(&target, system).await?;
    forget(&dir)
}

/// Has a volume taken off the node.
pub(super) async fn unstage(
    driver: &Driver,
    staged: &Staged,
    system: Arc<dyn System>,
) -> Result<(), String> {
    let target = staged.dir.join(GLOBAL);
    if driver.capabilities().await?.stages() {
        let request = NodeUnstageVolumeRequest {
            volume_id: staged.record.volume_handle.clone(),
            staging_target_path: text(&target),
        };
        let done = driver.node_unstage_volume(request).await;
        done.map_err(|failure| failure.message)?;
    }
    clear(&target, system).await?;
    forget(&staged.dir)
}

/// Removes a mount point, and what a driver has left mounted there.
async fn clear(target: &Path, system: Arc<dyn System>) -> Result<(), String> {
    let found = look(target, |target| fs::symlink_metadata(target).map(drop)).await;
    if matches!(&found, Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    // A file system whose server is gone can be taken away, and nothing else.
    let answers = matches!(found, Ok(Ok(())));
    let cleared = move |target: &Path| -> io::Result<()> {
        let left = match answers {
            true => system.mounted_below(target)?,
            false => vec![target.to_owned()],
        };
        for path in left {
            tracing::warn!(path = %path.display(), "a driver has left this mounted");
            match system.unmount(&path) {
                // It was none, or is none any more; of any other the folder can't be removed.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                other => other?,
            }
        }
        // Never what is in it: that would be the volume's.
        missing_is_fine(fs::remove_dir(target))
    };
    // Not a look at the volume, which may not answer.
    let (at, around) = (target.to_owned(), target.parent().unwrap_or(target));
    let done = look(around, move |_| cleared(&at)).await?;
    done.map_err(failed("cannot remove", target))
}
