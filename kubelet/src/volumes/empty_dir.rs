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

/// Makes the directory unless it is there already.
fn set_up(
    dir: &Path,
    source: &EmptyDirVolumeSource,
    pod: &Pod,
    system: &dyn System,
) -> io::Result<()> {
    let existed = dir.exists();
    if !existed {
        root_dir::make(dir)?;
    }
    match source.medium.as_deref().unwrap_or_default() {
        "" if existed => return Ok(()),
        "" => {}
        "Memory" if system.is_mounted(dir)? => return Ok(()),
        "Memory" => system.mount_tmpfs(dir, MODE, size(source, pod))?,
        other => {
            let text = format!("unknown storage medium {other:?}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
    }
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
    let limits: Option<u64> = containers
        .map(|container| {
            let limits = container.resources.as_ref()?.limits.as_ref()?;
            bytes(&limits.get("memory")?.0)
        })
        .sum();
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
    use super::*;
    use serde_json::json;

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
    }
}
