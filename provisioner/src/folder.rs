//! Folders on the disk of the node.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// Whoever a pod's processes run as may write: who comes to the folder at all, its pod says.
const MODE: u32 = 0o777;

/// The folder of a volume, directly below `root` and with the volume's name and `_` before the
/// rest; `None` if `path` is not such a one, so that nobody's hand in a volume has anything else
/// removed.
pub fn below(root: &Path, volume: &str, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let mut parts = path.strip_prefix(root).ok()?.components();
    let (Some(Component::Normal(name)), None) = (parts.next(), parts.next()) else {
        return None;
    };
    let rest = name.to_str()?.strip_prefix(volume)?;
    rest.starts_with('_').then(|| path.to_owned())
}

/// What a folder is called until it is finished: in short, for a name may be as long as can be.
fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let volume = name.split('_').next().unwrap_or_default();
    path.with_file_name(format!(".{volume}.new"))
}

/// Makes a folder; one that is there stays as it is. Whoever ends in the middle of it leaves
/// nothing that looks finished.
///
/// # Errors
/// If the disk is full, read-only, or away.
pub fn make(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other.map(drop),
    }
    let new = unfinished(path);
    match fs::remove_dir(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    DirBuilder::new().mode(MODE).create(&new)?;
    // The umask took some of it away.
    fs::set_permissions(&new, Permissions::from_mode(MODE))?;
    File::open(&new)?.sync_all()?;
    fs::rename(&new, path)?;
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

/// The folders of a root that are named as those of volumes are, with the volumes' names.
pub fn all(root: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let volume = |path: PathBuf| {
        let (volume, _) = path.file_name()?.to_str()?.split_once('_')?;
        Some((volume.to_owned(), path))
    };
    entries.filter_map(|entry| volume(entry.path())).collect()
}

/// Removes a folder that never had a volume, and so nothing in it. One that isn't empty stays,
/// whatever it is.
///
/// # Errors
/// If it can't be removed.
pub fn remove_empty(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty => Ok(()),
            _ => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_volumes_are_touched() {
        let root = Path::new("/volumes");
        assert!(below(root, "pvc-1", "/volumes/pvc-1_n_data").is_some());
        for path in [
            "/volumes",
            "/volumes/",
            "/volumes/..",
            "/volumes/pvc-1_n_data/b",
            "/volumes/../pvc-1_n_data",
            "/volumes/pvc-1",
            "/volumes/pvc-10_n_data",
            "/volumes/pvc-2_n_data",
            "/volumes/../etc",
            "/etc",
            "pvc-1",
            "",
        ] {
            assert_eq!(below(root, "pvc-1", path), None, "{path}");
        }
    }

    #[test]
    fn what_was_not_finished_is_made_again() {
        let root = tempfile::tempdir().unwrap();
        let (path, new) = (
            root.path().join("pvc-1_n_data"),
            root.path().join(".pvc-1.new"),
        );
        DirBuilder::new().mode(0o700).create(&new).unwrap();
        make(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, MODE);
        assert!(!new.exists());
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

    #[test]
    fn what_never_had_a_volume_goes_and_data_stays() {
        let root = tempfile::tempdir().unwrap();
        let (empty, full) = (root.path().join("pvc-1_n_a"), root.path().join("pvc-2_n_b"));
        make(&empty).unwrap();
        make(&full).unwrap();
        fs::write(full.join("file"), "kept").unwrap();
        fs::create_dir(root.path().join("lost+found")).unwrap();
        let mut found = all(root.path());
        found.sort();
        let expected = [("pvc-1", &empty), ("pvc-2", &full)];
        assert_eq!(
            found,
            expected.map(|(name, path)| (name.to_owned(), path.clone()))
        );
        for path in [&empty, &full, &empty] {
            remove_empty(path).unwrap();
        }
        assert!(!empty.exists() && full.join("file").exists());
        assert!(all(&root.path().join("nowhere")).is_empty());
    }
}
