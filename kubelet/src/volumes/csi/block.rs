//! Volumes that are block devices in pods, in Kubernetes' folders
//! (`pkg/volume/csi/csi_block.go`): `volumeDevices/{staging,publish}/NAME` of the plugin, their
//! records beside them, and for each pod a link to what is published for it.

use super::client::api::{
    NodePublishVolumeRequest, NodeStageVolumeRequest, NodeUnpublishVolumeRequest,
    NodeUnstageVolumeRequest,
};
use super::client::{Capabilities, Driver};
use super::filesystem::{DEVICES, Place, folders, plugin_dir, read, text};
use super::record::{Record, Staged};
use crate::root_dir;
use crate::volumes::note::missing_is_fine;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn devices(root: &Path) -> PathBuf {
    plugin_dir(root).join(DEVICES)
}

/// The folder of a volume's record.
fn data(root: &Path, name: &str) -> PathBuf {
    devices(root).join(name).join("data")
}

/// Where a volume is staged, if its driver does that.
pub(super) fn staging_path(root: &Path, name: &str) -> PathBuf {
    devices(root).join("staging").join(name)
}

/// Where a volume is for a pod.
pub(super) fn target(place: &Place) -> PathBuf {
    let published = devices(&place.root).join("publish");
    published.join(&place.name).join(&place.pod)
}

/// The pod's own link to it.
fn link(place: &Place) -> PathBuf {
    let plugin = super::NAME.replace('/', "~");
    let pod = place.root.join("pods").join(&place.pod);
    pod.join("volumeDevices").join(plugin).join(&place.name)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> String {
    let place = path.display().to_string();
    move |error| format!("{place}: {error}")
}

/// Whose a volume is.
pub(super) fn record(root: &Path, name: &str) -> io::Result<Option<Record>> {
    Record::read(&data(root, name))
}

/// What was staged, or was going to be.
pub(super) fn staged(root: &Path) -> Vec<Staged> {
    let volumes = folders(&devices(root)).into_iter();
    let volumes = volumes.filter(|dir| !dir.ends_with("staging") && !dir.ends_with("publish"));
    volumes
        .filter_map(|volume| read(volume.join("data"), true))
        .collect()
}

/// The volume's name in the cluster, of which its folders are made.
pub(super) fn name(data: &Path) -> String {
    last(data.parent().unwrap_or(data))
}

fn last(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The names of volumes that pods have.
pub(super) fn used(root: &Path) -> BTreeSet<String> {
    let published = folders(&devices(root).join("publish")).into_iter();
    let published = published.filter(|volume| !folders(volume).is_empty());
    let pods = folders(&root.join("pods")).into_iter();
    let plugin = super::NAME.replace('/', "~");
    let linked = pods.flat_map(|pod| folders(&pod.join("volumeDevices").join(&plugin)));
    published.chain(linked).map(|path| last(&path)).collect()
}

/// Has a device made ready for all pods of the node.
pub(super) async fn stage(
    root: &Path,
    volume: &str,
    driver: &Driver,
    capabilities: &Capabilities,
    mut request: NodeStageVolumeRequest,
    record: Record,
) -> Result<(), String> {
    let dir = data(root, volume);
    let staging = staging_path(root, volume);
    let folder = capabilities.stages().then_some(staging.as_path());
    record.note(&dir, folder).await?;
    if !capabilities.stages() {
        return Ok(());
    }
    request.staging_target_path = text(&staging);
    let done = driver.node_stage_volume(request).await;
    done.map(drop).map_err(|failure| failure.message)
}

/// Has a device put where a pod finds it, and answers where.
pub(super) async fn publish(
    place: &Place,
    driver: &Driver,
    mut request: NodePublishVolumeRequest,
) -> Result<PathBuf, String> {
    let (target, link) = (target(place), link(place));
    let link_first = || -> io::Result<()> {
        for path in [&target, &link] {
            root_dir::make(path.parent().unwrap_or(&place.root))?;
        }
        match symlink(&target, &link) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    };
    // The link is what tells that something is to be undone.
    link_first().map_err(failed(&link))?;
    request.target_path = text(&target);
    match driver.node_publish_volume(request).await {
        Ok(_) => Ok(target),
        Err(failure) => {
            if failure.is_final && fs::symlink_metadata(&target).is_err() {
                missing_is_fine(fs::remove_file(&link)).map_err(failed(&link))?;
            }
            Err(failure.message)
        }
    }
}

/// Has a device taken from a pod.
pub(super) async fn unpublish(
    place: &Place,
    driver: &Driver,
    record: &Record,
) -> Result<(), String> {
    let (target, link) = (target(place), link(place));
    let request = NodeUnpublishVolumeRequest {
        volume_id: record.volume_handle.clone(),
        target_path: text(&target),
    };
    let done = driver.node_unpublish_volume(request).await;
    done.map_err(|failure| failure.message)?;
    missing_is_fine(fs::remove_file(&target)).map_err(failed(&target))?;
    // Other pods may have theirs there.
    let _ = fs::remove_dir(target.parent().unwrap_or(&target));
    missing_is_fine(fs::remove_file(&link)).map_err(failed(&link))
}

/// Has a device taken off the node.
pub(super) async fn unstage(root: &Path, driver: &Driver, staged: &Staged) -> Result<(), String> {
    let volume = name(&staged.dir);
    let staging = staging_path(root, &volume);
    if driver.capabilities().await?.stages() {
        let request = NodeUnstageVolumeRequest {
            volume_id: staged.record.volume_handle.clone(),
            staging_target_path: text(&staging),
        };
        let done = driver.node_unstage_volume(request).await;
        done.map_err(|failure| failure.message)?;
    }
    missing_is_fine(fs::remove_dir_all(&staging)).map_err(failed(&staging))?;
    Record::remove(&staged.dir).map_err(failed(&staged.dir))?;
    let volume = staged.dir.parent().unwrap_or(&staged.dir);
    missing_is_fine(fs::remove_dir(volume)).map_err(failed(volume))
}
