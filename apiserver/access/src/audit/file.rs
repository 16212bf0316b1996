//! The file of the audit log, which is put aside when it has become long.

use jiff::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When the file is replaced by a new one, and how many old ones are kept.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// Bytes after which the file is rotated; 0 for never.
    pub max_size: u64,
    /// Rotated files kept; 0 for all.
    pub max_backups: usize,
    /// How long rotated files are kept; 0 for ever.
    pub max_age: Duration,
}

impl Default for Rotation {
    /// Ten files of 100 MiB.
    fn default() -> Self {
        Self {
            max_size: 100 << 20,
            max_backups: 10,
            max_age: Duration::ZERO,
        }
    }
}

pub(super) struct Output {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
    /// The last line was not written to its end.
    torn: bool,
    /// Writing failed the last time, which the log was told.
    failing: bool,
}

impl Output {
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        // Who did what is not for everybody on the host.
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            rotation,
            file,
            size,
            torn: false,
            failing: false,
        })
    }

    /// Writes whole lines, and whether they are there. The log is told when it begins
    /// to fail, not each time.
    pub(super) fn write(&mut self, lines: &str) -> bool {
        let outcome = self.append(lines);
        if let Err(error) = &outcome
            && !self.failing
        {
            tracing::error!(path = %self.path.display(), %error, "audit events are not written");
        }
        if outcome.is_ok() && self.failing {
            tracing::info!(path = %self.path.display(), "audit events are written again");
        }
        self.failing = outcome.is_err();
        outcome.is_ok()
    }

    fn append(&mut self, lines: &str) -> io::Result<()> {
        let length = lines.len() as u64;
        if self.rotation.max_size > 0
            && self.size > 0
            && self.size + length > self.rotation.max_size
            && let Err(error) = self.rotate()
        {
            // A longer log is better than none. It is tried again after as much.
            tracing::warn!(path = %self.path.display(), %error, "the audit log is not put aside");
            self.size = 0;
        }
        if self.torn {
            self.file.write_all(b"\n")?;
        }
        self.torn = true;
        self.file.write_all(lines.as_bytes())?;
        self.torn = false;
        self.size += length;
        Ok(())
    }

    /// `audit.log` becomes `audit-TIME.log`.
    fn rotate(&mut self) -> io::Result<()> {
        let now = Timestamp::now();
        match std::fs::rename(&self.path, self.rotated(now)) {
            // The last attempt came so far, and there was no room for a new one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome?,
        }
        *self = Self {
            failing: self.failing,
            ..Self::open(&self.path, self.rotation)?
        };
        self.prune(now)
    }

    /// Where the file goes that is put aside at a time. Names sort by time.
    fn rotated(&self, at: Timestamp) -> PathBuf {
        let (stem, extension) = self.name();
        let time = format!("{at:.9}").replace(':', "-");
        self.path
            .with_file_name(format!("{stem}-{time}{extension}"))
    }

    fn name(&self) -> (String, String) {
        let part = |part: Option<&std::ffi::OsStr>| {
            part.map(|s| s.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let extension = match part(self.path.extension()) {
            none if none.is_empty() => none,
            some => format!(".{some}"),
        };
        (part(self.path.file_stem()), extension)
    }

    fn prune(&self, now: Timestamp) -> io::Result<()> {
        let (stem, extension) = self.name();
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut old: Vec<PathBuf> = std::fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let name = path
                    .file_name()
                    .map(|n| n.to_string_lossy())
                    .unwrap_or_default();
                name.starts_with(&format!("{stem}-")) && name.ends_with(&extension)
            })
            .collect();
        old.sort();
        let surplus = match self.rotation.max_backups {
            0 => 0,
            kept => old.len().saturating_sub(kept),
        };
        let age = self.rotation.max_age;
        let outdated = match now.checked_sub(age) {
            Ok(then) if !age.is_zero() => {
                let oldest = self.rotated(then);
                let is_old = |path: &&PathBuf| path.file_name() < oldest.file_name();
                old.iter().take_while(is_old).count()
            }
            _ => 0,
        };
        let gone = old.iter().take(surplus.max(outdated));
        gone.into_iter().try_for_each(std::fs::remove_file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_and_survived() {
        let mut output = Output::open(Path::new("/dev/full"), Rotation::default()).unwrap();
        assert!(!output.write("a\n") && !output.write("b\n"));
        // There is room again: what was begun is ended first.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        output.file = Output::open(&path, Rotation::default()).unwrap().file;
        assert!(output.write("c\n") && output.write("d\n"));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "\nc\nd\n");
    }

    #[test]
    fn a_log_that_cannot_be_put_aside_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/audit.log");
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        let rotation = Rotation {
            max_size: 4,
            ..Rotation::default()
        };
        let mut output = Output::open(&path, rotation).unwrap();
        assert!(output.write("one\n"));
        // No file can be made where its folder is missing, as on a disk without inodes.
        let away = folder.path().join("away");
        std::fs::rename(folder.path().join("logs"), &away).unwrap();
        assert!(
            output.write("two\n"),
            "it is written into the file that is open"
        );
        let log = std::fs::read_to_string(away.join("audit.log")).unwrap();
        assert_eq!(log, "one\ntwo\n");
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        assert!(output.write("three\n"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn old_files_go_by_their_age() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let at = |name: &str| folder.path().join(name);
        let now: Timestamp = "2026-03-10T00:00:00Z".parse().unwrap();
        let names = ["03-01", "03-07", "03-08", "03-09"]
            .map(|day| format!("audit-2026-{day}T10-00-00.000000000Z.log"));
        names
            .iter()
            .for_each(|name| std::fs::write(at(name), "").unwrap());
        let left = |max_backups, days: u64| {
            let rotation = Rotation {
                max_size: 0,
                max_backups,
                max_age: Duration::from_secs(days * 24 * 3600),
            };
            let output = Output::open(&path, rotation).unwrap();
            output.prune(now).unwrap();
            names.iter().filter(|name| at(name).exists()).count()
        };
        assert_eq!(left(0, 0), 4);
        assert_eq!(left(0, 3), 3);
        assert_eq!(left(3, 3), 3);
        assert_eq!(left(1, 3), 1);
    }
}
