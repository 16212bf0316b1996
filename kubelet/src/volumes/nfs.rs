//! `nfs`: a folder of a server, mounted by the host's own tool.

use super::plugin::{Mounter, Step, VolumePlugin, VolumeSpec, VolumeUsage};
use crate::root_dir;
use k8s_openapi::api::core::v1::NFSVolumeSource;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// What mounts, called by mount(8).
const HELPER: &str = "mount.nfs";
/// Where it may be.
const PLACES: [&str; 4] = ["/sbin", "/usr/sbin", "/bin", "/usr/bin"];
/// How long a server may take; then the next try begins.
const PATIENCE: Duration = Duration::from_secs(120);

/// The plugin, of pods' own volumes and of persistent ones.
pub(super) struct Nfs;

fn source(spec: &VolumeSpec) -> Option<&NFSVolumeSource> {
    match &spec.persistent {
        None => spec.volume.nfs.as_ref(),
        Some(persistent) => persistent.volume.spec.as_ref()?.nfs.as_ref(),
    }
}

/// The arguments of mount(8).
fn arguments(spec: &VolumeSpec, source: &NFSVolumeSource, dir: &Path) -> Vec<String> {
    let volume = spec
        .persistent
        .as_ref()
        .and_then(|p| p.volume.spec.as_ref());
    let mut options = volume
        .and_then(|v| v.mount_options.clone())
        .unwrap_or_default();
    if source.read_only == Some(true) || spec.read_only {
        options.push("ro".into());
    }
    let mut all = vec!["-t".to_owned(), "nfs".to_owned()];
    if !options.is_empty() {
        all.extend(["-o".to_owned(), options.join(",")]);
    }
    // Addresses of IPv6 have colons of their own.
    let server = match source.server.contains(':') && !source.server.starts_with('[') {
        true => format!("[{}]", source.server),
        false => source.server.clone(),
    };
    all.push(format!("{server}:{}", source.path));
    all.push(dir.to_string_lossy().into_owned());
    all
}

/// Whether the host can mount such volumes.
fn check_host(places: &[&str]) -> Result<(), String> {
    let is_there = places
        .iter()
        .any(|place| Path::new(place).join(HELPER).exists());
    match is_there {
        true => Ok(()),
        false => Err(format!(
            "mount failed: {HELPER} is missing on this node: install nfs-common (Debian) or nfs-utils"
        )),
    }
}

impl VolumePlugin for Nfs {
    fn name(&self) -> &'static str {
        "kubernetes.io/nfs"
    }

    fn supports(&self, spec: &VolumeSpec) -> bool {
        source(spec).is_some()
    }

    fn is_read_only(&self, spec: &VolumeSpec) -> bool {
        spec.read_only || source(spec).is_some_and(|source| source.read_only == Some(true))
    }

    fn publish<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, PathBuf> {
        Box::pin(async move {
            let (dir, system) = (mounter.dir(self), &mounter.host.system);
            let of = source(mounter.spec).cloned().unwrap_or_default();
            root_dir::make(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
            if system.is_mounted(&dir).map_err(|e| e.to_string())? {
                return Ok(dir);
            }
            check_host(&PLACES)?;
            let mut mount = Command::new("mount");
            mount
                .args(arguments(mounter.spec, &of, &dir))
                .kill_on_drop(true);
            let done = tokio::time::timeout(PATIENCE, mount.output()).await;
            let done = done.map_err(|_| format!("mount failed: {} doesn't answer", of.server))?;
            let done = done.map_err(|e| format!("mount failed: {e}"))?;
            match done.status.success() {
                true => Ok(dir),
                false => {
                    let text = String::from_utf8_lossy(&done.stderr);
                    Err(format!("mount failed: {}: {}", done.status, text.trim()))
                }
            }
        })
    }

    fn usage<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, Option<VolumeUsage>> {
        Box::pin(async move {
            let dir = mounter.dir(self);
            if !dir.exists() {
                return Ok(None);
            }
            // A server that is gone holds whoever asks.
            let look = tokio::task::spawn_blocking(move || VolumeUsage::of_file_system(&dir));
            look.await.map_err(|e| e.to_string())?.map(Some)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(source: serde_json::Value) -> VolumeSpec {
        let volume = json!({"name": "share", "nfs": source});
        VolumeSpec {
            volume: serde_json::from_value(volume).unwrap(),
            persistent: None,
            read_only: false,
        }
    }

    #[test]
    fn mount_is_told_what_to_mount() {
        let plain = spec(json!({"server": "s", "path": "/data"}));
        let told = |spec: &VolumeSpec| arguments(spec, source(spec).unwrap(), Path::new("/d"));
        assert_eq!(told(&plain), ["-t", "nfs", "s:/data", "/d"]);
        let six = spec(json!({"server": "fd00::1", "path": "/", "readOnly": true}));
        assert_eq!(told(&six), ["-t", "nfs", "-o", "ro", "[fd00::1]:/", "/d"]);
        assert!(Nfs.is_read_only(&six) && !Nfs.is_read_only(&plain));
    }

    #[test]
    fn a_host_without_the_tool_says_what_is_missing() {
        let missing = check_host(&["/nowhere"]).unwrap_err();
        assert!(missing.contains("install nfs-common"), "{missing}");
    }
}
