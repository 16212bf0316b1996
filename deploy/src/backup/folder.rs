//! Where backups are: their names, and files that are there as a whole or not at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::create_private;
use crate::failure::{Failure, OrFail, Result};

const PREFIX: &str = "hardway-";
const SUFFIX: &str = ".tar.gz";
/// What is behind it where it is encrypted.
const ENCRYPTED: &str = ".age";

/// The name of a backup in a folder: names of one host are in the order of their times.
pub fn name(host: &str, now: Timestamp, is_encrypted: bool) -> String {
    let time = now.strftime("%Y%m%dT%H%M%SZ");
    let end = if is_encrypted { ENCRYPTED } else { "" };
    format!("{PREFIX}{host}-{time}{SUFFIX}{end}")
}

/// Whether a file is named like one.
pub fn is_backup(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| {
        let name = name.strip_suffix(ENCRYPTED).unwrap_or(name);
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    })
}

/// The oldest of a host's backups, but for so many.
pub fn surplus(all: &[PathBuf], host: &str, keep: usize) -> Vec<PathBuf> {
    let prefix = format!("{PREFIX}{host}-");
    let is_of_host = |path: &&PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let time = name.and_then(|name| name.strip_prefix(&prefix));
        // Another host's name may begin with this one's: then more than a time is left.
        time.is_some_and(|time| !time.contains('-'))
    };
    let mut own: Vec<PathBuf> = all.iter().filter(is_of_host).cloned().collect();
    own.sort();
    own.truncate(own.len().saturating_sub(keep));
    own
}

/// A file that is written beside the place where it is to be; gone unless it is kept.
#[derive(Debug)]
pub struct Partial {
    temporary: PathBuf,
    file: File,
    path: PathBuf,
}

impl Partial {
    /// One that is to be at a path, where nothing is yet.
    ///
    /// # Errors
    /// If it can't be written there.
    pub fn beside(path: &Path) -> Result<Self> {
        if path.exists() {
            let what = format!("write {}", path.display());
            return Err(Failure::new(what, "it is there already"));
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".partial-{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let file = create_private(&temporary);
        Ok(Self {
            file: file.or_fail(|| format!("write {}", temporary.display()))?,
            temporary,
            path: path.to_owned(),
        })
    }

    /// To be written to.
    ///
    /// # Errors
    /// If the process has too many files open.
    pub fn file(&self) -> Result<File> {
        let file = self.file.try_clone();
        file.or_fail(|| format!("write {}", self.temporary.display()))
    }

    /// Puts it in its place, on the disk.
    ///
    /// # Errors
    /// If the disk doesn't take it, or something is there meanwhile.
    pub fn keep(self) -> Result<()> {
        let what = || format!("write {}", self.path.display());
        self.file.sync_all().or_fail(what)?;
        if self.path.exists() {
            return Err(Failure::new(what(), "it is there already"));
        }
        fs::rename(&self.temporary, &self.path).or_fail(what)?;
        let folder = self.path.parent().filter(|it| !it.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")));
        folder.and_then(|folder| folder.sync_all()).or_fail(what)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Kept, it has its name; else it is of no use.
        let _ = fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn names_say_host_and_time() {
        let name = name("cp-1", Timestamp::UNIX_EPOCH, true);
        assert_eq!(name, "hardway-cp-1-19700101T000000Z.tar.gz.age");
        assert!(is_backup(Path::new(&name)));
        assert!(!is_backup(Path::new("hardway-tool.deb")));
    }

    #[test]
    fn the_oldest_of_this_host_go() {
        let path = |name: &str| PathBuf::from("/b").join(name);
        let all = [
            path("hardway-a-20260103T000000Z.tar.gz"),
            path("hardway-a-20260101T000000Z.tar.gz.age"),
            path("hardway-a-1-20200101T000000Z.tar.gz"),
            path("hardway-a-20260102T000000Z.tar.gz"),
        ];
        assert_eq!(surplus(&all, "a", 2), [all[1].clone()]);
        assert!(surplus(&all, "a", 3).is_empty());
        assert_eq!(surplus(&all, "a-1", 0), [all[2].clone()]);
    }

    #[test]
    fn a_file_is_there_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup");
        let count = || fs::read_dir(folder.path()).unwrap().count();
        let write = || {
            let partial = Partial::beside(&path).unwrap();
            partial.file().unwrap().write_all(b"all").unwrap();
            partial
        };
        drop(write());
        assert_eq!(count(), 0);
        write().keep().unwrap();
        assert_eq!((count(), fs::read(&path).unwrap()), (1, b"all".to_vec()));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // What is there is not replaced.
        assert!(Partial::beside(&path).is_err());
        assert_eq!(count(), 1);
    }
}
