//! Removes a folder with all that is in it, and nothing of what is mounted there: that would be
//! somebody's volume. The kernel is asked not to cross into it, whenever it was mounted.

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// What could not be removed. Of a mount point the error is `CrossesDevices`.
#[derive(Debug)]
pub(super) struct Failure {
    pub path: PathBuf,
    pub error: io::Error,
}

fn failed(path: &Path, error: impl Into<io::Error>) -> Failure {
    Failure {
        path: path.to_owned(),
        error: error.into(),
    }
}

/// Removes a folder; one that is gone is removed. What links lead to stays.
///
/// # Errors
/// If something is mounted there, even if it is of the same file system, or can't be removed.
pub(super) fn remove(dir: &Path) -> Result<(), Failure> {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Err(failed(dir, io::ErrorKind::InvalidInput));
    };
    match File::open(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(parent, error)),
        Ok(parent) => remove_folder(parent.as_fd(), name, dir),
    }
}

/// Removes the folder of this name; `path` is for who reads of it.
fn remove_folder(parent: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<(), Failure> {
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let folder = match openat2(parent, name, how) {
        Err(Errno::ENOENT) => return Ok(()),
        other => other.map_err(|error| failed(path, error))?,
    };
    let list = fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    for entry in list.map_err(|error| failed(path, error))? {
        let entry = entry.map_err(|error| failed(path, error))?;
        let (name, path) = (entry.file_name(), path.join(entry.file_name()));
        let kind = entry.file_type().map_err(|error| failed(&path, error))?;
        match kind.is_dir() {
            true => remove_folder(folder.as_fd(), &name, &path)?,
            false => unlink(folder.as_fd(), &name, UnlinkatFlags::NoRemoveDir, &path)?,
        }
    }
    unlink(parent, name, UnlinkatFlags::RemoveDir, path)
}

fn unlink(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    flag: UnlinkatFlags,
    path: &Path,
) -> Result<(), Failure> {
    match unlinkat(parent, name, flag) {
        Err(Errno::ENOENT) => Ok(()),
        // So it is of a file that something is mounted over.
        Err(Errno::EBUSY) => Err(failed(path, Errno::EXDEV)),
        other => other.map_err(|error| failed(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kernel, System};
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_goes_whole_and_links_lead_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let (dir, other) = (root.path().join("pod"), root.path().join("other"));
        fs::create_dir_all(dir.join("a/b/c")).unwrap();
        fs::write(dir.join("a/b/file"), "").unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept"), "").unwrap();
        symlink(&other, dir.join("a/link")).unwrap();
        symlink("nowhere", dir.join("dangling")).unwrap();
        remove(&dir).unwrap();
        assert!(!dir.exists() && other.join("kept").exists());
        remove(&dir).unwrap();
        remove(&root.path().join("no/pod")).unwrap();
    }

    #[test]
    fn what_is_mounted_there_stays() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (memory, bound) = (root.join("pod/a/memory"), root.join("pod/a/bound"));
        let (file, other) = (root.join("pod/a/file"), root.join("other"));
        for dir in [&memory, &bound, &other] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(&file, "").unwrap();
        fs::write(other.join("kept"), "").unwrap();
        match Kernel.mount_tmpfs(&memory, 0o755, Some(1 << 20)) {
            // Only root may mount.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return,
            outcome => outcome.unwrap(),
        }
        fs::write(memory.join("kept"), "").unwrap();
        let refused = |mounted: &Path| {
            let failure = remove(&root.join("pod")).unwrap_err();
            assert_eq!(failure.path, mounted);
            assert_eq!(failure.error.kind(), io::ErrorKind::CrossesDevices);
            assert!(other.join("kept").exists());
        };
        refused(&memory);
        assert!(memory.join("kept").exists());
        Kernel.unmount(&memory).unwrap();
        // Of the same file system, which a device's number doesn't tell.
        fs::create_dir_all(&bound).unwrap();
        Kernel.bind(&other, &bound).unwrap();
        refused(&bound);
        Kernel.unmount(&bound).unwrap();
        fs::write(&file, "").unwrap();
        Kernel.bind(&other.join("kept"), &file).unwrap();
        refused(&file);
        Kernel.unmount(&file).unwrap();
        remove(&root.join("pod")).unwrap();
        assert!(!root.join("pod").exists());
    }
}
