//! Folders on the disk of the node.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// Whoever a pod's processes run as may write: who comes to the folder at all, its pod says.
const MODE: u32 = 0o777;

/// The folder of a volume, directly below `root`; `None` if `path` is not such a one, so that
/// nobody's hand in a volume has anything else removed.
pub fn below(root: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let mut parts = path.strip_prefix(root).ok()?.components();
    let is_one = matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    );
    is_one.then(|| path.to_owned())
}

/// Makes a folder; one that is there stays as it is.
///
/// # Errors
/// If the disk is full, read-only, or away.
pub fn make(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    }
    // The umask took some of it away.
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    File::open(parent)?.sync_all()
}

/// Removes a folder with all that is in it; one that is gone is removed. What links lead to
/// stays.
///
/// # Errors
/// If something can't be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_volumes_are_touched() {
        let root = Path::new("/volumes");
        assert!(below(root, "/volumes/pvc-1").is_some());
        for path in [
            "/volumes",
            "/volumes/",
            "/volumes/..",
            "/volumes/a/b",
            "/volumes/../etc",
            "/etc",
            "pvc-1",
            "",
        ] {
            assert_eq!(below(root, path), None, "{path}");
        }
    }

    #[test]
    fn a_folder_is_everybodys_and_goes_whole() {
        let root = tempfile::tempdir().unwrap();
        let (path, other) = (root.path().join("v"), root.path().join("other"));
        make(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, MODE);
        fs::create_dir(&other).unwrap();
        fs::write(other.join("file"), "kept").unwrap();
        std::os::unix::fs::symlink(&other, path.join("link")).unwrap();
        fs::create_dir_all(path.join("a/b")).unwrap();
        make(&path).unwrap();
        assert!(path.join("a/b").exists(), "made twice, it keeps its files");
        remove(&path).unwrap();
        assert!(!path.exists() && other.join("file").exists());
        remove(&path).unwrap();
    }
}
