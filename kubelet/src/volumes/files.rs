//! Volumes whose files the kubelet writes itself, and keeps current: one plugin for all types of
//! them.

use super::atomic::{self, Payload};
use super::ownership;
use super::plugin::{Mounter, Step, VolumePlugin, VolumeSpec};
use crate::root_dir;
use k8s_openapi::api::core::v1::Volume;
use std::fs::Permissions;
use std::marker::PhantomData;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

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

/// What a volume's files are made of: the field of a volume that says so.
pub(super) trait Content: Send + Sync + Sized + 'static {
    /// The plugin's name.
    const PLUGIN: &'static str;
    /// Where the files are kept.
    const MEDIUM: Medium;

    /// That field, if it is this one.
    fn of(volume: &Volume) -> Option<&Self>;

    /// The files.
    ///
    /// # Errors
    /// If what they are made of can't be had.
    fn files<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, Payload>;
}

/// The plugin for volumes of one content.
struct Files<C>(PhantomData<C>);

/// The plugin for volumes of this content.
pub(super) fn volumes<C: Content>() -> Arc<dyn VolumePlugin> {
    Arc::new(Files::<C>(PhantomData))
}

impl<C: Content> VolumePlugin for Files<C> {
    fn name(&self) -> &'static str {
        C::PLUGIN
    }

    fn supports(&self, spec: &VolumeSpec) -> bool {
        C::of(&spec.volume).is_some()
    }

    fn requires_remount(&self, _spec: &VolumeSpec) -> bool {
        true
    }

    fn is_read_only(&self, _spec: &VolumeSpec) -> bool {
        true
    }

    fn publish<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, PathBuf> {
        Box::pin(async move {
            let payload = match C::of(&mounter.spec.volume) {
                Some(content) => content.files(mounter).await?,
                None => Payload::new(),
            };
            write(mounter, mounter.dir(self), C::MEDIUM, payload).await
        })
    }
}

/// Writes the files of a volume, all or none of them.
async fn write(
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
