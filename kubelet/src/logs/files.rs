//! Files below a directory that others may write into: opened without
//! following links, so that nothing put there leads to another file of the
//! host.

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Opens what is at `path`. The way to `root` is the administrator's and may
/// have links; what is below may not.
fn open_below(root: &Path, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let below = path.strip_prefix(root).map_err(|_| {
        let text = format!("{} is not below {}", path.display(), root.display());
        io::Error::new(ErrorKind::InvalidInput, text)
    })?;
    let below = match below.as_os_str().is_empty() {
        true => Path::new("."),
        false => below,
    };
    let root = open(
        root,
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    );
    Ok(openat2(root.as_fd(), below, how)?)
}

/// Opens a file to read. Anything but a regular one is refused: a pipe, say,
/// would keep its reader waiting.
pub fn open_file(root: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::from(open_below(root, path, flags)?);
    if !file.metadata()?.is_file() {
        let text = format!("{} is not a regular file", path.display());
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    Ok(file)
}

/// A directory that is held open: whatever is put in its place meanwhile, its
/// files are the ones that are worked with.
pub struct Directory(OwnedFd);

impl Directory {
    /// Opens it.
    pub fn open(root: &Path, path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        Ok(Self(open_below(root, path, flags)?))
    }

    /// A path that leads to this very directory for as long as it is held.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_and_what_is_no_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        fs::create_dir_all(real.join("pod/c")).unwrap();
        fs::write(real.join("pod/c/0.log"), "x").unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        symlink("real", dir.path().join("root")).unwrap();
        symlink("../../../secret", real.join("pod/c/link")).unwrap();
        symlink("pod", real.join("other")).unwrap();
        nix::unistd::mkfifo(&real.join("pod/c/pipe"), Mode::S_IRUSR).unwrap();
        // The root's own link is the administrator's.
        let root = dir.path().join("root");
        assert!(open_file(&root, &root.join("pod/c/0.log")).is_ok());
        assert!(Directory::open(&root, &root.join("pod/c")).is_ok());
        for bad in [
            "pod/c/link",
            "other/c/0.log",
            "pod/c/pipe",
            "pod/c",
            "../secret",
        ] {
            assert!(open_file(&root, &root.join(bad)).is_err(), "{bad}");
        }
        assert!(Directory::open(&root, &root.join("other")).is_err());
        assert!(open_file(&root, &dir.path().join("secret")).is_err());
    }

    #[test]
    fn a_held_directory_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (here, away) = (dir.path().join("c"), dir.path().join("away"));
        fs::create_dir(&here).unwrap();
        fs::write(here.join("f"), "ours").unwrap();
        let held = Directory::open(dir.path(), &here).unwrap();
        fs::rename(&here, &away).unwrap();
        fs::create_dir(&here).unwrap();
        fs::write(here.join("f"), "theirs").unwrap();
        assert_eq!(fs::read_to_string(held.path().join("f")).unwrap(), "ours");
    }
}
