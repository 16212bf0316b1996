//! Volumes whose files the kubelet writes itself, and keeps current.

use super::atomic::{self, Payload};
use super::ownership;
use super::plugin::Mounter;
use crate::root_dir;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Mode of such a volume: all may read, nobody else write.
const MODE: u32 = 0o755;

/// Where the files are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    /// In memory: they are secret, or about the pod alone.
    Memory,
    /// On the node's disk.
    Disk,
}

/// Writes the files of a volume, all or none of them.
pub(super) async fn write(
    mounter: &Mounter<'_>,
    dir: PathBuf,
    medium: Medium,
    payload: Payload,
) -> Result<PathBuf, String> {
    let system = mounter.host.system.clone();
    let group = ownership::fs_group(mounter.pod);
    let write = move || -> Result<PathBuf, std::io::Error> {
        root_dir::make(&dir)?;
        match medium {
            Medium::Memory if system.is_mounted(&dir)? => {}
            Medium::Memory => system.mount_tmpfs(&dir, MODE, None)?,
            Medium::Disk => std::fs::set_permissions(&dir, Permissions::from_mode(MODE))?,
        }
        atomic::write(&dir, &payload, |new| match group {
            Some(group) => ownership::hand_over(new, group, ownership::Access::ReadOnly),
            None => Ok(()),
        })?;
        Ok(dir)
    };
    let done = tokio::task::spawn_blocking(write).await;
    done.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}
