//! `subPath`: a part of a volume, mounted so that links inside the volume
//! can't lead out of it.
//!
//! The kernel resolves the path beneath the volume's directory and yields a
//! file descriptor; that descriptor, not the path, is bind-mounted. Between
//! the check and the mount nothing can be swapped.

use super::System;
use crate::root_dir;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, mkdirat};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path};

/// Mounts a part of the volume at `target`; makes it a directory if it isn't
/// there.
pub(super) fn prepare(
    volume: &Path,
    part: &Path,
    target: &Path,
    system: &dyn System,
) -> io::Result<()> {
    let root = open(
        volume,
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    let found = open_or_make(&root, part)?;
    if target.exists() && system.is_mounted(target)? {
        system.unmount(target)?;
    }
    let kind = SFlag::from_bits_truncate(fstat(&found)?.st_mode) & SFlag::S_IFMT;
    if kind == SFlag::S_IFDIR {
        root_dir::make(target)?;
    } else {
        if let Some(parent) = target.parent() {
            root_dir::make(parent)?;
        }
        File::create(target)?;
    }
    let descriptor = format!("/proc/self/fd/{}", found.as_raw_fd());
    system.bind(Path::new(&descriptor), target)
}

/// Opens a path beneath a directory without ever leaving it.
fn open_beneath(root: &OwnedFd, path: &Path) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(root.as_fd(), path, how)
}

fn open_or_make(root: &OwnedFd, path: &Path) -> nix::Result<OwnedFd> {
    match open_beneath(root, path) {
        Err(nix::Error::ENOENT) => {}
        other => return other,
    }
    // As the volume itself, so that whoever may use it may use its parts.
    let mode = Mode::from_bits_truncate(fstat(root)?.st_mode & 0o7777);
    let mut done = Path::new(".").to_owned();
    for component in path.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        let parent = open_beneath(root, &done)?;
        done.push(name);
        if matches!(open_beneath(root, &done), Err(nix::Error::ENOENT)) {
            match mkdirat(&parent, name, mode) {
                Ok(()) => set_mode(&parent, name, mode)?,
                Err(nix::Error::EEXIST) => {}
                Err(error) => return Err(error),
            }
        }
    }
    open_beneath(root, path)
}

/// Gives a directory that was just made the mode that it was to be made with: the
/// kubelet's umask has taken some of it away.
fn set_mode(parent: &OwnedFd, name: &OsStr, mode: Mode) -> nix::Result<()> {
    // A link that somebody has put there meanwhile isn't followed.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    fchmod(openat(parent, name, flags, Mode::empty())?, mode)
}

#[cfg(test)]
mod tests {
    use super::super::system::fake::Fake;
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn parts_are_found_or_made() {
        let dir = tempfile::tempdir().unwrap();
        let (volume, targets) = (dir.path().join("v"), dir.path().join("t"));
        fs::create_dir(&volume).unwrap();
        fs::write(volume.join("file"), "x").unwrap();
        let system = Fake::default();
        prepare(&volume, Path::new("a/b"), &targets.join("0"), &system).unwrap();
        prepare(&volume, Path::new("file"), &targets.join("1"), &system).unwrap();
        assert!(volume.join("a/b").is_dir());
        assert!(targets.join("0").is_dir() && targets.join("1").is_file());
        let mounts = system.mounts.lock();
        let sources: Vec<_> = mounts.iter().map(|(what, _)| what.clone()).collect();
        let bound = |part: &str| format!("bind {}", volume.join(part).display());
        assert_eq!(sources, [bound("a/b"), bound("file")]);
    }

    /// Who may write into the volume may write into its parts: one `emptyDir` for
    /// several folders of a program that doesn't run as root.
    #[test]
    fn parts_have_the_mode_of_the_volume() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("v");
        fs::create_dir(&volume).unwrap();
        fs::set_permissions(&volume, PermissionsExt::from_mode(0o2777)).unwrap();
        let target = dir.path().join("t");
        prepare(&volume, Path::new("a/b"), &target, &Fake::default()).unwrap();
        for part in ["a", "a/b"] {
            let mode = fs::metadata(volume.join(part))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o7777, 0o2777, "{part}");
        }
    }

    #[test]
    fn links_inside_are_followed_and_links_out_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("v");
        fs::create_dir_all(volume.join("..data")).unwrap();
        fs::write(volume.join("..data/key"), "x").unwrap();
        symlink("..data/key", volume.join("key")).unwrap();
        symlink("/etc", volume.join("abs")).unwrap();
        symlink("../outside", volume.join("up")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        let system = Fake::default();
        let target = dir.path().join("t");
        assert!(prepare(&volume, Path::new("key"), &target, &system).is_ok());
        for escape in ["abs", "abs/new", "up", "up/new", "../outside"] {
            let outcome = prepare(&volume, Path::new(escape), &target, &system);
            assert!(outcome.is_err(), "{escape}");
        }
        assert!(!dir.path().join("outside/new").exists());
        assert!(!Path::new("/etc/new").exists());
    }
}
