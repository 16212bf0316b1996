//! Mounting for real, or only noting it where nobody may mount.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How folders appear at other places.
#[derive(Debug)]
pub enum Mounts {
    /// By the kernel.
    Kernel,
    /// Not at all; what would be mounted where.
    Noted(Mutex<BTreeMap<PathBuf, PathBuf>>),
}

impl Mounts {
    /// None yet, and none for real.
    pub fn noted() -> Self {
        Self::Noted(Mutex::default())
    }

    /// What is mounted.
    ///
    /// # Errors
    /// If the kernel doesn't tell.
    pub fn points(&self) -> io::Result<Vec<PathBuf>> {
        match self {
            Self::Noted(mounts) => Ok(mounts.lock().keys().cloned().collect()),
            Self::Kernel => {
                let table = fs::read_to_string("/proc/self/mountinfo")?;
                let points = table.lines().filter_map(|line| line.split(' ').nth(4));
                Ok(points.map(PathBuf::from).collect())
            }
        }
    }

    /// Whether something is mounted exactly here.
    pub(crate) fn is_mounted(&self, target: &Path) -> io::Result<bool> {
        Ok(self.points()?.iter().any(|point| point == target))
    }

    /// Makes a folder, or a file, appear at a place, which is made; again and again if need be.
    pub(crate) fn bind(&self, source: &Path, target: &Path, read_only: bool) -> io::Result<()> {
        if source.is_dir() {
            fs::create_dir_all(target)?;
        } else {
            fs::write(target, "")?;
        }
        if self.is_mounted(target)? {
            return Ok(());
        }
        match self {
            Self::Noted(mounts) => {
                mounts.lock().insert(target.to_owned(), source.to_owned());
            }
            Self::Kernel => {
                let none: Option<&str> = None;
                mount(Some(source), target, none, MsFlags::MS_BIND, none)?;
                if read_only {
                    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
                    mount(none, target, none, flags, none)?;
                }
            }
        }
        Ok(())
    }

    /// Undoes that, and removes the place.
    pub(crate) fn unbind(&self, target: &Path) -> io::Result<()> {
        while self.is_mounted(target)? {
            match self {
                Self::Noted(mounts) => drop(mounts.lock().remove(target)),
                Self::Kernel => umount2(target, MntFlags::empty())?,
            }
        }
        let removed = match target.is_dir() {
            true => fs::remove_dir(target),
            false => fs::remove_file(target),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
