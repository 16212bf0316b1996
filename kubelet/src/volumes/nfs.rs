//! `nfs`: a folder of a server, mounted by the host's own tool.

use super::host_tools;
use super::looks::look;
use super::plugin::{Mounter, Step, VolumePlugin, VolumeSpec, VolumeUsage};
use crate::root_dir;
use k8s_openapi::api::core::v1::NFSVolumeSource;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// What mounts, called by mount(8), and where it comes from.
const HELPER: (&str, &str) = ("mount.nfs", "nfs-common (Debian) or nfs-utils");
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

/// Whether a source is one. The helper gets it as its first argument, where a server that begins
/// with `-` would be an option.
fn check(source: &NFSVolumeSource) -> Result<(), String> {
    let server = &source.server;
    let is_odd = |c: char| c == '/' || c.is_whitespace();
    if server.is_empty() || server.starts_with('-') || server.contains(is_odd) {
        return Err(format!("invalid NFS server {server:?}"));
    }
    match source.path.starts_with('/') {
        true => Ok(()),
        false => Err(format!("NFS path {:?} is not absolute", source.path)),
    }
}

/// The arguments of mount(8).
fn arguments(
    spec: &VolumeSpec,
    source: &NFSVolumeSource,
    dir: &Path,
) -> Result<Vec<String>, String> {
    check(source)?;
    let mut options = spec.mount_options().to_vec();
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
    all.push("--".to_owned());
    all.push(format!("{server}:{}", source.path));
    all.push(dir.to_string_lossy().into_owned());
    Ok(all)
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
            let (dir, system) = (mounter.dir(self), mounter.host.system.clone());
            let of = source(mounter.spec).cloned().unwrap_or_default();
            let arguments = arguments(mounter.spec, &of, &dir)?;
            let find = move |dir: &Path| root_dir::make(dir).and_then(|()| system.is_mounted(dir));
            let found = look(&dir, find).await?;
            if found.map_err(|e| format!("{}: {e}", dir.display()))? {
                return Ok(dir);
            }
            let (helper, packages) = HELPER;
            host_tools::check(helper, packages).map_err(|why| format!("mount failed: {why}"))?;
            let mut mount = Command::new("mount");
            mount.args(arguments);
            let done = host_tools::run(mount, PATIENCE).await;
            let done = done.map_err(|e| format!("mount failed: {e}"))?;
            let done = done.ok_or_else(|| format!("mount failed: {} doesn't answer", of.server))?;
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
            let usage = |dir: &Path| {
                let is_there = dir.exists();
                is_there.then(|| VolumeUsage::of_file_system(dir))
            };
            look(&mounter.dir(self), usage).await?.transpose()
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
        let told =
            |spec: &VolumeSpec| arguments(spec, source(spec).unwrap(), Path::new("/d")).unwrap();
        assert_eq!(told(&plain), ["-t", "nfs", "--", "s:/data", "/d"]);
        let six = spec(json!({"server": "fd00::1", "path": "/", "readOnly": true}));
        let expected = ["-t", "nfs", "-o", "ro", "--", "[fd00::1]:/", "/d"];
        assert_eq!(told(&six), expected);
        assert!(Nfs.is_read_only(&six) && !Nfs.is_read_only(&plain));
    }

    #[test]
    fn what_is_no_source_is_not_mounted() {
        for (server, path) in [
            ("", "/data"),
            ("-osuid", "/data"),
            ("s/x", "/data"),
            ("s -o", "/data"),
            ("s", "data"),
            ("s", ""),
        ] {
            let spec = spec(json!({"server": server, "path": path}));
            let told = arguments(&spec, source(&spec).unwrap(), Path::new("/d"));
            assert!(told.is_err(), "{told:?}");
        }
    }
}
