//! Files that change all at once, laid out as Kubernetes does: the content is
//! in a directory named by time, `..data` links to it, and what users see are
//! links through `..data`. A new version becomes visible by one rename.

use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Component, Path};

/// One file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub data: Vec<u8>,
    pub mode: u32,
    /// Its owner, if not the kubelet's user.
    pub owner: Option<u32>,
}

/// Files by path relative to the volume.
pub(super) type Payload = BTreeMap<String, File>;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";
const MAX_PATH: usize = 4096;

/// Makes the directory hold exactly the payload. `prepare` sees the new
/// version before anybody else does.
pub(super) fn write(
    dir: &Path,
    payload: &Payload,
    prepare: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<()> {
    for path in payload.keys() {
        check(path).map_err(|e| io::Error::new(ErrorKind::InvalidInput, e))?;
    }
    let current = match fs::read_link(dir.join(DATA)) {
        Ok(target) => Some(target),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    // Only a link to one of our own versions is followed, and in the end removed.
    let is_ours = |target: &Path| {
        let mut parts = target.components();
        matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        )
    };
    let old = current
        .filter(|target| is_ours(target))
        .map(|target| dir.join(target));
    let up_to_date = old.as_ref().is_some_and(|old| holds(old, payload));
    if !up_to_date {
        let name = Timestamp::now()
            .strftime("..%Y_%m_%d_%H_%M_%S.%9f")
            .to_string();
        let new = dir.join(&name);
        let made = write_files(&new, payload).and_then(|()| prepare(&new));
        if made.is_err() {
            // It is tried again; on a full disk, what was begun each time would fill what
            // others free.
            let _ = fs::remove_dir_all(&new);
        }
        made?;
        let link = dir.join(NEW_DATA);
        remove_file_if_any(&link)?;
        symlink(&name, &link)?;
        fs::rename(&link, dir.join(DATA))?;
    }
    link_visible(dir, payload)?;
    match old {
        Some(old) if !up_to_date && old.exists() => fs::remove_dir_all(old),
        _ => Ok(()),
    }
}

fn check(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("invalid path: must not be empty".into());
    }
    let first = path.split('/').next().unwrap_or_default();
    if path.starts_with('/') {
        return Err(format!("invalid path: must be relative path: {path}"));
    }
    if path.len() > MAX_PATH {
        return Err(format!(
            "invalid path: must be less than or equal to {MAX_PATH} characters"
        ));
    }
    if Path::new(path)
        .components()
        .any(|c| c == Component::ParentDir)
    {
        return Err(format!("invalid path: must not contain '..': {path}"));
    }
    if first.starts_with("..") {
        return Err(format!("invalid path: must not start with '..': {path}"));
    }
    Ok(())
}

/// Whether a version holds exactly these files with this content.
fn holds(version: &Path, payload: &Payload) -> bool {
    let mut present = BTreeSet::new();
    if collect(version, "", &mut present).is_err() {
        return false;
    }
    present.len() == payload.len()
        && payload.iter().all(|(path, file)| {
            present.contains(path)
                && fs::read(version.join(path)).is_ok_and(|data| data == file.data)
        })
}

fn collect(dir: &Path, prefix: &str, found: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

fn write_files(version: &Path, payload: &Payload) -> io::Result<()> {
    fs::create_dir(version)?;
    fs::set_permissions(version, Permissions::from_mode(0o755))?;
    for (path, file) in payload {
        let path = version.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, &file.data)?;
        // Set apart from creation, where the umask would interfere.
        fs::set_permissions(&path, Permissions::from_mode(file.mode))?;
        if let Some(owner) = file.owner {
            chown(&path, Some(owner), None)?;
        }
    }
    Ok(())
}

/// Links the first part of every path through `..data`; removes other links.
fn link_visible(dir: &Path, payload: &Payload) -> io::Result<()> {
    let tops: BTreeSet<&str> = payload.keys().filter_map(|p| p.split('/').next()).collect();
    for top in &tops {
        match symlink(format!("{DATA}/{top}"), dir.join(top)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !tops.contains(name.as_ref()) {
            remove_file_if_any(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_file_if_any(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |data: &str| File {
            data: data.into(),
            mode: 0o640,
            owner: None,
        };
        files
            .iter()
            .map(|(p, d)| (p.to_string(), file(d)))
            .collect()
    }

    fn put(dir: &Path, files: &[(&str, &str)]) -> io::Result<()> {
        write(dir, &payload(files), |_| Ok(()))
    }

    fn version(dir: &Path) -> PathBuf {
        fs::read_link(dir.join(DATA)).unwrap()
    }

    #[test]
    fn users_see_links_through_data() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), &[("a", "1"), ("sub/b", "2")]).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("sub/b")).unwrap(), "2");
        assert_eq!(
            fs::read_link(dir.path().join("a")).unwrap(),
            Path::new("..data/a")
        );
        assert!(version(dir.path()).to_string_lossy().starts_with("..20"));
        let mode = fs::metadata(dir.path().join("a")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn what_could_not_be_written_is_not_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), &[("a", "1")]).unwrap();
        let entries = || fs::read_dir(dir.path()).unwrap().count();
        let before = entries();
        let full = |_: &Path| Err(io::Error::from(ErrorKind::StorageFull));
        assert!(write(dir.path(), &payload(&[("a", "2")]), full).is_err());
        // A file where a folder has to be.
        assert!(put(dir.path(), &[("a", "2"), ("a/b", "3")]).is_err());
        assert_eq!(entries(), before);
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "1");
    }

    #[test]
    fn links_elsewhere_are_replaced_and_what_they_point_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (volume, other) = (dir.path().join("v"), dir.path().join("other"));
        fs::create_dir_all(&volume).unwrap();
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("file"), "precious").unwrap();
        for target in [&other, Path::new("../other")] {
            let _ = fs::remove_file(volume.join(DATA));
            symlink(target, volume.join(DATA)).unwrap();
            put(&volume, &[("a", "1")]).unwrap();
            assert_eq!(fs::read_to_string(volume.join("a")).unwrap(), "1");
            assert!(other.join("file").exists());
        }
    }

    #[test]
    fn a_new_version_replaces_the_old_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), &[("a", "1"), ("gone", "x")]).unwrap();
        let first = version(dir.path());
        put(dir.path(), &[("a", "1"), ("gone", "x")]).unwrap();
        assert_eq!(version(dir.path()), first, "nothing changed");
        put(dir.path(), &[("a", "2"), ("new", "y")]).unwrap();
        assert_ne!(version(dir.path()), first);
        assert!(!dir.path().join(first).exists());
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "2");
        assert!(fs::symlink_metadata(dir.path().join("gone")).is_err());
        assert!(dir.path().join("new").exists());
    }

    #[test]
    fn paths_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["/etc/x", "a/../../x", "..data", ""] {
            assert!(put(dir.path(), &[(path, "")]).is_err(), "{path}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
