//! `hostPath`: a path of the node, checked or made as its type says.

use super::plugin::{Mounter, Step, VolumePlugin, VolumeSpec};
use k8s_openapi::api::core::v1::HostPathVolumeSource;
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The plugin, of pods' own volumes and of persistent ones.
pub(super) struct HostPath;

fn source(spec: &VolumeSpec) -> Option<&HostPathVolumeSource> {
    match &spec.persistent {
        None => spec.volume.host_path.as_ref(),
        Some(persistent) => persistent.volume.spec.as_ref()?.host_path.as_ref(),
    }
}

impl VolumePlugin for HostPath {
    fn name(&self) -> &'static str {
        "kubernetes.io/host-path"
    }

    fn supports(&self, spec: &VolumeSpec) -> bool {
        source(spec).is_some()
    }

    fn publish<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, PathBuf> {
        Box::pin(async move {
            let of = source(mounter.spec).cloned().unwrap_or_default();
            check(&of)?;
            Ok(PathBuf::from(of.path))
        })
    }
}

/// Checks the path against its type; makes it where the type says so.
fn check(source: &HostPathVolumeSource) -> Result<(), String> {
    let path = Path::new(&source.path);
    let kind = source.type_.as_deref().unwrap_or_default();
    let made = match kind {
        "DirectoryOrCreate" if !path.exists() => fs::create_dir_all(path)
            .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755))),
        "FileOrCreate" if !path.exists() => fs::write(path, "")
            .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o644))),
        _ => Ok(()),
    };
    made.map_err(|e| {
        format!(
            "hostPath type check failed: cannot create {}: {e}",
            source.path
        )
    })?;
    let found = fs::metadata(path).ok().map(|m| m.file_type());
    let (fits, what) = match kind {
        "" => return Ok(()),
        "Directory" | "DirectoryOrCreate" => (found.is_some_and(|t| t.is_dir()), "a directory"),
        "File" | "FileOrCreate" => (found.is_some_and(|t| t.is_file()), "a file"),
        "Socket" => (found.is_some_and(|t| t.is_socket()), "a socket file"),
        "CharDevice" => {
            let fits = found.is_some_and(|t| t.is_char_device());
            (fits, "a character device")
        }
        "BlockDevice" => (found.is_some_and(|t| t.is_block_device()), "a block device"),
        _ => return Err(format!("{kind} is an invalid volume type")),
    };
    if fits {
        Ok(())
    } else {
        Err(format!(
            "hostPath type check failed: {} is not {what}",
            source.path
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(path: &Path, kind: &str) -> Result<(), String> {
        check(&HostPathVolumeSource {
            path: path.to_string_lossy().into(),
            type_: Some(kind.into()),
        })
    }

    #[test]
    fn every_type_is_checked_with_kubernetes_wording() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("x");
        for (kind, what) in [
            ("Directory", "a directory"),
            ("File", "a file"),
            ("Socket", "a socket file"),
            ("CharDevice", "a character device"),
            ("BlockDevice", "a block device"),
        ] {
            let text = format!(
                "hostPath type check failed: {} is not {what}",
                missing.display()
            );
            assert_eq!(verdict(&missing, kind), Err(text));
        }
        assert_eq!(verdict(&missing, ""), Ok(()));
        assert!(!missing.exists());
        assert_eq!(verdict(dir.path(), "Directory"), Ok(()));
        assert_eq!(verdict(Path::new("/dev/null"), "CharDevice"), Ok(()));
        let socket = dir.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(verdict(&socket, "Socket"), Ok(()));
    }

    #[test]
    fn what_may_be_created_is() {
        let dir = tempfile::tempdir().unwrap();
        let (sub, file) = (dir.path().join("a/b"), dir.path().join("f"));
        assert_eq!(verdict(&sub, "DirectoryOrCreate"), Ok(()));
        assert_eq!(verdict(&file, "FileOrCreate"), Ok(()));
        assert!(sub.is_dir() && file.is_file());
        assert!(verdict(&file, "DirectoryOrCreate").is_err());
    }
}
