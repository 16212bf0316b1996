//! `local`: a folder, or a block device, of one node, which stays when its pods go. A device is
//! given to pods as it is, or with a file system, which it gets if it has none.

mod file_system;

use super::bound::bind;
use super::host_tools::{HostTools, Tools};
use super::locks::Locks;
use super::looks::look;
use super::ownership;
use super::plugin::{Mounter, Step, VolumeHost, VolumePlugin, VolumeSpec, VolumeUsage};
use k8s_openapi::api::core::v1::{LocalVolumeSource, Pod};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NAME: &str = "kubernetes.io/local-volume";

/// The plugin.
pub(super) struct Local {
    tools: Arc<dyn Tools>,
    /// By volume.
    locks: Locks,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            tools: Arc::new(HostTools),
            locks: Locks::default(),
        }
    }
}

fn source(spec: &VolumeSpec) -> Option<&LocalVolumeSource> {
    let volume = &spec.persistent.as_ref()?.volume;
    volume.spec.as_ref()?.local.as_ref()
}

impl VolumePlugin for Local {
    fn name(&self) -> &'static str {
        NAME
    }

    fn supports(&self, spec: &VolumeSpec) -> bool {
        source(spec).is_some()
    }

    fn supports_block(&self) -> bool {
        true
    }

    fn stage<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, ()> {
        Box::pin(async move {
            match source(mounter.spec) {
                Some(of) if has_file_system(mounter.spec, of).await? => {
                    self.mount(mounter, of).await
                }
                _ => Ok(()),
            }
        })
    }

    fn publish<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, PathBuf> {
        Box::pin(async move {
            let of = source(mounter.spec).cloned().unwrap_or_default();
            if mounter.spec.is_block() {
                let path = of.path.clone();
                return look(Path::new(&path), move |_| device(&of)).await?;
            }
            if has_file_system(mounter.spec, &of).await? {
                let (from, at) = (file_system::dir(mounter), mounter.dir(self));
                bind(mounter, from, at.clone(), !mounter.spec.read_only).await?;
                return Ok(at);
            }
            let (pod, writes) = (mounter.pod.clone(), !mounter.spec.read_only);
            // The folder may hold many files.
            let work = move || folder(&of, &pod, writes);
            let done = tokio::task::spawn_blocking(work).await;
            done.map_err(|e| e.to_string())?
        })
    }

    fn unstage<'a>(&'a self, host: &'a VolumeHost, _gone: Option<&'a str>) -> Step<'a, ()> {
        Box::pin(self.unmount(host))
    }

    fn usage<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, Option<VolumeUsage>> {
        Box::pin(async move {
            let of = source(mounter.spec).filter(|_| !mounter.spec.is_block());
            let Some(of) = of else {
                return Ok(None);
            };
            let at = match has_file_system(mounter.spec, of).await? {
                true => mounter.dir(self),
                false => PathBuf::from(&of.path),
            };
            let usage = look(&at, VolumeUsage::of_file_system).await?;
            usage.map(Some)
        })
    }
}

/// Whether the volume is what is on a block device.
async fn has_file_system(spec: &VolumeSpec, source: &LocalVolumeSource) -> Result<bool, String> {
    let is_device = |path: &Path| {
        let found = std::fs::metadata(path);
        found.is_ok_and(|found| found.file_type().is_block_device())
    };
    Ok(!spec.is_block() && look(Path::new(&source.path), is_device).await?)
}

fn device(source: &LocalVolumeSource) -> Result<PathBuf, String> {
    let path = Path::new(&source.path);
    let found = std::fs::metadata(path);
    let found = found.map_err(|e| format!("path {:?}: {e}", source.path))?;
    match found.file_type().is_block_device() {
        true => Ok(path.to_owned()),
        false => Err(format!("path {:?} is not a block device", source.path)),
    }
}

/// A folder that was there before any pod, and stays.
fn folder(source: &LocalVolumeSource, pod: &Pod, writes: bool) -> Result<PathBuf, String> {
    let path = Path::new(&source.path);
    if !path.exists() {
        return Err(format!("path {:?} does not exist", source.path));
    }
    if !path.is_dir() {
        return Err(format!(
            "path {:?} is neither a directory nor a block device",
            source.path
        ));
    }
    if let Some(group) = ownership::fs_group(pod).filter(|_| writes) {
        hand_over(path, group, ownership::only_on_mismatch(pod))
            .map_err(|e| format!("cannot give {} to group {group}: {e}", source.path))?;
    }
    Ok(path.to_owned())
}

fn hand_over(path: &Path, group: u32, only_on_mismatch: bool) -> std::io::Result<()> {
    // The administrator may have named the folder by a link.
    let path = path.canonicalize()?;
    if only_on_mismatch && ownership::is_handed_over(&path, group)? {
        return Ok(());
    }
    ownership::hand_over(&path, group, ownership::Access::ReadWrite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn pod(context: Value) -> Pod {
        let spec = json!({"containers": [], "securityContext": context});
        let metadata = json!({"name": "p", "namespace": "n"});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    #[test]
    fn a_local_volume_is_a_folder_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &Path| LocalVolumeSource {
            path: path.display().to_string(),
            fs_type: None,
        };
        let plain = pod(json!({}));
        let found = folder(&at(dir.path()), &plain, true);
        assert_eq!(found, Ok(dir.path().to_owned()));
        let missing = folder(&at(&dir.path().join("x")), &plain, true).unwrap_err();
        assert!(missing.ends_with("does not exist"), "{missing}");
        let file = dir.path().join("f");
        std::fs::write(&file, "").unwrap();
        assert!(folder(&at(&file), &plain, true).is_err());
    }

    #[test]
    fn files_are_given_to_the_pods_group_once_if_it_asks_so() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let group = std::fs::metadata(dir.path()).unwrap().gid();
        let at = LocalVolumeSource {
            path: dir.path().display().to_string(),
            fs_type: None,
        };
        let mode = || std::fs::metadata(&file).unwrap().mode() & 0o777;
        let write = || {
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        };
        write();
        let always = pod(json!({ "fsGroup": group }));
        folder(&at, &always, false).unwrap();
        assert_eq!(mode(), 0o600, "it only reads");
        folder(&at, &always, true).unwrap();
        assert_eq!(mode(), 0o660);
        write();
        let once = json!({"fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch"});
        folder(&at, &pod(once), true).unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_device_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &Path| LocalVolumeSource {
            path: path.display().to_string(),
            fs_type: None,
        };
        let refused = device(&at(dir.path())).unwrap_err();
        assert!(refused.ends_with("is not a block device"), "{refused}");
        let missing = device(&at(&dir.path().join("x"))).unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
    }
}
