//! `emptyDir`: a directory that lives as long as its pod, on disk or in
//! memory.

use super::System;
use super::ownership::{self, Access};
use super::plugin::{Mounter, Step, VolumePlugin, VolumeSpec};
use crate::root_dir;
use hardway_proto::quantity::Quantity;
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Whoever runs in the pod may write.
const MODE: u32 = 0o777;

/// The plugin.
pub(super) struct EmptyDir;

impl VolumePlugin for EmptyDir {
    fn name(&self) -> &'static str {
        "kubernetes.io/empty-dir"
    }

    fn supports(&self, spec: &VolumeSpec) -> bool {
        spec.volume.empty_dir.is_some()
    }

    fn publish<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, PathBuf> {
        Box::pin(async move {
            let source = mounter.spec.volume.empty_dir.clone().unwrap_or_default();
            let (dir, system) = (mounter.dir(self), mounter.host.system.as_ref());
            set_up(&dir, &source, mounter.pod, system)
                .map_err(|e| format!("{}: {e}", dir.display()))?;
            Ok(dir)
        })
    }
}

/// Makes the directory unless it is there already. A kubelet that ended in the middle of it
/// leaves nothing that looks finished.
fn set_up(
    dir: &Path,
    source: &EmptyDirVolumeSource,
    pod: &Pod,
    system: &dyn System,
) -> io::Result<()> {
    match source.medium.as_deref().unwrap_or_default() {
        "" if dir.exists() => Ok(()),
        "" => {
            // No volume has a name with a dot.
            let unfinished = dir.with_extension("unfinished");
            root_dir::make(&unfinished)?;
            give(&unfinished, pod)?;
            fs::rename(&unfinished, dir)
        }
        "Memory" => {
            root_dir::make(dir)?;
            if !system.is_mounted(dir)? {
                system.mount_tmpfs(dir, MODE, size(source, pod))?;
            } else if fs::read_dir(dir)?.next().is_some() {
                // It is in use; of an empty one it can't be known whether it was finished.
                return Ok(());
            }
            give(dir, pod)
        }
        other => {
            let text = format!("unknown storage medium {other:?}");
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }
    }
}

/// Lets the pod use a directory.
fn give(dir: &Path, pod: &Pod) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(MODE))?;
    match ownership::fs_group(pod) {
        Some(group) => ownership::hand_over(dir, group, Access::ReadWrite),
        None => Ok(()),
    }
}

/// The limit of the volume or of the pod's memory, whichever is lower.
fn size(source: &EmptyDirVolumeSource, pod: &Pod) -> Option<u64> {
    let own = source.size_limit.as_ref().and_then(|q| bytes(&q.0));
    let containers = pod.spec.iter().flat_map(|s| &s.containers);
    let mut each = containers.map(|container| {
        let limits = container.resources.as_ref()?.limits.as_ref()?;
        bytes(&limits.get("memory")?.0)
    });
    // Together they may be more than can be counted.
    let limits = each.try_fold(0_u64, |total, limit| Some(total.saturating_add(limit?)));
    let limits = limits.filter(|total| *total > 0);
    match (own.filter(|size| *size > 0), limits) {
        (Some(own), Some(limits)) => Some(own.min(limits)),
        (own, limits) => own.or(limits),
    }
}

fn bytes(text: &str) -> Option<u64> {
    let quantity: Quantity = text.parse().ok()?;
    u64::try_from(quantity.value()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::Kernel;
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_not_finished_is_done_again() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("cache");
        // A kubelet ended before it gave the folder to the pod.
        let unfinished = root.path().join("cache.unfinished");
        fs::create_dir(&unfinished).unwrap();
        fs::set_permissions(&unfinished, Permissions::from_mode(0o750)).unwrap();
        let source = EmptyDirVolumeSource::default();
        set_up(&dir, &source, &Pod::default(), &Kernel).unwrap();
        let mode = |dir: &Path| fs::metadata(dir).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), MODE);
        assert!(!unfinished.exists());
        // What the pod did to it since stays.
        fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
        set_up(&dir, &source, &Pod::default(), &Kernel).unwrap();
        assert_eq!(mode(&dir), 0o700);
    }

    #[test]
    fn memory_is_bounded_by_the_lower_limit() {
        let pod = |limit: Option<&str>| -> Pod {
            serde_json::from_value(json!({"spec": {"containers": [
                {"name": "a", "resources": {"limits": {"memory": "64Mi"}}},
                {"name": "b", "resources": {"limits": limit.map(|l| json!({"memory": l}))}},
            ]}}))
            .unwrap()
        };
        let source = |limit: Option<&str>| EmptyDirVolumeSource {
            medium: Some("Memory".into()),
            size_limit: serde_json::from_value(json!(limit)).unwrap(),
        };
        const MI: u64 = 1 << 20;
        assert_eq!(size(&source(Some("1Mi")), &pod(Some("64Mi"))), Some(MI));
        assert_eq!(
            size(&source(Some("1Gi")), &pod(Some("64Mi"))),
            Some(128 * MI)
        );
        assert_eq!(size(&source(Some("1Gi")), &pod(None)), Some(1024 * MI));
        assert_eq!(size(&source(None), &pod(None)), None);
        let mut many = pod(Some("7Ei"));
        let containers = &mut many.spec.as_mut().unwrap().containers;
        let more = containers[1].clone();
        containers.extend([more.clone(), more]);
        assert_eq!(size(&source(None), &many), Some(u64::MAX));
        assert_eq!(size(&source(Some("1Mi")), &many), Some(MI));
    }
}
